//! The tree that messages follow: formed by beacons.
//!
//! One node is the root: the first to claim it, or of several the one with the lowest origin. It
//! sends a beacon now and then, which floods the overlay (a few bytes over each link). The
//! neighbour that a beacon comes from first is the nearest to the root, counted in time: it becomes
//! the parent, and is told so. Beacons carry hops, and a node keeps a parent only while its hops
//! are fewer than its own, so that no ring forms. A parent stays as long as it is about as early as
//! the earliest: small changes of delay change nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Broadcast, control};
use crate::event::{Counts, Output};
use crate::limits::{BEACON, ROOTLESS};
use crate::wire::{Beacon, Wire};

/// A node's place in the tree.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tree {
    /// The root's origin.
    root: Option<u64>,
    seq: u32,
    /// As told to others.
    hops: u8,
    /// The root that this one took the place of.
    over: Option<(u64, u32)>,
    parent: Option<u32>,
    /// Where the last beacon came from first, and when.
    first: Option<u32>,
    heard: Duration,
    /// When this node sends a beacon: as the root, or to become it.
    beacon_at: Option<Duration>,
    /// When the parent must have brought the last beacon too.
    check_at: Option<Duration>,
    /// Messages in a row that the parent did not bring.
    misses: u32,
    /// Parents that were, and when they are told: the new one needs a moment to begin.
    former: Vec<(Duration, u32)>,
    /// A root that is gone, and its last beacon.
    banned: Option<(u64, u32)>,
}

/// A beacon this much later than the first still keeps its bearer parent.
const MARGIN: Duration = Duration::from_millis(10);
/// So many messages in a row that another neighbour had to be asked for make that one the parent.
const GRAFT_AFTER: u32 = 2;
/// A parent that is replaced goes on sending for so long.
const OVERLAP: Duration = Duration::from_millis(300);
/// A node without a tree claims the root within this.
const CLAIM: Duration = Duration::from_millis(200);

impl Tree {
    /// The neighbour on the way to the root.
    pub fn parent(&self) -> Option<u32> {
        self.parent
    }

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
        self.tree.root.is_none()
            || self.tree.parent.is_none() && self.tree.root != Some(self.own.origin)
    }

    pub(super) fn tree_up(&mut self, now: Duration, link: u32, out: &mut Vec<Output>) {
        match self.tree.root {
            Some(_) => out.push(control(link, &Wire::Beacon(self.tree.says()))),
            None if self.tree.beacon_at.is_none() => {
                self.tree.beacon_at = Some(now + CLAIM + self.chance.about(CLAIM));
            }
            None => {}
        }
    }

    pub(super) fn tree_down(
        &mut self,
        now: Duration,
        link: u32,
        _silent: bool,
        out: &mut Vec<Output>,
    ) {
        if self.tree.first == Some(link) {
            self.tree.first = None;
        }
        self.tree.former.retain(|(_, former)| *former != link);
        if self.tree.parent != Some(link) {
            return;
        }
        self.tree.parent = None;
        // Another that is above this node, the earliest first.
        let (root, seq, hops) = (self.tree.root, self.tree.seq, self.tree.hops);
        let above = self.links.iter().filter_map(|(link, neighbour)| {
            let (theirs, number, far) = neighbour.beacon?;
            let fits = Some(theirs) == root && number + 1 >= seq && far < hops;
            (fits && !neighbour.child).then_some((far, neighbour.beacon_at, *link))
        });
        if let Some((.., link)) = above.min() {
            self.set_parent(now, link, out);
            let rtt = self.links.get(&link).and_then(|neighbour| neighbour.rtt);
            self.missing.hurry(now, rtt.unwrap_or(OVERLAP));
        } else if self.tree.beacon_at.is_none() {
            // Perhaps the root itself is gone. If not, its next beacon comes before this.
            let wait = if hops <= 1 { CLAIM } else { BEACON * 3 / 2 };
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
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        neighbour.requests += 1;
        if neighbour.requests > crate::limits::WALKS {
            counts.hasty += 1;
            return;
        }
        neighbour.beacon = Some((beacon.root, beacon.seq, beacon.hops));
        neighbour.beacon_at = now;
        let tree = &mut self.tree;
        if let Some((dead, last)) = beacon.over
            && tree.root == Some(dead)
            && tree.seq <= last
        {
            tree.banned = Some((dead, last));
            tree.root = None;
        }
        let banned =
            tree.banned.is_some_and(|(root, seq)| beacon.root == root && beacon.seq <= seq);
        if banned || beacon.root == self.own.origin && tree.root != Some(beacon.root) {
            return;
        }
        let order = match tree.root {
            None => std::cmp::Ordering::Greater,
            Some(root) => root.cmp(&beacon.root).then(beacon.seq.cmp(&tree.seq)),
        };
        match order {
            std::cmp::Ordering::Greater => self.new_beacon(now, link, beacon, out),
            std::cmp::Ordering::Equal => self.same_beacon(now, link, beacon, out),
            std::cmp::Ordering::Less if Some(beacon.root) != self.tree.root => {
                // It should know better.
                if now >= neighbour.corrected + CLAIM {
                    neighbour.corrected = now;
                    out.push(control(link, &Wire::Beacon(self.tree.says())));
                }
            }
            std::cmp::Ordering::Less => {}
        }
    }

    /// The first of its number.
    fn new_beacon(&mut self, now: Duration, link: u32, beacon: Beacon, out: &mut Vec<Output>) {
        let same = self.tree.root == Some(beacon.root);
        // The parent did not bring the last one in time: the one who was first did.
        let last = (beacon.root, self.tree.seq);
        let brought = |link: u32| {
            let parent = self.links.get(&link)?;
            parent.beacon.filter(|(root, seq, _)| *root == last.0 && *seq >= last.1)
        };
        let keep = same && self.tree.parent.and_then(brought).is_some();
        let tree = &mut self.tree;
        tree.root = Some(beacon.root);
        tree.seq = beacon.seq;
        tree.hops = beacon.hops.saturating_add(1);
        tree.over = beacon.over;
        tree.first = Some(link);
        tree.heard = now;
        tree.beacon_at = None;
        let says = tree.says();
        if !keep {
            self.set_parent(now, link, out);
        }
        let frame: std::sync::Arc<[u8]> = Wire::Beacon(says).encode().into();
        // Also to where it came from: a neighbour that keeps this node as its parent must see that
        // it is farther from the root by now.
        for other in self.links.keys() {
            out.push(Output::Transmit(*other, crate::What::Control, frame.clone()));
        }
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
        if (late || beacon.hops >= self.tree.hops)
            && let Some(first) = self.tree.first
        {
            self.set_parent(now, first, out);
        }
    }

    fn set_parent(&mut self, now: Duration, link: u32, out: &mut Vec<Output>) {
        if self.tree.parent == Some(link) {
            return;
        }
        self.tree.former.retain(|(_, former)| *former != link);
        if let Some(old) = self.tree.parent.replace(link) {
            self.tree.former.push((now + OVERLAP, old));
        }
        out.push(control(link, &Wire::Attach(true)));
    }

    /// A neighbour below this node wants messages at once, or only to be told of them.
    pub(super) fn attach(&mut self, now: Duration, link: u32, on: bool, out: &mut Vec<Output>) {
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        neighbour.child = on;
        neighbour.duplicates = 0;
        // Each other's parent: both would wait for ever.
        if on
            && self.tree.parent == Some(link)
            && let Some(first) = self.tree.first.filter(|first| *first != link)
        {
            self.set_parent(now, first, out);
        }
    }

    /// The parent did not bring messages that another neighbour had: that one takes its place.
    pub(super) fn graft(&mut self, now: Duration, link: u32, out: &mut Vec<Output>) {
        if self.tree.root == Some(self.own.origin) || self.in_tree(link) {
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
            let brought = |link| self.links.get(&link)?.beacon;
            let theirs = self.tree.parent.and_then(brought);
            let (root, seq) = (self.tree.root, self.tree.seq);
            let came = theirs.is_some_and(|(of, number, _)| Some(of) == root && number == seq);
            if !came && let Some(first) = self.tree.first {
                self.set_parent(now, first, out);
            }
        }
        let own = self.own.origin;
        let tree = &mut self.tree;
        while let Some((_, former)) = tree.former.first().copied().filter(|(at, _)| *at <= now) {
            tree.former.remove(0);
            if self.links.contains_key(&former) {
                out.push(control(former, &Wire::Attach(false)));
            }
        }
        let silent =
            tree.root.is_some_and(|root| root != own) && now >= tree.heard + ROOTLESS * (1 + slow);
        if silent && tree.beacon_at.is_none() {
            tree.beacon_at = Some(now + self.chance.about(CLAIM * 4));
        }
        if tree.beacon_at.is_none_or(|at| at > now) {
            return;
        }
        if self.links.is_empty() {
            tree.beacon_at = None;
            return;
        }
        if tree.root != Some(own) {
            tree.banned = tree.root.map(|root| (root, tree.seq));
            tree.over = tree.banned;
            (tree.root, tree.hops) = (Some(own), 0);
            if let Some(old) = tree.parent.take() {
                out.push(control(old, &Wire::Attach(false)));
            }
        }
        tree.seq = tree.seq.wrapping_add(1);
        tree.heard = now;
        let period = BEACON / 50 * (1 << tree.seq.min(6));
        tree.beacon_at = Some(now + period.min(BEACON));
        let frame: std::sync::Arc<[u8]> = Wire::Beacon(tree.says()).encode().into();
        for link in self.links.keys() {
            out.push(Output::Transmit(*link, crate::What::Control, frame.clone()));
        }
    }
}

impl Tree {
    fn says(&self) -> Beacon {
        Beacon {
            root: self.root.unwrap_or(u64::MAX),
            seq: self.seq,
            hops: self.hops,
            over: self.over,
        }
    }
}
