//! Which messages were seen: of each stream that is known, which numbers.
//!
//! Nothing is signed, so any neighbour may say any number in anybody's name, and as many names as
//! it likes. So a number far from the others of its stream moves no window: it begins a part of its
//! own, and what its origin really says goes on where it was. And when all places are taken, the
//! link that brought the most streams makes room.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::few::Few;
use crate::limits::{LIFETIME, PART_QUIET, PARTS, STREAMS, TICK};
use crate::neighbour::Neighbour;
use crate::saved::saved;
use crate::window::{Sighting, Window};
use crate::wire::{Id, Stream};

/// The streams that are known, this node's own among them.
#[derive(Debug, Default)]
pub struct Streams {
    known: BTreeMap<Stream, Seen>,
    /// How many of them each link brought.
    shares: Few<u32, usize>,
    /// The link for whose streams there was no room, and until when that is not looked at again.
    refused: Option<(u32, Duration)>,
}

saved!(Streams { known, shares, refused });

/// What was seen of one stream.
#[derive(Debug, Default)]
pub struct Seen {
    /// The part of which a message was new last.
    part: Part,
    /// Parts far from that one.
    apart: Vec<Part>,
    /// The link that brought the first message.
    by: u32,
}

saved!(Seen { part, apart, by });

#[derive(Debug, Default)]
struct Part {
    window: Window,
    /// When a message of it was last new.
    heard: Duration,
}

saved!(Part { window, heard });

/// A stream that has been silent for so long may make room for a new one: what is still on its way
/// of it is older than the messages that are let in then, ...
const SILENT: Duration = Duration::from_secs(2);
/// ... which are younger than this, in milliseconds.
pub const NEWS: u32 = 1000;
/// Stands for all links that are gone, and for none.
pub const GONE: u32 = u32::MAX;

impl Streams {
    pub fn contains(&self, stream: &Stream) -> bool {
        self.known.contains_key(stream)
    }

    /// Those of which something was heard within a message's lifetime, in their order.
    pub fn alive(&self, now: Duration) -> impl Iterator<Item = (Stream, &Window)> {
        let alive = self.known.iter().filter(move |(_, seen)| seen.part.heard + LIFETIME > now);
        alive.map(|(stream, seen)| (*stream, &seen.part.window))
    }

    /// Notes a message. There must be room for its stream.
    pub fn see(&mut self, now: Duration, id: Id, by: u32) -> Sighting {
        let shares = &mut self.shares;
        let new = || {
            *shares.or_default(by) += 1;
            Seen { by, ..Seen::default() }
        };
        self.known.entry(id.stream).or_insert_with(new).see(now, id.seq)
    }

    /// Whether a message would be new, as far as its stream is known.
    pub fn lacks(&self, now: Duration, id: Id) -> Option<bool> {
        self.known.get(&id.stream).map(|seen| seen.lacks(now, id.seq))
    }

    /// Lets go of what has been silent for so long that nothing of it can be on its way.
    pub fn expire(&mut self, now: Duration) {
        let alive = |part: &Part| part.heard + LIFETIME * 2 > now;
        let shares = &mut self.shares;
        self.known.retain(|_, seen| {
            seen.apart.retain(alive);
            let keeps = alive(&seen.part);
            if !keeps {
                give_up(shares, seen.by);
            }
            keeps
        });
    }

    /// Whether a link has brought so much less than another that there is room for what it brings.
    pub fn has_room(&self, link: u32, links: &Few<u32, Neighbour>) -> bool {
        self.known.len() < STREAMS || self.greediest(link, links).is_some_and(|(_, fair)| fair)
    }

    /// Makes room for a stream that a link brings, if there is none and some may be made: that of
    /// the greediest link that was silent for longest makes room for news, be it silent for long or
    /// the link one that has brought less.
    pub fn make_room(
        &mut self,
        now: Duration,
        own: &Stream,
        (link, young): (u32, bool),
        links: &Few<u32, Neighbour>,
    ) -> bool {
        if self.known.len() < STREAMS {
            return true;
        }
        if self.refused.is_some_and(|(refused, until)| refused == link && now < until) {
            return false;
        }
        let Some((greediest, fair)) = self.greediest(link, links) else { return false };
        let theirs = self
            .known
            .iter()
            .filter(|(stream, seen)| *stream != own && owner(seen.by, links) == greediest);
        let oldest = theirs.min_by_key(|(_, seen)| seen.part.heard);
        let oldest = oldest.filter(|(_, seen)| young && (fair || seen.part.heard + SILENT <= now));
        let Some((stream, by)) = oldest.map(|(stream, seen)| (*stream, seen.by)) else {
            self.refused = Some((link, now + TICK));
            return false;
        };
        self.known.remove(&stream);
        give_up(&mut self.shares, by);
        true
    }

    /// The link that brought the most streams, and whether it is so much greedier than this one
    /// that it stays so when it gives one up.
    fn greediest(&self, link: u32, links: &Few<u32, Neighbour>) -> Option<(u32, bool)> {
        let mut shares: Few<u32, usize> = Few::default();
        for (by, share) in self.shares.iter() {
            *shares.or_default(owner(*by, links)) += *share;
        }
        let (greediest, most) = shares.iter().max_by_key(|(link, share)| (**share, **link))?;
        let share = shares.get(&link).copied().unwrap_or(0);
        Some((*greediest, share + 1 < *most))
    }
}

/// The link whose share a stream is that this one brought.
fn owner(by: u32, links: &Few<u32, Neighbour>) -> u32 {
    if links.contains_key(&by) { by } else { GONE }
}

fn give_up(shares: &mut Few<u32, usize>, by: u32) {
    let share = shares.or_default(by);
    *share = share.saturating_sub(1);
    if *share == 0 {
        shares.remove(&by);
    }
}

impl Seen {
    fn see(&mut self, now: Duration, seq: u64) -> Sighting {
        if seq == 0 {
            return Sighting::TooOld;
        }
        let Some(at) = self.place(seq).or_else(|| self.vacant(now)) else {
            return Sighting::Ahead;
        };
        let part = if at == 0 { &mut self.part } else { &mut self.apart[at - 1] };
        let sighting = part.window.see(seq);
        if sighting == Sighting::New {
            part.heard = now;
            if at > 0 {
                std::mem::swap(&mut self.part, &mut self.apart[at - 1]);
            }
        }
        sighting
    }

    fn lacks(&self, now: Duration, seq: u64) -> bool {
        match self.place(seq).and_then(|at| self.parts().nth(at)) {
            Some(part) => part.window.sighting(seq) == Sighting::New,
            None => seq > 0 && (self.apart.len() + 1 < PARTS || self.quiet(now).is_some()),
        }
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        std::iter::once(&self.part).chain(&self.apart)
    }

    /// The part that a number belongs to: the nearest of those that it follows on, so that no two
    /// ever overlap.
    fn place(&self, seq: u64) -> Option<usize> {
        let near = self.parts().enumerate().filter(|(_, part)| part.window.takes(seq));
        near.min_by_key(|(_, part)| part.window.distance(seq)).map(|(at, _)| at)
    }

    /// A part for a number far from all others, if there may be one more.
    fn vacant(&mut self, now: Duration) -> Option<usize> {
        if self.part.window.top() == 0 {
            return Some(0);
        }
        if self.apart.len() + 1 < PARTS {
            self.apart.push(Part::default());
            return Some(self.apart.len());
        }
        let at = self.quiet(now)?;
        let part = if at == 0 { &mut self.part } else { &mut self.apart[at - 1] };
        *part = Part::default();
        Some(at)
    }

    /// The part that was silent for longest, if that is long.
    fn quiet(&self, now: Duration) -> Option<usize> {
        let oldest = self.parts().enumerate().min_by_key(|(_, part)| part.heard);
        oldest.filter(|(_, part)| part.heard + PART_QUIET <= now).map(|(at, _)| at)
    }
}
