//! What a call is about to touch, asked of memory all at once.
//!
//! A call touches some fifty cache lines that are its actor's own, in seven places: the actor and
//! what it holds, its instance, that one's store and functions, the guest's stack and heap. Those
//! of an actor that has rested are in no cache, and most are known of only when the one before them
//! has come: one after the other they take longer than the turn itself. Asked for together they
//! come together. Which they are is a guess, made with a node's memory accesses under valgrind
//! (`lackey`, wasmtime 48): a wrong one costs a few nanoseconds, and changes nothing else.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};

/// Bytes of a cache line. Of processors with longer ones some are asked for twice.
const LINE: usize = 64;
/// Past so many activations of others an actor has rested: each has some 3 kB, and half a megabyte
/// is all that lies near a core.
const RECENT: u32 = 64;
/// Lines of an instance as the host has it, and of what its actor holds.
const OWN: (usize, usize) = (0, 3);
/// Lines before and after the first of a store's data: the store keeps what it checks and counts at
/// each call on both sides.
const STORE: (usize, usize) = (10, 13);
/// Lines before and after that of a function which an instance exports: its globals and imports
/// come before.
const FUNCTION: (usize, usize) = (12, 1);
/// Lines below the end of a guest's stack, which grows down.
const STACK: (usize, usize) = (15, 1);
/// Lines from where a guest's heap begins.
const HEAP: (usize, usize) = (0, 23);

/// Addresses of what a live instance touches at each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// Of its store's data.
    pub store: usize,
    /// Of a function that it exports.
    pub function: usize,
    /// Of its stack's end.
    pub stack: usize,
    /// Of its heap's beginning.
    pub heap: usize,
}

/// What an actor's next call will touch, while it has an instance.
#[derive(Debug, Default)]
pub struct Ahead {
    /// As in [`Places`]; 0 while there is none.
    store: AtomicUsize,
    function: AtomicUsize,
    stack: AtomicUsize,
    heap: AtomicUsize,
    instance: AtomicUsize,
    table: AtomicUsize,
    /// Its runner's activation when this was looked at last.
    looked: AtomicU32,
}

impl Ahead {
    /// The instance has these places from now on; itself it lies at `instance`.
    pub fn know(&self, places: Option<Places>, instance: usize) {
        let none = Places { store: 0, function: 0, stack: 0, heap: 0 };
        let Places { store, function, stack, heap } = places.unwrap_or(none);
        self.store.store(store, Relaxed);
        self.function.store(function, Relaxed);
        self.stack.store(stack, Relaxed);
        self.heap.store(heap, Relaxed);
        self.instance.store(instance, Relaxed);
    }

    /// What the actor holds lies there now.
    pub fn know_table(&self, at: usize) {
        self.table.store(at, Relaxed);
    }

    /// It is about to run, in this activation of its runner's or soon after: true if so many others
    /// ran since it was looked at last that what it touches is no longer near the core.
    pub fn has_rested(&self, activation: u32) -> bool {
        let before = self.looked.load(Relaxed);
        self.looked.store(activation, Relaxed);
        activation.wrapping_sub(before) >= RECENT
    }

    /// Asks for the lines around its places.
    pub fn ask(&self) {
        let store = self.store.load(Relaxed);
        if store != 0 {
            lines(self.instance.load(Relaxed), OWN);
            lines(store, STORE);
            lines(self.function.load(Relaxed), FUNCTION);
            lines(self.stack.load(Relaxed), STACK);
            lines(self.heap.load(Relaxed), HEAP);
            lines(self.table.load(Relaxed), OWN);
        }
    }
}

/// Asks for a value.
pub fn ask_for<T>(value: &T) {
    lines(std::ptr::from_ref(value).addr(), (0, size_of::<T>().div_ceil(LINE) + 1));
}

fn lines(address: usize, (before, after): (usize, usize)) {
    // Any address may be asked for, and is named by its distance from one that is known.
    let here: &[u8] = &[0];
    let first = address.wrapping_sub(here.as_ptr().addr()).wrapping_sub(before * LINE);
    for line in 0..before + after {
        prefetch_index::prefetch_index(here, first.wrapping_add(line * LINE));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_address_may_be_asked_for() {
        for at in [1, LINE, usize::MAX / 2, usize::MAX] {
            let ahead = Ahead::default();
            ahead.know(Some(Places { store: at, function: at, stack: at, heap: at }), at);
            ahead.know_table(at);
            ahead.ask();
        }
        ask_for(&[0_u64; 1000]);
    }

    #[test]
    fn who_ran_a_moment_ago_has_not_rested() {
        let ahead = Ahead::default();
        assert!(ahead.has_rested(RECENT));
        assert!(!ahead.has_rested(RECENT + 1));
        assert!(!ahead.has_rested(2 * RECENT));
        assert!(ahead.has_rested(3 * RECENT), "it was looked at {RECENT} activations ago");
        assert!(ahead.has_rested(0), "the count begins anew, or is another worker's");
    }
}
