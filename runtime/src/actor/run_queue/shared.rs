//! What the workers of one run queue share: those with something to do that no worker has, and who
//! sleeps. `tests/model` checks with loom that nobody sleeps while something waits.

use std::collections::VecDeque;

use super::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, PoisonError, spin_loop};

/// So many at most are taken at once.
const TAKEN: usize = 64;

/// Wakes a worker that waits elsewhere: it runs the network meanwhile.
pub trait Wake {
    /// It looks again whether it is wanted.
    fn wake(&self);
}

/// See the module.
#[derive(Debug)]
pub struct Shared<T, W> {
    workers: usize,
    state: Mutex<State<T, W>>,
    changed: Condvar,
    /// How many wait; a hint, looked at without the lock.
    waiting: AtomicUsize,
    /// How many workers have nothing to do; a hint as well.
    idle: AtomicUsize,
    /// How many of those look here without sleeping; a hint as well.
    seeking: AtomicUsize,
}

#[derive(Debug)]
struct State<T, W> {
    ready: VecDeque<T>,
    asleep: usize,
    away: Option<W>,
    closed: bool,
}

impl<T, W: Wake> Shared<T, W> {
    /// Empty, for so many workers.
    pub fn new(workers: usize) -> Self {
        let state = State { ready: VecDeque::new(), asleep: 0, away: None, closed: false };
        Self {
            workers,
            state: Mutex::new(state),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            seeking: AtomicUsize::new(0),
        }
    }

    /// Something may wait here.
    pub fn has_some(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    /// A worker may have nothing to do.
    pub fn has_idle(&self) -> bool {
        self.idle.load(Ordering::Relaxed) > 0 || self.seeking.load(Ordering::Relaxed) > 0
    }

    /// Looks for something, awake, for as long as `patient` says: who is given it then is not to be
    /// woken first.
    pub fn seek(&self, mut patient: impl FnMut() -> bool) {
        self.seeking.fetch_add(1, Ordering::Relaxed);
        while !self.has_some() && patient() {
            spin_loop();
        }
        self.seeking.fetch_sub(1, Ordering::Relaxed);
    }

    /// Puts some in.
    pub fn give(&self, some: impl IntoIterator<Item = T>) {
        let mut state = self.lock();
        let before = state.ready.len();
        state.ready.extend(some);
        self.waiting.store(state.ready.len(), Ordering::Relaxed);
        if state.ready.len() > before {
            self.wake_one(&state);
        }
    }

    /// Takes this worker's part, the last of it first: to be put to the front of its own, or a full
    /// queue of its own would hold up what waited here.
    pub fn take(&self, put: impl FnMut(T)) {
        let mut state = self.lock();
        let count = state.ready.len().div_ceil(self.workers).min(TAKEN);
        state.ready.drain(..count).rev().for_each(put);
        self.waiting.store(state.ready.len(), Ordering::Relaxed);
    }

    /// Sleeps until there is one; `None` once it is closed.
    pub fn wait(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(one) = state.ready.pop_front() {
                self.waiting.store(state.ready.len(), Ordering::Relaxed);
                // What else was given with it does not wait until that has run.
                if !state.ready.is_empty() {
                    self.wake_one(&state);
                }
                return Some(one);
            }
            state.asleep += 1;
            self.note_idle(&state);
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep -= 1;
            self.note_idle(&state);
        }
    }

    /// A worker waits elsewhere from now on. True: it is wanted here already.
    pub fn goes_away(&self, waker: impl FnOnce() -> W) -> bool {
        let mut state = self.lock();
        if state.away.is_none() {
            state.away = Some(waker());
            self.note_idle(&state);
        }
        state.closed || !state.ready.is_empty()
    }

    /// The worker that waited elsewhere is back.
    pub fn is_back(&self) {
        let mut state = self.lock();
        state.away = None;
        self.note_idle(&state);
    }

    /// Sends all workers home.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(away) = &state.away {
            away.wake();
        }
        self.changed.notify_all();
    }

    /// Whether workers are sent home.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Wakes one who has nothing to do; who sleeps and wakes to more than one wakes the next.
    fn wake_one(&self, state: &State<T, W>) {
        if state.asleep > 0 {
            self.changed.notify_one();
        } else if let Some(away) = &state.away {
            away.wake();
        }
    }

    fn note_idle(&self, state: &State<T, W>) {
        let idle = state.asleep + usize::from(state.away.is_some());
        self.idle.store(idle, Ordering::Relaxed);
    }

    /// A lock whose holder panicked still guards sound data: each change under it is whole.
    fn lock(&self) -> MutexGuard<'_, State<T, W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
