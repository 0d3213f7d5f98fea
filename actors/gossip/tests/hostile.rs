//! Whatever neighbours say, a node neither panics nor grows, and goes on serving the others.

use std::time::Duration;

use gossip::{
    Beacon, Core, Entry, Held, Id, Input, Output, Post, Side, Stream, Want, Why, Wire, limits,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Neighbours of the node under test, by link.
const HOSTILE: u32 = 1;
const HONEST: u32 = 2;

fn node(number: u8) -> [u8; 32] {
    [number; 32]
}

/// A node with two neighbours that asked to be.
fn node_with_neighbours() -> Core {
    let mut core = Core::new(1, 1);
    for link in [HOSTILE, HONEST] {
        core.handle(SECOND, Input::Up(link, node(link as u8)));
        let hello = Wire::Hello { want: Want::Join, origin: link.into(), you: node(0) };
        core.handle(SECOND, Input::Data(link, hello.encode()));
    }
    assert_eq!(core.neighbours(), [HOSTILE, HONEST]);
    core
}

fn id() -> impl Strategy<Value = Id> {
    // Few of each, so that they meet again; some from the far ends of what there can be.
    let seq = prop_oneof![1u64..20, Just(u64::MAX), Just(u64::MAX - 1)];
    (0u64..4, 0u64..3, seq)
        .prop_map(|(origin, epoch, seq)| Id { stream: Stream { origin, epoch }, seq })
}

fn some_node() -> impl Strategy<Value = [u8; 32]> {
    (0u8..12).prop_map(node)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = (some_node(), any::<u8>()).prop_map(|(node, age)| Entry { node, age });
    proptest::collection::vec(entry, 0..limits::PEERS)
}

fn membership() -> impl Strategy<Value = Wire> {
    let want = prop_oneof![
        Just(Want::Join),
        Just(Want::High),
        Just(Want::Low),
        Just(Want::Again),
        Just(Want::Offer),
        Just(Want::Probe),
        some_node().prop_map(Want::Instead),
    ];
    let why = prop_oneof![Just(Why::Replaced), Just(Why::Farther), Just(Why::Full)];
    prop_oneof![
        (want, any::<u64>(), some_node()).prop_map(|(want, origin, you)| Wire::Hello {
            want,
            origin,
            you
        }),
        (any::<bool>(), some_node(), entries()).prop_map(|(accepted, you, peers)| {
            Wire::Welcome { accepted, origin: 3, you, peers }
        }),
        (some_node(), any::<u8>()).prop_map(|(node, left)| Wire::Walk { node, left }),
        (any::<u64>(), any::<u8>(), entries()).prop_map(|(token, left, peers)| Wire::Shuffle {
            token,
            left,
            peers
        }),
        (any::<u64>(), entries()).prop_map(|(token, peers)| Wire::Shuffled { token, peers }),
        (why, proptest::option::of(some_node()))
            .prop_map(|(why, instead)| Wire::Leave { why, instead }),
        some_node().prop_map(|node| Wire::Introduce { node }),
        Just(Wire::Shed),
        (any::<u32>(), some_node()).prop_map(|(rtt_us, old)| Wire::Nearer { rtt_us, old }),
    ]
}

fn broadcast() -> impl Strategy<Value = Wire> {
    let ids = || proptest::collection::vec(id(), 0..20);
    let number = || prop_oneof![0u32..4, Just(u32::MAX)];
    let held = (id(), proptest::collection::vec((any::<u16>(), any::<u16>()), 0..4))
        .prop_map(|(id, gaps)| Held { stream: id.stream, top: id.seq, gaps });
    let tree = || prop_oneof![0u8..3, Just(limits::SIDES as u8 - 1), any::<u8>()];
    let far = || prop_oneof![0u32..90_000, Just(Side::GONE), any::<u32>()];
    let side = (tree(), number(), 0u64..4, far(), far())
        .prop_map(|(tree, seq, root, far, near)| Side { tree, seq, root, far, near });
    prop_oneof![
        (id(), prop_oneof![0u32..10, any::<u32>()], any::<u8>(), tree()).prop_map(
            |(id, age, hop, tree)| {
                let tree = Some(tree).filter(|tree| *tree > 0);
                Wire::Post(Post { id, age, hop, tree, topic: [7; 16], body: vec![1; 100] })
            }
        ),
        ids().prop_map(Wire::Have),
        ids().prop_map(Wire::Get),
        proptest::collection::vec(held, 0..5).prop_map(Wire::Digest),
        Just(Wire::More),
        (number(), 0u64..4, number(), any::<u8>())
            .prop_map(|(term, root, seq, hops)| Wire::Beacon(Beacon { term, root, seq, hops })),
        any::<bool>().prop_map(Wire::Attach),
        (any::<u32>(), any::<u32>()).prop_map(|(us, nodes)| Wire::Depth { us, nodes }),
        Just(Wire::Root),
        (any::<u32>(), proptest::collection::vec(side, 0..4))
            .prop_map(|(follow, sides)| Wire::Sides { follow, sides }),
        (tree(), number()).prop_map(|(tree, seq)| Wire::Renew { tree, seq }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Say(u32, Wire),
    Raw(Vec<u8>),
    Up(u32, [u8; 32]),
    Down(u32, [u8; 32], bool),
    Publish,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let link = || 1u32..12;
    prop_oneof![
        8 => (link(), membership()).prop_map(|(link, wire)| Step::Say(link, wire)),
        8 => (link(), broadcast()).prop_map(|(link, wire)| Step::Say(link, wire)),
        1 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Step::Raw),
        2 => (link(), some_node()).prop_map(|(link, node)| Step::Up(link, node)),
        1 => (link(), some_node(), any::<bool>()).prop_map(|(l, n, there)| Step::Down(l, n, there)),
        1 => Just(Step::Publish),
        3 => (0u64..5000).prop_map(Step::Wait),
    ]
}

fn size(core: &Core) -> usize {
    serde_ipld_dagcbor::to_vec(core).unwrap().len()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_inputs_makes_it_panic(steps in proptest::collection::vec(step(), 0..300)) {
        let mut core = node_with_neighbours();
        let mut now = SECOND;
        for step in steps {
            let input = match step {
                Step::Say(link, wire) => Input::Data(link, wire.encode()),
                Step::Raw(bytes) => Input::Data(HOSTILE, bytes),
                Step::Up(link, node) => Input::Up(link, node),
                Step::Down(link, node, there) => Input::Down(link, node, there),
                Step::Publish => Input::Published([7; 16], vec![3; 50]),
                Step::Wait(ms) => {
                    now += Duration::from_millis(ms);
                    Input::Tick
                }
            };
            let outputs = core.handle(now, input);
            prop_assert!(outputs.len() <= 4096, "{} outputs of one input", outputs.len());
            prop_assert!(core.links() <= limits::LINKS);
        }
        prop_assert!(size(&core) < 1 << 20);
        // It can be saved and goes on.
        let saved = serde_ipld_dagcbor::to_vec(&core).unwrap();
        let mut restored: Core = serde_ipld_dagcbor::from_slice(&saved).unwrap();
        let input = || Input::Tick;
        prop_assert_eq!(restored.handle(now * 2, input()), core.handle(now * 2, input()));
    }
}

/// Whether what the node publishes reaches the honest neighbour: at once, or when that has heard of
/// it and asks.
fn still_serves(core: &mut Core, now: Duration) -> bool {
    let body = b"still here, and longer than what goes to everyone".to_vec();
    let mut sent = core.handle(now, Input::Published([7; 16], body.clone()));
    let named = sent.iter().find_map(|output| match output {
        Output::Transmit(HONEST, _, frame) => match Wire::decode(frame) {
            Ok(Wire::Have(ids)) => Some(ids),
            _ => None,
        },
        _ => None,
    });
    if let Some(ids) = named {
        sent = core.handle(now, Input::Data(HONEST, Wire::Get(ids).encode()));
    }
    sent.iter().any(|output| match output {
        Output::Transmit(HONEST, _, frame) => {
            matches!(Wire::decode(frame), Ok(Wire::Post(post)) if post.body == body)
        }
        _ => false,
    })
}

#[test]
fn a_flood_of_joins_is_taken_up_to_a_limit() {
    let mut core = node_with_neighbours();
    for number in 0..5000u32 {
        let mut node = [9; 32];
        node[..4].copy_from_slice(&number.to_le_bytes());
        let link = 10 + number;
        core.handle(SECOND, Input::Up(link, node));
        let hello = Wire::Hello { want: Want::Join, origin: number.into(), you: [0; 32] };
        core.handle(SECOND, Input::Data(link, hello.encode()));
        assert!(core.links() <= limits::LINKS);
    }
    assert!(core.neighbours().len() <= limits::CROWD);
    assert!(size(&core) < 100_000);
    assert!(still_serves(&mut core, SECOND * 2));
}

#[test]
fn a_flood_of_walks_and_lies_about_views_is_cut_off() {
    let mut core = node_with_neighbours();
    let mut sent = 0;
    for number in 0..20_000u32 {
        let mut node = [9; 32];
        node[..4].copy_from_slice(&number.to_le_bytes());
        let walk = Wire::Walk { node, left: 255 };
        sent += core.handle(SECOND, Input::Data(HOSTILE, walk.encode())).len();
        let peers = vec![Entry { node, age: 0 }; limits::PEERS];
        let lies = Wire::Shuffle { token: number.into(), left: 255, peers };
        sent += core.handle(SECOND, Input::Data(HOSTILE, lies.encode())).len();
    }
    assert!(sent < 4 * limits::WALKS as usize, "{sent} outputs");
    assert!(core.counts().hasty > 30_000);
    assert!(size(&core) < 100_000);
    assert!(still_serves(&mut core, SECOND * 2));
}

#[test]
fn who_grafts_and_asks_for_ever_is_served_a_bounded_amount() {
    let mut core = node_with_neighbours();
    core.handle(SECOND, Input::Published([7; 16], vec![1; 100 << 10]));
    let ids = vec![Id { stream: Stream { origin: 1, epoch: 1 }, seq: 1 }; limits::HAVE];
    let mut bytes = 0;
    for _ in 0..10_000 {
        for wire in [Wire::Get(ids.clone()), Wire::Attach(true), Wire::Attach(false)] {
            for output in core.handle(SECOND, Input::Data(HOSTILE, wire.encode())) {
                let Output::Transmit(HOSTILE, _, frame) = output else { continue };
                bytes += frame.len();
            }
        }
    }
    assert!(bytes < 4 << 20, "{bytes} bytes in a second");
    assert!(still_serves(&mut core, SECOND * 2));
}

#[test]
fn announcements_of_what_never_comes_are_forgotten() {
    let mut core = node_with_neighbours();
    for epoch in 0..200u64 {
        let id = |seq| Id { stream: Stream { origin: 5, epoch }, seq };
        let have = Wire::Have((1..=100).map(id).collect());
        core.handle(SECOND, Input::Data(HOSTILE, have.encode()));
    }
    assert!(size(&core) < 1 << 20);
    let mut now = SECOND;
    for _ in 0..600 {
        now += SECOND / 4;
        core.handle(now, Input::Tick);
    }
    assert!(size(&core) < 50_000, "{} bytes after two minutes", size(&core));
    assert!(still_serves(&mut core, now));
}

#[test]
fn a_message_is_taken_once_whatever_age_and_hops_a_replay_claims() {
    let mut core = node_with_neighbours();
    let id = Id { stream: Stream { origin: 5, epoch: 1 }, seq: 9 };
    let post = |age, hop| {
        Wire::Post(Post { id, age, hop, tree: None, topic: [7; 16], body: b"once".to_vec() })
            .encode()
    };
    let delivered = |core: &mut Core, frame| {
        let outputs = core.handle(SECOND, Input::Data(HOSTILE, frame));
        outputs.iter().filter(|output| matches!(output, Output::Deliver(..))).count()
    };
    assert_eq!(delivered(&mut core, post(u32::MAX, 0)), 0, "stale");
    assert_eq!(delivered(&mut core, post(0, 255)), 1);
    for age in [0, 1, 1000, u32::MAX] {
        assert_eq!(delivered(&mut core, post(age, 3)), 0);
    }
}

#[test]
fn a_neighbour_that_claims_the_root_for_ever_and_says_nothing_more_is_got_over() {
    let mut core = node_with_neighbours();
    let beacon = Beacon { term: u32::MAX, root: 0, seq: u32::MAX, hops: 0 };
    core.handle(SECOND, Input::Data(HOSTILE, Wire::Beacon(beacon).encode()));
    let mut now = SECOND;
    for _ in 0..400 {
        now += SECOND / 4;
        core.handle(now, Input::Tick);
    }
    assert!(still_serves(&mut core, now));
}

#[test]
fn two_nodes_with_one_id_leave_the_others_in_peace() {
    let mut core = node_with_neighbours();
    // Another node of the same origin and epoch speaks on, in this one's name.
    let id = Id { stream: Stream { origin: 1, epoch: 1 }, seq: 5 };
    let post = Post { id, age: 0, hop: 1, tree: None, topic: [7; 16], body: b"who am I".to_vec() };
    let outputs = core.handle(SECOND, Input::Data(HOSTILE, Wire::Post(post).encode()));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Deliver(..))));
    assert_eq!(core.counts().forged, 1);
    assert!(still_serves(&mut core, SECOND * 2));
}
