//! A node among two or three neighbours that say how far they are from the root of a side tree.

use super::*;
use crate::wire::{Id, Post, Stream, VERSION};

const TREE: u8 = 3;
const BIT: u32 = 1 << TREE;

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn side(seq: u32, far: u32) -> Side {
    Side { tree: TREE, seq, root: 9, far, near: 40_000 }
}

/// A node with links to neighbours at these round trips, and what it has heard so far.
struct Node {
    broadcast: Broadcast,
    now: Duration,
    counts: Counts,
}

impl Node {
    fn new(rtts: &[u64]) -> Self {
        let mut broadcast = Broadcast::new(1, 2, 3);
        for (link, rtt) in (1..).zip(rtts) {
            broadcast.up(Duration::ZERO, link, Some(ms(*rtt)), &mut Vec::new());
        }
        Self { broadcast, now: Duration::ZERO, counts: Counts::default() }
    }

    fn hear(&mut self, link: u32, follow: u32, sides: &[Side]) {
        let wire = Wire::Sides { follow, sides: sides.to_vec() };
        self.broadcast.hear(self.now, link, wire, &mut self.counts, &mut Vec::new());
    }

    /// What it says in this time about side trees, and to whom.
    fn says(&mut self, time: Duration) -> Vec<(u32, Wire)> {
        let (mut out, end) = (Vec::new(), self.now + time);
        while self.broadcast.wake() <= end {
            self.now = self.now.max(self.broadcast.wake());
            self.broadcast.tick(self.now, 0, &mut self.counts, &mut out);
        }
        self.now = end;
        said(out)
    }

    /// A neighbour names a message, or sends it.
    fn news(&mut self, link: u32, seq: u64, body: bool) -> Vec<(u32, Wire)> {
        let id = Id { stream: Stream { origin: 7, epoch: 7 }, seq };
        let post = Post { id, age: 0, hop: 3, tree: Some(TREE), topic: [0; 16], body: vec![0; 9] };
        let wire = if body { Wire::Post(post) } else { Wire::Have(vec![id]) };
        let mut out = Vec::new();
        self.broadcast.hear(self.now, link, wire, &mut self.counts, &mut out);
        said(out)
    }

    fn down(&mut self, link: u32, lost: bool) -> Vec<(u32, Wire)> {
        let mut out = Vec::new();
        self.broadcast.down(self.now, link, lost, &mut out);
        said(out)
    }

    /// The links that a message goes over at once, with its tree.
    fn publish(&mut self) -> Vec<(u32, Option<u8>)> {
        let mut out = Vec::new();
        self.broadcast.publish(self.now, [0; 16], vec![0; 99], &mut self.counts, &mut out);
        let post = |output| match output {
            Output::Transmit(link, _, frame) => match Wire::decode(&frame) {
                Ok(Wire::Post(post)) => Some((link, post.tree)),
                _ => None,
            },
            _ => None,
        };
        out.into_iter().filter_map(post).collect()
    }
}

fn said(out: Vec<Output>) -> Vec<(u32, Wire)> {
    let of = |output| match output {
        Output::Transmit(link, _, frame) => {
            assert_eq!(frame[0], VERSION);
            Some((link, Wire::decode(&frame).unwrap()))
        }
        _ => None,
    };
    let sides = |wire: &Wire| matches!(wire, Wire::Sides { .. } | Wire::Renew { .. });
    out.into_iter().filter_map(of).filter(|(_, wire)| sides(wire)).collect()
}

fn told(follow: u32, sides: &[Side]) -> Wire {
    Wire::Sides { follow, sides: sides.to_vec() }
}

#[test]
fn the_neighbour_through_which_the_root_is_nearest_is_followed() {
    let mut node = Node::new(&[40, 50]);
    node.hear(1, 0, &[side(1, 30_000)]);
    node.hear(2, 0, &[side(1, 10_000)]);
    let own = side(1, 35_000);
    assert_eq!(node.says(HOLD), [(1, told(0, &[own])), (2, told(BIT, &[own]))]);
    assert_eq!(node.publish(), [(2, Some(TREE))]);
    // A little nearer is not enough, much is.
    node.hear(1, 0, &[side(1, 14_500)]);
    assert_eq!(node.says(HOLD), []);
    node.hear(1, 0, &[side(1, 5000)]);
    let own = side(1, 25_000);
    assert_eq!(node.says(HOLD), [(1, told(BIT, &[own])), (2, told(BIT, &[own]))]);
    assert_eq!(node.says(ms(400)), [(2, told(0, &[]))]);
    assert_eq!(node.publish(), [(1, Some(TREE))]);
}

#[test]
fn who_follows_this_node_is_sent_messages_of_that_tree() {
    let mut node = Node::new(&[40, 50, 50]);
    node.hear(1, 0, &[side(1, 30_000)]);
    node.hear(2, BIT, &[side(1, 80_000)]);
    node.hear(3, 0, &[side(1, 45_000)]);
    node.says(HOLD);
    assert_eq!(node.publish(), [(1, Some(TREE)), (2, Some(TREE))]);
}

#[test]
fn a_neighbour_that_was_farther_may_be_below_and_is_not_made_the_parent() {
    let mut node = Node::new(&[40, 50]);
    node.hear(1, 0, &[side(1, 10_000)]);
    node.hear(2, 0, &[side(1, 60_000)]);
    node.says(HOLD);
    // The root is asked for another wave; until then all that comes is welcome.
    let renew = Wire::Renew { tree: TREE, seq: 1 };
    assert_eq!(node.down(1, false), [(2, renew), (2, told(BIT, &[]))]);
    assert!(!node.broadcast.sides.trees.get(&TREE).unwrap().leads());
    node.hear(2, 0, &[side(2, 60_000)]);
    let own = side(2, 85_000);
    assert_eq!(node.says(HOLD), [(2, told(BIT, &[own]))]);
    assert!(node.broadcast.sides.trees.get(&TREE).unwrap().leads());
}

#[test]
fn a_root_that_is_gone_is_replaced_and_one_that_was_let_go_is_not() {
    for lost in [true, false] {
        let mut node = Node::new(&[40, 50]);
        node.hear(1, 0, &[side(1, 0)]);
        node.hear(2, BIT, &[side(1, 45_000)]);
        node.says(HOLD);
        node.down(1, lost);
        let said = node.says(ms(400));
        let own = Side { tree: TREE, seq: 2, root: 1, far: 0, near: 50_000 };
        let takes = said.contains(&(2, told(0, &[own]))) || said.contains(&(2, told(BIT, &[own])));
        assert_eq!(takes, lost, "{said:?}");
    }
}

#[test]
fn where_nobody_is_near_a_second_neighbour_sends_too() {
    let wide = |far| Side { near: 1000, ..side(1, far) };
    let mut node = Node::new(&[100, 120]);
    node.hear(1, 0, &[wide(10_000)]);
    node.hear(2, 0, &[wide(20_000)]);
    let own = wide(60_000);
    assert_eq!(node.says(HOLD), [(1, told(BIT, &[own])), (2, told(BIT, &[own]))]);
    // It is sent nothing at once: messages come from it, as a rule.
    assert_eq!(node.publish(), [(1, Some(TREE))]);
    // But one that is near and not farther from the root helps enough.
    let mut node = Node::new(&[100, 120, 1]);
    node.hear(1, 0, &[wide(10_000)]);
    node.hear(2, 0, &[wide(20_000)]);
    node.hear(3, 0, &[wide(59_900)]);
    let said = node.says(HOLD);
    assert_eq!(said[..2], [(1, told(BIT, &[own])), (2, told(0, &[own]))]);
}

#[test]
fn a_tree_that_its_root_gave_up_is_forgotten_and_that_is_passed_on_once() {
    let mut node = Node::new(&[40, 50]);
    node.hear(1, 0, &[side(1, 10_000)]);
    node.says(HOLD);
    let gone = side(2, Side::GONE);
    node.hear(1, 0, &[gone]);
    let said = node.says(HOLD);
    assert_eq!(said, [(1, told(BIT, &[gone])), (2, told(0, &[gone]))]);
    node.hear(2, 0, &[gone]);
    assert_eq!(node.says(ms(400)), [(1, told(0, &[]))]);
    assert_eq!(node.broadcast.side_known(Some(TREE)), None);
}

#[test]
fn while_the_parent_brings_nothing_who_has_it_sends_too() {
    let mut node = Node::new(&[40, 50]);
    node.hear(1, 0, &[side(1, 30_000)]);
    node.hear(2, 0, &[side(1, 10_000)]);
    node.says(HOLD);
    // Named by the other neighbour, asked of it after a while, and sent: once may be a loss.
    let fetched = |node: &mut Node, seq| {
        assert_eq!(node.news(1, seq, false), []);
        node.says(ms(500));
        node.news(1, seq, true)
    };
    assert_eq!(fetched(&mut node, 1), []);
    assert_eq!(node.news(2, 1, true), []);
    assert_eq!(fetched(&mut node, 2), []);
    assert_eq!(fetched(&mut node, 3), [(1, told(BIT, &[]))]);
    assert_eq!(node.news(1, 4, true), []);
    assert_eq!(node.counts.duplicates, 1);
    // The parent is there again.
    node.news(2, 4, true);
    assert_eq!(node.says(ms(1)), [(1, told(0, &[]))]);
}

#[test]
fn one_more_root_is_of_use_where_some_nodes_have_others_near() {
    let claims = |rtts: &[u64], near| {
        let mut node = Node::new(rtts);
        node.hear(1, 0, &[Side { near, ..side(1, 10_000) }]);
        let own = |(_, wire): &(u32, Wire)| match wire {
            Wire::Sides { sides, .. } => sides.iter().any(|side| side.root == 1 && side.far == 0),
            _ => false,
        };
        node.says(ms(30_000)).iter().any(own)
    };
    // Nobody here, nor on the way to the root: all are as far from each other.
    assert!(!claims(&[40, 50], 40_000));
    assert!(claims(&[40, 1], 40_000));
    // A node without anybody near, where others are not.
    assert!(claims(&[40, 50], 1000));
}

#[test]
fn many_trees_are_told_in_frames_that_an_earlier_minor_version_takes() {
    let mut node = Node::new(&[40]);
    let sides: Vec<Side> = (0..SIDES as u8).map(|tree| Side { tree, ..side(1, 10_000) }).collect();
    for sides in sides.chunks(SIDES_TOLD) {
        node.hear(1, 0, sides);
    }
    let told = |said: Vec<(u32, Wire)>| -> Vec<usize> {
        let count = |(_, wire)| match wire {
            Wire::Sides { sides, .. } => sides.len(),
            _ => 0,
        };
        said.into_iter().map(count).collect()
    };
    assert_eq!(told(node.says(HOLD)), [SIDES_TOLD; SIDES / SIDES_TOLD]);
    let mut out = Vec::new();
    node.broadcast.up(node.now, 2, Some(ms(50)), &mut out);
    assert_eq!(told(said(out)), [SIDES_TOLD; SIDES / SIDES_TOLD]);
}

/// The roots named in what is said.
fn roots(said: &[(u32, Wire)]) -> Vec<(u32, u64)> {
    let sides = said.iter().flat_map(|(_, wire)| match wire {
        Wire::Sides { sides, .. } => sides.clone(),
        _ => Vec::new(),
    });
    sides.map(|side| (side.seq, side.root)).collect()
}

#[test]
fn a_number_from_the_far_future_takes_no_tree_from_its_root() {
    for seq in [u32::MAX, u32::MAX / 2, 1 << 20] {
        let mut node = Node::new(&[40, 50]);
        node.hear(1, 0, &[side(1, 30_000)]);
        node.says(HOLD);
        node.hear(2, 0, &[Side { root: 0, far: 0, ..side(seq, 0) }]);
        assert_eq!(node.says(ms(400)), []);
        assert_eq!(node.publish(), [(1, Some(TREE))]);
        node.hear(1, 0, &[side(2, 30_000)]);
        assert_eq!(roots(&node.says(HOLD)), [(2, 9); 2]);
    }
}

#[test]
fn a_tree_first_heard_of_from_the_future_is_no_longer_there_than_one_whose_root_is_silent() {
    let mut node = Node::new(&[40, 50]);
    node.hear(2, 0, &[Side { root: 0, ..side(u32::MAX, 0) }]);
    node.says(HOLD);
    assert!(node.broadcast.side_known(Some(TREE)).is_some());
    // Other trees are there, so that this node need not be a root.
    let others = |seq| [Side { tree: 5, ..side(seq, 0) }];
    for seq in 1..10 {
        node.hear(1, 0, &others(seq));
        node.says(crate::limits::SIDE_WAVE / 2);
    }
    node.hear(1, 0, &[side(7, 30_000)]);
    node.says(HOLD);
    assert_eq!(node.broadcast.sides.trees.get(&TREE).map(|place| place.seq), Some(7));
}

#[test]
fn after_the_last_number_comes_the_first() {
    let mut node = Node::new(&[40, 50]);
    node.hear(1, 0, &[Side { root: 0, ..side(u32::MAX, 0) }]);
    node.hear(2, BIT, &[Side { root: 0, ..side(u32::MAX, 45_000) }]);
    node.says(HOLD);
    node.down(1, true);
    assert!(roots(&node.says(ms(400))).contains(&(0, 1)), "it takes the lost root's place");
}

#[test]
fn a_root_that_is_asked_for_waves_without_end_speaks_as_seldom_as_ever() {
    let mut node = Node::new(&[40, 50]);
    node.hear(1, 0, &[side(1, 0)]);
    node.hear(2, BIT, &[side(1, 45_000)]);
    node.says(HOLD);
    node.down(1, true);
    node.says(ms(400));
    let mut waves = Vec::new();
    for step in 0..600 {
        for seq in [0, 1 << 30, u32::MAX] {
            let (mut out, renew) = (Vec::new(), Wire::Renew { tree: TREE, seq });
            node.broadcast.hear(node.now, 2, renew, &mut node.counts, &mut out);
        }
        assert!(node.broadcast.sides.trees.get(&TREE).unwrap().here, "{step}");
        waves.extend(roots(&node.says(ms(100))));
    }
    // In a minute.
    assert!(waves.len() <= 20, "{waves:?}");
}
