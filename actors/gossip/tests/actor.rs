//! The actor around the core, on the bench.

use gossip::{Gossip, Message, Rule, Status, Want, Wire};
use guest_sdk::{Bench, Benched, LinkEvent, NodeId, Reason, Receiver, Result, TopicId};

const NODE: NodeId = NodeId([9; 32]);
const TOPIC: TopicId = TopicId([7; 16]);

/// Another node opens a link and becomes a neighbour.
fn neighbour(bench: &mut Bench, gossip: &mut Benched<Gossip>, link: u32) -> Result {
    bench.link(gossip, LinkEvent::Up { link, node: NODE })?;
    let hello = Wire::Hello { want: Want::Join, origin: 5, you: [1; 32] };
    bench.link(gossip, LinkEvent::Data { link, body: hello.encode() })?;
    let said: Vec<Wire> =
        bench.transmitted().iter().map(|(_, frame)| Wire::decode(frame).unwrap()).collect();
    assert!(matches!(said[..], [Wire::Welcome { accepted: true, .. }, Wire::Digest(_)]));
    Ok(())
}

#[test]
fn what_is_published_goes_out_and_what_comes_in_is_delivered() -> Result {
    let mut bench = Bench::protocol();
    let mut gossip = bench.start::<Gossip>()?;
    bench.link(&mut gossip, LinkEvent::Reachable(NODE))?;
    assert_eq!(bench.connects(), [NODE]);
    let mut gossip = bench.start::<Gossip>()?;
    neighbour(&mut bench, &mut gossip, 3)?;
    let body = b"21.5".to_vec();
    bench.link(&mut gossip, LinkEvent::Published { topic: TOPIC, body: body.clone() })?;
    let sent = bench.transmitted();
    let [(3, frame)] = &sent[..] else { panic!("{sent:?}") };
    let Ok(Wire::Post(post)) = Wire::decode(frame) else { panic!() };
    assert_eq!((post.body.clone(), bench.delivered()), (body.clone(), vec![]));
    // Another incarnation has another epoch: it does not take this for its own.
    let mut other = bench.start::<Gossip>()?;
    neighbour(&mut bench, &mut other, 3)?;
    bench.link(&mut other, LinkEvent::Data { link: 3, body: frame.clone() })?;
    bench.link(&mut other, LinkEvent::Data { link: 3, body: frame.clone() })?;
    assert_eq!(bench.delivered(), [(TOPIC, body)]);
    Ok(())
}

#[test]
fn the_node_keeps_its_origin_and_changes_its_epoch() -> Result {
    let mut bench = Bench::protocol();
    let mut posts = Vec::new();
    for _ in 0..2 {
        let mut gossip = bench.start::<Gossip>()?;
        neighbour(&mut bench, &mut gossip, 1)?;
        bench.link(&mut gossip, LinkEvent::Published { topic: TOPIC, body: vec![1] })?;
        let Ok(Wire::Post(post)) = Wire::decode(&bench.transmitted()[0].1) else { panic!() };
        posts.push(post.id.stream);
    }
    assert_eq!(posts[0].origin, posts[1].origin);
    assert_ne!(posts[0].epoch, posts[1].epoch);
    Ok(())
}

#[test]
fn the_rule_that_was_chosen_outlives_the_actor() -> Result {
    let mut bench = Bench::protocol();
    let mut gossip = bench.start::<Gossip>()?;
    assert_eq!(gossip.core().rule(), Rule::Nearest);
    let number = bench.ask(&mut gossip, Message::Choose(Rule::Physarum))?;
    let sent = bench.sent();
    let answer = sent.iter().find(|sent| sent.to == Receiver::Asker(number)).unwrap();
    assert_eq!(answer.decode::<Rule>()?, Rule::Physarum);
    assert_eq!(gossip.core().rule(), Rule::Physarum);
    assert_eq!(bench.start::<Gossip>()?.core().rule(), Rule::Physarum);
    Ok(())
}

#[test]
fn what_a_link_does_not_take_is_sent_when_it_is_writable() -> Result {
    let mut bench = Bench::protocol();
    let mut gossip = bench.start::<Gossip>()?;
    neighbour(&mut bench, &mut gossip, 1)?;
    for _ in 0..20 {
        bench.link(&mut gossip, LinkEvent::Published { topic: TOPIC, body: vec![1; 100 << 10] })?;
    }
    let before = bench.transmitted().len();
    assert!(before < 21);
    bench
        .link(&mut gossip, LinkEvent::Down { link: 1, node: NODE, reason: Reason::Unreachable })?;
    bench.link(&mut gossip, LinkEvent::Up { link: 2, node: NODE })?;
    let number = bench.ask(&mut gossip, Message::Status)?;
    let sent = bench.sent();
    let status: Status =
        sent.iter().find(|sent| sent.to == Receiver::Asker(number)).unwrap().decode()?;
    assert!(status.counts.refused > 0);
    assert_eq!(status.links, 1);
    Ok(())
}
