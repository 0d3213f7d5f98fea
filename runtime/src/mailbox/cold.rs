//! What few mailboxes need: timers, edges, links, watched actors, questions known elsewhere.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::edges::Edges;
use super::timers::Timers;
use super::{Alarm, Mailbox, Message, Place, Timer};
use crate::address::ActorId;

#[derive(Debug, Default)]
pub(super) struct Cold {
    missed: AtomicU64,
    links: AtomicUsize,
    watching: AtomicUsize,
    timers: Mutex<Timers>,
    edges: Mutex<Edges>,
    known: Mutex<Vec<(Place, ActorId)>>,
}

impl Cold {
    pub(super) fn timers(&self) -> MutexGuard<'_, Timers> {
        lock(&self.timers)
    }

    pub(super) fn links(&self) -> usize {
        self.links.load(Ordering::Relaxed)
    }

    pub(super) fn count_missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn edges(&self) -> MutexGuard<'_, Edges> {
        lock(&self.edges)
    }

    pub(super) fn handed(&self, message: &Message) {
        match message {
            Message::Timer { key, .. } => self.timers().waits(*key, false),
            Message::Link(_) => drop(self.links.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    pub(super) fn put_back(&self, message: &Message) {
        match message {
            Message::Edge(_) => self.edges().put_back(),
            Message::Timer { key, .. } => self.timers().waits(*key, true),
            Message::Link(_) => drop(self.links.fetch_add(1, Ordering::Relaxed)),
            _ => {}
        }
    }

    pub(super) fn close(&self) {
        *self.timers() = Timers::default();
        self.edges().close();
    }
}

impl Mailbox {
    /// Arms a timer, in place of one with the same key. Gives the number of this arming, for
    /// [`super::Inlet::tick`] after `timer.after`, and the alarm that is void now.
    pub fn arm(&self, key: u64, timer: Timer) -> (u64, Option<Alarm>) {
        self.cold().timers().arm(key, timer)
    }

    /// Remembers the clock's alarm for an arming; false if that is void already.
    pub fn set_alarm(&self, key: u64, generation: u64, alarm: Alarm) -> bool {
        self.cold().timers().set_alarm(key, generation, alarm)
    }

    /// Disarms a timer. Gives the alarm that is void now.
    pub fn disarm(&self, key: u64) -> Option<Alarm> {
        self.cold().timers().disarm(key)
    }

    /// The alarms of all its timers.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.cold.get().map_or_else(Vec::new, |cold| cold.timers().alarms())
    }

    /// The keys of the armed timers, `more` included, are at most `most`.
    pub fn may_arm(&self, more: impl Iterator<Item = u64>, most: usize) -> bool {
        self.cold().timers().with(more) <= most
    }

    /// Counts one more actor that its owner watches; false at the limit.
    pub fn watch(&self, most: usize) -> bool {
        let watching = &self.cold().watching;
        let room = watching.fetch_add(1, Ordering::Relaxed) < most;
        if !room {
            watching.fetch_sub(1, Ordering::Relaxed);
        }
        room
    }

    /// Counts watched actors out again: their `down` came, or the watch never began.
    pub fn unwatch(&self, count: usize) {
        if count > 0 {
            self.cold().watching.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Publications that found no room here.
    pub fn missed(&self) -> u64 {
        self.cold.get().map_or(0, |cold| cold.missed.load(Ordering::Relaxed))
    }

    /// A question is known elsewhere by an id.
    pub fn make_known(&self, place: Place, id: ActorId) {
        lock(&self.cold().known).push((place, id));
    }

    /// Gives the ids of questions that no longer wait for an answer.
    pub fn forget_known(&self, waits: impl Fn(Place) -> bool) -> Vec<ActorId> {
        let Some(cold) = self.cold.get() else { return Vec::new() };
        let mut known = lock(&cold.known);
        known.extract_if(.., |(place, _)| !waits(*place)).map(|(_, id)| id).collect()
    }
}

/// A lock whose holder panicked still guards sound data: each change under it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
