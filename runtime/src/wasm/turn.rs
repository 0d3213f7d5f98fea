//! A turn as the host sees it: the functions of the contract, over a table, a buffer of effects and
//! what may be read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bindings::edge::actor::types::{Class, Granted, Handle, Reading, Refusal};
use super::bindings::edge::actor::{effects, links, reads, types};
use super::effects::{Effects, Family, LinkEffect, Outgoing};
use super::table::{Held, Table};
use crate::address::{ActorId, Address, NodeId, TopicId};
use crate::device::BusError;
use crate::limits::Limits;
use crate::mailbox::{Mailbox, Timer};

/// What a frame adds to a link's body, at most.
const LINK_FRAME_BYTES: usize = 16;

/// What a turn may read of the world outside its instance.
pub trait Reads: Send + Sync {
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
}

/// The sizes that hold for one actor.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Linear memory in bytes.
    pub memory: usize,
    /// Longest activation.
    pub turn: Duration,
    /// Durable bytes.
    pub storage: u64,
    /// The node's limits for the rest.
    pub node: Arc<Limits>,
}

/// One actor's side of the contract, alive as long as its instance.
pub struct Turn {
    pub(super) me: Address,
    pub(super) table: Table,
    pub(super) grants: BTreeMap<String, Handle>,
    pub(super) own: Option<Handle>,
    pub(super) effects: Effects,
    pub(super) stored: u64,
    pub(super) reserved: usize,
    /// Reply addresses that this activation has used up or let go.
    used: Vec<Address>,
    /// Bytes transmitted in this activation, by link and class.
    queued: BTreeMap<(u32, u8), usize>,
    pub(super) budget: Budget,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) reads: Arc<dyn Reads>,
    pub(super) memory_refused: Option<usize>,
    /// Effects are refused outside `start` and `handle`.
    pub(super) open: bool,
    /// A read that failed is the turn's failure, not an empty answer.
    pub(super) fault: Option<String>,
}

impl Turn {
    /// Begins with nothing held but the grants.
    pub fn new(
        me: Address,
        grants: Vec<(String, Held)>,
        stored: u64,
        budget: Budget,
        mailbox: Arc<Mailbox>,
        reads: Arc<dyn Reads>,
    ) -> Self {
        let mut table = Table::new(&budget.node);
        let grants = grants
            .into_iter()
            .filter_map(|(name, held)| table.hold(held).map(|handle| (name, handle)))
            .collect();
        Self {
            me,
            table,
            grants,
            own: None,
            effects: Effects::default(),
            stored,
            reserved: 0,
            used: Vec::new(),
            queued: BTreeMap::new(),
            budget,
            mailbox,
            reads,
            memory_refused: None,
            open: false,
            fault: None,
        }
    }

    /// The same actor in another instance: what it holds goes along.
    pub(super) fn take_over(&mut self, old: &Turn) {
        self.table = old.table.clone();
        self.grants = old.grants.clone();
        self.own = old.own;
        self.stored = old.stored;
    }

    /// The effects so far, to be committed; the turn's lent addresses end with it.
    pub(super) fn finish(&mut self) -> Effects {
        let mut effects = std::mem::take(&mut self.effects);
        effects.dead = self.table.end_turn();
        effects.stored = self.stored;
        self.used.clear();
        self.reserved = 0;
        self.queued.clear();
        effects
    }

    /// Undoes what left traces outside the instance.
    pub(super) fn undo(&mut self) {
        self.mailbox.unreserve(std::mem::take(&mut self.reserved));
        self.effects = Effects::default();
    }

    /// Where answers were to go, as of before this activation: nobody else can give them.
    pub fn questions(&self) -> impl Iterator<Item = &Address> {
        let held = self.table.held().filter_map(|held| match held {
            Held::Reply(address) => Some(address),
            _ => None,
        });
        held.chain(&self.used)
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
            () if !self.open => Err(Refusal::Denied),
            () if count >= self.budget.node.effects => Err(Refusal::OverLimit),
            () => Ok(()),
        }
    }

    fn letter(&mut self, body: &[u8], carried: &[Handle]) -> Result<Vec<Address>, Refusal> {
        self.count()?;
        let limits = &self.budget.node;
        if body.len() > limits.letter_bytes || carried.len() > limits.carried {
            return Err(Refusal::OverLimit);
        }
        carried.iter().map(|handle| self.address(*handle)).collect()
    }

    fn address(&self, handle: Handle) -> Result<Address, Refusal> {
        match self.table.find(handle) {
            Some(Held::Actor(address) | Held::Reply(address)) => Ok(address.clone()),
            _ => Err(Refusal::BadHandle),
        }
    }

    /// Whom a letter goes to; a reply address is used up.
    fn receiver(&mut self, handle: Handle) -> Result<Address, Refusal> {
        let address = self.address(handle)?;
        if !self.mailbox.reserve() {
            return Err(Refusal::MailboxFull);
        }
        self.reserved += 1;
        if let Some(Held::Reply(_)) = self.table.find(handle) {
            self.table.release(handle);
            self.used.push(address.clone());
        }
        Ok(address)
    }

    fn stored_size(&mut self, key: &[u8]) -> u64 {
        let size = |value: &[u8]| (key.len() + value.len()) as u64;
        if let Some(written) = self.effects.writes.get(key) {
            return written.as_deref().map_or(0, size);
        }
        match self.reads.value(self.me.id, key) {
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

impl types::Host for Turn {}

impl reads::Host for Turn {
    fn grant(&mut self, name: String) -> Option<Granted> {
        let handle = *self.grants.get(&name)?;
        Some(match self.table.find(handle)? {
            Held::Actor(_) | Held::Reply(_) => Granted::Address(handle),
            Held::Topic(_) => Granted::Topic(handle),
            Held::Pin(_) => Granted::Pin(handle),
            Held::Sensor(_) => Granted::Sensor(handle),
            Held::Bus(_) => Granted::Bus(handle),
            Held::Child(_) => Granted::Child(handle),
        })
    }

    fn me(&mut self) -> Handle {
        if let Some(own) = self.own {
            return own;
        }
        // Handle 2^32 - 1 is never given: with a full table, one's own address is a bad handle.
        let own = self.table.hold(Held::Actor(self.me.clone()));
        self.own = own;
        own.unwrap_or(Handle::MAX)
    }

    fn get(&mut self, key: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(written) = self.effects.writes.get(&key) {
            return written.clone();
        }
        self.reads.value(self.me.id, &key).unwrap_or_else(|why| {
            self.fault = Some(why);
            None
        })
    }

    fn range(&mut self, first: Vec<u8>, end: Vec<u8>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        let most = self.budget.node.range_entries.min(limit as usize);
        let mut bytes = self.budget.node.range_bytes;
        // Of the stored values, those that this turn has overwritten don't count; of its own writes
        // at most `most` can be in the answer.
        let writes = &self.effects.writes;
        let mut merged = BTreeMap::new();
        let stored = self.reads.values(self.me.id, &first, &end, &mut |key, value| {
            if !writes.contains_key(key) {
                merged.insert(key.to_vec(), value.to_vec());
            }
            merged.len() < most
        });
        if let Err(why) = stored {
            self.fault = Some(why);
        }
        let within =
            |key: &[u8]| key >= first.as_slice() && (end.is_empty() || key < end.as_slice());
        let own = writes.iter().filter(|(key, _)| within(key));
        merged.extend(own.filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
        let fits = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let size = key.len() + value.len();
            let fits = size <= bytes;
            bytes = bytes.saturating_sub(size);
            fits
        };
        merged.into_iter().take(most).take_while(fits).collect()
    }

    fn last(&mut self, sensor: Handle) -> Option<Reading> {
        let Some(Held::Sensor(sensor)) = self.table.find(sensor) else { return None };
        let (value, at) = self.reads.last(*sensor)?;
        Some(Reading { value, at: nanoseconds(at) })
    }

    fn level(&mut self, pin: Handle) -> Option<bool> {
        let Some(Held::Pin(pin)) = self.table.find(pin) else { return None };
        let driven = self.effects.drives.iter().rev().find(|(driven, _)| driven == pin);
        driven.map(|(_, high)| *high).or_else(|| self.reads.level(*pin))
    }
}

impl effects::Host for Turn {
    fn send(
        &mut self,
        to: Handle,
        body: Vec<u8>,
        carried: Vec<Handle>,
        token: u64,
    ) -> Result<(), Refusal> {
        let carried = self.letter(&body, &carried)?;
        if let Some(Held::Topic(topic)) = self.table.find(to) {
            if !carried.is_empty() {
                return Err(Refusal::Denied);
            }
            let topic = *topic;
            self.effects.letters.push(Outgoing::Publish { topic, body });
            return Ok(());
        }
        let to = self.receiver(to)?;
        self.effects.letters.push(Outgoing::Send { to, body, carried, token });
        Ok(())
    }

    fn ask(
        &mut self,
        to: Handle,
        body: Vec<u8>,
        carried: Vec<Handle>,
        token: u64,
        deadline: u64,
    ) -> Result<(), Refusal> {
        let carried = self.letter(&body, &carried)?;
        let to = self.receiver(to)?;
        self.effects.letters.push(Outgoing::Ask { to, body, carried, token, deadline });
        Ok(())
    }

    fn keep(&mut self, address: Handle) -> Result<Handle, Refusal> {
        self.table.keep(address).ok_or(Refusal::BadHandle)
    }

    fn release(&mut self, address: Handle) -> Result<(), Refusal> {
        match self.table.find(address) {
            Some(Held::Actor(_)) if !self.granted(address) => {
                self.table.release(address);
                Ok(())
            }
            Some(Held::Reply(address_of)) => {
                let dead = address_of.clone();
                self.used.push(dead.clone());
                self.effects.dead.push(dead);
                self.table.release(address);
                Ok(())
            }
            Some(_) => Err(Refusal::Denied),
            None => Err(Refusal::BadHandle),
        }
    }

    fn arm(&mut self, key: u64, body: Vec<u8>, after: u64, every: u64) -> Result<(), Refusal> {
        self.count()?;
        if body.len() > self.budget.node.letter_bytes {
            return Err(Refusal::OverLimit);
        }
        let armed = self.effects.timers.iter().filter(|(_, timer)| timer.is_some());
        let more = armed.map(|(key, _)| *key).chain([key]);
        if !self.mailbox.may_arm(more, self.budget.node.timers) {
            return Err(Refusal::OverLimit);
        }
        let (after, every) = (Duration::from_nanos(after), Duration::from_nanos(every));
        self.effects.timers.push((key, Some(Timer { body, after, every })));
        Ok(())
    }

    fn disarm(&mut self, key: u64) {
        if self.count().is_ok() {
            self.effects.timers.push((key, None));
        }
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Refusal> {
        self.write(key, Some(value))
    }

    fn delete(&mut self, key: Vec<u8>) -> Result<(), Refusal> {
        self.write(key, None)
    }

    fn drive(&mut self, pin: Handle, high: bool) -> Result<(), Refusal> {
        self.count()?;
        let Some(Held::Pin(pin)) = self.table.find(pin) else { return Err(Refusal::BadHandle) };
        if !self.reads.is_output(*pin) {
            return Err(Refusal::Denied);
        }
        self.effects.drives.push((*pin, high));
        Ok(())
    }

    fn spawn(
        &mut self,
        child: Handle,
        grants: Vec<(String, Handle)>,
        token: u64,
    ) -> Result<Handle, Refusal> {
        self.count()?;
        let Some(Held::Child(grant)) = self.table.find(child) else {
            return Err(Refusal::BadHandle);
        };
        let grant = grant.clone();
        let given = grants.into_iter().map(|(name, handle)| Ok((name, self.address(handle)?)));
        let grants = given.collect::<Result<Vec<_>, Refusal>>()?;
        let id = ActorId::random();
        let address = Address { id, ..self.me.clone() };
        let handle = self.table.hold(Held::Actor(address)).ok_or(Refusal::OverLimit)?;
        self.effects.family.push(Family::Spawn { id, grant, grants, token });
        Ok(handle)
    }

    fn stop(&mut self, actor: Handle) -> Result<(), Refusal> {
        self.count()?;
        let address = self.address(actor)?;
        self.effects.family.push(Family::Stop(address));
        Ok(())
    }

    fn monitor(&mut self, actor: Handle, token: u64) -> Result<(), Refusal> {
        self.count()?;
        let whom = self.address(actor)?;
        self.effects.family.push(Family::Monitor { whom, token });
        Ok(())
    }

    fn log(&mut self, mut line: String) {
        if self.count().is_err() {
            return;
        }
        let most = self.budget.node.log_line_bytes;
        if line.len() > most {
            let end = (0..=most).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
        }
        self.effects.log.push(line);
    }
}

impl links::Host for Turn {
    fn connect(&mut self, node: Vec<u8>) -> Result<(), Refusal> {
        self.count()?;
        let node = node.try_into().map(NodeId).map_err(|_| Refusal::BadHandle)?;
        self.effects.links.push(LinkEffect::Connect(node));
        Ok(())
    }

    fn disconnect(&mut self, link: u32) -> Result<(), Refusal> {
        self.count()?;
        self.effects.links.push(LinkEffect::Disconnect(link));
        Ok(())
    }

    fn transmit(&mut self, link: u32, class: Class, body: Vec<u8>) -> Result<(), Refusal> {
        self.count()?;
        let class = class as u8;
        let queued = self.queued.entry((link, class)).or_default();
        let bytes = *queued + body.len() + LINK_FRAME_BYTES;
        let room = self.reads.room(self.me.id, link, class);
        if body.len() > self.budget.node.letter_bytes || bytes > room {
            return Err(Refusal::OverLimit);
        }
        *queued = bytes;
        self.effects.links.push(LinkEffect::Transmit { link, class, body });
        Ok(())
    }

    fn deliver(&mut self, topic: Vec<u8>, body: Vec<u8>) -> Result<(), Refusal> {
        self.count()?;
        if body.len() > self.budget.node.letter_bytes {
            return Err(Refusal::OverLimit);
        }
        let topic = topic.try_into().map(TopicId).map_err(|_| Refusal::BadHandle)?;
        self.effects.links.push(LinkEffect::Deliver { topic, body });
        Ok(())
    }
}

impl super::bindings::driver::edge::actor::i2c::Host for Turn {
    fn write_read(
        &mut self,
        device: Handle,
        write: Vec<u8>,
        read: u32,
    ) -> Result<Vec<u8>, super::bindings::driver::edge::actor::i2c::Error> {
        use super::bindings::driver::edge::actor::i2c::Error;
        let Some(Held::Bus(bus)) = self.table.find(device) else { return Err(Error::Denied) };
        if read as usize > self.budget.node.letter_bytes {
            return Err(Error::Overrun);
        }
        self.reads.transfer(*bus, &write, read as usize).map_err(|error| match error {
            BusError::Denied => Error::Denied,
            BusError::Overrun => Error::Overrun,
        })
    }
}

impl Turn {
    fn granted(&self, handle: Handle) -> bool {
        self.own == Some(handle) || self.grants.values().any(|granted| *granted == handle)
    }
}

/// A time on the turn clock as the contract has it.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
