//! Replicas of a document in the simulator: over bare topics that lose letters, and over gossip.

use crdt::{Crdt, Message, Value};
use gossip::Gossip;
use guest_sdk::{Builder, Duration, Grant, Sim, seed};

const NODES: usize = 5;

fn replicas(seed: u64) -> Builder<Crdt> {
    Sim::builder(seed).nodes(NODES).actor::<Crdt>("doc", &[("replicas", Grant::Topic("doc"))])
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn set(key: &str, value: impl Into<Value>) -> Message {
    Message::Set { key: key.into(), value: value.into() }
}

/// What a busy house does: every node changes something of everything.
fn change(sim: &mut Sim<Crdt>, node: usize, round: i64) {
    let key = || format!("room {}", round % 7);
    sim.send(node, set(&key(), round * 10 + node as i64));
    sim.send(node, Message::Increment { key: "opened".into(), by: 1 });
    sim.send(node, Message::Add { key: key(), item: (round % 5).into() });
    if round % 3 == 0 {
        sim.send(node, Message::Remove { key: key(), item: ((round + 1) % 5).into() });
        sim.send(node, Message::Clear { key: format!("room {}", (round + 3) % 7) });
    }
}

fn assert_equal(sim: &Sim<Crdt>) {
    let first = sim.actor(0).document();
    for node in 1..NODES {
        assert_eq!(sim.actor(node).document(), first, "node {node} differs from node 0");
    }
    assert_eq!(sim.failures(), []);
}

#[test]
fn replicas_converge_though_links_are_cut() {
    let mut sim = replicas(seed()).build();
    sim.run_for(seconds(2));
    for round in 0..30 {
        if round == 5 {
            sim.cut(0, 1);
            sim.cut(0, 2);
            sim.cut(0, 3);
            sim.cut(0, 4);
        }
        for node in 0..NODES {
            change(&mut sim, node, round);
        }
        sim.run_for(seconds(1));
    }
    assert_ne!(sim.actor(0).document(), sim.actor(1).document());
    sim.heal();
    sim.run_for(seconds(60));
    assert_equal(&sim);
    let opened = sim.actor(0).document().entry("opened").unwrap();
    assert_eq!(opened.count, Some(30 * NODES as i64));
}

#[test]
fn a_replica_that_lost_its_power_knows_what_it_knew() {
    let mut sim = replicas(seed()).build();
    sim.run_for(seconds(2));
    sim.send(1, Message::Increment { key: "opened".into(), by: 5 });
    sim.send(1, set("target", 21.5));
    sim.run_for(seconds(1));
    for node in 0..NODES {
        sim.crash(node);
    }
    sim.restart(1);
    sim.run_for(seconds(2));
    let entry = sim.actor(1).document().entry("target").unwrap();
    assert_eq!(entry.value, Some(21.5.into()));
    for node in [0, 2, 3, 4] {
        sim.restart(node);
    }
    sim.send(1, Message::Increment { key: "opened".into(), by: 1 });
    sim.run_for(seconds(60));
    assert_equal(&sim);
    assert_eq!(sim.actor(3).document().entry("opened").unwrap().count, Some(6));
}

#[test]
fn replicas_converge_over_gossip_in_a_ring() {
    let ring = |node| vec![(node + 1) % NODES, (node + NODES - 1) % NODES];
    let mut sim = replicas(seed()).protocol::<Gossip>("gossip", &[]).peers(ring).build();
    sim.run_for(seconds(3));
    for round in 0..20 {
        match round {
            3 => sim.cut(0, 1),
            6 => sim.crash(3),
            9 => sim.cut(2, 1),
            12 => sim.restart(3),
            15 => sim.heal(),
            _ => {}
        }
        for node in (0..NODES).filter(|node| *node != 3) {
            change(&mut sim, node, round);
        }
        sim.run_for(seconds(1));
    }
    sim.run_for(seconds(60));
    assert_equal(&sim);
}

#[test]
fn a_change_reaches_the_other_end_of_a_line_at_once() {
    let line = |node: usize| (0..NODES).filter(|other| other.abs_diff(node) == 1).collect();
    let mut sim = replicas(seed()).protocol::<Gossip>("gossip", &[]).peers(line).build();
    sim.run_for(seconds(5));
    sim.send(0, set("target", 21.5));
    sim.run_for(seconds(1));
    let entry = sim.actor(NODES - 1).document().entry("target").unwrap();
    assert_eq!(entry.value, Some(21.5.into()));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let seed = seed();
    let run = || {
        let mut sim = replicas(seed).protocol::<Gossip>("gossip", &[]).build();
        sim.run_for(seconds(2));
        for round in 0..5 {
            change(&mut sim, round as usize, round);
            sim.run_for(seconds(3));
        }
        sim.trace()
    };
    assert_eq!(run(), run());
}
