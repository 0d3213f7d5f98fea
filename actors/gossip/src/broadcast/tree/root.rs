//! Who is the root of the tree, and whether it should be.

use std::time::Duration;

use super::{Broadcast, CLAIM, is_far};
use crate::broadcast::control;
use crate::event::Output;
use crate::limits::{BEACON, ROOTLESS};
use crate::wire::{Beacon, Wire};

/// A change of depth less than this is not told.
const CHANGE: Duration = Duration::from_millis(3);

/// So many own messages among the last sixteen make a node the root.
const MOST: u32 = 12;
/// A root of a later term than this sends no more beacons before it looks for a better one.
const SETTLED: u32 = 6;
/// More nodes than this are not believed.
const NODES: u32 = 1 << 24;
/// So many roots at most are chosen for being nearer to the deepest node; after that only for being
/// nearer to most, so that the two never take turns.
const DEEPER: u32 = 6;

impl Broadcast {
    pub(in crate::broadcast) fn is_root(&self) -> bool {
        self.tree.root
    }

    /// Whether the root has said so much since it is the root.
    pub(in crate::broadcast) fn main_is_settled(&self, beacons: u32) -> bool {
        self.tree.now.is_some_and(|beacon| beacon.seq >= beacons)
    }

    /// The longest ways down the tree by two different neighbours, the longest first: the way in
    /// all, the link, and the part of the way to that neighbour.
    fn branches(&self) -> [Option<(Duration, u32, Duration)>; 2] {
        let [mut longest, mut second] = [None; 2];
        for (link, neighbour) in self.links.iter().filter(|(_, neighbour)| neighbour.child) {
            let step = neighbour.rtt.unwrap_or_default() / 2;
            let way = Some((neighbour.depth + step, *link, step));
            if way > longest {
                (longest, second) = (way, longest);
            } else if way > second {
                second = way;
            }
        }
        [longest, second]
    }

    /// How many nodes are below this one, itself included.
    pub(in crate::broadcast) fn nodes(&self) -> u32 {
        let below = self.links.values().filter(|neighbour| neighbour.child);
        below.fold(1, |sum, neighbour| sum.saturating_add(neighbour.nodes))
    }

    /// A neighbour says how deep the tree is below it, and how many nodes are there.
    pub(in crate::broadcast) fn depth(
        &mut self,
        link: u32,
        depth: Duration,
        nodes: u32,
        out: &mut Vec<Output>,
    ) {
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.depth = depth.min(Duration::from_secs(60));
            neighbour.nodes = nodes.min(NODES);
            self.tell_depth(out);
        }
    }

    /// Tells the parent how deep the tree is here, if that has changed.
    pub(super) fn tell_depth(&mut self, out: &mut Vec<Output>) {
        let Some(parent) = self.tree.parent else { return };
        let depth = self.branches()[0].map_or(Duration::ZERO, |(depth, ..)| depth);
        let nodes = self.nodes();
        let as_told = |(told, counted): (Duration, u32)| {
            told.abs_diff(depth) < CHANGE.max(depth / 16) && counted.abs_diff(nodes) <= nodes / 16
        };
        if self.tree.told.is_some_and(as_told) {
            return;
        }
        self.tree.told = Some((depth, nodes));
        let us = u32::try_from(depth.as_micros()).unwrap_or(u32::MAX);
        out.push(control(parent, &Wire::Depth { us, nodes }));
    }

    /// A message passed by: `own`, or another's. Who says nearly all that is said is best the root
    /// itself: all its messages then go the shortest ways.
    pub(in crate::broadcast) fn hear_speaker(
        &mut self,
        now: Duration,
        own: bool,
        out: &mut Vec<Output>,
    ) {
        self.tree.speakers = self.tree.speakers << 1 | u16::from(own);
        let settled = self.tree.now.is_some_and(|beacon| beacon.seq > 1);
        if own && settled && !self.is_root() && self.speaks_most() {
            self.claim(now, out);
        }
    }

    pub(in crate::broadcast) fn speaks_most(&self) -> bool {
        self.tree.speakers.count_ones() >= MOST
    }

    /// The root hands the tree over to this node.
    pub(in crate::broadcast) fn be_root(
        &mut self,
        now: Duration,
        link: u32,
        out: &mut Vec<Output>,
    ) {
        let theirs = self.links.get(&link).and_then(|neighbour| neighbour.beacon);
        let parent = self.tree.parent == Some(link);
        // Only the root may: it is the one with no hops.
        if parent && theirs.is_some_and(|beacon| beacon.hops == 0) {
            self.claim(now, out);
        }
    }

    /// Whether the root has not been heard of for long.
    pub(super) fn is_rootless(&self, now: Duration, slow: u32) -> bool {
        self.tree.now.is_some() && now >= self.tree.heard + ROOTLESS * (1 + slow)
    }

    /// Another network's beacon, as it came last.
    fn far_beacon(&self, now: Duration) -> Option<(u32, Beacon)> {
        let own = self.tree.now?;
        let heard = self.links.iter().filter(|(_, there)| now < there.beacon_at + ROOTLESS);
        let (link, last) = heard.max_by_key(|(_, there)| there.beacon_at)?;
        Some((*link, last.beacon.filter(|beacon| is_far(beacon, &own))?))
    }

    pub(super) fn root_tick(&mut self, now: Duration, slow: u32, out: &mut Vec<Output>) {
        if self.is_rootless(now, slow) && self.tree.beacon_at.is_none() {
            if let Some((link, beacon)) = self.far_beacon(now) {
                return self.new_beacon(now, link, beacon, out);
            }
            self.tree.beacon_at = Some(now + self.chance.about(CLAIM * 4));
        }
        let tree = &mut self.tree;
        if tree.beacon_at.is_none_or(|at| at > now) {
            return;
        }
        if self.links.is_empty() {
            tree.beacon_at = None;
        } else if !self.is_root() {
            self.claim(now, out);
        } else if self.speaks_most() || !self.hand_over(out) {
            self.next_beacon(now, out);
        } else {
            // Unless that neighbour has gone, its beacon comes long before.
            self.tree.beacon_at = Some(now + BEACON);
        }
    }

    /// This node is the root from now on.
    fn claim(&mut self, now: Duration, out: &mut Vec<Output>) {
        let term = self.tree.now.map_or(0, |before| before.term.wrapping_add(1));
        let (root, seq, hops) = (self.own.origin, 0, 0);
        self.tree.now = Some(Beacon { term, root, seq, hops });
        self.tree.root = true;
        self.tree.first = None;
        if let Some(old) = self.tree.parent.take() {
            out.push(control(old, &Wire::Attach(false)));
        }
        self.next_beacon(now, out);
    }

    fn next_beacon(&mut self, now: Duration, out: &mut Vec<Output>) {
        let Some(own) = &mut self.tree.now else { return };
        own.seq = own.seq.saturating_add(1);
        let own = *own;
        self.tree.heard = now;
        let doubled = BEACON / 50 * (1 << own.seq.min(6));
        self.tree.beacon_at = Some(now + doubled.min(BEACON));
        self.send_beacon(own, out);
    }

    /// Whether another neighbour is nearer to the middle of the tree; if so it is told.
    fn hand_over(&mut self, out: &mut Vec<Output>) -> bool {
        let all = self.nodes();
        let Some(Beacon { term, seq, .. }) = self.tree.now else { return false };
        // Each root stays longer than the one before: what is known of the tree below must be of
        // this tree, and a tree that moves for ever helps nobody.
        if seq < 1 + term.min(SETTLED) {
            return false;
        }
        let below = self.links.iter().filter(|(_, neighbour)| neighbour.child);
        // Towards more than half of the nodes the sum of all ways gets shorter; never back.
        let most = below.max_by_key(|(link, neighbour)| (neighbour.nodes, **link));
        let most = most.filter(|(_, neighbour)| neighbour.nodes > all / 20 * 11 + 1);
        let deeper = (term < DEEPER).then(|| self.deeper()).flatten();
        let Some(link) = most.map(|(link, _)| *link).or(deeper) else {
            return false;
        };
        out.push(control(link, &Wire::Root));
        true
    }

    /// The neighbour on the longest way down, if the longest way from there is shorter.
    fn deeper(&self) -> Option<u32> {
        let [longest, second] = self.branches();
        let (longest, link, step) = longest?;
        let second = second.map_or(Duration::ZERO, |(depth, ..)| depth);
        let after = longest.saturating_sub(step).max(second + step);
        (after < longest * 9 / 10).then_some(link)
    }
}
