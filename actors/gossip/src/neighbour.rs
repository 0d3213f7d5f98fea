//! What a node remembers about one of its links.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits::{DIGEST_EVERY, DIGEST_GAP, PENDING};
use crate::wire::Id;

/// A neighbour at the other end of a link that is up.
#[derive(Debug, Serialize, Deserialize)]
pub struct Neighbour {
    /// Messages for which its queue had no room, in their order.
    pending: VecDeque<Id>,
    /// Digests that came from it since the last tick.
    pub digests: u32,
    /// A digest is to be sent to it at the next tick.
    pub digest_due: bool,
    /// It has sent something new since the last digest to it.
    pub useful: bool,
    /// The last message that it was sent in answer to a digest.
    pub repaired: Option<Id>,
    sent: Duration,
    next: Duration,
    chance: u64,
}

impl Neighbour {
    /// A new link; `seed` spreads its digests.
    pub fn new(now: Duration, seed: u64) -> Self {
        Self {
            pending: VecDeque::new(),
            digests: 0,
            digest_due: false,
            useful: false,
            repaired: None,
            sent: now,
            next: now,
            chance: seed,
        }
    }

    /// Whether messages wait for room in its queue. New ones then wait behind them.
    pub fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Remembers a message for when there is room again; `false` if too many wait already.
    pub fn remember(&mut self, id: Id) -> bool {
        if self.pending.len() >= PENDING {
            return false;
        }
        if !self.pending.contains(&id) {
            self.pending.push_back(id);
        }
        true
    }

    /// It has this message: no need to send it.
    pub fn has(&mut self, id: Id) {
        self.pending.retain(|pending| *pending != id);
    }

    /// All that is remembered for it, which is forgotten with that.
    pub fn forget(&mut self) -> impl Iterator<Item = Id> + use<> {
        std::mem::take(&mut self.pending).into_iter()
    }

    /// Whether the last digest to it is long enough ago.
    pub fn may_digest(&self, now: Duration) -> bool {
        now >= self.sent + DIGEST_GAP
    }

    /// A digest goes out to it now.
    pub fn digest_sent(&mut self, now: Duration) {
        self.sent = now;
        self.digest_due = false;
        self.useful = false;
        self.chance = mix(self.chance);
        let quarter = DIGEST_EVERY.as_millis() as u64 / 4;
        let moved = Duration::from_millis(self.chance % (2 * quarter));
        self.next = now + DIGEST_EVERY * 3 / 4 + moved;
    }

    /// A tick has passed: whether a digest is to be sent to it now.
    pub fn tick(&mut self, now: Duration) -> bool {
        self.digests = 0;
        self.may_digest(now) && (self.digest_due || now >= self.next)
    }
}

/// One step of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
