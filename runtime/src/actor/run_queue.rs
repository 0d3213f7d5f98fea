//! Actors with something to do: a queue of each worker's own, and one that all share.
//!
//! What a worker's actors make ready stays with it, so that a conversation stays on one core and
//! wakes nobody. Whoever a letter has just made ready goes next, while the letter is in the core's
//! cache (as in tokio and Go), but only so often in a row, so that the others have their turn. Who
//! begins its life gives way to those at work, but not for ever: to spawn a thousand takes no
//! longer than to name them. A worker with more than it can run at once gives half to the shared
//! queue while another one has nothing; other threads put theirs there, too.

mod own;
mod shared;

use std::cell::RefCell;
use std::sync::Arc;
use std::task::Waker;

use super::Actor;
use crate::net::Net;

use own::Own;
use shared::{Shared, Wake};

/// What `tests/model` puts in place of the standard library's.
mod sync {
    pub use std::hint::spin_loop;
    pub use std::sync::atomic::{AtomicUsize, Ordering};
    pub use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
}

/// A queue of actors that workers run.
#[derive(Debug)]
pub(super) struct RunQueue {
    shared: Shared<Arc<Actor>, Waker>,
}

/// A worker's part.
struct Here {
    /// Whose share this thread runs; `None` on other threads, and once it was handed on.
    queue: Option<Arc<RunQueue>>,
    own: Own<Arc<Actor>>,
    /// Wakes this worker while it runs the network.
    away: Option<Waker>,
}

thread_local! {
    static HERE: RefCell<Here> =
        const { RefCell::new(Here { queue: None, own: Own::new(), away: None }) };
}

impl RunQueue {
    /// An empty queue for so many workers.
    pub fn new(workers: usize) -> Self {
        Self { shared: Shared::new(workers) }
    }

    /// Makes this thread one of the queue's workers.
    pub fn enter(self: &Arc<Self>) {
        HERE.with_borrow_mut(|here| here.queue = Some(self.clone()));
    }

    /// Puts an actor at the end of its queue. Its mailbox sees to it that it is there only once.
    pub fn push(actor: Arc<Actor>) {
        Self::put(actor, Own::push);
    }

    /// As [`RunQueue::push`], for an actor that something came for just now.
    pub fn push_next(actor: Arc<Actor>) {
        Self::put(actor, Own::push_next);
    }

    /// As [`RunQueue::push`], for an actor whose first turn is to come.
    pub fn push_beginning(actor: Arc<Actor>) {
        Self::put(actor, Own::push_beginning);
    }

    fn put(actor: Arc<Actor>, put: impl FnOnce(&mut Own<Arc<Actor>>, Arc<Actor>)) {
        let elsewhere = HERE.with_borrow_mut(|here| {
            if here.queue.as_ref().is_some_and(|queue| Arc::ptr_eq(queue, &actor.queue)) {
                if here.own.is_empty() {
                    actor.ask_ahead(here.own.activations);
                }
                put(&mut here.own, actor);
                here.away.iter().for_each(Waker::wake_by_ref);
                return None;
            }
            Some(actor)
        });
        if let Some(actor) = elsewhere {
            actor.queue.clone().shared.give([actor]);
        }
    }

    /// This thread runs an actor now.
    pub fn runs(actor: &Actor) {
        actor.ask_ahead(HERE.with_borrow(|here| here.own.activations));
    }

    /// The next actor of this worker, if there is one without waiting.
    pub fn next(&self) -> Option<Arc<Actor>> {
        HERE.with_borrow_mut(|here| here.own.next(&self.shared, |actor| actor.begins()))
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
            if HERE.with_borrow_mut(|here| here.away.take()).is_some() {
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
        HERE.with_borrow_mut(|here| {
            here.queue = None;
            here.own.leave(&self.shared);
        });
    }

    /// The queue whose worker this thread is.
    pub fn of_this_thread() -> Option<Arc<Self>> {
        HERE.with_borrow(|here| here.queue.clone())
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
        HERE.with_borrow_mut(|here| {
            here.away.get_or_insert_with(|| waker.clone());
            wanted || !here.own.is_empty()
        })
    }
}

impl Wake for Waker {
    fn wake(&self) {
        self.wake_by_ref();
    }
}
