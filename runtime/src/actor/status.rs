//! What is known of an actor from outside.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Actor, lock};
use crate::address::{ActorId, Address, NodeId};
use crate::journal::Journal;
use crate::reason::Reason;
use crate::store::Cid;

/// What is known of an actor from outside: a row of `ls actors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its address, as a grant on another node takes it.
    pub address: String,
    /// Its code's CID.
    pub component: String,
    /// Its world.
    pub world: String,
    /// `starting`, `ready`, `parked`, `backing-off`, `stopped`, `waiting` for its component, or
    /// `waiting-for-room` (too many are busy at once: raise `live`, or run some on another node).
    pub state: String,
    /// Incarnations so far.
    pub incarnations: u64,
    /// Messages handled in turns that ended well.
    pub handled: u64,
    /// Letters waiting.
    pub waiting: usize,
    /// Publications that found its mailbox full.
    pub missed: u64,
    /// Milliseconds spent in its turns.
    pub busy_ms: u64,
    /// Letters set aside.
    pub set_aside: usize,
    /// Durable bytes.
    pub stored: u64,
    /// Why its last incarnation ended, if one did.
    pub last_failure: Option<String>,
    /// Why it is gone for good, if it is.
    pub reason: Option<Reason>,
}

/// What is left of an actor that is gone for good. Neither its code nor what it held: a node's
/// memory would be full of those that it had.
pub struct Gone {
    /// Who it was.
    pub id: ActorId,
    /// How it was in the end.
    pub status: Status,
    /// Its log.
    pub journal: Arc<Journal>,
}

/// How an actor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Doing {
    Starting,
    Ready,
    BackingOff,
    Stopped,
    Parked,
    WaitingForRoom,
}

/// Of [`Counts::stored`]: it is to be counted again.
const UNCOUNTED: u64 = 1 << 63;

/// What an actor's runner counts for those who look.
#[derive(Debug, Default)]
pub(super) struct Counts {
    doing: AtomicU8,
    reason: AtomicU8,
    incarnations: AtomicU32,
    handled: AtomicU64,
    /// Milliseconds on the node's clock when its last activation began.
    active: AtomicU64,
    busy_ns: AtomicU64,
    /// Durable bytes; as last counted, if [`UNCOUNTED`].
    stored: AtomicU64,
}

/// What is known of few actors.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    /// Its code since a swap.
    component: Option<Cid>,
    last_failure: Option<String>,
    /// Messages set aside.
    set_aside: usize,
}

impl Gone {
    /// Of an actor that is stopped, in its last activation.
    pub(super) fn of(actor: &Actor, node: NodeId, now: Duration) -> Self {
        let mut status = actor.status(node);
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        // Its runner counts the activation when it is over.
        status.busy_ms += now.saturating_sub(actor.counts.active.load(Ordering::Relaxed));
        Self { id: actor.id(), status, journal: actor.journal().clone() }
    }
}

impl Doing {
    fn name(code: u8) -> &'static str {
        let names = ["starting", "ready", "backing-off", "stopped", "parked", "waiting-for-room"];
        names.get(usize::from(code)).unwrap_or(&"unknown")
    }
}

impl Actor {
    /// What is known of it from outside; `node` is where it lives.
    pub fn status(&self, node: NodeId) -> Status {
        let counts = &self.counts;
        let rare = self.rare().map(|rare| rare.clone()).unwrap_or_default();
        Status {
            name: self.name().into(),
            address: Address::new(self.id(), node).to_string(),
            component: rare.component.unwrap_or(self.spec.code.cid).to_string(),
            world: self.spec.code.world.name().into(),
            state: Doing::name(counts.doing.load(Ordering::Relaxed)).into(),
            incarnations: u64::from(counts.incarnations.load(Ordering::Relaxed)),
            handled: counts.handled.load(Ordering::Relaxed),
            waiting: self.mailbox.letters(),
            missed: self.mailbox.missed(),
            busy_ms: counts.busy_ns.load(Ordering::Relaxed) / 1_000_000,
            set_aside: rare.set_aside,
            stored: counts.stored.load(Ordering::Relaxed) & !UNCOUNTED,
            last_failure: rare.last_failure,
            reason: self.reason(),
        }
    }

    /// Why it is gone for good, if it is.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_code(self.counts.reason.load(Ordering::Acquire).checked_sub(1)?)
    }

    /// How long it has had nothing to do, at `now` on the node's clock; `None` if it is parked, or
    /// has no instance for another reason.
    pub(super) fn idle_for(&self, now: Duration) -> Option<Duration> {
        let ready = self.counts.doing.load(Ordering::Relaxed) == Doing::Ready as u8;
        let since = Duration::from_millis(self.counts.active.load(Ordering::Relaxed));
        (ready && self.is_idle()).then(|| now.saturating_sub(since))
    }

    pub(super) fn is_active(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.counts.active.store(now, Ordering::Relaxed);
    }

    /// True if it did something else so far.
    pub(super) fn does(&self, doing: Doing) -> bool {
        // Only its runner says so: no other thread's word can be lost.
        let before = self.counts.doing.load(Ordering::Relaxed);
        self.counts.doing.store(doing as u8, Ordering::Relaxed);
        before != doing as u8
    }

    /// Its first turn is to come.
    pub(super) fn begins(&self) -> bool {
        self.counts.doing.load(Ordering::Relaxed) == Doing::Starting as u8
    }

    pub(super) fn stopped(&self, reason: Reason) {
        self.does(Doing::Stopped);
        self.counts.reason.store(reason.code() + 1, Ordering::Release);
    }

    pub(super) fn count_incarnation(&self) {
        self.counts.incarnations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_handled(&self, messages: usize, stored: u64) {
        // Only its runner counts: no other thread's count can be lost.
        add(&self.counts.handled, messages as u64);
        self.counts.stored.store(stored, Ordering::Relaxed);
    }

    pub(super) fn count_busy(&self, nanoseconds: u64) {
        add(&self.counts.busy_ns, nanoseconds);
    }

    pub(super) fn set_aside(&self, count: usize) {
        if count > 0 || self.has_set_aside() {
            lock(&self.aside().rare).set_aside = count;
        }
    }

    pub(super) fn has_set_aside(&self) -> bool {
        self.rare().is_some_and(|rare| rare.set_aside > 0)
    }

    /// Its durable bytes, if they are known.
    pub(super) fn stored(&self) -> Option<u64> {
        Some(self.counts.stored.load(Ordering::Relaxed)).filter(|stored| stored & UNCOUNTED == 0)
    }

    pub(super) fn has_stored(&self, stored: u64) {
        self.counts.stored.store(stored, Ordering::Relaxed);
    }

    /// Its durable bytes are to be counted again.
    pub(super) fn count_stored_again(&self) {
        self.counts.stored.fetch_or(UNCOUNTED, Ordering::Relaxed);
    }

    fn rare(&self) -> Option<MutexGuard<'_, Rare>> {
        Some(lock(&self.aside.get()?.rare))
    }

    pub(super) fn note_failure(&self, why: &str) {
        lock(&self.aside().rare).last_failure = Some(why.into());
    }

    pub(super) fn note_component(&self, cid: Cid) {
        lock(&self.aside().rare).component = Some(cid);
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}
