//! Actors with something to do: a queue of each worker's own, and one that all share.
//!
//! What a worker's actors make ready stays with it, so that a conversation stays on one core and
//! wakes nobody. Whoever a letter has just made ready goes next, while the letter is in the core's
//! cache (as in tokio and Go), but only so often in a row, so that the others have their turn. Who
//! begins its life gives way to those at work, but not for ever: to spawn a thousand takes no
//! longer than to name them. A worker with more than it can run at once gives half to the shared
//! queue while another one has nothing; other threads put theirs there, too.

mod shared;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use super::Actor;
use crate::net::Net;

use shared::{Shared, Wake};

/// What `tests/model` puts in place of the standard library's.
mod sync {
    pub use std::hint::spin_loop;
    pub use std::sync::atomic::{AtomicUsize, Ordering};
    pub use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}

/// After so many activations a worker looks into the shared queue, however much it has itself.
const LOOK: u32 = 8;
/// So many at most in a row go before those that have waited for longer.
const STREAK: u32 = 3;
/// One of so many activations is a beginning, whatever else waits.
const BEGIN: u32 = 4;

/// A queue of actors that workers run.
#[derive(Debug)]
pub(super) struct RunQueue {
    shared: Shared<Arc<Actor>, Waker>,
}

/// A worker's own queue.
struct Own {
    /// Whose share this thread runs; `None` on other threads, and once it was handed on.
    queue: Option<Arc<RunQueue>>,
    /// The last that a letter made ready.
    next: Option<Arc<Actor>>,
    /// How many were that since one was taken that had waited.
    streak: u32,
    ready: VecDeque<Arc<Actor>>,
    /// Those whose first turn is to come.
    beginning: VecDeque<Arc<Actor>>,
    activations: u32,
    /// Wakes this worker while it runs the network.
    away: Option<Waker>,
}

thread_local! {
    static OWN: RefCell<Own> =
        const { RefCell::new(Own::new()) };
}

impl Own {
    const fn new() -> Self {
        let ready = VecDeque::new();
        let beginning = VecDeque::new();
        Self { queue: None, next: None, streak: 0, ready, beginning, activations: 0, away: None }
    }

    fn len(&self) -> usize {
        self.ready.len() + self.beginning.len() + usize::from(self.next.is_some())
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn pop(&mut self) -> Option<Arc<Actor>> {
        if self.activations.is_multiple_of(BEGIN)
            && let Some(begins) = self.beginning.pop_front()
        {
            return Some(begins);
        }
        if let Some(next) = self.next.take() {
            if self.streak < STREAK || self.ready.is_empty() {
                self.streak += 1;
                return Some(next);
            }
            self.ready.push_back(next);
        }
        self.streak = 0;
        self.ready.pop_front().or_else(|| self.beginning.pop_front())
    }

    /// Takes so many out, those that can best wait first.
    fn give(&mut self, count: usize) -> impl Iterator<Item = Arc<Actor>> {
        let begin = self.beginning.len().min(count);
        let ready = self.ready.len().min(count - begin);
        let (begin, ready) = (self.beginning.len() - begin, self.ready.len() - ready);
        self.ready.drain(ready..).chain(self.beginning.drain(begin..))
    }
}

impl RunQueue {
    /// An empty queue for so many workers.
    pub fn new(workers: usize) -> Self {
        Self { shared: Shared::new(workers) }
    }

    /// Makes this thread one of the queue's workers.
    pub fn enter(self: &Arc<Self>) {
        OWN.with_borrow_mut(|own| own.queue = Some(self.clone()));
    }

    /// Puts an actor at the end. Its mailbox sees to it that it is here only once.
    pub fn push(&self, actor: Arc<Actor>) {
        self.put(actor, |own, actor| own.ready.push_back(actor));
    }

    /// As [`RunQueue::push`], for an actor that something came for just now.
    pub fn push_next(&self, actor: Arc<Actor>) {
        self.put(actor, |own, actor| own.ready.extend(own.next.replace(actor)));
    }

    /// As [`RunQueue::push`], for an actor whose first turn is to come.
    pub fn push_beginning(&self, actor: Arc<Actor>) {
        self.put(actor, |own, actor| own.beginning.push_back(actor));
    }

    fn put(&self, actor: Arc<Actor>, put: impl FnOnce(&mut Own, Arc<Actor>)) {
        let elsewhere = OWN.with_borrow_mut(|own| {
            if own.queue.as_deref().is_some_and(|queue| std::ptr::eq(queue, self)) {
                put(own, actor);
                own.away.iter().for_each(Waker::wake_by_ref);
                return None;
            }
            Some(actor)
        });
        if let Some(actor) = elsewhere {
            self.shared.give([actor]);
        }
    }

    /// The next actor of this worker, if there is one without waiting.
    pub fn next(&self) -> Option<Arc<Actor>> {
        OWN.with_borrow_mut(|own| {
            own.activations = own.activations.wrapping_add(1);
            let look = own.is_empty() || own.activations.is_multiple_of(LOOK);
            let count = own.len();
            if look && self.shared.has_some() {
                self.shared.take(|actor| match actor.begins() {
                    true => own.beginning.push_front(actor),
                    false => own.ready.push_front(actor),
                });
            } else if count > 1 && self.shared.has_idle() {
                self.shared.give(own.give(count / 2));
            }
            own.pop()
        })
    }

    /// The next actor, if another worker gives one while this one is patient.
    pub fn seek(&self, patient: impl FnMut() -> bool) -> Option<Arc<Actor>> {
        self.shared.seek(patient);
        if self.shared.has_some() { self.next() } else { None }
    }

    /// Waits for an actor, and runs the network meanwhile if no other thread does; `None` once the
    /// queue is closed.
    pub fn wait(&self, net: Option<&Net>) -> Option<Arc<Actor>> {
        loop {
            let ran = net.is_some_and(|net| net.run(|waker| self.is_wanted(waker)));
            // Only who was away is back: another worker may still be.
            if OWN.with_borrow_mut(|own| own.away.take()).is_some() {
                self.shared.is_back();
            }
            // Even a look at the network may have made one of this worker's own ready.
            let next = self.next();
            if next.is_some() || self.is_closed() {
                return next;
            }
            if !ran {
                break;
            }
        }
        self.shared.wait()
    }

    /// Gives all that this worker has to the others, for good: it is no worker any more.
    pub fn leave(&self) {
        OWN.with_borrow_mut(|own| {
            own.queue = None;
            own.ready.extend(own.next.take());
            let all = own.len();
            self.shared.give(own.give(all));
        });
    }

    /// The queue whose worker this thread is.
    pub fn of_this_thread() -> Option<Arc<Self>> {
        OWN.with_borrow(|own| own.queue.clone())
    }

    /// Sends all workers home.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Whether workers are sent home.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Whether this worker, which runs the network, has something else to do.
    fn is_wanted(&self, waker: &Waker) -> bool {
        let wanted = self.shared.goes_away(|| waker.clone());
        OWN.with_borrow_mut(|own| {
            own.away.get_or_insert_with(|| waker.clone());
            wanted || !own.is_empty()
        })
    }
}

impl Wake for Waker {
    fn wake(&self) {
        self.wake_by_ref();
    }
}
