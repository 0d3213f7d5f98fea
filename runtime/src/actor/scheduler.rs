//! The scheduler: which actors live on this node, the threads that run them, and what starts and
//! stops them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::oneshot;

use super::commit::{Committing, run_committer};
use super::{Actor, Command, Spec, lock};
use crate::address::{ActorId, Address};
use crate::clock::Clock;
use crate::device::Devices;
use crate::limits::Limits;
use crate::mailbox::{Mailbox, RunQueue};
use crate::reason::Reason;
use crate::router::{Due, Router};
use crate::store::Cid;
use crate::store::state::State;
use crate::supervisor::Crashes;
use crate::wasm::turn::Reads;
use crate::wasm::{Code, Engine, GUEST_STACK_BYTES, Now, TICK, World};

/// A worker's native stack: a guest's share and the host's.
const WORKER_STACK_BYTES: usize = GUEST_STACK_BYTES + (512 << 10);
/// Threads for actors that touch a bus, whose transfers may block.
const DRIVER_THREADS: usize = 2;
/// Actors gone for good that stay in the list, so that people see why.
const REMEMBERED: usize = 64;

/// What a scheduler works with.
pub struct Parts {
    /// The engine of all components.
    pub engine: Engine,
    /// The way of letters.
    pub router: Arc<Router>,
    /// Durable state.
    pub state: State,
    /// Pins and sensors.
    pub devices: Arc<Devices>,
    /// What turns may read.
    pub reads: Arc<dyn Reads>,
    /// Time, and what falls due.
    pub clock: Clock<Due>,
    /// The node's limits.
    pub limits: Arc<Limits>,
    /// Threads that run ordinary actors.
    pub workers: usize,
}

/// Runs the actors of one node.
pub struct Scheduler {
    pub(super) engine: Engine,
    pub(super) router: Arc<Router>,
    pub(super) state: State,
    pub(super) devices: Arc<Devices>,
    pub(super) reads: Arc<dyn Reads>,
    pub(super) clock: Clock<Due>,
    pub(super) limits: Arc<Limits>,
    pub(super) actors: DashMap<ActorId, Arc<Actor>>,
    pub(super) committing: Mutex<Option<mpsc::SyncSender<Committing>>>,
    pub(super) crashes: Mutex<BTreeMap<Cid, Crashes>>,
    gone: Mutex<Vec<Arc<Actor>>>,
    ordinary: Arc<RunQueue>,
    drivers: Arc<RunQueue>,
    active: AtomicUsize,
    ticker: Mutex<Option<thread::Thread>>,
    seeds: AtomicU64,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Scheduler {
    /// Starts the threads.
    pub fn start(parts: Parts) -> std::io::Result<Arc<Self>> {
        let Parts { engine, router, state, devices, reads, clock, limits, workers } = parts;
        let (committing, commits) = mpsc::sync_channel(limits.actors.max(1));
        let id = ActorId::random().0;
        let seed = id.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        let scheduler = Arc::new(Self {
            engine,
            router,
            state,
            devices,
            reads,
            clock,
            limits,
            actors: DashMap::new(),
            committing: Mutex::new(Some(committing)),
            crashes: Mutex::default(),
            gone: Mutex::default(),
            ordinary: Arc::default(),
            drivers: Arc::default(),
            active: AtomicUsize::new(0),
            ticker: Mutex::default(),
            seeds: AtomicU64::new(seed),
            threads: Mutex::default(),
        });
        let ordinary = scheduler.ordinary.clone();
        for number in 0..workers.max(1) {
            scheduler.worker(&format!("worker-{number}"), ordinary.clone())?;
        }
        for number in 0..DRIVER_THREADS {
            scheduler.worker(&format!("driver-{number}"), scheduler.drivers.clone())?;
        }
        scheduler.thread("ticker", Self::run_ticker)?;
        scheduler.thread("clock", Self::run_clock)?;
        scheduler.thread("committer", move |scheduler| run_committer(&scheduler, &commits))?;
        Ok(scheduler)
    }

    /// Begins an actor's life: it can be reached at once, and `start` is its first turn.
    pub fn spawn(&self, id: ActorId, spec: Spec) -> Arc<Actor> {
        let run_queue = match spec.code.world {
            World::Driver => self.drivers.clone(),
            World::Actor | World::Protocol => self.ordinary.clone(),
        };
        let mailbox = Arc::new(Mailbox::new(id, spec.mailbox, run_queue));
        let address = Address::new(id, self.router.me()).to_string();
        let actor = Arc::new(Actor::new(id, spec, mailbox.clone(), address));
        lock(&self.gone).retain(|gone| gone.spec.name != actor.spec.name);
        if actor.spec.parent.is_none() {
            // What it could not handle in an earlier life of the node still waits for people.
            let aside = self.aside(&actor).map_or(0, |aside| aside.len());
            actor.note(|status| status.set_aside = aside);
        }
        self.actors.insert(id, actor.clone());
        self.router.register(mailbox.clone());
        for topic in &actor.spec.subscriptions {
            self.router.subscribe(*topic, mailbox.clone());
        }
        if let Some(name) = &actor.spec.links {
            self.router.open_links(name, mailbox.clone());
        }
        mailbox.wake();
        actor
    }

    /// Ends an actor's life; `true` comes once its mailbox is closed and its pins are safe.
    pub fn stop(&self, actor: &Arc<Actor>) -> oneshot::Receiver<()> {
        let (done, stopped) = oneshot::channel();
        self.command(actor, Command::Stop { done: Some(done) });
        stopped
    }

    /// Puts other code in an actor's place, with its address, mailbox and saved state. If the new
    /// code can't take the state, the old goes on, and the error says why.
    pub fn swap(
        &self,
        actor: &Arc<Actor>,
        code: Arc<Code>,
    ) -> oneshot::Receiver<Result<(), String>> {
        let (done, swapped) = oneshot::channel();
        self.command(actor, Command::Swap { code, done });
        swapped
    }

    /// A living actor.
    pub fn find(&self, id: ActorId) -> Option<Arc<Actor>> {
        self.actors.get(&id).map(|entry| entry.clone())
    }

    /// A living actor by its name.
    pub fn named(&self, name: &str) -> Option<Arc<Actor>> {
        let found = self.actors.iter().find(|entry| entry.spec.name == name);
        found.map(|entry| entry.clone())
    }

    /// All living actors, and the last of those gone, by name.
    pub fn actors(&self) -> Vec<Arc<Actor>> {
        let mut actors: Vec<_> = self.actors.iter().map(|entry| entry.clone()).collect();
        actors.extend(lock(&self.gone).iter().cloned());
        actors.sort_by(|one, other| one.spec.name.cmp(&other.spec.name));
        actors
    }

    /// How many actors live here.
    pub fn alive(&self) -> usize {
        self.actors.len()
    }

    /// No more incarnations of this component on this node: it has crashed too often.
    pub fn quarantined(&self, cid: &Cid) -> bool {
        let crashes = lock(&self.crashes);
        let now = self.clock.now();
        crashes
            .get(cid)
            .is_some_and(|crashes| crate::supervisor::quarantine(crashes, &self.limits, now))
    }

    /// Ends all actors and threads. Gives the messages that were still waiting, by actor.
    pub fn close(&self) -> Vec<(String, usize)> {
        let mut left = Vec::new();
        for actor in self.actors() {
            let waiting = actor.mailbox.len();
            if actor.status().reason.is_none() {
                left.push((actor.spec.name.clone(), waiting));
                // The worker may be in its last turn: the receiver ends when that is over.
                let _ = self.stop(&actor).blocking_recv();
            }
        }
        self.ordinary.close();
        self.drivers.close();
        self.clock.close();
        lock(&self.committing).take();
        if let Some(ticker) = lock(&self.ticker).as_ref() {
            ticker.unpark();
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        let here = thread::current().id();
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != here) {
            // A thread that panicked has said so; the others still end.
            let _ = thread.join();
        }
        left.retain(|(_, waiting)| *waiting > 0);
        left
    }

    pub(super) fn command(&self, actor: &Arc<Actor>, command: Command) {
        lock(&actor.commands).push(command);
        self.nudge(actor);
    }

    /// Has a worker look at the actor.
    pub(super) fn nudge(&self, actor: &Actor) {
        if actor.backing_off.swap(false, Ordering::AcqRel) {
            self.enqueue(actor);
        } else {
            actor.mailbox.wake();
        }
    }

    /// Puts a scheduled actor into its run queue again.
    pub(super) fn enqueue(&self, actor: &Actor) {
        match actor.world() {
            World::Driver => self.drivers.push(actor.id),
            World::Actor | World::Protocol => self.ordinary.push(actor.id),
        }
    }

    pub(super) fn forget(&self, actor: &Arc<Actor>) {
        self.actors.remove(&actor.id);
        let mut gone = lock(&self.gone);
        // Children come and go by the thousand; only what people named is kept in their list.
        if actor.spec.parent.is_none() {
            gone.push(actor.clone());
        }
        if gone.len() > REMEMBERED {
            gone.remove(0);
        }
    }

    pub(super) fn now(&self) -> Now {
        // Weyl sequence; the guest mixes its seed further (SplitMix64).
        let seed = self.seeds.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        Now { monotonic: self.clock.now(), wall: self.clock.wall(), seed }
    }

    fn worker(self: &Arc<Self>, name: &str, queue: Arc<RunQueue>) -> std::io::Result<()> {
        self.thread(name, move |scheduler| {
            while let Some(id) = queue.pop() {
                let Some(actor) = scheduler.find(id) else { continue };
                scheduler.run(&actor);
            }
        })
    }

    fn run(&self, actor: &Arc<Actor>) {
        if self.active.fetch_add(1, Ordering::AcqRel) == 0
            && let Some(ticker) = lock(&self.ticker).as_ref()
        {
            ticker.unpark();
        }
        let began = Instant::now();
        self.activate(actor);
        let busy = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        actor.busy_us.fetch_add(busy, Ordering::Relaxed);
        self.active.fetch_sub(1, Ordering::AcqRel);
    }

    fn thread(
        self: &Arc<Self>,
        name: &str,
        body: impl FnOnce(Arc<Self>) + Send + 'static,
    ) -> std::io::Result<()> {
        let scheduler = self.clone();
        let thread = thread::Builder::new()
            .name(name.into())
            .stack_size(WORKER_STACK_BYTES)
            .spawn(move || body(scheduler))?;
        lock(&self.threads).push(thread);
        Ok(())
    }

    /// Ticks only while something runs: an idle node sleeps.
    fn run_ticker(self: Arc<Self>) {
        *lock(&self.ticker) = Some(thread::current());
        while lock(&self.committing).is_some() {
            if self.active.load(Ordering::Acquire) == 0 {
                thread::park_timeout(Duration::from_secs(1));
            } else {
                thread::sleep(TICK);
                self.engine.tick();
            }
        }
    }

    fn run_clock(self: Arc<Self>) {
        while let Some(due) = self.clock.wait() {
            match due {
                Due::Tick { actor, key, generation } => self.router.tick(actor, key, generation),
                Due::Deadline(reply) => {
                    self.router.answer(reply, Err(Reason::Deadline));
                }
                Due::Restart(id) => {
                    if let Some(actor) = self.find(id)
                        && actor.backing_off.swap(false, Ordering::AcqRel)
                    {
                        self.enqueue(&actor);
                    }
                }
            }
        }
    }
}
