//! Which messages were seen: of each stream that is known, which numbers.
//!
//! Nothing is signed, so any neighbour may say any number in anybody's name. So a number far from
//! the others of its stream moves no window: it begins a part of its own, and what its origin
//! really says goes on where it was.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits::{LIFETIME, PART_QUIET, PARTS, STREAMS};
use crate::saved::saved;
use crate::window::{Sighting, Window};
use crate::wire::{Id, Stream};

/// The streams that are known, this node's own among them.
#[derive(Debug, Default)]
pub struct Streams {
    known: BTreeMap<Stream, Seen>,
}

saved!(Streams { known });

/// What was seen of one stream.
#[derive(Debug, Default)]
pub struct Seen {
    /// The part of which a message was new last.
    part: Part,
    /// Parts far from that one.
    apart: Vec<Part>,
}

saved!(Seen { part, apart });

#[derive(Debug, Default)]
struct Part {
    window: Window,
    /// When a message of it was last new.
    heard: Duration,
}

saved!(Part { window, heard });

impl Streams {
    pub fn contains(&self, stream: &Stream) -> bool {
        self.known.contains_key(stream)
    }

    /// Those of which something was heard within a message's lifetime, in their order.
    pub fn alive(&self, now: Duration) -> impl Iterator<Item = (Stream, &Window)> {
        let alive = self.known.iter().filter(move |(_, seen)| seen.part.heard + LIFETIME > now);
        alive.map(|(stream, seen)| (*stream, &seen.part.window))
    }

    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.known.len() < STREAMS
    }

    /// Notes a message. There must be room for its stream.
    pub fn see(&mut self, now: Duration, id: Id) -> Sighting {
        self.known.entry(id.stream).or_default().see(now, id.seq)
    }

    /// Whether a message would be new, as far as its stream is known.
    pub fn lacks(&self, now: Duration, id: Id) -> Option<bool> {
        self.known.get(&id.stream).map(|seen| seen.lacks(now, id.seq))
    }

    /// Lets go of what has been silent for so long that nothing of it can be on its way.
    pub fn expire(&mut self, now: Duration) {
        let alive = |part: &Part| part.heard + LIFETIME * 2 > now;
        self.known.retain(|_, seen| {
            seen.apart.retain(alive);
            alive(&seen.part)
        });
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
