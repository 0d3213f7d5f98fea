//! The node's clock: what is due when, and one thread that says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A wall time before this is a clock that was never set: 2020-01-01 (Pis boot in 1970).
const SET_AFTER: Duration = Duration::from_secs(1_577_836_800);

/// Names what was armed: when it is due, and a number.
pub type Alarm = (Duration, u64);

/// Time since the node started, and a queue of what falls due. Cheap to clone.
pub struct Clock<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    origin: Instant,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    due: BTreeMap<(Duration, u64), T>,
    next: u64,
    closed: bool,
}

impl<T> Clone for Clock<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> Default for Clock<T> {
    fn default() -> Self {
        let state = State { due: BTreeMap::new(), next: 0, closed: false };
        let shared =
            Shared { origin: Instant::now(), state: Mutex::new(state), changed: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }
}

impl<T> Clock<T> {
    /// Time since the node started.
    pub fn now(&self) -> Duration {
        self.shared.origin.elapsed()
    }

    /// When the node started.
    pub fn origin(&self) -> Instant {
        self.shared.origin
    }

    /// Time since 1970, if this machine knows it.
    pub fn wall(&self) -> Option<Duration> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        (wall > SET_AFTER).then_some(wall)
    }

    /// Gives `what` back from [`Clock::wait`] once `after` has passed, unless it is cancelled by
    /// the alarm that this returns.
    pub fn arm(&self, after: Duration, what: T) -> Alarm {
        let at = self.now().saturating_add(after);
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.due.insert((at, number), what);
        let first = state.due.first_key_value().is_some_and(|(key, _)| *key == (at, number));
        drop(state);
        if first {
            self.shared.changed.notify_all();
        }
        (at, number)
    }

    /// Forgets what was armed, if it isn't due yet.
    pub fn cancel(&self, alarm: Alarm) {
        self.state().due.remove(&alarm);
    }

    /// How much is armed.
    pub fn armed(&self) -> usize {
        self.state().due.len()
    }

    /// Waits for what falls due next; `None` once the clock is closed.
    pub fn wait(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            let now = self.now();
            let changed = &self.shared.changed;
            state = match state.due.first_key_value().map(|((at, _), _)| *at) {
                Some(at) if at <= now => return state.due.pop_first().map(|(_, what)| what),
                Some(at) => {
                    let waited = changed.wait_timeout(state, at - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Ends all waiting.
    pub fn close(&self) {
        self.state().closed = true;
        self.shared.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cancelled_leaves_nothing_behind() {
        let clock = Clock::default();
        let alarm = clock.arm(Duration::from_secs(1 << 40), "late");
        clock.cancel(alarm);
        assert_eq!(clock.armed(), 0);
    }

    #[test]
    fn what_is_due_first_comes_first() {
        let clock = Clock::default();
        clock.arm(Duration::from_millis(20), "second");
        clock.arm(Duration::from_millis(1), "first");
        assert_eq!(clock.wait(), Some("first"));
        assert_eq!(clock.wait(), Some("second"));
        assert!(clock.now() >= Duration::from_millis(20));
        clock.close();
        assert_eq!(clock.wait(), None);
    }
}
