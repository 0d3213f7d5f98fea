//! Networks with one node among them that lies: the others go on serving each other.

#[path = "mesh/net.rs"]
#[allow(dead_code, reason = "other tests of networks use the rest")]
mod net;

use std::time::Duration;

use gossip::{Id, Post, Stream, Wire, limits};
use net::{Net, TOPIC, seed};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A message that its origin did not say.
fn forged(stream: Stream, seq: u64) -> Vec<u8> {
    let body = format!("not {} of {}", seq, stream.origin).into_bytes();
    let id = Id { stream, seq };
    Wire::Post(Post { id, age: 0, hop: 3, tree: None, topic: TOPIC, body }).encode()
}

/// A node publishes some bodies, one each 100 milliseconds.
fn speak(net: &mut Net, node: usize, what: &str, count: usize) -> Vec<Vec<u8>> {
    let bodies = (0..count).map(|number| format!("{what} {number}").into_bytes());
    let bodies: Vec<Vec<u8>> = bodies.collect();
    for body in &bodies {
        net.publish(node, body);
        net.run_for(Duration::from_millis(100));
    }
    bodies
}

#[test]
fn no_forged_number_silences_an_origin() {
    for far in [1, 33, 1024, 1025, 5000, 1 << 40, u64::MAX - 3] {
        let mut net = Net::new(seed(), 5);
        net.connect_randomly(5);
        net.run_for(seconds(3));
        let before = speak(&mut net, 0, "before", 3);
        net.run_for(seconds(1));
        // In one far leap, and in many.
        for step in 1..=4 {
            let seq = 3u64.saturating_add(far.saturating_mul(step));
            (1..4).for_each(|to| net.say(4, to, forged(net.stream(0), seq)));
        }
        net.run_for(seconds(1));
        let after = speak(&mut net, 0, "after", 9);
        net.run_for(seconds(1));
        for node in 1..4 {
            assert!(before.iter().all(|body| net.delivered(node, body) == 1));
            // What has the number of a forged one is taken for it.
            let missed = after.iter().filter(|body| net.delivered(node, body) == 0).count();
            let twins = if far == 1 { 4 } else { 0 };
            assert_eq!(missed, twins, "node {node} after {far}");
        }
    }
}

#[test]
fn a_node_that_was_away_while_many_messages_were_said_goes_on_with_the_new_ones() {
    let mut net = Net::new(seed(), 3);
    net.connect_randomly(3);
    net.run_for(seconds(3));
    for times in 1..=4 {
        speak(&mut net, 0, &format!("before {times}"), 3);
        net.run_for(seconds(1));
        net.cut(2, 0);
        net.cut(2, 1);
        // More than is kept for those who lack it.
        (0..2 * limits::RECENT).for_each(|number| net.publish(0, &number.to_le_bytes()));
        net.run_for(seconds(5));
        net.link(2, 0);
        net.link(2, 1);
        net.run_for(seconds(1));
        let after = speak(&mut net, 0, &format!("after {times}"), 9);
        net.run_for(seconds(20));
        assert!(after.iter().all(|body| net.delivered(2, body) == 1), "{times}");
    }
}

#[test]
fn no_number_of_invented_streams_shuts_others_out() {
    let mut net = Net::new(seed(), 10);
    net.connect_randomly(10);
    net.run_for(seconds(5));
    let early = speak(&mut net, 0, "early", 3);
    // It goes on for a while, faster than streams are forgotten.
    for round in 0..17u64 {
        for number in 0..300 {
            let stream = Stream { origin: 1000 + round, epoch: number };
            for to in net.core(9).neighbours() {
                net.say(9, to as usize, forged(stream, 1));
            }
        }
        net.run_for(Duration::from_millis(500));
    }
    assert!((0..9).any(|node| net.core(node).counts().crowded > 0));
    let mut sent: Vec<(usize, Vec<u8>)> = early.into_iter().map(|body| (0, body)).collect();
    for node in 0..9 {
        sent.extend(
            speak(&mut net, node, &format!("of {node}"), 2).into_iter().map(|it| (node, it)),
        );
    }
    net.run_for(seconds(10));
    for node in 0..9 {
        for (_, body) in sent.iter().filter(|(origin, _)| *origin != node) {
            let text = String::from_utf8_lossy(body);
            assert_eq!(net.delivered(node, body), 1, "{text} at {node}");
        }
        let size = serde_ipld_dagcbor::to_vec(net.core(node)).unwrap().len();
        assert!(size < 2 << 20, "{size} bytes of state");
    }
}
