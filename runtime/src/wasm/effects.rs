//! What an activation asks of the world, buffered until it ends well.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use super::bindings::edge::actor::types::Handle;
use crate::address::{ActorId, Address, NodeId, TopicId};
use crate::mailbox::{Letter, Reply, Timer, To};

/// The effects of one activation, in the order asked for where order matters.
#[derive(Debug, Default)]
pub struct Effects {
    /// Letters, questions and publications.
    pub letters: Vec<Letter>,
    /// For the notice or the answer to each.
    pub tokens: Vec<u64>,
    /// Where they go.
    pub runs: Vec<Run>,
    /// The handle that the last run goes to, if what follows may go along.
    pub(super) last: Option<Handle>,
    /// Timers armed (`Some`) and disarmed.
    pub timers: Vec<(u64, Option<Timer>)>,
    /// Durable writes: `None` deletes.
    pub writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Durable bytes of the actor after the writes.
    pub stored: u64,
    /// Pins driven, in order.
    pub drives: Vec<(u64, bool)>,
    /// Children spawned, actors stopped and watched.
    pub family: Vec<Family>,
    /// Lines for the log.
    pub log: Vec<String>,
    /// What a protocol does with its links.
    pub links: Vec<LinkEffect>,
    /// Reply addresses that died unused with the turn.
    pub dead: Vec<Reply>,
    /// Reply addresses that this activation has let go or given away, and, once it is undone, used
    /// up: see [`Effects::replies`].
    pub(super) used: Vec<Reply>,
    /// Bytes transmitted in this activation, by link and class.
    pub(super) queued: BTreeMap<(u32, u8), usize>,
}

/// The effects of the activation that runs, if there are any yet. Between activations an actor has
/// no buffer: its worker's goes from one to the next, and stays in the processor's cache.
#[derive(Debug, Default)]
pub(super) struct Pending(Option<Box<Effects>>);

/// A buffer with room for more letters than this is not kept for the next activation.
const KEPT: usize = 1024;

thread_local! {
    static SPARE: Cell<Option<Box<Effects>>> = const { Cell::new(None) };
}

static NONE: Effects = Effects {
    letters: Vec::new(),
    tokens: Vec::new(),
    runs: Vec::new(),
    last: None,
    timers: Vec::new(),
    writes: BTreeMap::new(),
    stored: 0,
    drives: Vec::new(),
    family: Vec::new(),
    log: Vec::new(),
    links: Vec::new(),
    dead: Vec::new(),
    used: Vec::new(),
    queued: BTreeMap::new(),
};

impl Effects {
    /// A letter goes to a receiver. `more`: under this handle others may follow it.
    pub(super) fn leave(&mut self, way: Way, letter: Letter, token: u64, more: Option<Handle>) {
        self.letters.push(letter);
        self.tokens.push(token);
        self.runs.push(Run { way, count: 1 });
        self.last = more;
    }

    /// A letter follows the last one, to the same receiver.
    pub(super) fn follow(&mut self, letter: Letter, token: u64) {
        self.letters.push(letter);
        self.tokens.push(token);
        if let Some(run) = self.runs.last_mut() {
            run.count += 1;
        }
    }

    /// Reply addresses that the actor no longer has: nobody else can answer if nothing leaves.
    pub fn replies(&self) -> impl Iterator<Item = &Reply> {
        self.used.iter().chain(self.runs.iter().filter_map(|run| match &run.way {
            Way::Send(To::Reply(reply)) | Way::Ask { to: To::Reply(reply), .. } => Some(reply),
            _ => None,
        }))
    }

    /// All of them are out in the world: the buffer is the next activation's on this thread.
    pub fn done(mut self: Box<Self>) {
        debug_assert!(self.letters.is_empty() && self.family.is_empty());
        self.tokens.clear();
        self.last = None;
        // Clearing an empty map costs as much as a small one, and most activations write nothing.
        if !self.writes.is_empty() {
            self.writes.clear();
        }
        if !self.queued.is_empty() {
            self.queued.clear();
        }
        self.used.clear();
        if self.letters.capacity().max(self.family.capacity()) <= KEPT {
            SPARE.set(Some(self));
        }
    }
}

impl Pending {
    pub fn take(&mut self) -> Box<Effects> {
        self.0.take().unwrap_or_else(spare)
    }
}

/// Apart from where it is wanted: once in an activation it is.
#[inline(never)]
fn spare() -> Box<Effects> {
    SPARE.take().unwrap_or_default()
}

impl Deref for Pending {
    type Target = Effects;

    #[inline]
    fn deref(&self) -> &Effects {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Pending {
    #[inline]
    fn deref_mut(&mut self) -> &mut Effects {
        self.0.get_or_insert_with(spare)
    }
}

/// So many letters, one after the other, to one receiver.
#[derive(Debug)]
pub struct Run {
    /// Where they go.
    pub way: Way,
    /// How many they are; one if it is not plain letters.
    pub count: usize,
}

/// Where a run goes.
#[derive(Debug)]
pub enum Way {
    /// To one actor.
    Send(To),
    /// A question.
    Ask {
        /// To whom.
        to: To,
        /// Nanoseconds from the end of the turn.
        deadline: u64,
    },
    /// To all other subscribers of a topic.
    Publish(TopicId),
}

/// What concerns other actors' lives.
#[derive(Debug)]
pub enum Family {
    /// Spawn a child.
    Spawn {
        /// Its id, chosen when asked for, so that the parent holds its address at once.
        id: ActorId,
        /// The parent's grant that allows it.
        grant: String,
        /// Its own grants.
        grants: Vec<(String, Address)>,
        /// For the `down`.
        token: u64,
    },
    /// Stop a child, or oneself.
    Stop(Address),
    /// Watch an actor.
    Monitor {
        /// Whom.
        whom: Address,
        /// For the `down`.
        token: u64,
    },
}

impl Family {
    /// The actor's mailbox counts one more watched actor for this.
    pub fn watches(&self) -> bool {
        matches!(self, Self::Monitor { .. })
    }
}

/// What a protocol does with its links.
#[derive(Debug)]
pub enum LinkEffect {
    /// Open a link.
    Connect(NodeId),
    /// Close a link.
    Disconnect(u32),
    /// Send bytes.
    Transmit {
        /// The link.
        link: u32,
        /// 0 leaves first.
        class: u8,
        /// The bytes.
        body: Vec<u8>,
    },
    /// Give a topic's body to local subscribers.
    Deliver {
        /// The topic.
        topic: TopicId,
        /// The body.
        body: Vec<u8>,
    },
}
