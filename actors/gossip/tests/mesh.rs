//! Whole networks of cores: every message reaches every node once, in the end.

#[path = "mesh/net.rs"]
#[allow(dead_code, reason = "other tests of networks use the rest")]
mod net;

use std::time::Duration;

use gossip::{Beacon, Core, Held, Id, Input, Output, Post, Stream, Want, What, Wire, limits};
use net::{Net, TOPIC, id, seed};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn bodies(net: &mut Net, nodes: usize, count: usize) -> Vec<(usize, Vec<u8>)> {
    net.run_for(Duration::from_millis(1)); // No two calls give the same bodies.
    (0..count)
        .map(|number| {
            let node = net.chance.below(nodes as u64) as usize;
            let body = format!("{number} of {node} at {:?}", net.now).into_bytes();
            net.publish(node, &body);
            (node, body)
        })
        .collect()
}

#[test]
fn a_message_reaches_every_node_of_any_connected_graph_once() {
    for seed in (0..20).map(|step| seed().wrapping_add(step)) {
        let mut net = Net::new(seed, 20);
        net.connect_randomly(seed as usize % 15);
        net.run_for(seconds(5));
        let sent = bodies(&mut net, 20, 50);
        net.run_for(seconds(3)); // Less than a digest's period.
        net.assert_complete(&sent);
    }
}

#[test]
fn what_is_lost_is_mended() {
    for seed in (0..10).map(|step| seed().wrapping_add(step)) {
        let mut net = Net::new(seed, 12);
        net.connect_randomly(6);
        net.loss = 300;
        let mut sent = Vec::new();
        for _ in 0..10 {
            sent.extend(bodies(&mut net, 12, 5));
            net.run_for(seconds(1));
        }
        net.run_for(seconds(280));
        net.assert_complete(&sent);
    }
}

#[test]
fn a_cut_heals() {
    for seed in (0..10).map(|step| seed().wrapping_add(step)) {
        let mut net = Net::new(seed, 16);
        net.connect_randomly(8);
        let across: Vec<_> = (0..8).flat_map(|a| (8..16).map(move |b| (a, b))).collect();
        net.run_for(seconds(5));
        let mut sent = bodies(&mut net, 16, 10);
        for &(a, b) in &across {
            net.cut(a, b);
        }
        for _ in 0..20 {
            sent.extend(bodies(&mut net, 16, 20));
            net.run_for(seconds(3));
        }
        net.cut.clear(); // Nobody is told: they must find each other.
        net.run_for(seconds(30));
        net.assert_complete(&sent);
    }
}

#[test]
fn links_that_flap_lose_nothing() {
    for seed in (0..10).map(|step| seed().wrapping_add(step)) {
        let mut net = Net::new(seed, 10);
        net.connect_randomly(10);
        net.run_for(seconds(1));
        let all = net::set_of(&net.edges());
        let mut sent = Vec::new();
        for _ in 0..100 {
            for &(a, b) in &all {
                match net.chance.below(3) {
                    0 => net.cut(a, b),
                    1 => net.link(a, b),
                    _ => {}
                }
            }
            sent.extend(bodies(&mut net, 10, 2));
            let pause = net.chance.below(400);
            net.run_for(Duration::from_millis(pause));
        }
        for &(a, b) in &all {
            net.link(a, b);
        }
        net.run_for(seconds(60));
        net.assert_complete(&sent);
    }
}

#[test]
fn who_comes_late_is_caught_up_and_only_once() {
    for seed in (0..10).map(|step| seed().wrapping_add(step)) {
        let mut net = Net::new(seed, 6);
        net.connect_randomly(3);
        net.run_for(seconds(3));
        let sent = bodies(&mut net, 6, 700);
        net.run_for(seconds(10));
        let late = net.add();
        net.link(late, 0);
        net.link(late, 5);
        net.run_for(seconds(30));
        net.assert_complete(&sent);
    }
}

#[test]
fn full_queues_only_delay() {
    for seed in (0..5).map(|step| seed().wrapping_add(step)) {
        let mut net = Net::new(seed, 8);
        net.connect_randomly(4);
        net.run_for(seconds(3));
        net.queue = 600;
        let sent = bodies(&mut net, 8, 400);
        net.run_for(seconds(250));
        net.assert_complete(&sent);
        assert!((0..8).any(|node| net.core(node).counts().refused > 0));
    }
}

#[test]
fn a_restored_core_goes_on_where_the_saved_one_was() {
    let mut net = Net::new(seed(), 8);
    net.connect_randomly(4);
    let mut sent = bodies(&mut net, 8, 30);
    for node in 0..8 {
        net.run_for(Duration::from_millis(5));
        net.swap(node);
    }
    sent.extend(bodies(&mut net, 8, 30));
    net.run_for(seconds(10));
    net.assert_complete(&sent);
}

#[test]
fn an_idle_network_says_little() {
    let mut net = Net::new(seed(), 2);
    net.link(0, 1);
    let sent = bodies(&mut net, 2, 3);
    net.run_for(seconds(1000));
    net.assert_complete(&sent);
    // A beacon and two shuffles with their answers every ten seconds or so, a digest a minute.
    assert!(net.frames < 1000 * 8 / 10, "{} frames", net.frames);
    assert_eq!(net.core(0).recent(), (0, 0), "nothing is kept past its lifetime");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut net = Net::new(seed(), 10);
        net.connect_randomly(5);
        net.loss = 100;
        bodies(&mut net, 10, 100);
        net.run_for(seconds(20));
        (net.frames, (0..10).map(|node| net.core(node).counts().clone()).collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}

#[test]
fn two_equal_bodies_are_two_messages() {
    let mut net = Net::new(seed(), 3);
    net.connect_randomly(0);
    net.run_for(seconds(1));
    net.publish(0, b"21.5");
    net.publish(0, b"21.5");
    net.run_for(seconds(1));
    assert_eq!(net.delivered(1, b"21.5"), 2);
    assert_eq!(net.delivered(2, b"21.5"), 2);
}

#[test]
fn a_neighbour_that_lies_costs_a_bounded_amount() {
    let mut net = Net::new(seed(), 2);
    net.link(0, 1);
    net.run_for(seconds(1));
    for number in 0..20_000 {
        let stream = Stream { origin: net.chance.below(u64::MAX), epoch: number };
        let id = Id { stream, seq: 1 + net.chance.below(u64::MAX) };
        let post = Post { id, age: 0, hop: 0, tree: None, topic: TOPIC, body: vec![1; 4000] };
        net.input(0, Input::Data(1, Wire::Post(post).encode()));
        let held = Held { stream, top: u64::MAX, gaps: vec![(u16::MAX, u16::MAX); 9] };
        net.input(0, Input::Data(1, Wire::Digest(vec![held]).encode()));
        net.input(0, Input::Data(1, Wire::More.encode()));
    }
    let (count, bytes) = net.core(0).recent();
    assert!(count <= limits::RECENT && bytes <= limits::RECENT_BYTES);
    let saved = serde_ipld_dagcbor::to_vec(net.core(0)).unwrap().len();
    assert!(saved < 6 << 20, "{saved} bytes of state");
    let counts = net.core(0).counts();
    assert!(counts.crowded > 0 && counts.hasty > 0, "{counts:?}");
    assert!(net.frames < 30_000, "{} frames", net.frames);
    net.run_for(seconds(3));
    net.publish(1, b"and still it works");
    net.run_for(seconds(1));
    assert_eq!(net.delivered(0, b"and still it works"), 1);
    net.publish(0, b"both ways");
    net.run_for(limits::LIFETIME * 3);
    assert_eq!(net.delivered(1, b"both ways"), 1);
    net.publish(1, b"and takes new streams again");
    net.run_for(seconds(1));
    assert_eq!(net.delivered(0, b"and takes new streams again"), 1);
}

#[test]
fn garbage_stale_and_forged_messages_are_counted_and_ignored() {
    let mut net = Net::new(seed(), 2);
    net.link(0, 1);
    net.run_for(seconds(1));
    let stream = Stream { origin: 77, epoch: 1 };
    let post = Post {
        id: Id { stream, seq: 1 },
        age: 0,
        hop: 0,
        tree: None,
        topic: TOPIC,
        body: b"old".to_vec(),
    };
    let old = Post { age: limits::LIFETIME.as_millis() as u32, ..post };
    net.input(0, Input::Data(1, Wire::Post(old).encode()));
    net.input(0, Input::Data(1, b"\x02nonsense".to_vec()));
    net.input(0, Input::Data(1, vec![0; limits::FRAME_BYTES + 1]));
    net.input(0, Input::Data(1, b"\x09hello".to_vec()));
    net.input(0, Input::Published(TOPIC, vec![0; limits::BODY_BYTES + 1]));
    let counts = net.core(0).counts();
    assert_eq!((counts.stale, counts.garbage, counts.other_version), (1, 1, 1));
    assert_eq!((counts.oversized, counts.delivered, counts.published), (2, 0, 0));
}

#[test]
fn who_is_reachable_is_connected_and_who_went_away_is_tried_again() {
    let mut core = Core::new(1, 1);
    let (node, second) = (id(9), seconds(1));
    let connect = Output::Connect(node);
    assert_eq!(core.handle(second, Input::Reachable(node)), std::slice::from_ref(&connect));
    assert_eq!(core.handle(second, Input::Down(3, node, true)), []);
    let tries = |core: &mut Core, from: u64, to: u64| {
        let mut tries = 0;
        for now in from..to {
            let outputs = core.handle(seconds(now), Input::Tick);
            if outputs.contains(&connect) {
                tries += 1;
                core.handle(seconds(now), Input::Down(3, node, true));
            }
        }
        tries
    };
    assert!((2..10).contains(&tries(&mut core, 2, 60)));
    assert!((1..10).contains(&tries(&mut core, 60, 400)), "less and less often");
}

#[test]
fn who_takes_a_link_and_drops_it_is_asked_less_and_less_often() {
    let mut core = Core::new(1, 1);
    let (node, connect) = (id(9), Output::Connect(id(9)));
    let mut outputs = core.handle(seconds(1), Input::Reachable(node));
    let (mut now, mut tries) = (seconds(1), 0);
    while now < seconds(60) {
        for link in 0.. {
            if !outputs.contains(&connect) {
                break;
            }
            tries += 1;
            assert!(tries < 20, "{tries} tries within {now:?}");
            now += Duration::from_millis(1);
            core.handle(now, Input::Up(link, node));
            outputs = core.handle(now, Input::Down(link, node, true));
        }
        now = core.wake().max(now + Duration::from_millis(1));
        outputs = core.handle(now, Input::Tick);
    }
    assert!(tries > 2, "it is not given up for good");
}

#[test]
fn a_round_trip_that_was_measured_before_two_were_neighbours_counts() {
    let mut core = Core::new(1, 1);
    let hear = |core: &mut Core, link: u32, wire: Wire| {
        core.handle(seconds(1), Input::Data(link, wire.encode()))
    };
    for link in [1, 2] {
        core.handle(seconds(1), Input::Up(link, id(link as usize)));
        core.handle(seconds(1), Input::Rtt(link, Duration::from_millis(100)));
        hear(&mut core, link, Wire::Hello { want: Want::Join, origin: link.into(), you: id(0) });
    }
    // The first is above this node in the tree, the second below.
    hear(&mut core, 1, Wire::Beacon(Beacon { term: 9, root: 1, seq: 1, hops: 0 }));
    let said = hear(&mut core, 2, Wire::Attach(true));
    let depth = Wire::Depth { us: 50_000, nodes: 2 }.encode().into();
    assert_eq!(said, [Output::Transmit(1, What::Control, depth)]);
}

#[test]
fn links_past_the_limit_are_closed_with_other_names_to_try() {
    let mut core = Core::new(1, 1);
    for link in 0..limits::LINKS as u32 {
        core.handle(seconds(1), Input::Up(link, id(link as usize)));
    }
    let output = core.handle(seconds(1), Input::Up(1000, id(1000)));
    assert_eq!((output.len(), core.links()), (2, limits::LINKS));
    assert_eq!(output.last(), Some(&Output::Disconnect(1000)));
    core.handle(seconds(10), Input::Tick);
    assert_eq!(core.links(), 0, "who says nothing is not kept");
}

#[test]
fn what_a_neighbour_does_not_take_is_not_offered_for_ever() {
    let mut net = Net::new(seed(), 2);
    net.link(0, 1);
    net.run_for(seconds(1));
    for (node, origin) in [(1, 5), (0, 6)] {
        for epoch in 0..limits::STREAMS as u64 {
            let id = Id { stream: Stream { origin, epoch }, seq: 1 };
            let post = Post { id, age: 0, hop: 0, tree: None, topic: TOPIC, body: vec![1] };
            net.loss = 1000; // Neither hears the other.
            net.input(node, Input::Data(1 - node as u32, Wire::Post(post).encode()));
        }
    }
    net.run_for(seconds(1));
    net.loss = 0;
    let before = net.frames;
    net.run_for(seconds(120)); // Neither has room for the other's streams.
    assert!(net.frames - before < 600, "{} frames", net.frames - before);
}

#[test]
fn each_answer_to_a_digest_goes_on_where_the_last_one_ended() {
    let mut net = Net::new(seed(), 2);
    net.link(0, 1);
    net.run_for(seconds(1));
    net.loss = 1000;
    for number in 0..2 * limits::HAVE {
        net.publish(0, &number.to_le_bytes());
    }
    net.run_for(seconds(1));
    let mut told = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let nothing = Wire::Digest(Vec::new()).encode();
        for output in net.core_of(0).handle(seconds(3), Input::Data(1, nothing)) {
            if let Output::Transmit(_, What::Control, frame) = output
                && let Ok(Wire::Have(ids)) = Wire::decode(&frame)
            {
                told.extend(ids);
            }
        }
    }
    assert_eq!(told.len(), 2 * limits::HAVE);
}

#[test]
fn what_a_link_does_not_take_at_first_is_said_later_in_its_order() {
    let mut core = Core::new(1, 1);
    core.handle(seconds(1), Input::Reachable(id(9)));
    let said = core.handle(seconds(1), Input::Up(3, id(9)));
    let [Output::Transmit(3, what, hello)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(core.handle(seconds(1), Input::Refused(3, *what, hello.clone())), []);
    assert!(core.wake() < seconds(2));
    let again = core.handle(seconds(2), Input::Tick);
    assert!(again.contains(&said[0]), "{again:?}");
}
