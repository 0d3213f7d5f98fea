//! A turn as the host sees it: the functions of the contract, over a table, a buffer of effects and
//! what may be read.

mod effects;
mod growth;
mod links;
mod reads;

use std::sync::Arc;
use std::time::Duration;

use super::TICK;
use super::bindings::edge::actor::types::{Handle, Refusal};
use super::effects::{Effects, Pending};
use super::instance::Failure;
use super::memory::Share;
use super::plain::{Space, Spacious};
use super::table::{Held, Holdings};
use crate::address::{ActorId, Address, NodeId};
use crate::device::BusError;
use crate::limits::Limits;
use crate::mailbox::{Inlet, Question, Reply, To};

/// What a frame adds to a link's body, at most.
const LINK_FRAME_BYTES: usize = 16;

/// What a turn may read of the world outside its instance.
pub trait Reads: Send + Sync {
    /// This node.
    fn me(&self) -> NodeId;

    /// A durable value of an actor.
    fn value(&self, actor: ActorId, key: &[u8]) -> Result<Option<Vec<u8>>, String>;

    /// Durable values from `first` up to and without `end` (empty: no end), until `take` says stop.
    fn values(
        &self,
        actor: ActorId,
        first: &[u8],
        end: &[u8],
        take: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), String>;

    /// A sensor's last reading and when it was taken, on the turn clock.
    fn last(&self, sensor: u64) -> Option<(f64, Duration)>;

    /// A pin's level.
    fn level(&self, pin: u64) -> Option<bool>;

    /// Whether a pin can be driven.
    fn is_output(&self, pin: u64) -> bool;

    /// A transfer with one device on a bus.
    fn transfer(&self, bus: u64, write: &[u8], read: usize) -> Result<Vec<u8>, BusError>;

    /// Bytes that a link of an actor takes now in one class.
    fn room(&self, actor: ActorId, link: u32, class: u8) -> usize;

    /// The way to an actor of this node.
    fn find(&self, actor: ActorId) -> Option<Inlet>;

    /// An address under which a question can be answered from anywhere.
    fn make_known(&self, question: &Question) -> Address;

    /// A turn has gone on for so many ticks, and holds up other actors: true to let it go on.
    fn overran(&self, ticks: u64) -> bool;

    /// There is little memory left: actors that rest should make room, those that have grown, or
    /// all.
    fn lacks_memory(&self, only_grown: bool);

    /// A turn waits for memory, and others are not to wait for it: true to let it go on.
    fn waits_for_memory(&self) -> bool;
}

/// The sizes that hold for one actor.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Linear memory in bytes.
    pub memory: usize,
    /// Longest turn. A guest doesn't say where one turn of an activation ends, so that an
    /// activation has this for each of its messages.
    pub turn: Duration,
    /// Durable bytes.
    pub storage: u64,
    /// The node's limits for the rest.
    pub node: Arc<Limits>,
}

/// What a guest is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// It is instantiated.
    New,
    /// `start` or `handle`: nothing else has effects.
    Turn,
    /// `save`.
    Save,
    /// `restore`.
    Restore,
}

/// One actor's side of the contract, alive as long as its instance.
pub struct Turn {
    pub(super) holds: Holdings,
    pub(super) effects: Pending,
    pub(super) stored: u64,
    /// Letters and questions of this activation, and questions still open from earlier ones.
    pub(super) waits: usize,
    pub(super) budget: Budget,
    pub(super) inlet: Inlet,
    pub(super) reads: Arc<dyn Reads>,
    /// What its memory takes of the node's.
    pub(super) share: Option<Share>,
    /// Bytes of its memory.
    pub(super) memory: usize,
    /// They are more than they were.
    pub(super) growth_is_news: bool,
    /// Bytes that it may have while it is saved or restored, if that is more than its budget.
    pub(super) most: usize,
    /// Why its memory did not grow: the call trapped, and the instance is not used again.
    pub(super) refused: Option<Box<Failure>>,
    /// Its memory is no longer as it was linked.
    pub(super) grown: bool,
    /// Ticks since this activation began.
    pub(super) ticks: u64,
    /// Turns of this activation.
    pub(super) turns: u32,
    pub(super) call: Call,
    /// A read that failed is the turn's failure, not an empty answer.
    pub(super) fault: Option<String>,
    /// Why the guest says that this turn fails.
    pub(super) failing: Option<String>,
    space: Option<Space>,
}

impl Turn {
    /// Begins with what the actor holds.
    pub fn new(
        holds: Holdings,
        stored: u64,
        budget: Budget,
        inlet: Inlet,
        reads: Arc<dyn Reads>,
    ) -> Self {
        Self {
            holds,
            effects: Pending::default(),
            stored,
            waits: 0,
            budget,
            inlet,
            reads,
            share: None,
            memory: 0,
            growth_is_news: false,
            most: 0,
            refused: None,
            grown: false,
            ticks: 0,
            turns: 1,
            call: Call::New,
            fault: None,
            failing: None,
            space: None,
        }
    }

    /// What the actor holds.
    pub fn holds(&self) -> &Holdings {
        &self.holds
    }

    /// The activation ended well: its lent addresses end with it, and its effects may leave.
    pub(super) fn finish(&mut self) {
        self.holds.table.end_turn(&mut self.effects.dead);
        self.effects.stored = self.stored;
    }

    /// A tick has passed; false if the activation must end.
    pub(super) fn ticked(&mut self) -> bool {
        self.ticks += 1;
        !self.is_over() && self.reads.overran(self.ticks)
    }

    /// Its time is over.
    pub(super) fn is_over(&self) -> bool {
        let longest = match self.call {
            Call::New | Call::Turn | Call::Restore => self.budget.turn,
            Call::Save => self.budget.node.save(),
        };
        // The first tick may have come at once.
        let budget = longest.as_nanos().div_ceil(TICK.as_nanos());
        u128::from(self.ticks) > budget.saturating_mul(u128::from(self.turns))
    }

    /// Undoes what left traces outside the instance.
    pub(super) fn undo(&mut self) {
        let watched = self.effects.family.iter().filter(|change| change.watches()).count();
        self.inlet.mailbox().unwatch(watched);
        let used = self.effects.replies().cloned().collect();
        *self.effects = Effects { used, ..Effects::default() };
    }

    /// The way into its actor's mailbox.
    pub fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    /// Where answers were to go, as of before an activation that was undone: nobody else can give
    /// them.
    pub fn questions(&self) -> impl Iterator<Item = &Reply> {
        self.holds.questions().chain(self.effects.replies())
    }

    fn count(&self) -> Result<(), Refusal> {
        let effects = &self.effects;
        let count = effects.letters.len()
            + effects.timers.len()
            + effects.writes.len()
            + effects.drives.len()
            + effects.family.len()
            + effects.log.len()
            + effects.links.len();
        match () {
            () if self.call != Call::Turn => Err(Refusal::Denied),
            () if count >= self.budget.node.effects.saturating_mul(self.turns as usize) => {
                Err(Refusal::OverLimit)
            }
            () => Ok(()),
        }
    }

    fn letter(&mut self, body: &[u8], carried: &[Handle]) -> Result<Vec<Address>, Refusal> {
        self.count()?;
        let limits = &self.budget.node;
        if body.len() > limits.letter_bytes || carried.len() > limits.carried {
            return Err(Refusal::OverLimit);
        }
        if carried.is_empty() {
            return Ok(Vec::new());
        }
        carried.iter().map(|handle| self.address(*handle)).collect()
    }

    /// A reply address that went along in a letter has moved on: whoever gets it answers.
    fn hand_over(&mut self, carried: &[Handle]) {
        for handle in carried {
            if let Some(Held::Reply(reply)) = self.holds.table.find(*handle) {
                self.effects.used.push(reply.clone());
                self.holds.table.release(*handle);
            }
        }
    }

    fn address(&self, handle: Handle) -> Result<Address, Refusal> {
        match self.holds.table.find(handle) {
            Some(Held::Actor(address)) => Ok(address.clone()),
            Some(Held::Reply(Reply::There(address))) => Ok((**address).clone()),
            Some(Held::Reply(Reply::Here(question))) => Ok(self.reads.make_known(question)),
            _ => Err(Refusal::BadHandle),
        }
    }

    /// Whom a letter goes to; a reply address is used up.
    fn receiver(&mut self, handle: Handle) -> Result<To, Refusal> {
        let reads = &self.reads;
        // Who lives elsewhere is not looked for here at each letter; the router does, once more.
        let find = |address: &Address| match address.hints.first() {
            Some(node) if node != reads.me() => None,
            _ => reads.find(address.id),
        };
        if !self.may_wait() {
            return Err(match self.holds.table.find(handle) {
                Some(Held::Actor(_) | Held::Reply(_)) => Refusal::MailboxFull,
                _ => Refusal::BadHandle,
            });
        }
        let to = self.holds.table.to(handle, find).ok_or(Refusal::BadHandle)?;
        self.waits += 1;
        Ok(to)
    }

    /// One more letter may have a notice, or question an answer.
    fn may_wait(&self) -> bool {
        self.inlet.mailbox().may_send(self.waits)
    }

    fn stored_size(&mut self, key: &[u8]) -> u64 {
        let size = |value: &[u8]| (key.len() + value.len()) as u64;
        if let Some(written) = self.effects.writes.get(key) {
            return written.as_deref().map_or(0, size);
        }
        match self.reads.value(self.inlet.owner(), key) {
            Ok(value) => value.as_deref().map_or(0, size),
            Err(why) => {
                self.fault = Some(why);
                0
            }
        }
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), Refusal> {
        self.count()?;
        let limits = &self.budget.node;
        let length = value.as_ref().map_or(0, Vec::len);
        if key.len() > limits.key_bytes || length > limits.value_bytes {
            return Err(Refusal::OverLimit);
        }
        let new = value.as_ref().map_or(0, |value| (key.len() + value.len()) as u64);
        let rest = self.stored.saturating_sub(self.stored_size(&key));
        if value.is_some() && rest + new > self.budget.storage {
            return Err(Refusal::OverQuota);
        }
        self.stored = rest + new;
        self.effects.writes.insert(key, value);
        Ok(())
    }
}

impl Spacious for Turn {
    fn space(&mut self) -> &mut Option<Space> {
        &mut self.space
    }
}

/// A time on the turn clock as the contract has it.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
