//! Networks with one node among them that lies: the others go on serving each other.

#[path = "liars/lies.rs"]
mod lies;
#[path = "mesh/net.rs"]
#[allow(dead_code, reason = "other tests of networks use the rest")]
mod net;

use std::time::Duration;

use gossip::{Stream, limits};
use lies::{LIES, forged};
use net::{Net, seed};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
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
    assert!((0..9).any(|node| net.core(node).counts().delivered > limits::STREAMS as u64));
    let mut sent: Vec<(usize, Vec<u8>)> = early.into_iter().map(|body| (0, body)).collect();
    for node in 0..9 {
        sent.extend(
            speak(&mut net, node, &format!("of {node}"), 2).into_iter().map(|it| (node, it)),
        );
    }
    net.run_for(seconds(10));
    for node in 0..9 {
        for (_, body) in sent.iter().filter(|(origin, _)| *origin != node) {
            // Whose place was taken may be heard a second time.
            let text = String::from_utf8_lossy(body);
            assert!((1..=2).contains(&net.delivered(node, body)), "{text} at {node}");
        }
        let size = serde_ipld_dagcbor::to_vec(net.core(node)).unwrap().len();
        assert!(size < 2 << 20, "{size} bytes of state");
    }
}

/// Honest nodes, and the number of the one that lies.
const HONEST: usize = 10;
const LIAR: usize = HONEST;

/// Honest nodes and one that does what is asked of it, and lies besides: all that the others say
/// reaches all of them once, and they stay small. How many frames were said, and how many lies.
fn among_lies(seed: u64, lie: impl Fn(&mut Net, usize) -> Vec<Vec<u8>>) -> (u64, u64) {
    let mut net = Net::new(seed, HONEST + 1);
    net.connect_randomly(12);
    net.overheard = Some((LIAR, Vec::new()));
    net.run_for(seconds(5));
    let (mut sent, mut lies) = (Vec::new(), 0);
    for round in 0..40 {
        for to in net.core(LIAR).neighbours() {
            let frames = lie(&mut net, to as usize);
            lies += frames.len() as u64;
            frames.into_iter().for_each(|frame| net.say(LIAR, to as usize, frame));
        }
        let node = round % HONEST;
        let body = format!("{round} of {node}").into_bytes();
        net.publish(node, &body);
        sent.push((node, body));
        net.run_for(Duration::from_millis(250));
    }
    net.run_for(seconds(20));
    for (origin, body) in &sent {
        for node in (0..HONEST).filter(|node| node != origin) {
            let text = String::from_utf8_lossy(body);
            assert_eq!(net.delivered(node, body), 1, "{text} at {node}");
        }
    }
    for node in 0..HONEST {
        let (links, size) = (net.core(node).links(), saved(&net, node));
        assert!(links <= limits::LINKS && size < 200_000, "{links} links, {size} bytes");
    }
    (net.frames - lies, lies)
}

fn saved(net: &Net, node: usize) -> usize {
    serde_ipld_dagcbor::to_vec(net.core(node)).unwrap().len()
}

#[test]
fn no_lie_keeps_the_others_from_delivering() {
    for seed in (0..2).map(|step| seed().wrapping_add(step)) {
        let (quiet, _) = among_lies(seed, |_, _| Vec::new());
        for (name, lie) in LIES {
            println!("{name}");
            let (frames, lies) = among_lies(seed, lie);
            println!("{frames} frames and {lies} lies, {quiet} frames without");
            // Some are answered, and few are passed on to all.
            assert!(frames < 4 * quiet + 4 * lies, "{name}");
        }
    }
}

/// Some nodes, two of which are copies of each other: they have one id and one origin, as when a
/// data folder was copied; and one epoch too, if it was copied as it ran. What each of the two and
/// all others said.
fn with_twins(seed: u64, same_epoch: bool) -> (Net, Vec<(usize, Vec<u8>)>) {
    let mut net = Net::new(seed, 8);
    let Stream { origin, epoch } = net.stream(3);
    let twin = net.add_core(origin, if same_epoch { epoch } else { epoch + 1 });
    net.twins = Some((3, twin));
    net.connect_randomly(10);
    net.run_for(seconds(5));
    let mut sent = Vec::new();
    for round in 0..45 {
        let node = round % 9;
        let body = format!("{round} of {node}").into_bytes();
        net.publish(node, &body);
        sent.push((node, body));
        net.run_for(Duration::from_millis(300));
    }
    net.run_for(seconds(60));
    (net, sent)
}

#[test]
fn two_nodes_with_one_id_are_heard_both_and_harm_nobody() {
    for seed in (0..10).map(|step| seed().wrapping_add(step)) {
        let (net, sent) = with_twins(seed, false);
        net.assert_complete(&sent);
    }
}

#[test]
fn of_two_that_run_on_from_one_state_one_is_heard_and_nobody_else_is_harmed() {
    for seed in (0..10).map(|step| seed().wrapping_add(step)) {
        let (net, sent) = with_twins(seed, true);
        let (twins, others): (Vec<_>, Vec<_>) =
            sent.into_iter().partition(|(node, _)| [3, 8].contains(node));
        net.assert_complete(&others);
        // Each of their five numbers is one message to all others: what either said first.
        for node in (0..8).filter(|node| *node != 3) {
            let heard = twins.iter().map(|(_, body)| net.delivered(node, body));
            assert_eq!(heard.clone().sum::<u32>(), 5, "node {node}");
            assert!(heard.max() <= Some(1));
        }
        assert!(net.core(3).counts().duplicates + net.core(3).counts().forged > 0);
    }
}
