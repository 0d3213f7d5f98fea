//! Several nodes in the simulator.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Floods what is published to all other nodes, once.
#[derive(Default, Serialize, Deserialize)]
struct Flood {
    links: Vec<u32>,
}

impl Actor for Flood {
    type Message = ();

    fn start(_: &mut Context<Self>) -> Result<Self> {
        Ok(Self::default())
    }

    fn handle(&mut self, (): (), _: &mut Context<Self>) -> Result {
        Ok(())
    }

    fn link(&mut self, event: LinkEvent, cx: &mut Context<Self>) -> Result {
        match event {
            LinkEvent::Reachable(node) => cx.connect(node)?,
            LinkEvent::Up { link, .. } => self.links.push(link),
            LinkEvent::Down { link, .. } => self.links.retain(|known| *known != link),
            LinkEvent::Published { topic, body } => {
                for link in &self.links {
                    cx.transmit(*link, Class::State, &[&topic.0[..], &body].concat())?;
                }
            }
            LinkEvent::Data { body, .. } => {
                let (topic, body) = body.split_at_checked(16).ok_or(Error::new("short"))?;
                cx.deliver(topic.try_into()?, body)?;
            }
            LinkEvent::Rtt { .. } | LinkEvent::Writable(_) => {}
        }
        Ok(())
    }
}

fn two(network: Network) -> Sim<Puppet> {
    Sim::<Puppet>::builder(seed())
        .nodes(2)
        .network(network)
        .actor::<Puppet>("puppet", &[("news", Grant::Topic("news")), ("pin", Grant::Pin("pin"))])
        .build()
}

#[test]
fn a_publication_reaches_the_other_node_and_not_its_publisher() {
    let mut sim = two(Network::default());
    sim.run_for(SECOND);
    sim.send(0, Do::Publish("news".into()));
    sim.run_for(SECOND);
    assert_eq!(sim.actor(1).heard, ["nothing"]);
    assert!(sim.actor(0).heard.is_empty());
}

#[test]
fn a_protocol_carries_publications_where_there_is_one() {
    let network = Network { loss: 0.3, duplicate: 0.3, reorder: 1.0, ..Network::default() };
    let mut sim = Sim::<Puppet>::builder(seed())
        .nodes(4)
        .network(network)
        .protocol::<Flood>("flood", &[])
        .actor::<Puppet>("puppet", &[("news", Grant::Topic("news"))])
        .build();
    // Longer than the longest row of losses that is drawn: sixteen, half a minute.
    sim.run_for(SECOND * 60);
    for _ in 0..20 {
        sim.send(0, Do::Publish("news".into()));
    }
    sim.run_for(SECOND * 60);
    assert_eq!(sim.failures(), []);
    for node in 1..4 {
        assert_eq!(sim.actor(node).heard.len(), 20, "node {node}");
    }
}

#[test]
fn an_actor_that_fails_begins_again_and_its_pin_goes_safe() {
    let mut sim = two(Network::default());
    sim.send(0, Do::Drive("pin".into()));
    sim.send(0, Do::Nothing);
    sim.run_for(SECOND * 2);
    assert!(sim.pin(0, "pin"));
    assert_eq!(sim.actor(0).heard.len(), 1);
    sim.send(0, Do::Fail);
    sim.run_for(SECOND);
    assert!(!sim.pin(0, "pin"));
    assert!(sim.actor(0).heard.is_empty());
    assert_eq!(sim.failures().len(), 1);
    assert_eq!(sim.failures()[0].why, "told to");
}

#[test]
fn stamps_order_writes_across_nodes_whatever_their_clocks_say() {
    let mut sim = two(Network::default());
    sim.inner().wall(0, Some(Duration::from_secs(2_000_000_000)));
    sim.inner().wall(1, None);
    sim.send(0, Do::Stamp);
    sim.run_for(SECOND * 2);
    let first = sim.actor(0).stamps[0];
    sim.send(1, Do::See(first));
    sim.send(1, Do::Stamp);
    sim.run_for(SECOND);
    assert!(sim.actor(1).stamps[0] > first);
    assert_ne!(sim.actor(1).stamps[0].replica(), first.replica());
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut sim = Sim::<Puppet>::new(seed, &[1.0, 2.0, 3.0]);
        for node in 0..3 {
            sim.send(node, Do::Every(1));
            sim.send(node, Do::Random);
            sim.send(node, Do::Publish("news".into()));
        }
        sim.cut(0, 1);
        sim.run_for(SECOND * 20);
        sim.heal();
        sim.crash(2);
        sim.restart(2);
        sim.run_for(SECOND * 20);
        sim.trace()
    };
    let seed = seed();
    assert_eq!(trace(seed), trace(seed));
    assert_ne!(trace(seed), trace(seed ^ 1));
}
