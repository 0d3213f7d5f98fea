//! What one actor reads and asks for during a turn: its grants, its table, its durable values, and
//! the effects so far.

use std::collections::BTreeMap;
use std::fmt;

use crate::table::Table;
use crate::{ActorKey, BusError, Class, Effect, Granted, Handle, Kind, Reading, Refusal, Thing};

mod effects;

/// Which world an actor lives in, and so what it may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum World {
    /// An ordinary actor.
    #[default]
    Actor,
    /// An actor that may touch a bus.
    Driver,
    /// A system protocol: links and local delivery.
    Protocol,
}

/// A device on a bus: from what is written, and how many bytes to read, to what is read.
pub type Device = Box<dyn FnMut(&[u8], usize) -> Result<Vec<u8>, BusError>>;

/// One actor's desk. A turn is `begin`, any number of reads and [`apply`](Desk::apply), and
/// `commit` or `undo`.
#[derive(Default)]
pub struct Desk {
    /// The actor itself.
    pub me: ActorKey,
    /// Its world.
    pub world: World,
    /// Grants whatever is asked for under any name (for tests that don't care).
    pub open: bool,
    /// What its manifest grants, by name.
    pub grants: BTreeMap<String, Thing>,
    /// Readings by sensor name.
    pub sensors: BTreeMap<String, Reading>,
    /// What any other sensor reads.
    pub ambient: Option<Reading>,
    /// Levels by pin name.
    pub pins: BTreeMap<String, bool>,
    /// Devices by name.
    pub devices: BTreeMap<String, Device>,
    /// Bytes that each open link takes of each class.
    pub links: BTreeMap<u32, usize>,
    /// Bytes that are queued on links, by class.
    queued: BTreeMap<(u32, Class), usize>,
    /// The number that the next child gets.
    pub next_number: u64,
    pub(crate) table: Table,
    store: BTreeMap<Vec<u8>, Vec<u8>>,
    effects: Vec<Effect>,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    before: Before,
}

/// What a turn has changed so far, as it was.
#[derive(Default)]
struct Before {
    table: Option<Table>,
    pins: Option<BTreeMap<String, bool>>,
    /// Those that were closed.
    links: Vec<(u32, usize)>,
    /// Bytes that were queued since.
    queued: Vec<(u32, Class, usize)>,
}

impl Desk {
    /// A desk for an actor, with nothing done yet.
    pub fn new(me: ActorKey, world: World, open: bool, grants: BTreeMap<String, Thing>) -> Self {
        Self { me, world, open, grants, ..Self::default() }
    }

    /// What the manifest granted under a name.
    pub fn grant(&mut self, name: &str) -> Option<Granted> {
        let thing = self.grants.get(name)?.clone();
        self.hand(thing)
    }

    /// The same, where an open desk needs to know what is wanted.
    pub fn grant_as(&mut self, name: &str, kind: Kind) -> Option<Granted> {
        if self.open && !self.grants.contains_key(name) {
            let name = name.to_owned();
            let thing = match kind {
                Kind::Topic => Thing::Topic(name),
                Kind::Pin => Thing::Pin(name),
                Kind::Sensor => Thing::Sensor(name),
                Kind::Bus => Thing::Bus(name),
                Kind::Child => Thing::Child(name),
                // Nothing to make an actor from.
                Kind::Address => return None,
            };
            return self.hand(thing);
        }
        self.grant(name)
    }

    /// The actor's own address.
    pub fn me(&mut self) -> Handle {
        self.before_table();
        let thing = Thing::Actor(self.me);
        // A full table has no place for it: a handle that names nothing.
        let full = Handle::MAX;
        self.table.find(&thing).or_else(|| self.table.insert(thing, true)).unwrap_or(full)
    }

    /// The durable value under a key.
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.store.get(key).cloned(),
        }
    }

    /// Durable keys from `first` up to and without `end` (empty: no end), in byte order.
    pub fn range(&self, first: &[u8], end: &[u8], limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        let within = |key: &[u8]| key >= first && (end.is_empty() || key < end);
        let mut found: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
        found.extend(self.store.iter().map(|(k, v)| (&**k, &**v)).filter(|(k, _)| within(k)));
        for (key, written) in self.writes.iter().filter(|(key, _)| within(key)) {
            match written {
                Some(value) => found.insert(key, value),
                None => found.remove(&**key),
            };
        }
        let limit = (limit as usize).min(effects::RANGE_ENTRIES);
        found.into_iter().take(limit).map(|(k, v)| (k.to_vec(), v.to_vec())).collect()
    }

    /// A sensor's last published reading.
    pub fn last(&self, sensor: Handle) -> Option<Reading> {
        match self.table.held(sensor)? {
            Thing::Sensor(name) => self.sensors.get(name).copied().or(self.ambient),
            _ => None,
        }
    }

    /// A pin's level, this turn's own included.
    pub fn level(&self, pin: Handle) -> Option<bool> {
        match self.table.held(pin)? {
            Thing::Pin(name) => self.pins.get(name).copied(),
            _ => None,
        }
    }

    /// Takes an effect, or says why not. Gives the handle that `keep` and `spawn` make, else 0.
    pub fn apply(&mut self, effect: Effect) -> Result<Handle, Refusal> {
        if self.effects.len() >= effects::EFFECTS {
            return Err(Refusal::OverLimit);
        }
        let handle = self.check(&effect)?;
        self.effects.push(effect);
        Ok(handle)
    }

    /// A bus transfer, at once.
    pub fn transfer(&mut self, bus: Handle, write: &[u8], read: u32) -> Result<Vec<u8>, BusError> {
        let Some(Thing::Bus(name)) = self.table.held(bus) else {
            return Err(BusError::Denied);
        };
        if write.len().max(read as usize) > effects::TRANSFER_BYTES {
            return Err(BusError::Overrun);
        }
        let device = self.devices.get_mut(name).ok_or(BusError::NoAcknowledge)?;
        device(write, read as usize)
    }

    /// Begins a turn.
    pub fn begin(&mut self) {
        self.before = Before::default();
    }

    /// Ends a turn well: its writes are durable. Gives the effects, in order, and the replies that
    /// came with the turn and nothing used. What the effects name can be had from `named` only with
    /// the closure, which runs while the turn's handles are still good.
    pub fn commit<T>(&mut self, with: impl FnOnce(&Desk, Vec<Effect>) -> T) -> (T, Vec<Thing>) {
        let effects = std::mem::take(&mut self.effects);
        let given = with(self, effects);
        for (key, written) in std::mem::take(&mut self.writes) {
            match written {
                Some(value) => self.store.insert(key, value),
                None => self.store.remove(&key),
            };
        }
        self.before = Before::default();
        (given, self.table.end_turn())
    }

    /// Ends a turn badly: nothing of it remains.
    pub fn undo(&mut self) {
        self.effects.clear();
        self.writes.clear();
        let before = std::mem::take(&mut self.before);
        if let Some(table) = before.table {
            self.table = table;
        }
        if let Some(pins) = before.pins {
            self.pins = pins;
        }
        self.links.extend(before.links);
        for (link, class, bytes) in before.queued {
            self.sent(link, class, bytes);
        }
        self.table.end_turn();
    }

    /// Puts something that a message brings into the table, for the turn.
    pub fn bring(&mut self, thing: Thing) -> Option<Handle> {
        self.before_table();
        self.table.insert(thing, false)
    }

    /// What a handle stands for, or stood for earlier in this turn.
    pub fn named(&self, handle: Handle) -> Option<&Thing> {
        self.table.named(handle)
    }

    /// The handle of a thing that the actor holds.
    pub fn find(&self, thing: &Thing) -> Option<Handle> {
        self.table.find(thing)
    }

    /// Bytes that are queued on a link, of a class.
    pub(crate) fn queued(&self, link: u32, class: Class) -> usize {
        self.queued.get(&(link, class)).copied().unwrap_or(0)
    }

    /// So many have left the queue. Gives how many are left.
    pub(crate) fn sent(&mut self, link: u32, class: Class, bytes: usize) -> usize {
        let left = self.queued(link, class).saturating_sub(bytes);
        match left {
            0 => self.queued.remove(&(link, class)),
            left => self.queued.insert((link, class), left),
        };
        left
    }

    /// The node was switched off: durable values and the manifest's grants stay.
    pub(crate) fn forget(&mut self) {
        self.table = Table::default();
        self.links.clear();
        self.queued.clear();
        self.pins.clear();
    }

    /// Durable values are gone too.
    pub(crate) fn wipe(&mut self) {
        self.store.clear();
    }

    fn before_table(&mut self) {
        if self.before.table.is_none() {
            self.before.table = Some(self.table.clone());
        }
    }

    fn hand(&mut self, thing: Thing) -> Option<Granted> {
        self.before_table();
        let found = self.table.find(&thing);
        let kind = kind(&thing);
        let handle = found.or_else(|| self.table.insert(thing, true))?;
        Some(match kind {
            Kind::Address => Granted::Address(handle),
            Kind::Topic => Granted::Topic(handle),
            Kind::Pin => Granted::Pin(handle),
            Kind::Sensor => Granted::Sensor(handle),
            Kind::Bus => Granted::Bus(handle),
            Kind::Child => Granted::Child(handle),
        })
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("me", &self.me).field("effects", &self.effects).finish()
    }
}

fn kind(thing: &Thing) -> Kind {
    match thing {
        Thing::Actor(_) | Thing::Reply(..) => Kind::Address,
        Thing::Topic(_) => Kind::Topic,
        Thing::Pin(_) => Kind::Pin,
        Thing::Sensor(_) => Kind::Sensor,
        Thing::Bus(_) => Kind::Bus,
        Thing::Child(_) => Kind::Child,
    }
}
