//! What was lost, and what came before a neighbour did, is found by comparing what was seen.

use std::time::Duration;

use super::{Broadcast, control};
use crate::event::{Counts, Output, What};
use crate::limits::{DIGESTS, GAPS, HAVE, REPAIR_BYTES, STREAMS};
use crate::neighbour::Neighbour;
use crate::wire::{Held, Id, Stream, Wire};

impl Broadcast {
    /// What this node has seen, for one neighbour.
    pub(super) fn digest(&mut self, now: Duration, link: u32) -> Output {
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.digest_sent(now, &mut self.chance);
        }
        let mut room = GAPS;
        let held = self.streams.alive(now).take(STREAMS).map(|(stream, window)| {
            let gaps = window.gaps(room);
            room -= gaps.len();
            Held { stream, top: window.top(), gaps }
        });
        control(link, &Wire::Digest(held.collect()))
    }

    /// Tells a neighbour of what its digest lacks and is kept here. It asks for it then, unless it
    /// comes on another way first.
    pub(super) fn compare(
        &mut self,
        link: u32,
        held: &[Held],
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        if neighbour.is_hasty(crate::limits::WALKS / DIGESTS, counts) {
            return;
        }
        let of = |stream: &Stream| held.binary_search_by(|held| held.stream.cmp(stream)).ok();
        let lacks = |id: &Id| of(&id.stream).is_none_or(|at| held[at].lacks(id.seq));
        // Where the last answer ended: what the other does not take must not stand in the way.
        let lacked = self.recent.ids_after(neighbour.repaired).filter(lacks);
        let mut ids: Vec<Id> = lacked.take(HAVE + 1).collect();
        let more = ids.len() > HAVE;
        ids.truncate(HAVE);
        if let Some(last) = ids.last() {
            neighbour.repaired = Some(*last);
            out.push(control(link, &Wire::Have(ids)));
        }
        if more {
            out.push(control(link, &Wire::More));
        }
    }

    /// A neighbour has more to tell: it is asked again at the next tick, when what it told of has
    /// been asked for.
    pub(super) fn more(&mut self, link: u32) {
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.digest_due = true;
        }
    }

    /// Sends what a neighbour asks for.
    pub(super) fn asked(
        &mut self,
        now: Duration,
        link: u32,
        ids: &[Id],
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        if neighbour.is_hasty(1, counts) {
            return;
        }
        for id in ids {
            if neighbour.repaired_bytes >= REPAIR_BYTES {
                counts.hasty += 1;
                return;
            }
            let Some(post) = self.recent.get(now, *id) else { continue };
            neighbour.repaired_bytes += post.body.len();
            neighbour.lazy.retain(|lazy| lazy != id);
            counts.repaired += 1;
            let frame = Wire::Post(post).encode().into();
            out.push(Output::Transmit(link, What::Repair(*id), frame));
        }
    }

    /// A queue did not take a frame.
    pub fn refused(&mut self, link: u32, what: What, counts: &mut Counts) {
        counts.refused += 1;
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        match what {
            What::News(id) | What::Repair(id) => {
                counts.deferred += u64::from(!neighbour.remember(id));
            }
            What::Control => neighbour.digest_due = true,
        }
    }

    /// Sends what is remembered for a neighbour; what is refused again comes back by `refused`.
    pub fn drain(&mut self, now: Duration, link: u32, out: &mut Vec<Output>) {
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        let posts = neighbour.forget().filter_map(|id| self.recent.get(now, id));
        out.extend(posts.map(|post| {
            Output::Transmit(link, What::News(post.id), Wire::Post(post).encode().into())
        }));
    }

    /// Once a second: expiry, late digests, another try for a full queue.
    pub(super) fn second(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.recent.expire(now);
        self.streams.expire(now);
        let links: Vec<u32> = self.links.keys().copied().collect();
        // One full queue is tried again at each tick, in turn, should its `Writable` have been
        // lost: all at once could be 64 times what is kept.
        let behind = |link: &&u32| self.links.get(link).is_some_and(Neighbour::is_behind);
        let after = links.iter().find(|link| **link > self.tried && behind(link));
        if let Some(&link) = after.or_else(|| links.iter().find(behind)) {
            self.tried = link;
            self.drain(now, link, out);
        }
        for link in links {
            let due = self.links.get_mut(&link).is_some_and(|neighbour| neighbour.tick(now));
            if due {
                out.push(self.digest(now, link));
            }
        }
    }
}
