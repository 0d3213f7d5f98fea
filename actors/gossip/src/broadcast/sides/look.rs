//! A node's place in each side tree, from what its neighbours say.

use std::time::Duration;

use super::{Broadcast, Place, Rank, Sides, say};
use crate::broadcast::control;
use crate::event::Output;
use crate::limits::SIDES;
use crate::neighbour::Neighbour;
use crate::wire::{Side, Wire};

/// What replaces a parent must be nearer by this at least, in microseconds, or by a 32nd part.
const BETTER: u32 = 2000;
/// A change of distance that is not told, in microseconds, or a sixteenth.
const CHANGE: u32 = 3000;
/// A round trip that is not known, in microseconds.
const UNKNOWN: u32 = 50_000;
/// A parent may bring a wave later than another neighbour by so much.
const LATER: Duration = Duration::from_secs(3);
/// Who is no longer followed goes on sending for so long: the new one needs a moment to begin.
const OVERLAP: Duration = Duration::from_millis(300);
/// A node without a parent asks the root for another wave, and becomes the root after this, ...
const ALONE: Duration = Duration::from_secs(15);
/// ... or after this, if the root was its parent and is gone.
const ROOTLESS: Duration = Duration::from_millis(300);
/// A link is far longer than others at so many times the shortest on the way, ...
const WIDE: u32 = 16;
/// ... and near is what takes less than such a part of it.
const HELPFUL: u32 = 10;
/// Microseconds: nothing is farther away.
const FARTHEST: u32 = 60_000_000;

/// A neighbour that could be the parent.
#[derive(Clone, Copy)]
struct Candidate {
    far: u32,
    link: u32,
    side: Side,
}

impl Broadcast {
    /// Looks at what was heard, and tells what follows from it.
    pub(in crate::broadcast) fn look(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.sides.look_at = None;
        let changed = std::mem::take(&mut self.sides.changed);
        let mut told = Vec::new();
        for tree in (0..SIDES as u8).filter(|tree| changed >> tree & 1 == 1) {
            told.extend(self.look_at_tree(now, tree, out));
        }
        self.tell_sides(now, &told, out);
    }

    /// Tells all neighbours of these, and who begins to be followed that it is.
    pub(super) fn tell_sides(&mut self, now: Duration, told: &[Side], out: &mut Vec<Output>) {
        for (link, neighbour) in self.links.iter_mut() {
            let follow = wanted(&self.sides, *link);
            let all = follow | neighbour.followed;
            if all != follow && self.sides.trim_at.is_none() {
                self.sides.trim_at = Some(now + OVERLAP);
            }
            if !told.is_empty() || all != neighbour.followed {
                neighbour.followed = all;
                say(*link, all, told, out);
            }
        }
    }

    /// Tells those who are no longer followed.
    pub(super) fn trim(&mut self, out: &mut Vec<Output>) {
        self.sides.trim_at = None;
        for (link, neighbour) in self.links.iter_mut() {
            let follow = wanted(&self.sides, *link);
            if follow != neighbour.followed {
                neighbour.followed = follow;
                say(*link, follow, &[], out);
            }
        }
    }

    /// What the neighbours are to be told of this tree, if anything.
    fn look_at_tree(&mut self, now: Duration, tree: u8, out: &mut Vec<Output>) -> Option<Side> {
        let said = self.links.values().filter_map(|there| there.sides.get(&tree));
        let last = *said.max_by_key(|side| side.rank())?;
        let own = self.sides.trees.get(&tree).map(Place::rank);
        if own.is_some_and(|own| own > last.rank()) {
            return self.mend(now, tree, out);
        }
        let newer = own.is_none_or(|own| own < last.rank());
        if last.far == Side::GONE {
            return (newer && self.sides.trees.remove(&tree).is_some()).then_some(last);
        }
        if !newer && self.sides.trees.get(&tree).is_some_and(|place| place.here) {
            return None;
        }
        let candidates = self.candidates(tree, last.rank(), newer);
        let best = candidates.iter().min_by_key(|it| (it.far, it.link)).copied();
        let Some(best) = best else { return self.mend(now, tree, out) };
        let place = self.sides.trees.get(&tree);
        let parent = place.and_then(|place| place.parent);
        let kept = candidates.iter().find(|it| Some(it.link) == parent);
        let slack = BETTER.max(best.far / 32);
        if newer
            && kept.is_none()
            && parent.is_some()
            && place.is_some_and(|place| best.far + slack >= place.far)
            && self.may_wait(now, tree)
        {
            return None;
        }
        let chosen = kept.filter(|it| it.far <= best.far + slack).copied().unwrap_or(best);
        self.take_place(now, tree, chosen, newer);
        let spare = self.spare(tree, &candidates);
        let place = self.sides.trees.get_mut(&tree)?;
        place.spare = spare;
        let change = place.far.abs_diff(place.told) > CHANGE.max(place.told / 16);
        (newer || change).then(|| {
            place.told = place.far;
            place.feasible = if newer { place.far } else { place.feasible.min(place.far) };
            place.side(tree)
        })
    }

    /// Neighbours with the last number that are nearer to the root, or were not farther before.
    fn candidates(&self, tree: u8, rank: Rank, newer: bool) -> Vec<Candidate> {
        let place = self.sides.trees.get(&tree);
        let feasible = place.filter(|_| !newer).map_or(u32::MAX, |place| place.feasible);
        let parent = place.and_then(|place| place.parent);
        let candidate = |(link, there): (&u32, &Neighbour)| {
            let side = *there.sides.get(&tree).filter(|side| side.rank() == rank)?;
            let may = side.far < feasible || Some(*link) == parent;
            let rtt = there.rtt.map_or(UNKNOWN, micros);
            let far = side.far.min(FARTHEST) + (rtt / 2).min(FARTHEST);
            may.then_some(Candidate { far, link: *link, side })
        };
        self.links.iter().filter_map(candidate).collect()
    }

    /// Whether the parent is given more time to bring the last number.
    fn may_wait(&mut self, now: Duration, tree: u8) -> bool {
        let Some(place) = self.sides.trees.get_mut(&tree) else { return false };
        let end = *place.newer.get_or_insert(now) + LATER;
        if now >= end {
            return false;
        }
        self.sides.changed |= 1 << tree;
        self.sides.look_at = Some(self.sides.look_at.map_or(end, |at| at.min(end)));
        true
    }

    fn take_place(&mut self, now: Duration, tree: u8, by: Candidate, newer: bool) {
        let nearest =
            self.links.values().filter_map(|there| there.rtt).min().map_or(UNKNOWN, micros);
        let place = self.sides.trees.or_default(tree);
        if newer {
            (place.seq, place.root, place.heard) = (by.side.seq, by.side.root, now);
            place.newer = None;
        }
        place.here = false;
        place.wave_at = None;
        if place.parent != Some(by.link) {
            (place.missed, place.relief) = (0, None);
        }
        place.below_root = by.side.far == 0;
        place.parent = Some(by.link);
        place.far = by.far;
        place.near = by.side.near.min(nearest);
    }

    /// Another neighbour to send at once, where the parent is so far that a loss costs much, and
    /// nobody near could help.
    fn spare(&self, tree: u8, candidates: &[Candidate]) -> Option<u32> {
        let place = self.sides.trees.get(&tree)?;
        let rtt = micros(self.links.get(&place.parent?)?.rtt?);
        let long = rtt.saturating_mul(2) >= place.far && rtt / WIDE >= place.near;
        let near = |there: &Neighbour, part: u32| {
            there.rtt.is_some_and(|theirs| micros(theirs) <= rtt / part)
        };
        let helps = |there: &Neighbour| {
            let side = there.sides.get(&tree);
            // The way of one that is farther from the root may lead through here.
            side.is_some_and(|side| side.far <= place.told)
                && !follows(there, tree)
                && near(there, HELPFUL)
        };
        if !long || self.links.values().any(helps) {
            return None;
        }
        let other =
            |link: &u32, there: &Neighbour| Some(*link) != place.parent && !follows(there, tree);
        let fits =
            |it: &&Candidate| self.links.get(&it.link).is_some_and(|there| other(&it.link, there));
        let best = candidates.iter().filter(fits).map(|it| (it.far, it.link)).min();
        // A way that comes through here is no help, but one that is far is not likely to.
        let any = self.links.iter().filter(|(link, there)| other(link, there) && !near(there, 4));
        let any = any.filter_map(|(link, there)| {
            Some((there.sides.get(&tree)?.far.saturating_add(micros(there.rtt?) / 2), *link))
        });
        best.or_else(|| any.min()).map(|(_, link)| link)
    }

    /// There may be no parent any more, and nobody to take its place.
    fn mend(&mut self, now: Duration, tree: u8, out: &mut Vec<Output>) -> Option<Side> {
        let place = self.sides.trees.get_mut(&tree)?;
        if place.leads() || place.wave_at.is_some() {
            return None;
        }
        let wait = if place.below_root { ROOTLESS } else { ALONE };
        let wait = self.chance.about(wait);
        place.wave_at = Some(now + wait);
        let (seq, renew) = (place.seq, Wire::Renew { tree, seq: place.seq });
        place.renewed = seq;
        for (link, there) in self.links.iter() {
            if there.sides.contains_key(&tree) && !follows(there, tree) {
                out.push(control(*link, &renew));
            }
        }
        None
    }
}

fn follows(there: &Neighbour, tree: u8) -> bool {
    there.follows >> tree & 1 == 1
}

/// The trees that one neighbour is followed in.
fn wanted(sides: &Sides, link: u32) -> u32 {
    // Who has lost its place takes what comes from anywhere.
    let by = |place: &Place| {
        [place.parent, place.spare, place.relief].contains(&Some(link)) || !place.leads()
    };
    let trees = sides.trees.iter().filter(|(_, place)| by(place));
    trees.fold(0, |bits, (tree, _)| bits | 1 << tree)
}

pub(super) fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
