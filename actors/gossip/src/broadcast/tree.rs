//! The tree that messages follow: formed by beacons.
//!
//! One node is the root: the first to claim it, or of several the one with the lowest origin. It
//! sends a beacon now and then, which floods the overlay (a few bytes over each link). The
//! neighbour that a beacon comes from first is the nearest to the root, counted in time: it becomes
//! the parent, and is told so. Beacons carry hops, and a node keeps a parent only while its hops
//! are fewer than its own, so that no ring forms. A parent stays as long as it is about as early as
//! the earliest: small changes of delay change nothing.
//!
//! A root that is far from the middle of its tree hands it to the neighbour nearer to it; one that
//! is gone is missed by its neighbours at once, by the others when no beacon comes. Either way the
//! next one counts one term more, and the highest term is the one that counts. Terms go round, as
//! there is no highest of all that a liar could say, and one that is far from this node's is heard
//! only when there is no root.

mod root;

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::{Broadcast, control};
use crate::event::{Counts, Output, What};
use crate::limits::BEACON;
use crate::saved::saved;
use crate::wire::{Beacon, Wire};

/// A node's place in the tree.
#[derive(Debug, Default)]
pub struct Tree {
    /// The last beacon, with this node's hops; none before the first.
    now: Option<Beacon>,
    /// This node is the root. (Another may have its origin: a copy, or its own former life.)
    root: bool,
    parent: Option<u32>,
    /// Where the last beacon came from first, and when.
    first: Option<u32>,
    heard: Duration,
    /// When this node sends a beacon: as the root, or to become it.
    beacon_at: Option<Duration>,
    /// When the parent must have brought the last beacon too.
    check_at: Option<Duration>,
    /// The depth and the number of nodes that the parent was told.
    told: Option<(Duration, u32)>,
    /// Of the last sixteen messages, which were this node's own.
    speakers: u16,
    /// Messages in a row that the parent did not bring.
    misses: u32,
    /// Parents that were, and when they are told: the new one needs a moment to begin.
    former: Vec<(Duration, u32)>,
}

saved!(Tree {
    now,
    root,
    parent,
    first,
    heard,
    beacon_at,
    check_at,
    told,
    speakers,
    misses,
    former,
});

/// A beacon this much later than the first still keeps its bearer parent; or a quarter of the round
/// trip to it, if that is more.
const MARGIN: Duration = Duration::from_millis(10);
/// So many messages in a row that another neighbour had to be asked for make that one the parent.
const GRAFT_AFTER: u32 = 2;
/// A parent that is replaced goes on sending for one and a half round trips to the new one, or so
/// long.
const OVERLAP: Duration = Duration::from_millis(300);
/// Terms farther apart than this are of no two parts of one network.
const LEAP: u32 = 1 << 16;
/// A node without a tree claims the root within this.
const CLAIM: Duration = Duration::from_millis(200);

impl Tree {
    pub fn wake(&self) -> Option<Duration> {
        let former = self.former.first().map(|(at, _)| *at);
        self.beacon_at.into_iter().chain(former).chain(self.check_at).min()
    }
}

impl Broadcast {
    /// Whether messages pass between this node and that neighbour at once.
    pub fn in_tree(&self, link: u32) -> bool {
        self.tree.parent == Some(link)
            || self.links.get(&link).is_some_and(|neighbour| neighbour.child)
    }

    /// Whether there is no tree here, so that messages go everywhere.
    pub(super) fn flooding(&self) -> bool {
        self.tree.parent.is_none() && !self.is_root()
    }

    pub(super) fn tree_up(&mut self, now: Duration, link: u32, out: &mut Vec<Output>) {
        match self.tree.now {
            Some(beacon) => out.push(control(link, &Wire::Beacon(beacon))),
            None if self.tree.beacon_at.is_none() => {
                self.tree.beacon_at = Some(now + CLAIM + self.chance.about(CLAIM));
            }
            None => {}
        }
    }

    pub(super) fn tree_down(&mut self, now: Duration, link: u32, out: &mut Vec<Output>) {
        if self.tree.first == Some(link) {
            self.tree.first = None;
        }
        self.tree.former.retain(|(_, former)| *former != link);
        if self.tree.parent != Some(link) {
            return self.tell_depth(out);
        }
        self.tree.parent = None;
        let Some(own) = self.tree.now else { return };
        // Another that is above this node, the nearest to the root first.
        let above = self.links.iter().filter_map(|(link, neighbour)| {
            let theirs = neighbour.beacon?;
            let same = (theirs.term, theirs.root) == (own.term, own.root);
            let fits = same && theirs.seq.saturating_add(1) >= own.seq && theirs.hops < own.hops;
            (fits && !neighbour.child).then_some((theirs.hops, neighbour.beacon_at, *link))
        });
        if let Some((.., link)) = above.min() {
            self.set_parent(now, link, out);
            let rtt = self.links.get(&link).and_then(|neighbour| neighbour.rtt);
            self.missing.hurry(now, rtt.unwrap_or(OVERLAP));
        } else if self.tree.beacon_at.is_none() {
            // Perhaps the root itself is gone. If not, its next beacon comes before this.
            let wait = if own.hops <= 1 { CLAIM } else { BEACON * 3 / 2 };
            self.tree.beacon_at = Some(now + wait + self.chance.about(wait));
        }
    }

    /// A beacon came.
    pub(super) fn beacon(
        &mut self,
        now: Duration,
        link: u32,
        beacon: Beacon,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let rootless = self.is_rootless(now, 0);
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        if neighbour.is_hasty(1, counts) {
            return;
        }
        neighbour.beacon = Some(beacon);
        neighbour.beacon_at = now;
        let order = match self.tree.now {
            Some(own) if !is_far(&beacon, &own) => rank(&beacon, &own),
            Some(_) if !rootless => return,
            _ => Ordering::Greater,
        };
        match order {
            Ordering::Greater => self.new_beacon(now, link, beacon, out),
            Ordering::Equal => self.same_beacon(now, link, beacon, out),
            Ordering::Less => {
                let same = self.tree.now.filter(|own| own.root == beacon.root);
                // Who follows another root should know better.
                if let (Some(own), None) = (self.tree.now, same)
                    && now >= neighbour.corrected + CLAIM
                {
                    neighbour.corrected = now;
                    out.push(control(link, &Wire::Beacon(own)));
                }
            }
        }
    }

    /// The first of its number.
    fn new_beacon(&mut self, now: Duration, link: u32, beacon: Beacon, out: &mut Vec<Output>) {
        // A parent that brought the one before is likely to bring this.
        let before = self.tree.now;
        let brought = |link: u32| {
            let theirs = self.links.get(&link)?.beacon?;
            before.filter(|own| rank(&theirs, own) != Ordering::Less)
        };
        let keep = self.tree.parent.and_then(brought).is_some();
        let tree = &mut self.tree;
        let own = Beacon { hops: beacon.hops.saturating_add(1), ..beacon };
        tree.now = Some(own);
        tree.root = false;
        tree.first = Some(link);
        tree.heard = now;
        tree.beacon_at = None;
        if !keep {
            self.set_parent(now, link, out);
        }
        // Also to where it came from: a neighbour that keeps this node as its parent must see that
        // it is farther from the root by now.
        self.send_beacon(own, out);
        if keep {
            let usual = self.links.get(&link).and_then(|neighbour| neighbour.rtt);
            self.tree.check_at = Some(now + MARGIN.max(usual.unwrap_or(MARGIN)));
        }
    }

    /// Another bearer of the same number.
    fn same_beacon(&mut self, now: Duration, link: u32, beacon: Beacon, out: &mut Vec<Output>) {
        if self.tree.parent != Some(link) || self.tree.first == Some(link) {
            return;
        }
        let rtt = self.links.get(&link).and_then(|neighbour| neighbour.rtt);
        let margin = MARGIN.max(rtt.unwrap_or_default() / 4);
        let late = now.saturating_sub(self.tree.heard) > margin;
        let farther = self.tree.now.is_some_and(|own| beacon.hops >= own.hops);
        if (late || farther)
            && let Some(first) = self.tree.first
        {
            self.set_parent(now, first, out);
        }
    }

    fn send_beacon(&self, beacon: Beacon, out: &mut Vec<Output>) {
        let frame: Arc<[u8]> = Wire::Beacon(beacon).encode().into();
        let links = self.links.keys();
        out.extend(links.map(|link| Output::Transmit(*link, What::Control, frame.clone())));
    }

    fn set_parent(&mut self, now: Duration, link: u32, out: &mut Vec<Output>) {
        if self.tree.parent == Some(link) {
            return;
        }
        self.tree.former.retain(|(_, former)| *former != link);
        let rtt = self.links.get(&link).and_then(|neighbour| neighbour.rtt);
        let overlap = rtt.map_or(OVERLAP, |rtt| rtt * 3 / 2).min(OVERLAP);
        if let Some(old) = self.tree.parent.replace(link) {
            let told = (now + overlap, old);
            let place = self.tree.former.partition_point(|former| *former < told);
            self.tree.former.insert(place, told);
        }
        out.push(control(link, &Wire::Attach(true)));
        self.tree.told = None;
        self.tell_depth(out);
    }

    /// A neighbour below this node wants messages at once, or only to be told of them.
    pub(super) fn attach(&mut self, now: Duration, link: u32, on: bool, out: &mut Vec<Output>) {
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        neighbour.child = on;
        neighbour.duplicates = 0;
        (neighbour.depth, neighbour.nodes) = (Duration::ZERO, 1);
        // Each other's parent: both would wait for ever.
        if on
            && self.tree.parent == Some(link)
            && let Some(first) = self.tree.first.filter(|first| *first != link)
        {
            self.set_parent(now, first, out);
        }
        self.tell_depth(out);
    }

    /// The parent did not bring messages that another neighbour had: that one takes its place.
    pub(super) fn graft(&mut self, now: Duration, link: u32, out: &mut Vec<Output>) {
        if self.is_root() || self.in_tree(link) || !self.links.contains_key(&link) {
            return;
        }
        self.tree.misses += 1;
        if self.tree.misses >= GRAFT_AFTER {
            self.tree.misses = 0;
            self.set_parent(now, link, out);
        }
    }

    pub(super) fn tree_tick(&mut self, now: Duration, slow: u32, out: &mut Vec<Output>) {
        if self.tree.check_at.is_some_and(|at| at <= now) {
            self.tree.check_at = None;
            let theirs = self.tree.parent.and_then(|link| self.links.get(&link)?.beacon);
            let came = match (theirs, self.tree.now) {
                (Some(theirs), Some(own)) => rank(&theirs, &own) == Ordering::Equal,
                _ => false,
            };
            if !came && let Some(first) = self.tree.first {
                self.set_parent(now, first, out);
            }
        }
        while let Some((_, former)) = self.tree.former.first().copied().filter(|(at, _)| *at <= now)
        {
            self.tree.former.remove(0);
            if self.links.contains_key(&former) {
                out.push(control(former, &Wire::Attach(false)));
            }
        }
        self.root_tick(now, slow, out);
    }
}

/// How many terms the first of two beacons is ahead: they go round.
fn ahead(one: &Beacon, other: &Beacon) -> i32 {
    one.term.wrapping_sub(other.term).cast_signed()
}

fn is_far(one: &Beacon, other: &Beacon) -> bool {
    ahead(one, other).unsigned_abs() > LEAP
}

/// Which of two beacons counts: the greater.
fn rank(one: &Beacon, other: &Beacon) -> Ordering {
    let term = ahead(one, other).cmp(&0);
    term.then(other.root.cmp(&one.root)).then(one.seq.cmp(&other.seq))
}
