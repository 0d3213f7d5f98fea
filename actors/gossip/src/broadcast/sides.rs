//! Side trees: more trees than one, each for the senders near its root.
//!
//! One tree among all is long for those who are far from its root: what they say goes up to the
//! middle first. So some nodes, far from each other, are roots of further trees, and a message goes
//! along the one whose root is nearest to its sender: nearly the shortest ways. It bears the tree's
//! number.
//!
//! Each node tells its neighbours how far it is from each root, and the neighbour through which it
//! is nearest is its parent. That no ring forms is seen to as in Babel (RFC 8966, section 2.4): a
//! parent must once have been nearer than this node has ever said to be since the root's last wave.
//! Roots send waves seldom, and when they are asked to by a node that has lost its parent and finds
//! no other.

mod look;
mod roots;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::time::Duration;

use super::{Broadcast, control};
use crate::event::{Counts, Output};
use crate::few::Few;
use crate::limits::{SIDES, SIDES_TOLD};
use crate::saved::saved;
use crate::wire::{Side, Wire};

/// A node's places in the side trees.
#[derive(Debug, Default)]
pub struct Sides {
    trees: Few<u8, Place>,
    /// Trees of which something new was heard, a bit for each, and when that is looked at.
    changed: u32,
    look_at: Option<Duration>,
    /// When this node becomes one more root, if none is near by then.
    claim_at: Option<Duration>,
    /// When neighbours that this node no longer follows are told so.
    trim_at: Option<Duration>,
}

saved!(Sides { trees, changed, look_at, claim_at, trim_at });

#[derive(Debug, Default)]
struct Place {
    seq: u32,
    root: u64,
    /// Microseconds to the root, by what was heard last; what the neighbours were told; and the
    /// least that they were told since this number.
    far: u32,
    told: u32,
    feasible: u32,
    near: u32,
    /// This node is the root.
    here: bool,
    parent: Option<u32>,
    /// Another one that sends at once: where all ways are long, one may fail.
    spare: Option<u32>,
    /// Messages in a row that the parent did not bring, and the neighbour that sends at once until
    /// it does again: it may have crashed, and its connection says so late.
    missed: u32,
    relief: Option<u32>,
    /// When the number was heard first.
    heard: Duration,
    /// Since when a later number is known that the parent has not brought.
    newer: Option<Duration>,
    /// As the root: when the next wave comes, and how many there were. Without a parent: when this
    /// node becomes the root.
    wave_at: Option<Duration>,
    waves: u32,
    /// The number for which another one was asked for already.
    renewed: u32,
    /// The parent is the root itself.
    below_root: bool,
}

saved!(Place {
    seq,
    root,
    far,
    told,
    feasible,
    near,
    here,
    parent,
    spare,
    missed,
    relief,
    heard,
    newer,
    wave_at,
    waves,
    renewed,
    below_root,
});

/// So many messages in a row that the parent did not bring make another neighbour send as well.
const RELIEF_AFTER: u32 = 2;
/// Numbers of one tree farther apart than this were not both said by its roots.
const LEAP: u32 = 1 << 16;
/// What is heard within this is looked at together.
const HOLD: Duration = Duration::from_millis(30);

impl Side {
    /// Farther than any: there is no such tree any more.
    pub const GONE: u32 = u32::MAX;

    fn rank(&self) -> Rank {
        Rank { seq: self.seq, root: self.root }
    }
}

impl Place {
    fn rank(&self) -> Rank {
        Rank { seq: self.seq, root: self.root }
    }

    /// Whether messages find their way from here.
    fn leads(&self) -> bool {
        self.here || self.parent.is_some()
    }

    fn side(&self, tree: u8) -> Side {
        Side { tree, seq: self.seq, root: self.root, far: self.told, near: self.near }
    }
}

/// Which of two numbers of a tree counts: the greater. They go round: there is no last one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rank {
    seq: u32,
    root: u64,
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        ahead(self.seq, other.seq).cmp(&0).then(other.root.cmp(&self.root))
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How far the first number is after the other.
fn ahead(one: u32, other: u32) -> i32 {
    one.wrapping_sub(other).cast_signed()
}

impl Sides {
    pub fn wake(&self) -> Option<Duration> {
        let waves = self.trees.values().filter_map(|place| place.wave_at);
        waves.chain(self.look_at).chain(self.claim_at).chain(self.trim_at).min()
    }

    fn look_soon(&mut self, now: Duration, tree: u8) {
        self.changed |= 1 << tree;
        self.look_at = Some(self.look_at.map_or(now + HOLD, |at| at.min(now + HOLD)));
    }
}

impl Broadcast {
    /// The tree for what this node says.
    pub(super) fn side_from_here(&self) -> Option<u8> {
        let leads = self.sides.trees.iter().filter(|(_, place)| place.leads());
        // Who is the main tree's root is nobody's leaf.
        let best = leads.filter(|_| !self.is_root() || !self.speaks_most());
        best.min_by_key(|(tree, place)| (place.far, **tree)).map(|(tree, _)| *tree)
    }

    /// The tree for a message that bears this number.
    pub(super) fn side_known(&self, tree: Option<u8>) -> Option<u8> {
        tree.filter(|tree| self.sides.trees.contains_key(tree))
    }

    /// Whether a neighbour is to have messages of a tree at once.
    pub(super) fn sends_at_once(&self, tree: Option<u8>, link: u32) -> bool {
        let place = tree.and_then(|tree| Some((tree, self.sides.trees.get(&tree)?)));
        let there = self.links.get(&link);
        match (place, there) {
            (Some((tree, place)), Some(there)) if there.sides.contains_key(&tree) => {
                // Where the tree is broken, messages leave it on all sides.
                !place.leads() || place.parent == Some(link) || there.follows >> tree & 1 == 1
            }
            // It does not know that tree, or this node does not.
            _ => self.in_tree(link) || self.flooding(),
        }
    }

    /// Whether a neighbour may send messages of a tree unasked.
    pub(super) fn takes_at_once(&self, tree: Option<u8>, link: u32) -> bool {
        let place = tree.and_then(|tree| self.sides.trees.get(&tree));
        let also = |place: &Place| place.spare == Some(link) || place.relief == Some(link);
        place.is_some_and(|place| also(place) || !place.leads()) || self.sends_at_once(tree, link)
    }

    pub(super) fn sides_up(&mut self, link: u32, out: &mut Vec<Output>) {
        let sides: Vec<Side> =
            self.sides.trees.iter().map(|(tree, place)| place.side(*tree)).collect();
        if !sides.is_empty() {
            say(link, 0, &sides, out);
        }
    }

    pub(super) fn sides_down(
        &mut self,
        now: Duration,
        link: u32,
        lost: bool,
        out: &mut Vec<Output>,
    ) {
        let sides = &mut self.sides;
        for (tree, place) in sides.trees.iter_mut() {
            if place.parent == Some(link) || place.spare == Some(link) {
                sides.changed |= 1 << tree;
                sides.look_at = Some(now);
            }
            place.below_root &= lost || place.parent != Some(link);
            for other in [&mut place.parent, &mut place.spare, &mut place.relief] {
                *other = other.filter(|other| *other != link);
            }
        }
        if self.sides.look_at == Some(now) {
            self.look(now, out);
        }
    }

    /// A message of a tree had to be asked for, and this neighbour had it.
    pub(super) fn side_missed(&mut self, now: Duration, tree: u8, by: u32, out: &mut Vec<Output>) {
        let Some(place) = self.sides.trees.get_mut(&tree) else { return };
        if place.parent.is_none_or(|parent| parent == by) {
            return;
        }
        place.missed = place.missed.saturating_add(1);
        if place.missed >= RELIEF_AFTER && place.relief.is_none() {
            place.relief = Some(by);
            self.tell_sides(now, &[], out);
        }
    }

    /// A message of a tree came: the parent's say that it is there.
    pub(super) fn side_brought(&mut self, now: Duration, tree: u8, by: u32) {
        let place = self.sides.trees.get_mut(&tree);
        let Some(place) = place.filter(|place| place.parent == Some(by)) else { return };
        place.missed = 0;
        if place.relief.take().is_some() {
            self.sides.trim_at.get_or_insert(now);
        }
    }

    /// A neighbour says how it stands.
    pub(super) fn hear_sides(
        &mut self,
        now: Duration,
        link: u32,
        (follow, sides): (u32, Vec<Side>),
        counts: &mut Counts,
    ) {
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        if neighbour.is_hasty(1, counts) {
            return;
        }
        neighbour.follows = follow;
        for side in sides {
            let place = self.sides.trees.get(&side.tree);
            let far = place.is_some_and(|it| ahead(side.seq, it.seq).unsigned_abs() > LEAP);
            if usize::from(side.tree) < SIDES && !far {
                neighbour.sides.insert(side.tree, side);
                self.sides.look_soon(now, side.tree);
            }
        }
    }

    /// A neighbour has no way to a root left.
    pub(super) fn renew(
        &mut self,
        now: Duration,
        link: u32,
        (tree, seq): (u8, u32),
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        if neighbour.is_hasty(1, counts) {
            return;
        }
        let Some(place) = self.sides.trees.get_mut(&tree) else { return };
        if ahead(place.seq, seq) > 0 {
            let follow = neighbour.followed;
            say(link, follow, &[place.side(tree)], out);
        } else if place.here {
            place.wave_at = Some(roots::soon(place, now));
        } else if let Some(parent) = place.parent.filter(|parent| *parent != link)
            && place.renewed != seq
        {
            place.renewed = seq;
            out.push(control(parent, &Wire::Renew { tree, seq }));
        }
    }
}

/// Tells a neighbour of these, in as many frames as it takes; without any, in one.
fn say(link: u32, follow: u32, sides: &[Side], out: &mut Vec<Output>) {
    let none = sides.is_empty().then_some(sides);
    for sides in sides.chunks(SIDES_TOLD).chain(none) {
        out.push(control(link, &Wire::Sides { follow, sides: sides.to_vec() }));
    }
}
