//! The scheduler: which actors live on this node, the threads that run them, and what starts and
//! stops them.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use tokio::sync::oneshot;

use super::commit::{Committing, run_committer};
use super::parking::{Live, Press};
use super::run_queue::RunQueue;
use super::status::{Doing, Gone};
use super::worker::Threads;
use super::{Actor, Command, Spawner, Spec, Wish, lock};
use crate::address::{ActorId, IdHash};
use crate::clock::Clock;
use crate::device::Devices;
use crate::journal::Journal;
use crate::limits::{Full, Limits, Room};
use crate::mailbox::{Inlet, Mailbox, Owner};
use crate::reason::Reason;
use crate::router::{Due, Router};
use crate::store::Cid;
use crate::store::state::State;
use crate::supervisor::Crashes;
use crate::wasm::turn::Reads;
use crate::wasm::{Code, Engine, World};

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
    /// How many actors there may be.
    pub room: Room,
    /// Threads that run ordinary actors.
    pub workers: usize,
}

/// The mailbox of an actor that is yet to come.
struct Expected(Mailbox);

impl Owner for Expected {
    fn mailbox(&self) -> &Mailbox {
        &self.0
    }

    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn schedule(self: Arc<Self>) {}
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
    room: Room,
    alive: AtomicUsize,
    /// Those with an instance.
    pub(super) instances: Mutex<HashMap<ActorId, Live, IdHash>>,
    /// An actor found no memory, or little, for its instance or to grow: a [`Press`].
    pub(super) pressed: AtomicU8,
    /// Bytes that parked actors have saved.
    pub(super) saved: AtomicU64,
    pub(super) committing: Mutex<Option<mpsc::Sender<Committing>>>,
    pub(super) crashes: Mutex<BTreeMap<Cid, Crashes>>,
    /// Components of which people were told that they grow early.
    pub(super) told: Mutex<BTreeSet<Cid>>,
    gone: Mutex<Vec<Arc<Gone>>>,
    pub(super) ordinary: Arc<RunQueue>,
    drivers: Arc<RunQueue>,
    pub(super) threads: Threads,
    pub(super) parker: Mutex<Option<thread::Thread>>,
}

impl Scheduler {
    /// Starts the threads.
    pub fn start(parts: Parts) -> std::io::Result<Arc<Self>> {
        let Parts { engine, router, state, devices, reads, clock, limits, room, workers } = parts;
        let (committing, commits) = mpsc::channel();
        let scheduler = Arc::new(Self {
            engine,
            router,
            state,
            devices,
            reads,
            clock,
            limits,
            room,
            alive: AtomicUsize::new(0),
            instances: Mutex::default(),
            pressed: AtomicU8::new(Press::None as u8),
            saved: AtomicU64::new(0),
            committing: Mutex::new(Some(committing)),
            crashes: Mutex::default(),
            told: Mutex::default(),
            gone: Mutex::default(),
            ordinary: Arc::new(RunQueue::new(workers.max(1))),
            drivers: Arc::new(RunQueue::new(DRIVER_THREADS)),
            threads: Threads::default(),
            parker: Mutex::default(),
        });
        for _ in 0..workers.max(1) {
            scheduler.start_worker(&scheduler.ordinary)?;
        }
        for _ in 0..DRIVER_THREADS {
            scheduler.start_worker(&scheduler.drivers)?;
        }
        scheduler.thread("ticker", Self::run_ticker)?;
        scheduler.thread("clock", Self::run_clock)?;
        scheduler.thread("parker", Self::run_parker)?;
        scheduler.thread("committer", move |scheduler| run_committer(&scheduler, &commits))?;
        Ok(scheduler)
    }

    /// An actor is to live here, and its component is not at hand yet: its letters wait meanwhile.
    pub fn expect(&self, id: ActorId, capacity: usize) {
        let expected = Expected(Mailbox::new(id, capacity));
        self.router.register(Inlet::of(Arc::new(expected)));
    }

    /// An expected actor will not come: whoever asked it something is told.
    pub fn give_up(&self, id: ActorId, reason: Reason) {
        let Some(inlet) = self.router.find(id) else { return };
        if inlet.owner_as::<Expected>().is_some() {
            self.router.remove(id, reason);
            self.turn_away(inlet.mailbox().close(reason), reason);
        }
    }

    /// Begins an actor's life: it can be reached at once, and `start` is its first turn.
    pub fn spawn(&self, id: ActorId, spawner: Spawner, spec: Arc<Spec>) -> Arc<Actor> {
        let queue = match spec.code.world {
            World::Driver => self.drivers.clone(),
            World::Actor | World::Protocol => self.ordinary.clone(),
        };
        let actor = Arc::new(Actor::new(id, spawner, spec, queue));
        if actor.parent().is_none() {
            lock(&self.gone).retain(|gone| *gone.status.name != *actor.name());
            // What it could not handle in an earlier life of the node still waits for people.
            actor.set_aside(self.aside(actor.id()).map_or(0, |aside| aside.len()));
        }
        self.alive.fetch_add(1, Ordering::Relaxed);
        self.router.register(actor.inlet());
        for topic in &actor.spec.subscriptions {
            self.router.subscribe(*topic, actor.inlet());
        }
        if let Some(name) = &actor.spec.links {
            self.router.open_links(name, actor.inlet());
        }
        actor.does(Doing::Starting);
        // Its mailbox began scheduled.
        RunQueue::push_beginning(actor.clone());
        actor
    }

    /// Ends an actor's life; `true` comes once its mailbox is closed and its pins are safe.
    pub fn stop(&self, actor: &Arc<Actor>) -> oneshot::Receiver<()> {
        let (done, stopped) = oneshot::channel();
        self.command(actor, Command::Stop { done });
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
        self.router.find(id)?.owner_as()
    }

    /// A living actor by its name.
    pub fn named(&self, name: &str) -> Option<Arc<Actor>> {
        self.living().find(|actor| actor.is_called(name))
    }

    /// The last of those that people named and that are gone, but for those that live (again).
    pub fn gone(&self) -> Vec<Arc<Gone>> {
        let gone = lock(&self.gone).clone();
        gone.into_iter().filter(|gone| self.find(gone.id).is_none()).collect()
    }

    /// The log of an actor that lives, or did.
    pub fn journal(&self, name: &str) -> Option<Arc<Journal>> {
        let living = self.named(name).map(|actor| actor.journal().clone());
        living.or_else(|| {
            let gone = lock(&self.gone);
            Some(gone.iter().find(|gone| gone.status.name == name)?.journal.clone())
        })
    }

    /// Whether an actor that lives here has something to do.
    pub fn is_busy(&self) -> bool {
        self.living().any(|actor| !actor.is_idle())
    }

    /// All living actors, in no order.
    pub fn living(&self) -> impl Iterator<Item = Arc<Actor>> {
        self.router.inlets().filter_map(|inlet| inlet.owner_as())
    }

    /// Whether there is room for so many more bytes of saved state.
    pub(super) fn room_for_saved(&self, bytes: usize) -> bool {
        let saved = self.saved.load(Ordering::Relaxed).saturating_add(bytes as u64);
        self.room.holds(self.alive.load(Ordering::Relaxed).saturating_sub(1), saved).is_ok()
    }

    /// Whether one more actor may live here.
    pub fn room_for_one(&self) -> Result<(), Full> {
        self.room.holds(self.alive.load(Ordering::Relaxed), self.saved.load(Ordering::Relaxed))
    }

    /// No more incarnations of this component on this node: it has crashed too often.
    pub fn quarantined(&self, cid: &Cid) -> bool {
        let crashes = lock(&self.crashes);
        let Some(crashes) = crashes.get(cid) else { return false };
        crate::supervisor::quarantine(crashes, &self.limits, self.clock.now())
    }

    /// Ends all actors and threads. Gives the messages that were still waiting, by actor.
    pub fn close(&self) -> Vec<(String, usize)> {
        let mut left = Vec::new();
        let mut actors: Vec<_> = self.living().collect();
        actors.sort_by_cached_key(|actor| actor.name().into_owned());
        for actor in actors {
            let waiting = actor.mailbox.letters();
            if actor.reason().is_none() {
                left.push((actor.name().into(), waiting));
                // The worker may be in its last turn: the receiver ends when that is over.
                let _ = self.stop(&actor).blocking_recv();
            }
        }
        self.ordinary.close();
        self.drivers.close();
        self.clock.close();
        lock(&self.committing).take();
        self.wake_parker();
        self.join_threads();
        left.retain(|(_, waiting)| *waiting > 0);
        left
    }

    fn command(&self, actor: &Arc<Actor>, command: Command) {
        lock(&actor.aside().commands).push(command);
        self.wish(actor, Wish::Command);
    }

    pub(super) fn wish(&self, actor: &Arc<Actor>, wish: Wish) {
        actor.wish(wish);
        if actor.backing_off.swap(false, Ordering::AcqRel) {
            self.enqueue(actor);
        } else if !actor.inlet().nudge() {
            actor.too_late();
        }
    }

    /// Puts a scheduled actor into its run queue again.
    pub(super) fn enqueue(&self, actor: &Arc<Actor>) {
        RunQueue::push(actor.clone());
    }

    pub(super) fn forget(&self, actor: &Arc<Actor>, reason: Reason) {
        // Children come and go by the thousand; only what people named is kept in their list. It is
        // there before it leaves that of the living: who looks meanwhile finds it in both.
        if actor.parent().is_none() {
            let mut gone = lock(&self.gone);
            gone.push(Arc::new(Gone::of(actor, self.router.me(), self.clock.now())));
            if gone.len() > REMEMBERED {
                gone.remove(0);
            }
        }
        if self.router.remove(actor.id(), reason) {
            self.alive.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn run_clock(self: Arc<Self>) {
        while let Some(due) = self.clock.wait() {
            match due {
                Due::Tick { actor, key, generation } => self.router.tick(actor, key, generation),
                Due::Deadline(reply) => {
                    self.router.answer(reply, Err(Reason::Deadline));
                }
                Due::Overdue(id) => {
                    if let Some(inlet) = self.router.find(id) {
                        inlet.nudge();
                    }
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
