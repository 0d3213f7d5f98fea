//! The one word of a mailbox: whether its owner is scheduled, and a list of what came meanwhile.
//!
//! Any thread pushes; only the owner's runner takes. The word is `IDLE` (at rest, nothing waits),
//! `SCHEDULED` (in a run queue or running, nothing came since it last looked), `CLOSED`, or the
//! newest of a list of nodes, newest first (a Treiber stack that is only ever emptied whole, so
//! that the ABA problem can't arise). Whoever moves the word away from `IDLE` schedules the owner,
//! or runs it: it is in a run queue once, and no wake-up is lost. `tests/model` checks that with
//! loom.

#![allow(unsafe_code, reason = "an intrusive list; its safety is argued at each use")]

use std::ptr;

use super::sync::{AtomicPtr, Ordering};

/// See the module.
#[derive(Debug)]
pub struct Word<T> {
    state: AtomicPtr<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    item: T,
    older: *mut Node<T>,
}

/// What was pushed, oldest first.
#[derive(Debug)]
pub struct Taken<T> {
    next: *mut Node<T>,
}

/// The word is closed: what was pushed comes back.
#[derive(Debug)]
pub struct Closed<T>(pub T);

fn idle<T>() -> *mut Node<T> {
    ptr::null_mut()
}

fn scheduled<T>() -> *mut Node<T> {
    ptr::without_provenance_mut(1)
}

fn closed<T>() -> *mut Node<T> {
    ptr::without_provenance_mut(2)
}

fn is_node<T>(state: *mut Node<T>) -> bool {
    state.addr() > 2
}

// SAFETY: items move between threads and are never shared.
unsafe impl<T: Send> Send for Word<T> {}
// SAFETY: as above; the word itself is atomic.
unsafe impl<T: Send> Sync for Word<T> {}

impl<T> Word<T> {
    /// Empty, with its owner scheduled.
    pub fn scheduled() -> Self {
        Self { state: AtomicPtr::new(scheduled()) }
    }

    /// Adds an item. True: the owner was at rest, and the caller must schedule it.
    pub fn push(&self, item: T) -> Result<bool, Closed<T>> {
        let node = Box::into_raw(Box::new(Node { item, older: ptr::null_mut() }));
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            if state == closed() {
                // SAFETY: made above, and nobody else has seen it.
                return Err(Closed(unsafe { Box::from_raw(node) }.item));
            }
            let older = if is_node(state) { state } else { ptr::null_mut() };
            // SAFETY: as above, until the exchange below succeeds.
            unsafe { (*node).older = older };
            let swapped =
                self.state.compare_exchange_weak(state, node, Ordering::AcqRel, Ordering::Relaxed);
            match swapped {
                Ok(_) => return Ok(state == idle()),
                Err(now) => state = now,
            }
        }
    }

    /// Takes all that came. For the owner's runner only, which stays scheduled.
    pub fn take(&self) -> Taken<T> {
        if self.state.load(Ordering::Relaxed) == scheduled() {
            return Taken { next: ptr::null_mut() };
        }
        Taken::oldest_first(self.state.swap(scheduled(), Ordering::AcqRel))
    }

    /// Ends a run: true if nothing came since the last `take`, and the owner is at rest.
    pub fn rest(&self) -> bool {
        let (from, to) = (scheduled(), idle());
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes nothing more; gives what had come.
    pub fn close(&self) -> Taken<T> {
        Taken::oldest_first(self.state.swap(closed(), Ordering::AcqRel))
    }

    /// The owner is at rest, and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.state.load(Ordering::Relaxed) == idle()
    }
}

impl<T> Drop for Word<T> {
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl<T> Taken<T> {
    fn oldest_first(newest: *mut Node<T>) -> Self {
        let mut next = ptr::null_mut();
        let mut node = newest;
        while is_node(node) {
            // SAFETY: the swap that gave the list made it ours alone, and its Acquire saw each
            // node's Release.
            let older = unsafe { std::mem::replace(&mut (*node).older, next) };
            next = node;
            node = older;
        }
        Self { next }
    }
}

impl<T> Iterator for Taken<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.next.is_null() {
            return None;
        }
        // SAFETY: a node of a list that is ours alone, made by `Box::into_raw` and left by now.
        let node = unsafe { Box::from_raw(self.next) };
        self.next = node.older;
        Some(node.item)
    }
}

impl<T> Drop for Taken<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
