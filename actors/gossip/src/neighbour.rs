//! What the broadcast remembers about one of its neighbours.

use std::collections::VecDeque;
use std::time::Duration;

use crate::chance::Chance;
use crate::event::Counts;
use crate::few::Few;
use crate::limits::{DIGEST_EVERY, DIGEST_GAP, PENDING};
use crate::saved::saved;
use crate::wire::{Beacon, Id, Side};

/// A neighbour at the other end of a link that is up.
#[derive(Debug)]
pub struct Neighbour {
    /// Messages for which its queue had no room, in their order.
    pending: VecDeque<Id>,
    /// Messages to tell it of.
    pub lazy: Vec<Id>,
    /// When it was last told of some.
    pub told: Option<Duration>,
    /// It wants messages at once: it is below this node in the tree.
    pub child: bool,
    /// The last beacon that came from it.
    pub beacon: Option<Beacon>,
    /// When that came.
    pub beacon_at: Duration,
    /// The longest way down the tree from it, as it says.
    pub depth: Duration,
    /// How many nodes there are by it, as it says.
    pub nodes: u32,
    /// How it stands in the side trees, as it says.
    pub sides: Few<u8, Side>,
    /// The side trees, a bit for each, whose messages it wants at once.
    pub follows: u32,
    /// Those whose messages it was told that this node wants from it.
    pub followed: u32,
    /// When it was last told of another root.
    pub corrected: Duration,
    /// Duplicates from it that nobody asked for.
    pub duplicates: u32,
    /// Messages asked of it that have not come.
    pub asked: u32,
    /// Requests to it in a row that brought nothing.
    pub unanswered: u32,
    /// Digests, requests and the like from it in this second.
    pub requests: u32,
    /// Bytes sent because it asked, in this second.
    pub repaired_bytes: usize,
    /// Messages that it was the first to bring, or to name, since that was last asked.
    pub firsts: u32,
    /// A digest is to be sent to it at the next tick.
    pub digest_due: bool,
    /// It has named messages: what it had before it became one comes first.
    pub named: bool,
    /// It has sent something new since the last digest to it.
    pub useful: bool,
    /// The last message that it was told of in answer to a digest.
    pub repaired: Option<Id>,
    /// The round trip, as far as it is known.
    pub rtt: Option<Duration>,
    sent: Duration,
    next: Duration,
}

saved!(Neighbour {
    pending,
    lazy,
    told,
    child,
    beacon,
    beacon_at,
    depth,
    nodes,
    sides,
    follows,
    followed,
    corrected,
    duplicates,
    asked,
    unanswered,
    requests,
    repaired_bytes,
    firsts,
    digest_due,
    named,
    useful,
    repaired,
    rtt,
    sent,
    next,
});

impl Neighbour {
    /// Counts a request that costs as much as so many; true if it is one too many for this second,
    /// which is counted as well.
    pub fn is_hasty(&mut self, cost: u32, counts: &mut Counts) -> bool {
        self.requests += cost;
        let hasty = self.requests > crate::limits::WALKS;
        counts.hasty += u64::from(hasty);
        hasty
    }

    /// A new neighbour.
    pub fn new(now: Duration, rtt: Option<Duration>) -> Self {
        Self {
            pending: VecDeque::new(),
            lazy: Vec::new(),
            told: None,
            child: false,
            beacon: None,
            beacon_at: Duration::ZERO,
            depth: Duration::ZERO,
            nodes: 1,
            sides: Few::default(),
            follows: 0,
            followed: 0,
            corrected: Duration::ZERO,
            duplicates: 0,
            asked: 0,
            unanswered: 0,
            requests: 0,
            repaired_bytes: 0,
            firsts: 0,
            digest_due: false,
            named: false,
            useful: false,
            repaired: None,
            rtt,
            sent: now,
            next: now,
        }
    }

    /// Whether messages wait for room in its queue. New ones then wait behind them.
    pub fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Remembers a message for when there is room again; `false` if too many wait already.
    pub fn remember(&mut self, id: Id) -> bool {
        if self.pending.len() >= PENDING {
            self.digest_due = true;
            return false;
        }
        if !self.pending.contains(&id) {
            self.pending.push_back(id);
        }
        true
    }

    /// It has this message: no need to send it, or to tell it.
    pub fn has(&mut self, id: Id) {
        self.pending.retain(|pending| *pending != id);
        self.lazy.retain(|lazy| *lazy != id);
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
    pub fn digest_sent(&mut self, now: Duration, chance: &mut Chance) {
        self.sent = now;
        self.digest_due = false;
        self.useful = false;
        self.next = now + chance.about(DIGEST_EVERY);
    }

    /// A second has passed: whether a digest is to be sent to it now.
    pub fn tick(&mut self, now: Duration) -> bool {
        self.requests = 0;
        self.repaired_bytes = 0;
        // Who was only slow is asked again before long.
        self.unanswered = self.unanswered.saturating_sub(2);
        self.may_digest(now) && (self.digest_due || now >= self.next)
    }
}
