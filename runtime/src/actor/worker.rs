//! The threads that run actors, and what becomes of a turn that runs past its slice.
//!
//! Guests are called without fibres, so a turn that goes on can't be set aside. Instead its
//! worker's other actors are: they go to a fresh thread, and the long turn goes on beside it at a
//! lower priority, on a thread that ends with it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use super::parking::Press;
use super::run_queue::RunQueue;
use super::{Actor, Scheduler, lock};
use crate::clock::Clock;
use crate::router::Due;
use crate::wasm::{GUEST_STACK_BYTES, Now, TICK};

/// A worker's native stack: a guest's share and the host's.
const WORKER_STACK_BYTES: usize = GUEST_STACK_BYTES + (512 << 10);
/// Ticks after which a turn is past its slice: at least one whole tick, at most two.
pub(super) const SLICE: u64 = 2;
/// Activations after which letters for other nodes leave, if the worker does not sleep before: each
/// time costs a call of the system, and what gathers shares it.
const FLUSH: u32 = 4;
/// How long a worker that has nothing to do stays awake while another one works: to sleep and to be
/// woken costs as much.
const SEEK: Duration = Duration::from_micros(20);
/// Looks for work between two at the clock meanwhile.
const LOOKS: u32 = 16;
/// How much less a long turn's thread is worth than a worker (`nice`).
const NICE: i32 = 10;
/// How old a worker's idea of wall time may be.
const WALL_AGE: Duration = Duration::from_millis(1);

/// What the threads of one node share.
#[derive(Debug)]
pub(super) struct Threads {
    all: Mutex<Vec<thread::JoinHandle<()>>>,
    /// Workers that don't sleep.
    active: AtomicUsize,
    ticker: Mutex<Option<thread::Thread>>,
    ticker_sleeps: AtomicBool,
    /// Turns past their slice, the longest first: setting the flag cuts one off.
    long: Mutex<VecDeque<Arc<AtomicBool>>>,
    /// Turns beside the workers that had to wait for memory.
    waiting: AtomicUsize,
    made: AtomicUsize,
}

/// What one thread knows of itself.
struct Here {
    scheduler: Weak<Scheduler>,
    /// Set when it runs a turn beside the workers.
    beside: Option<Beside>,
}

/// Why a turn runs beside the workers: they have a fresh thread in its place.
enum Beside {
    /// It is past its slice. Setting the flag cuts it off.
    Long(Arc<AtomicBool>),
    /// It waits for memory, or did a moment ago.
    Waits,
}

thread_local! {
    static HERE: RefCell<Here> =
        const { RefCell::new(Here { scheduler: Weak::new(), beside: None }) };
}

/// A worker's clock: one reading for each activation, which ends one and begins the next.
struct Watch<'a> {
    clock: &'a Clock<Due>,
    now: Duration,
    wall: Option<Duration>,
    wall_at: Duration,
    seed: u64,
}

impl Default for Threads {
    fn default() -> Self {
        Self {
            all: Mutex::default(),
            active: AtomicUsize::new(0),
            ticker: Mutex::default(),
            ticker_sleeps: AtomicBool::new(false),
            long: Mutex::default(),
            waiting: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
        }
    }
}

impl Watch<'_> {
    fn look(&mut self) -> Duration {
        let before = std::mem::replace(&mut self.now, self.clock.now());
        self.now.saturating_sub(before)
    }

    fn begin(&mut self) -> Now {
        if self.now.saturating_sub(self.wall_at) >= WALL_AGE {
            self.wall_at = self.now;
            self.wall = self.clock.wall().map(|wall| wall.saturating_sub(self.now));
        }
        // Weyl sequence; the guest mixes its seed further (SplitMix64).
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let wall = self.wall.map(|since_1970| since_1970 + self.now);
        Now { monotonic: self.now, wall, seed: self.seed }
    }
}

/// A turn on this thread has gone on for so many ticks: true to let it go on.
pub fn overran(ticks: u64) -> bool {
    HERE.with_borrow_mut(|here| {
        match &here.beside {
            Some(Beside::Long(cut_off)) => return !cut_off.load(Ordering::Relaxed),
            Some(Beside::Waits) => {
                // It has what it waited for, and is past its slice as any other.
                if let Some(scheduler) = here.scheduler.upgrade() {
                    scheduler.threads.waiting.fetch_sub(1, Ordering::Relaxed);
                    here.beside = Some(Beside::Long(scheduler.is_long()));
                }
                return true;
            }
            None => {}
        }
        if ticks >= SLICE
            && let Some(queue) = RunQueue::of_this_thread()
            && let Some(scheduler) = here.scheduler.upgrade()
        {
            here.beside = scheduler.hand_on(&queue).then(|| Beside::Long(scheduler.is_long()));
        }
        true
    })
}

/// A turn on this thread lacks memory, or soon another one will: who rests is to make room, or only
/// who has grown.
pub fn lacks_memory(only_grown: bool) {
    HERE.with_borrow(|here| {
        if let Some(scheduler) = here.scheduler.upgrade() {
            scheduler.press(if only_grown { Press::Grown } else { Press::All });
        }
    });
}

/// A turn on this thread waits for memory, and will for a while: its worker's other actors are not
/// to wait for it. False: it was past its slice before, and is cut off.
pub fn waits_for_memory() -> bool {
    HERE.with_borrow_mut(|here| {
        if let Some(Beside::Long(cut_off)) = &here.beside {
            return !cut_off.load(Ordering::Relaxed);
        }
        if here.beside.is_none()
            && let Some(queue) = RunQueue::of_this_thread()
            && let Some(scheduler) = here.scheduler.upgrade()
        {
            here.beside = scheduler.may_wait(&queue).then_some(Beside::Waits);
        }
        true
    })
}

impl Threads {
    /// A thread may call guests from now on.
    pub(super) fn begin_work(&self) {
        self.active.fetch_add(1, Ordering::SeqCst);
        self.wake_ticker();
    }

    /// It calls none any more.
    pub(super) fn end_work(&self) {
        self.active.fetch_sub(1, Ordering::SeqCst);
    }

    fn wake_ticker(&self) {
        if self.ticker_sleeps.load(Ordering::SeqCst)
            && let Some(ticker) = lock(&self.ticker).as_ref()
        {
            ticker.unpark();
        }
    }
}

impl Scheduler {
    pub(super) fn start_worker(self: &Arc<Self>, queue: &Arc<RunQueue>) -> std::io::Result<()> {
        let queue = queue.clone();
        let number = self.threads.made.fetch_add(1, Ordering::Relaxed);
        self.thread(&format!("worker-{number}"), move |scheduler| scheduler.work(&queue))
    }

    fn work(self: Arc<Self>, queue: &Arc<RunQueue>) {
        queue.enter();
        HERE.with_borrow_mut(|here| here.scheduler = Arc::downgrade(&self));
        self.threads.begin_work();
        let seed = crate::address::ActorId::random().0;
        let mut watch = Watch {
            clock: &self.clock,
            now: self.clock.now(),
            wall: None,
            wall_at: Duration::ZERO,
            seed: seed.iter().fold(0, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte)),
        };
        let mut since_flush = 0;
        loop {
            let next = queue.next().or_else(|| {
                since_flush = 0;
                self.sleep(queue, &mut watch)
            });
            let Some(actor) = next else { break };
            RunQueue::runs(&actor);
            // Who sleeps has letters leave before; who never does, now and then.
            since_flush += 1;
            if since_flush == FLUSH {
                since_flush = 0;
                self.router.flush();
            }
            self.activate(&actor, watch.begin());
            let busy = u64::try_from(watch.look().as_nanos()).unwrap_or(u64::MAX);
            actor.count_busy(busy);
            if HERE.with_borrow(|here| here.beside.is_some()) {
                // Another thread does this one's work by now.
                self.router.flush();
                break;
            }
        }
        self.threads.end_work();
        match HERE.with_borrow_mut(|here| here.beside.take()) {
            Some(Beside::Long(own)) => {
                lock(&self.threads.long).retain(|other| !Arc::ptr_eq(other, &own));
            }
            Some(Beside::Waits) => {
                self.threads.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            None => {}
        }
    }

    fn sleep(&self, queue: &RunQueue, watch: &mut Watch<'_>) -> Option<Arc<Actor>> {
        // Only who runs an actor can make others ready and share them.
        if self.threads.active.load(Ordering::SeqCst) > 1 {
            let began = self.clock.now();
            let mut looks = 0_u32;
            let found = queue.seek(|| {
                looks += 1;
                !looks.is_multiple_of(LOOKS) || self.clock.now() - began < SEEK
            });
            if found.is_some() {
                watch.look();
                return found;
            }
        }
        self.threads.end_work();
        // What drives a bus does nothing else beside.
        let net = self.router.net().filter(|_| std::ptr::eq(queue, &*self.ordinary));
        if net.is_none() {
            self.router.flush();
        }
        let next = queue.wait(net);
        self.threads.begin_work();
        watch.look();
        next
    }

    /// A fresh thread takes this worker's place, which runs a turn beside from now on. False if the
    /// system gives no thread: then the turn holds its worker up until its budget is spent.
    fn hand_on(self: &Arc<Self>, queue: &Arc<RunQueue>) -> bool {
        if queue.is_closed() || self.start_worker(queue).is_err() {
            return false;
        }
        queue.leave();
        // Lower is always allowed, and without it the turn is only less polite.
        let _ = rustix::process::nice(NICE);
        true
    }

    /// This thread's turn may wait for memory beside the workers, as not too many do.
    fn may_wait(self: &Arc<Self>, queue: &Arc<RunQueue>) -> bool {
        let waiting = &self.threads.waiting;
        let may = waiting.fetch_add(1, Ordering::Relaxed) < self.limits.waiting_turns;
        let may = may && self.hand_on(queue);
        if !may {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        may
    }

    /// This thread's turn is past its slice. One more than may cuts off the longest.
    fn is_long(&self) -> Arc<AtomicBool> {
        let cut_off = Arc::new(AtomicBool::new(false));
        let mut long = lock(&self.threads.long);
        if long.len() >= self.limits.long_turns
            && let Some(longest) = long.pop_front()
        {
            longest.store(true, Ordering::Relaxed);
        }
        long.push_back(cut_off.clone());
        cut_off
    }

    pub(super) fn thread(
        self: &Arc<Self>,
        name: &str,
        body: impl FnOnce(Arc<Self>) + Send + 'static,
    ) -> std::io::Result<()> {
        let scheduler = self.clone();
        let thread = thread::Builder::new()
            .name(name.into())
            .stack_size(WORKER_STACK_BYTES)
            .spawn(move || body(scheduler))?;
        let mut all = lock(&self.threads.all);
        all.retain(|thread| !thread.is_finished());
        all.push(thread);
        Ok(())
    }

    /// Ticks only while something runs: an idle node sleeps.
    pub(super) fn run_ticker(self: Arc<Self>) {
        let threads = &self.threads;
        *lock(&threads.ticker) = Some(thread::current());
        while lock(&self.committing).is_some() {
            threads.ticker_sleeps.store(true, Ordering::SeqCst);
            if threads.active.load(Ordering::SeqCst) == 0 {
                thread::park_timeout(Duration::from_secs(1));
            }
            threads.ticker_sleeps.store(false, Ordering::SeqCst);
            thread::sleep(TICK);
            self.engine.tick();
        }
    }

    /// Ends all threads but this one.
    pub(super) fn join_threads(&self) {
        self.threads.wake_ticker();
        let threads = std::mem::take(&mut *lock(&self.threads.all));
        let here = thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != here) {
            // A thread that panicked has said so; the others still end.
            let _ = thread.join();
        }
    }
}
