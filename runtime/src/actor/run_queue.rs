//! Actors with something to do: a queue of each worker's own, and one that all share.
//!
//! What a worker's actors make ready stays with it, so that a conversation stays on one core and
//! wakes nobody. A worker with more than it can run at once gives half to the shared queue while
//! another one sleeps; other threads put theirs there, too.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::Waker;

use super::{Actor, lock};
use crate::net::Net;

/// After so many activations a worker looks into the shared queue, however much it has itself.
const LOOK: u32 = 8;
/// So many at most are taken from the shared queue at once.
const TAKEN: usize = 64;

/// A queue of actors that workers run.
#[derive(Debug)]
pub(super) struct RunQueue {
    workers: usize,
    shared: Mutex<Shared>,
    changed: Condvar,
    /// How many are in the shared queue; a hint, looked at without its lock.
    waiting: AtomicUsize,
    /// How many workers sleep; a hint as well.
    asleep: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shared {
    ready: VecDeque<Arc<Actor>>,
    asleep: usize,
    /// Wakes the worker that runs the network meanwhile.
    away: Option<Waker>,
    closed: bool,
}

/// A worker's own queue.
struct Own {
    /// Whose share this thread runs; `None` on other threads, and once it was handed on.
    queue: Option<Arc<RunQueue>>,
    ready: VecDeque<Arc<Actor>>,
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
        Self { queue: None, ready: VecDeque::new(), activations: 0, away: None }
    }
}

impl RunQueue {
    /// An empty queue for so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            workers,
            shared: Mutex::default(),
            changed: Condvar::new(),
            waiting: AtomicUsize::new(0),
            asleep: AtomicUsize::new(0),
        }
    }

    /// Makes this thread one of the queue's workers.
    pub fn enter(self: &Arc<Self>) {
        OWN.with_borrow_mut(|own| own.queue = Some(self.clone()));
    }

    /// Puts an actor at the end. Its mailbox sees to it that it is here only once.
    pub fn push(&self, actor: Arc<Actor>) {
        let elsewhere = OWN.with_borrow_mut(|own| {
            if own.queue.as_deref().is_some_and(|queue| std::ptr::eq(queue, self)) {
                own.ready.push_back(actor);
                own.away.iter().for_each(Waker::wake_by_ref);
                return None;
            }
            Some(actor)
        });
        if let Some(actor) = elsewhere {
            let mut shared = self.shared();
            shared.ready.push_back(actor);
            self.changed(&shared, 1);
        }
    }

    /// The next actor of this worker, if there is one without waiting.
    pub fn next(&self) -> Option<Arc<Actor>> {
        OWN.with_borrow_mut(|own| {
            own.activations = own.activations.wrapping_add(1);
            let look = own.ready.is_empty() || own.activations.is_multiple_of(LOOK);
            if look && self.waiting.load(Ordering::Relaxed) > 0 {
                self.take_shared(own);
            } else if own.ready.len() > 1 && self.asleep.load(Ordering::Relaxed) > 0 {
                let half = own.ready.len() / 2;
                self.share(own, half);
            }
            own.ready.pop_front()
        })
    }

    /// Waits for an actor, and runs the network meanwhile if no other thread does; `None` once the
    /// queue is closed.
    pub fn wait(&self, net: Option<&Net>) -> Option<Arc<Actor>> {
        while net.is_some_and(|net| net.run(|waker| self.is_wanted(waker))) {
            OWN.with_borrow_mut(|own| own.away = None);
            self.shared().away = None;
            let next = self.next();
            if next.is_some() || self.is_closed() {
                return next;
            }
        }
        let mut shared = self.shared();
        loop {
            if shared.closed {
                return None;
            }
            if let Some(actor) = shared.ready.pop_front() {
                self.waiting.store(shared.ready.len(), Ordering::Relaxed);
                return Some(actor);
            }
            shared.asleep += 1;
            self.asleep.store(shared.asleep, Ordering::Relaxed);
            shared = self.changed.wait(shared).unwrap_or_else(std::sync::PoisonError::into_inner);
            shared.asleep -= 1;
            self.asleep.store(shared.asleep, Ordering::Relaxed);
        }
    }

    /// Gives all that this worker has to the others, for good: it is no worker any more.
    pub fn leave(&self) {
        OWN.with_borrow_mut(|own| {
            own.queue = None;
            let all = own.ready.len();
            self.share(own, all);
        });
    }

    /// The queue whose worker this thread is.
    pub fn of_this_thread() -> Option<Arc<Self>> {
        OWN.with_borrow(|own| own.queue.clone())
    }

    /// Sends all workers home.
    pub fn close(&self) {
        let mut shared = self.shared();
        shared.closed = true;
        shared.away.iter().for_each(Waker::wake_by_ref);
        self.changed.notify_all();
    }

    /// Whether workers are sent home.
    pub fn is_closed(&self) -> bool {
        self.shared().closed
    }

    /// Whether this worker, which runs the network, has something else to do.
    fn is_wanted(&self, waker: &Waker) -> bool {
        let mut shared = self.shared();
        shared.away.get_or_insert_with(|| waker.clone());
        OWN.with_borrow_mut(|own| {
            own.away.get_or_insert_with(|| waker.clone());
            shared.closed || !shared.ready.is_empty() || !own.ready.is_empty()
        })
    }

    fn take_shared(&self, own: &mut Own) {
        let mut shared = self.shared();
        let count = shared.ready.len().div_ceil(self.workers).min(TAKEN);
        // What waited there goes first, or a full queue of one's own would hold it up.
        for actor in shared.ready.drain(..count).rev() {
            own.ready.push_front(actor);
        }
        self.waiting.store(shared.ready.len(), Ordering::Relaxed);
    }

    fn share(&self, own: &mut Own, count: usize) {
        let keep = own.ready.len() - count;
        let mut shared = self.shared();
        shared.ready.extend(own.ready.drain(keep..));
        self.changed(&shared, count);
    }

    fn changed(&self, shared: &Shared, more: usize) {
        self.waiting.store(shared.ready.len(), Ordering::Relaxed);
        // One who wakes shares further by itself.
        if more > 0 && shared.asleep > 0 {
            self.changed.notify_one();
        } else if more > 0
            && let Some(waker) = &shared.away
        {
            waker.wake_by_ref();
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}
