//! Which thread runs the network: one at a time, and best the one that has a use for it.
//!
//! To hand a letter from a thread to another and the answer back costs more than all the rest of a
//! question's way to another node. So a worker with nothing to do takes the shift and waits for the
//! network itself; a letter that comes is handled, and its answer sent, on the same thread. While
//! all are busy the network's own thread stands in.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Poll, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};
use tokio::task::yield_now;

/// Between two looks of the network's own thread at whether anybody has the shift.
const LOOK: Duration = Duration::from_millis(1);

/// Looks after which it sleeps, if nothing happened: whoever has the shift waits for the network.
const LOOKS: u32 = 50;

/// How often, and how long each time, a worker asks the network's own thread for the shift.
const TRIES: u32 = 50;

/// As [`TRIES`].
const PATIENCE: Duration = Duration::from_micros(20);

thread_local! {
    /// This thread runs the network.
    static ON_SHIFT: Cell<bool> = const { Cell::new(false) };
}

/// The network's runtime.
pub struct Reactor {
    /// `None` once it has ended.
    runtime: Mutex<Option<Runtime>>,
    /// Wakes whoever has the shift; known once anybody had.
    waker: OnceLock<Waker>,
    /// Something is to be done that whoever ends a shift might not have seen.
    missed: AtomicBool,
    /// A worker wants the shift that the network's own thread has.
    wanted: AtomicBool,
    /// The network's own thread has the shift.
    stands_in: AtomicBool,
    /// It shall end.
    ending: AtomicBool,
    /// Counts shifts that are over.
    shifts: AtomicU64,
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

/// This thread's time to run the network.
pub struct Shift<'a> {
    reactor: &'a Reactor,
    runtime: MutexGuard<'a, Option<Runtime>>,
}

impl Reactor {
    /// Nobody has the shift yet.
    pub fn new(runtime: Runtime) -> Self {
        Self {
            runtime: Mutex::new(Some(runtime)),
            waker: OnceLock::new(),
            missed: AtomicBool::new(false),
            wanted: AtomicBool::new(false),
            stands_in: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            shifts: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            thread: OnceLock::new(),
        }
    }

    /// Whether this thread runs the network.
    pub fn is_here() -> bool {
        ON_SHIFT.get()
    }

    /// The shift, if nobody has it.
    pub fn free(&self) -> Option<Shift<'_>> {
        // In another runtime's thread this one cannot be run.
        if self.ending.load(Ordering::Acquire) || Handle::try_current().is_ok() {
            return None;
        }
        self.take()
    }

    /// The shift, if no worker has it: the network's own thread gives it up.
    pub fn shift(&self) -> Option<Shift<'_>> {
        for _ in 0..TRIES {
            let shift = self.free();
            if shift.is_some() || !self.stands_in.load(Ordering::Acquire) {
                return shift;
            }
            if !self.wanted.swap(true, Ordering::AcqRel) {
                self.wake();
            }
            thread::park_timeout(PATIENCE);
        }
        None
    }

    /// Has whoever has the shift look at why it waits.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Runs what `tell` makes ready: on this thread, or on the one that has the shift.
    pub fn pass(&self, tell: impl Fn()) {
        let mut shift = self.free();
        if shift.is_none() {
            // Whoever ends a shift in this moment looks for it afterwards, or it is free below.
            tell();
            self.missed.store(true, Ordering::SeqCst);
            shift = self.free();
        }
        if let Some(shift) = shift {
            shift.pass(tell);
        }
    }

    /// What the network's own thread does: stands in until the end, each time telling first, then
    /// runs `farewell`.
    pub fn stand_in(
        &self,
        tell: impl Fn(),
        farewell: impl Future<Output = ()>,
        patience: Duration,
    ) {
        // Only one thread does this.
        let _ = self.thread.set(thread::current());
        let mut free = Some(self.wait());
        while !self.ending.load(Ordering::Acquire) {
            match free.take() {
                Some(shift) => {
                    self.stands_in.store(true, Ordering::Release);
                    shift.run(&tell, |_| self.wanted.load(Ordering::Acquire));
                    self.stands_in.store(false, Ordering::Release);
                    self.wanted.store(false, Ordering::Release);
                }
                None => free = self.watch(),
            }
        }
        // Whoever has the shift was woken, and leaves.
        drop(free);
        let mut shift = self.wait();
        let runtime = shift.runtime.take();
        drop(shift);
        if let Some(runtime) = runtime {
            ON_SHIFT.set(true);
            runtime.block_on(farewell);
            ON_SHIFT.set(false);
            runtime.shutdown_timeout(patience);
        }
    }

    /// Begins the end.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Waits until nobody has had the shift for a while.
    fn watch(&self) -> Option<Shift<'_>> {
        let mut quiet = 0;
        let mut shifts = self.shifts.load(Ordering::Acquire);
        while !self.ending.load(Ordering::Acquire) {
            thread::park_timeout(LOOK);
            let now = self.shifts.load(Ordering::Acquire);
            if std::mem::replace(&mut shifts, now) != now {
                quiet = 0;
                continue;
            }
            if let Some(shift) = self.take() {
                return Some(shift);
            }
            quiet += 1;
            if quiet > LOOKS {
                quiet = 0;
                self.asleep.store(true, Ordering::SeqCst);
                while self.asleep.load(Ordering::SeqCst)
                    && self.shifts.load(Ordering::SeqCst) == shifts
                    && !self.ending.load(Ordering::SeqCst)
                {
                    thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
            }
        }
        None
    }

    fn take(&self) -> Option<Shift<'_>> {
        let runtime = match self.runtime.try_lock() {
            Ok(runtime) => runtime,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        runtime.is_some().then_some(Shift { reactor: self, runtime })
    }

    fn wait(&self) -> Shift<'_> {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        Shift { reactor: self, runtime }
    }

    /// Ends the shift, and takes another if something was missed.
    fn over(&self) {
        self.shifts.fetch_add(1, Ordering::SeqCst);
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
        while self.missed.swap(false, Ordering::SeqCst)
            && let Some(shift) = self.take()
        {
            shift.block_on(yield_now());
        }
    }
}

impl Shift<'_> {
    /// Runs the network until `leave`, which is asked whenever the waker that it is given was
    /// woken. What `tell` makes ready is run first, and whenever it stays on.
    pub fn run(self, tell: impl Fn(), mut leave: impl FnMut(&Waker) -> bool) {
        let reactor = self.reactor;
        let mut began = false;
        self.block_on(poll_fn(|cx| {
            reactor.waker.get_or_init(|| cx.waker().clone());
            let leave = leave(cx.waker()) || reactor.ending.load(Ordering::Acquire);
            match (leave, std::mem::replace(&mut began, true)) {
                (true, true) => return Poll::Ready(()),
                (true, false) => cx.waker().wake_by_ref(),
                (false, _) => {}
            }
            tell();
            Poll::Pending
        }));
        reactor.over();
    }

    /// Runs what `tell` makes ready, and what has come meanwhile.
    pub fn pass(self, tell: impl FnOnce()) {
        let reactor = self.reactor;
        self.block_on(async {
            tell();
            yield_now().await;
        });
        reactor.over();
    }

    fn block_on(self, future: impl Future<Output = ()>) {
        if let Some(runtime) = &*self.runtime {
            ON_SHIFT.set(true);
            runtime.block_on(future);
            ON_SHIFT.set(false);
        }
    }
}
