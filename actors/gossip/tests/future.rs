//! Numbers of the tree from the far future, forged: they own nothing for ever.

#[path = "mesh/net.rs"]
#[allow(dead_code, reason = "other tests of networks use the rest")]
mod net;

use std::collections::BTreeSet;
use std::time::Duration;

use gossip::{Beacon, Wire};
use net::{Net, seed};

const NODES: usize = 8;
const LIAR: usize = NODES;
/// The root that it names: lower than any, and nobody.
const NOBODY: u64 = 0;
/// Whose beacons are looked at.
const PROBE: usize = 1;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The beacons that came to the probe within this time.
fn beacons(net: &mut Net, time: Duration) -> Vec<Beacon> {
    net.overheard = Some((PROBE, Vec::new()));
    net.run_for(time);
    let (_, heard) = net.overheard.take().unwrap();
    let beacon = |frame: &_| match Wire::decode(frame) {
        Ok(Wire::Beacon(beacon)) => Some(beacon),
        _ => None,
    };
    heard.iter().filter_map(|frame| beacon(&frame[..])).collect()
}

/// Some nodes with a tree, and its last beacon.
fn settled(seed: u64) -> (Net, Beacon) {
    let mut net = Net::new(seed, 0);
    for origin in 1..=NODES as u64 + 1 {
        net.add_core(origin, origin ^ seed);
    }
    net.connect_randomly(8);
    let last = beacons(&mut net, seconds(60)).pop().unwrap();
    (net, last)
}

fn lie(net: &mut Net, wire: &Wire) {
    for to in net.core(LIAR).neighbours() {
        net.say(LIAR, to as usize, wire.encode());
    }
}

/// There is one root, it is not the liar's, and it speaks.
fn assert_has_a_root(net: &mut Net) {
    let heard = beacons(net, seconds(60));
    let last = &heard[heard.len().saturating_sub(10)..];
    let roots: BTreeSet<u64> = last.iter().map(|beacon| beacon.root).collect();
    assert!(roots.len() == 1 && !roots.contains(&NOBODY), "{heard:?}");
    let spoken: BTreeSet<u32> = last.iter().map(|beacon| beacon.seq).collect();
    assert!(spoken.len() > 1, "{heard:?}");
}

#[test]
fn a_forged_beacon_from_the_far_future_does_not_own_the_tree_for_ever() {
    for seed in (0..2).map(|step| seed().wrapping_add(step)) {
        let terms = [u32::MAX, u32::MAX - 1, u32::MAX / 2, 1 << 30, 1 << 20, 1000];
        for ahead in terms {
            let (mut net, last) = settled(seed);
            let term = last.term.saturating_add(ahead);
            lie(&mut net, &Wire::Beacon(Beacon { term, root: NOBODY, seq: u32::MAX, hops: 0 }));
            net.run_for(seconds(1));
            (0..NODES).for_each(|node| net.cut(LIAR, node));
            net.run_for(seconds(60));
            assert_has_a_root(&mut net);
        }
    }
}

#[test]
fn a_forged_number_of_the_roots_own_beacon_holds_it_up_no_longer_than_a_silent_root() {
    for seed in (0..2).map(|step| seed().wrapping_add(step)) {
        let (mut net, last) = settled(seed);
        lie(&mut net, &Wire::Beacon(Beacon { seq: u32::MAX, hops: 0, ..last }));
        net.run_for(seconds(1));
        (0..NODES).for_each(|node| net.cut(LIAR, node));
        net.run_for(seconds(60));
        assert_has_a_root(&mut net);
    }
}

#[test]
fn who_hears_the_future_first_comes_back_to_the_others() {
    for seed in (0..2).map(|step| seed().wrapping_add(step)) {
        let (mut net, _) = settled(seed);
        let late = net.add();
        net.link(late, LIAR);
        net.run_for(Duration::from_millis(50));
        let beacon = Beacon { term: u32::MAX, root: NOBODY, seq: u32::MAX, hops: 0 };
        net.say(LIAR, late, Wire::Beacon(beacon).encode());
        net.run_for(Duration::from_millis(60));
        (0..=late).for_each(|node| net.cut(LIAR, node));
        net.link(late, 0);
        net.run_for(seconds(60));
        assert_has_a_root(&mut net);
    }
}
