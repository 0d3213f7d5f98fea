//! An actor's log, for people: the last lines, numbered, and a way to wait for more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Counts the lines of this log from 0.
    pub number: u64,
    /// Milliseconds since 1970, by this machine's clock.
    pub at: u64,
    /// The text.
    pub text: String,
}

/// A bounded log.
#[derive(Debug)]
pub struct Journal {
    most: usize,
    state: Mutex<State>,
    grown: Notify,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    next: u64,
}

impl Journal {
    /// Keeps the last `most` lines.
    pub fn new(most: usize) -> Self {
        Self { most, state: Mutex::default(), grown: Notify::new() }
    }

    /// Adds a line.
    pub fn write(&self, text: impl Into<String>) {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let at = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.lines.push_back(Line { number, at, text: text.into() });
        if state.lines.len() > self.most {
            state.lines.pop_front();
        }
        drop(state);
        self.grown.notify_waiters();
    }

    /// The lines from `number` on that are still kept.
    pub fn since(&self, number: u64) -> Vec<Line> {
        self.state().lines.iter().filter(|line| line.number >= number).cloned().collect()
    }

    /// Waits until there is a line from `number` on.
    pub async fn grown(&self, number: u64) {
        loop {
            let grown = self.grown.notified();
            if self.state().next > number {
                return;
            }
            grown.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_numbered() {
        let journal = Journal::new(2);
        ["a", "b", "c"].iter().for_each(|text| journal.write(*text));
        let lines = journal.since(0);
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(journal.since(2)[0].text, "c");
    }
}
