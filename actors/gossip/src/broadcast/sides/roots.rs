//! Who is the root of a side tree, and when it speaks.

use std::time::Duration;

use super::look::micros;
use super::{Broadcast, Place};
use crate::event::Output;
use crate::limits::{SIDE_NODES, SIDE_REACH, SIDE_WAVE, SIDES};
use crate::wire::Side;

/// Nodes that would be one more root become it within this, not all at once.
const CLAIM: Duration = Duration::from_secs(15);
/// Between a root's first two waves, about; each further one is twice as late.
const WAVES: Duration = Duration::from_secs(1);
/// Nor do nodes that ask for one bring about more than one in this time.
const RENEWED: Duration = Duration::from_secs(10);
/// The main tree's root has said this much before there are side trees.
const SETTLED: u32 = 6;
/// A tree that has not been heard of for so many waves is gone.
const SILENT: u32 = 4;

/// When the next wave may come at the earliest.
pub(super) fn soon(place: &Place, now: Duration) -> Duration {
    let soon = now.max(place.heard + RENEWED);
    place.wave_at.map_or(soon, |at| at.min(soon))
}

impl Broadcast {
    pub(in crate::broadcast) fn sides_tick(&mut self, now: Duration, out: &mut Vec<Output>) {
        if self.sides.look_at.is_some_and(|at| at <= now) {
            self.look(now, out);
        }
        if self.sides.trim_at.is_some_and(|at| at <= now) {
            self.trim(out);
        }
        if self.sides.claim_at.is_some_and(|at| at <= now) {
            self.sides.claim_at = None;
            if self.wants_side() {
                self.claim_side(now);
            }
        }
        let due = |place: &Place| place.wave_at.is_some_and(|at| at <= now);
        let due: Vec<u8> = self
            .sides
            .trees
            .iter()
            .filter(|(_, place)| due(place))
            .map(|(tree, _)| *tree)
            .collect();
        let told: Vec<Side> = due.into_iter().filter_map(|tree| self.wave(now, tree)).collect();
        if !told.is_empty() {
            self.tell_sides(now, &told, out);
        }
    }

    /// Once a second: whether one more tree is needed, and which are gone.
    pub(in crate::broadcast) fn sides_second(&mut self, now: Duration) {
        let silent = |place: &Place| !place.here && place.heard + SIDE_WAVE * SILENT <= now;
        let gone: Vec<u8> =
            self.sides.trees.iter().filter(|(_, it)| silent(it)).map(|(tree, _)| *tree).collect();
        for tree in gone {
            self.sides.trees.remove(&tree);
            for neighbour in self.links.values_mut() {
                neighbour.sides.remove(&tree);
            }
        }
        if !self.wants_side() {
            self.sides.claim_at = None;
        } else if self.sides.claim_at.is_none() {
            // Who is farther comes sooner.
            let nearest = self.sides.trees.values().map(|place| place.far).min();
            let wait = CLAIM * micros(SIDE_REACH) / nearest.unwrap_or(u32::MAX);
            self.sides.claim_at = Some(now + self.chance.about(wait));
        }
    }

    /// Whether this node would be a root: there are side trees, none has its root near, and near is
    /// not just nobody in this network.
    fn wants_side(&self) -> bool {
        let trees = &self.sides.trees;
        if trees.is_empty() {
            return self.is_root() && self.main_is_settled(SETTLED) && self.nodes() >= SIDE_NODES;
        }
        let reach = micros(SIDE_REACH);
        trees.len() < SIDES && trees.values().all(|place| place.far > reach) && self.some_are_near()
    }

    /// Whether here or on the way to a root a node has another near. Where none has, each would be
    /// a root of its own: the next root is no nearer to a sender than any of its neighbours, and
    /// more trees only cost more.
    fn some_are_near(&self) -> bool {
        let here = self.links.values().filter_map(|there| there.rtt).min().map(micros);
        let near = self.sides.trees.values().map(|place| place.near).chain(here);
        near.min().is_some_and(|rtt| rtt / 2 <= micros(SIDE_REACH))
    }

    fn claim_side(&mut self, now: Duration) {
        let free = |tree: &u8| !self.sides.trees.contains_key(tree);
        let free: Vec<u8> = (0..SIDES as u8).filter(free).collect();
        let Some(tree) = self.chance.pick(&free) else { return };
        let said = self.links.values().filter_map(|there| there.sides.get(&tree));
        let seq = said.max_by_key(|side| side.rank()).map_or(0, |side| side.seq);
        let place = self.sides.trees.or_default(tree);
        place.seq = seq;
        place.wave_at = Some(now);
    }

    /// The root of a tree speaks, or this node becomes it.
    fn wave(&mut self, now: Duration, tree: u8) -> Option<Side> {
        let reach = micros(SIDE_REACH / 2);
        let near =
            |(other, place): (&u8, &Place)| *other < tree && place.leads() && place.far < reach;
        let another = self.sides.trees.iter().any(near);
        let nearest = self.links.values().filter_map(|there| there.rtt).min();
        let place = self.sides.trees.get_mut(&tree)?;
        place.seq = place.seq.wrapping_add(1);
        place.root = self.own.origin;
        (place.far, place.told, place.feasible) = (0, 0, 0);
        place.near = nearest.map_or(u32::MAX, micros);
        place.here = true;
        place.heard = now;
        (place.parent, place.spare, place.relief, place.newer) = (None, None, None, None);
        place.waves = place.waves.saturating_add(1);
        let wait = (WAVES * (1 << place.waves.min(6))).min(SIDE_WAVE);
        place.wave_at = Some(now + self.chance.about(wait));
        let side = place.side(tree);
        if another {
            self.sides.trees.remove(&tree);
            return Some(Side { far: Side::GONE, ..side });
        }
        Some(side)
    }
}
