//! Actors with something to do, oldest first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::address::ActorId;

/// A queue of actors that workers wait on.
#[derive(Debug, Default)]
pub struct RunQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<ActorId>,
    closed: bool,
}

impl RunQueue {
    /// Puts an actor at the end. Its mailbox sees to it that it is here only once.
    pub fn push(&self, actor: ActorId) {
        self.state().ready.push_back(actor);
        self.changed.notify_one();
    }

    /// Waits for an actor to run; `None` once the queue is closed.
    pub fn pop(&self) -> Option<ActorId> {
        let mut state = self.state();
        loop {
            if state.closed {
                return None;
            }
            if let Some(actor) = state.ready.pop_front() {
                return Some(actor);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Sends all workers home.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    /// Actors waiting for a worker.
    pub fn len(&self) -> usize {
        self.state().ready.len()
    }

    /// No actor is waiting for a worker.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
