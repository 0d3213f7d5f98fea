//! Actors: identity, mailbox, state, behaviour, supervision; and the scheduler that runs them.
//!
//! A worker takes an actor off the run queue and runs one activation: up to a batch of messages,
//! one turn each, then one commit. No actor runs on two threads at once: it is in the run queue or
//! in an activation, never both, and its body is locked besides.

mod activation;
pub(crate) mod aside;
mod commit;
mod family;
mod scheduler;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::address::ActorId;
use crate::config::Restart;
use crate::journal::Journal;
use crate::mailbox::{Mailbox, Message};
use crate::reason::Reason;
use crate::supervisor::History;
use crate::wasm::table::Held;
use crate::wasm::turn::Budget;
use crate::wasm::{Code, Instance, World};

pub use scheduler::{Parts, Scheduler};

/// What an actor is made from.
#[derive(Clone)]
pub struct Spec {
    /// Its name on this node.
    pub name: String,
    /// Its code.
    pub code: Arc<Code>,
    /// What it holds from the start.
    pub grants: Vec<(String, Held)>,
    /// What it may spawn, by the grant's name.
    pub children: BTreeMap<String, Child>,
    /// The channel name of a protocol's links.
    pub links: Option<String>,
    /// Topics whose publications it gets.
    pub subscriptions: Vec<crate::address::TopicId>,
    /// Letters that may wait.
    pub mailbox: usize,
    /// Its sizes.
    pub budget: Budget,
    /// When it is started again.
    pub restart: Restart,
    /// Who is told when it is gone.
    pub parent: Option<Parent>,
}

/// What a parent may spawn under one grant.
#[derive(Clone)]
pub struct Child {
    /// How many at once.
    pub most: usize,
    /// What they are made from; name, parent and given addresses are set for each.
    pub spec: Box<Spec>,
}

/// Who spawned an actor.
#[derive(Clone, Debug)]
pub struct Parent {
    /// The parent.
    pub id: ActorId,
    /// Under which of its grants.
    pub grant: String,
    /// Its mailbox, for the `down`.
    pub mailbox: Arc<Mailbox>,
    /// Its token for the `down`.
    pub token: u64,
}

/// A living actor.
pub struct Actor {
    /// Who it is.
    pub id: ActorId,
    /// What it was made from; a swap changes the code in its body only.
    pub spec: Spec,
    /// What waits for it.
    pub mailbox: Arc<Mailbox>,
    /// Its log.
    pub journal: Journal,
    body: Mutex<Body>,
    commands: Mutex<Vec<Command>>,
    status: Mutex<Status>,
    /// Those it spawned, some of whom may be gone.
    children: Mutex<Vec<ActorId>>,
    /// Out of the run queue until its back-off is over or a command comes.
    backing_off: AtomicBool,
    /// Microseconds in its activations.
    busy_us: AtomicU64,
}

/// What one activation works on.
struct Body {
    code: Arc<Code>,
    instance: Option<Instance>,
    phase: Phase,
    history: History,
    /// So many messages are still to be given one at a time, after a batch that failed.
    single: usize,
    /// How often the message now at the front has crashed the actor.
    crashes: u32,
    /// Durable bytes; `None` until counted.
    stored: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Ready, with or without an instance.
    Ready,
    /// Its last activation is with the committer.
    Committing,
    /// Waits until then before it is started again.
    BackingOff(Duration),
    /// Gone for good.
    Gone,
}

/// What an administrator or a parent wants of an actor; done between turns.
enum Command {
    Stop {
        done: Option<oneshot::Sender<()>>,
    },
    /// By itself: its restart says what follows.
    End,
    Swap {
        code: Arc<Code>,
        done: oneshot::Sender<Result<(), String>>,
    },
}

/// What is known of an actor from outside: a row of `ls actors`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Its address, as a grant on another node takes it.
    pub address: String,
    /// Its code's CID.
    pub component: String,
    /// Its world.
    pub world: String,
    /// `starting`, `ready`, `backing-off`, `stopped`, or `waiting` for its component.
    pub state: String,
    /// Incarnations so far.
    pub incarnations: u64,
    /// Messages handled in turns that ended well.
    pub handled: u64,
    /// Messages waiting.
    pub waiting: usize,
    /// Publications that found its mailbox full.
    pub missed: u64,
    /// Milliseconds spent in its turns.
    pub busy_ms: u64,
    /// Letters set aside.
    pub set_aside: usize,
    /// Durable bytes.
    pub stored: u64,
    /// Why its last incarnation ended, if one did.
    pub last_failure: Option<String>,
    /// Why it is gone for good, if it is.
    pub reason: Option<Reason>,
}

/// A message that crashed its actor too often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetAside {
    /// The message.
    pub message: Message,
    /// Why its last turn failed.
    pub why: String,
    /// Milliseconds since 1970.
    pub at: u64,
}

impl Actor {
    fn new(id: ActorId, spec: Spec, mailbox: Arc<Mailbox>, address: String) -> Self {
        let status = Status {
            name: spec.name.clone(),
            address,
            component: spec.code.cid.to_string(),
            world: spec.code.world.name().into(),
            state: "starting".into(),
            incarnations: 0,
            handled: 0,
            waiting: 0,
            missed: 0,
            busy_ms: 0,
            set_aside: 0,
            stored: 0,
            last_failure: None,
            reason: None,
        };
        let body = Body {
            code: spec.code.clone(),
            instance: None,
            phase: Phase::Ready,
            history: History::default(),
            single: 0,
            crashes: 0,
            stored: None,
        };
        Self {
            id,
            mailbox,
            journal: Journal::new(spec.budget.node.log_lines),
            spec,
            body: Mutex::new(body),
            commands: Mutex::default(),
            status: Mutex::new(status),
            children: Mutex::default(),
            backing_off: AtomicBool::new(false),
            busy_us: AtomicU64::new(0),
        }
    }

    /// What is known of it from outside.
    pub fn status(&self) -> Status {
        let mut status = lock(&self.status).clone();
        status.waiting = self.mailbox.len();
        status.missed = self.mailbox.missed();
        status.busy_ms = self.busy_us.load(Ordering::Relaxed) / 1000;
        status
    }

    /// The world it was written for.
    pub fn world(&self) -> World {
        self.spec.code.world
    }

    fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
    }

    /// Its pins, by the device's number.
    pub fn pins(&self) -> impl Iterator<Item = u64> {
        self.spec.grants.iter().filter_map(|(_, held)| match held {
            Held::Pin(pin) => Some(*pin),
            _ => None,
        })
    }
}

/// A lock whose holder panicked still guards sound data: each change under it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
