//! Actors: identity, mailbox, state, behaviour, supervision; and the scheduler that runs them.
//!
//! A worker takes an actor off its run queue and runs one activation: up to a batch of messages,
//! one turn each, then one commit. No actor runs on two threads at once: it is in a run queue, in
//! an activation or with the parker, never in two of them, and its body is locked besides.

mod activation;
pub(crate) mod aside;
mod asks;
mod commit;
mod family;
mod inbox;
mod lifecycle;
mod parking;
mod run_queue;
mod scheduler;
mod status;
mod worker;

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::address::{ActorId, Address, IdHash, TopicId};
use crate::config::Restart;
use crate::journal::Journal;
use crate::mailbox::{Inlet, Mailbox, Message, Owner};
use crate::supervisor::History;
use crate::wasm::ahead::{self, Ahead};
use crate::wasm::table::Held;
use crate::wasm::turn::Budget;
use crate::wasm::{Code, Instance, World};

use asks::Asks;
use inbox::Inbox;
use parking::Parked;
use run_queue::RunQueue;
pub use scheduler::{Parts, Scheduler};
use status::{Counts, Rare};
pub use status::{Gone, Status};
pub use worker::{lacks_memory, overran, waits_for_memory};

/// What an actor is made from; children of one grant share it.
pub struct Spec {
    /// Its code, until it is swapped.
    pub code: Arc<Code>,
    /// What it holds from the start.
    pub grants: Vec<(Arc<str>, Held)>,
    /// What it may spawn, by the grant's name.
    pub children: BTreeMap<Arc<str>, Child>,
    /// The channel name of a protocol's links.
    pub links: Option<String>,
    /// Topics whose publications it gets.
    pub subscriptions: Vec<TopicId>,
    /// Letters that may wait.
    pub mailbox: usize,
    /// Its sizes.
    pub budget: Budget,
    /// When it is started again.
    pub restart: Restart,
}

/// What a parent may spawn under one grant.
pub struct Child {
    /// How many at once.
    pub most: usize,
    /// What they are made from.
    pub spec: Arc<Spec>,
}

/// Who spawned an actor.
pub struct Parent {
    /// The parent.
    pub actor: Arc<Actor>,
    /// Under which of its grants.
    pub grant: Arc<str>,
    /// Its token for the `down`.
    pub token: u64,
    /// Addresses that it gave the child, by the names of the child's grants.
    pub given: Box<[(Box<str>, Address)]>,
}

/// What an actor was spawned by.
pub enum Spawner {
    /// People gave it this name.
    Manifest(Box<str>),
    /// Another actor spawned it.
    Actor(Box<Parent>),
}

/// A living actor. Small: a node holds very many, and most of them rest.
pub struct Actor {
    /// What it was made from; a swap changes the code in its body only.
    pub spec: Arc<Spec>,
    spawner: Spawner,
    mailbox: Mailbox,
    queue: Arc<RunQueue>,
    body: Mutex<Body>,
    counts: Counts,
    /// Out of the run queue until its back-off is over or a command comes.
    backing_off: AtomicBool,
    /// Which of the [`Wish`]es are still to be done.
    wished: AtomicU8,
    aside: OnceLock<Box<Aside>>,
    ahead: Ahead,
}

/// What few actors need.
#[derive(Default)]
struct Aside {
    /// Of [`Wish::Command`].
    commands: Mutex<Vec<Command>>,
    /// Those it spawned, by grant.
    children: Mutex<BTreeMap<Arc<str>, HashSet<ActorId, IdHash>>>,
    journal: OnceLock<Arc<Journal>>,
    rare: Mutex<Rare>,
}

/// What one activation works on.
struct Body {
    code: Arc<Code>,
    instance: Option<Box<Instance>>,
    /// In place of an instance.
    parked: Option<Box<Parked>>,
    phase: Phase,
    history: History,
    /// Taken from the mailbox, and not handled yet.
    inbox: Inbox,
    asks: Asks,
    /// So many messages are still to be given one at a time, after a batch that failed.
    single: u32,
    /// How often the message now at the front has crashed the actor.
    crashes: u32,
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

/// What is wanted of an actor; done between turns, in this order. Most take no more than a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Wish {
    /// That it ends for good.
    Stop = 1,
    /// That it ends as it does by itself: its restart says what follows.
    End = 2,
    /// What waits in its list of commands.
    Command = 4,
}

/// What an administrator wants of an actor, and waits for.
enum Command {
    Stop { done: oneshot::Sender<()> },
    Swap { code: Arc<Code>, done: oneshot::Sender<Result<(), String>> },
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
    fn new(id: ActorId, spawner: Spawner, spec: Arc<Spec>, queue: Arc<RunQueue>) -> Self {
        let body = Body {
            code: spec.code.clone(),
            instance: None,
            parked: None,
            phase: Phase::Ready,
            history: History::default(),
            inbox: Inbox::default(),
            asks: Asks::default(),
            single: 0,
            crashes: 0,
        };
        let actor = Self {
            mailbox: Mailbox::new(id, spec.mailbox),
            spec,
            spawner,
            queue,
            body: Mutex::new(body),
            counts: Counts::default(),
            backing_off: AtomicBool::new(false),
            wished: AtomicU8::new(0),
            aside: OnceLock::new(),
            ahead: Ahead::default(),
        };
        // Nobody has had a child's id before.
        if actor.parent().is_none() {
            actor.count_stored_again();
        }
        actor
    }

    /// Who it is.
    pub fn id(&self) -> ActorId {
        self.mailbox.owner()
    }

    /// Its name on this node; a child's is made of its parent's, its grant's and its id.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.spawner {
            Spawner::Manifest(name) => Cow::Borrowed(name),
            Spawner::Actor(parent) => {
                let number = crate::address::hex(&self.id().0[..4]);
                Cow::Owned([&*parent.actor.name(), "/", &parent.grant, "-", &number].concat())
            }
        }
    }

    /// Whether this is its name.
    pub fn is_called(&self, name: &str) -> bool {
        match &self.spawner {
            Spawner::Manifest(own) => **own == *name,
            // Children are many, and their names are to be made first.
            Spawner::Actor(_) => name.contains('/') && self.name() == name,
        }
    }

    /// Who spawned it, if an actor did.
    fn parent(&self) -> Option<&Parent> {
        match &self.spawner {
            Spawner::Manifest(_) => None,
            Spawner::Actor(parent) => Some(parent),
        }
    }

    /// The way to its mailbox.
    pub fn inlet(self: &Arc<Self>) -> Inlet {
        Inlet::of(self.clone())
    }

    /// Its log.
    pub fn journal(&self) -> &Arc<Journal> {
        let most = self.spec.budget.node.log_lines;
        self.aside().journal.get_or_init(|| Arc::new(Journal::new(most)))
    }

    /// The world it was written for.
    pub fn world(&self) -> World {
        self.spec.code.world
    }

    /// Nothing waits for it, and it is at rest.
    pub fn is_idle(&self) -> bool {
        self.mailbox.is_idle()
    }

    /// Its pins, by the device's number.
    pub fn pins(&self) -> impl Iterator<Item = u64> {
        self.spec.grants.iter().filter_map(|(_, held)| match held {
            Held::Pin(pin) => Some(*pin),
            _ => None,
        })
    }

    /// What it holds when an incarnation begins.
    fn grants(&self) -> impl Iterator<Item = (Arc<str>, Held)> {
        let given = self.parent().into_iter().flat_map(|parent| &parent.given);
        let given = given.map(|(name, address)| (name[..].into(), Held::Actor(address.clone())));
        self.spec.grants.iter().cloned().chain(given)
    }

    fn wish(&self, wish: Wish) {
        self.wished.fetch_or(wish as u8, Ordering::AcqRel);
    }

    fn has_wishes(&self) -> bool {
        self.wished.load(Ordering::Acquire) != 0
    }

    /// What was wished for since it was last asked.
    fn take_wishes(&self) -> impl Iterator<Item = Wish> + use<> {
        let wished = match self.has_wishes() {
            true => self.wished.swap(0, Ordering::AcqRel),
            false => 0,
        };
        let all = [Wish::Stop, Wish::End, Wish::Command];
        all.into_iter().filter(move |wish| wished & *wish as u8 != 0)
    }

    fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut *lock(&self.aside().commands))
    }

    /// Answers commands that came while it ended. Whoever sees its mailbox closed calls this after
    /// that: its runner once, and who commands, so that none is overlooked.
    fn too_late(&self) {
        if self.take_wishes().all(|wish| wish != Wish::Command) {
            return;
        }
        for command in self.take_commands() {
            // Whoever asked may have gone away.
            match command {
                Command::Stop { done } => drop(done.send(())),
                Command::Swap { done, .. } => drop(done.send(Err("it has stopped".into()))),
            }
        }
    }

    /// Its instance may lie elsewhere than before.
    fn knows(&self, instance: &mut Instance) {
        self.ahead.know(instance.places(), std::ptr::from_ref(instance).addr());
        self.ahead.know_table(instance.table());
    }

    /// It is about to run, in this activation of its worker's or soon after: asks for what it will
    /// touch, unless that is near.
    fn ask_ahead(&self, activation: u32) {
        if self.ahead.has_rested(activation) {
            ahead::ask_for(self);
            self.ahead.ask();
        }
    }

    fn aside(&self) -> &Aside {
        self.aside.get_or_init(Box::default)
    }
}

impl Owner for Actor {
    fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn schedule(self: Arc<Self>) {
        // Not the queue's count of owners: all workers would write to it.
        RunQueue::push_next(self);
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({})", self.name())
    }
}

/// A lock whose holder panicked still guards sound data: each change under it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_holds_very_many_of_is_small() {
        // Bytes. A million parked actors are a million of the first, and letters are moved often.
        assert!(size_of::<Actor>() <= 296, "{}", size_of::<Actor>());
        assert!(size_of::<Parked>() <= 56, "{}", size_of::<Parked>());
        assert!(size_of::<Message>() <= 88, "{}", size_of::<Message>());
    }
}
