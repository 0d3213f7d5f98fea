//! An actor's own table of what it holds. A handle is a place in it: the low 24 bits the place, the
//! high 8 its generation, so that a handle let go of is stale and never names something else.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::{Address, TopicId};
use crate::limits::Limits;
use crate::mailbox::{Inlet, Reply, To};

const GENERATION_SHIFT: u32 = 24;
const PLACE_MASK: u32 = (1 << GENERATION_SHIFT) - 1;
/// Up to so many things a table has no room to spare: most actors hold no more.
const FEW: usize = 4;

/// Something an actor holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Held {
    /// An actor's address.
    Actor(Address),
    /// Where an answer goes; used up by its use.
    Reply(Reply),
    /// A topic.
    Topic(TopicId),
    /// A pin, by the device's number.
    Pin(u64),
    /// A sensor, by the device's number.
    Sensor(u64),
    /// A device on a bus, by the device's number.
    Bus(u64),
    /// The right to spawn, by its grant's name.
    Child(String),
}

/// All that an actor holds. It outlives an instance that other code takes the place of, or that is
/// parked.
#[derive(Clone, Debug)]
pub struct Holdings {
    pub(super) table: Table,
    /// By the names of the grants.
    pub(super) grants: Box<[(Arc<str>, u32)]>,
    /// The actor's own address, once it has asked for it.
    pub(super) own: Option<u32>,
}

/// What a parked actor holds beyond its grants, as small as it gets.
#[derive(Debug)]
pub struct Rested {
    /// Each place's generation, and what is held there.
    places: Box<[(u8, Option<Box<Held>>)]>,
    free: Box<[u32]>,
    own: Option<u32>,
}

/// The table of one actor.
#[derive(Clone, Debug)]
pub struct Table {
    places: Vec<Place>,
    free: VecDeque<u32>,
    lent: Vec<u32>,
    limit: usize,
}

#[derive(Clone, Debug, Default)]
struct Place {
    generation: u8,
    held: Option<Held>,
    lent: bool,
    /// The way to an actor that was found on this node.
    inlet: Option<Inlet>,
}

impl Holdings {
    /// Nothing but the grants.
    pub fn new(grants: impl IntoIterator<Item = (Arc<str>, Held)>, limits: &Limits) -> Self {
        let mut table = Table::new(limits);
        let hold = |(name, held)| table.hold(held).map(|handle| (name, handle));
        let grants = grants.into_iter().filter_map(hold).collect();
        Self { table, grants, own: None }
    }

    /// Questions that it may still answer.
    pub fn questions(&self) -> impl Iterator<Item = &Reply> {
        self.table.places.iter().filter_map(|place| match &place.held {
            Some(Held::Reply(reply)) => Some(reply),
            _ => None,
        })
    }

    /// What is left of it while the actor has no instance: all but its grants, which are its first
    /// places for good and known elsewhere.
    pub fn rest(self) -> Rested {
        let places = self.table.places.into_iter().skip(self.grants.len());
        let places = places.map(|place| (place.generation, place.held.map(Box::new))).collect();
        let free = Vec::from(self.table.free).into_boxed_slice();
        Rested { places, free, own: self.own }
    }

    /// Takes up again what was put away, after the same grants.
    pub fn wake(&mut self, rested: Rested) {
        let place = |(generation, held): (u8, Option<Box<Held>>)| Place {
            generation,
            held: held.map(|held| *held),
            ..Place::default()
        };
        self.table.places.extend(rested.places.into_iter().map(place));
        self.table.free = Vec::from(rested.free).into();
        self.own = rested.own;
    }
}

impl Rested {
    /// As [`Holdings::questions`].
    pub fn questions(&self) -> impl Iterator<Item = &Reply> {
        self.places.iter().filter_map(|(_, held)| match held.as_deref() {
            Some(Held::Reply(reply)) => Some(reply),
            _ => None,
        })
    }
}

impl Table {
    /// An empty table.
    pub fn new(limits: &Limits) -> Self {
        let limit = limits.handles.min(PLACE_MASK as usize);
        Self { places: Vec::new(), free: VecDeque::new(), lent: Vec::new(), limit }
    }

    /// Where it lies.
    pub fn address(&self) -> usize {
        self.places.as_ptr().addr()
    }

    /// Takes something in for good; `None` if the table is full.
    pub fn hold(&mut self, held: Held) -> Option<u32> {
        self.insert(held, false)
    }

    /// Takes something in for this turn; `None` if the table is full.
    pub fn lend(&mut self, held: Held) -> Option<u32> {
        let handle = self.insert(held, true)?;
        self.lent.push(handle);
        Some(handle)
    }

    /// What a handle names.
    pub fn find(&self, handle: u32) -> Option<&Held> {
        self.place(handle)?.held.as_ref()
    }

    /// To whom a letter under a handle goes; a reply address is used up. `find` is asked once for
    /// each actor of this node.
    pub fn to(&mut self, handle: u32, find: impl FnOnce(&Address) -> Option<Inlet>) -> Option<To> {
        self.place(handle)?;
        let place = &mut self.places[(handle & PLACE_MASK) as usize];
        match place.held.as_ref()? {
            Held::Actor(address) => {
                if place.inlet.as_ref().is_none_or(|inlet| inlet.mailbox().closed().is_some()) {
                    place.inlet = find(address);
                }
                Some(match &place.inlet {
                    Some(inlet) => To::Here(inlet.clone()),
                    None => To::Actor(Box::new(address.clone())),
                })
            }
            Held::Reply(_) => match self.release(handle)? {
                Held::Reply(reply) => Some(To::Reply(reply)),
                _ => None,
            },
            _ => None,
        }
    }

    /// The handle under which something is held for good.
    pub fn handle_of(&self, wanted: &Held) -> Option<u32> {
        let at = self.places.iter().position(|place| place.held.as_ref() == Some(wanted))?;
        let generation = u32::from(self.places[at].generation);
        Some(u32::try_from(at).ok()? | generation << GENERATION_SHIFT)
    }

    /// Makes a lent address last; one that is held already stays so.
    pub fn keep(&mut self, handle: u32) -> Option<u32> {
        self.place(handle)?.held.as_ref()?;
        self.places[(handle & PLACE_MASK) as usize].lent = false;
        Some(handle)
    }

    /// Lets go of what a handle names.
    pub fn release(&mut self, handle: u32) -> Option<Held> {
        self.place(handle)?;
        let at = handle & PLACE_MASK;
        let place = &mut self.places[at as usize];
        let held = place.held.take()?;
        place.lent = false;
        place.inlet = None;
        // Generations wrap: a stale handle may after 256 uses of its place name something again,
        // but only what this actor holds. The place used longest ago goes next, to keep
        // that far off.
        place.generation = place.generation.wrapping_add(1);
        self.free.push_back(at);
        Some(held)
    }

    /// Ends a turn: what was lent and not kept is let go. Gives the reply addresses that die with
    /// it.
    pub fn end_turn(&mut self, dead: &mut Vec<Reply>) {
        while let Some(handle) = self.lent.pop() {
            let still_lent = self.place(handle).is_some_and(|place| place.lent);
            if still_lent && let Some(Held::Reply(reply)) = self.release(handle) {
                dead.push(reply);
            }
        }
    }

    fn insert(&mut self, held: Held, lent: bool) -> Option<u32> {
        let at = match self.free.pop_front() {
            Some(at) => at,
            None if self.places.len() >= self.limit => return None,
            None => {
                if self.places.len() < FEW {
                    self.places.reserve_exact(1);
                }
                self.places.push(Place::default());
                u32::try_from(self.places.len() - 1).ok()?
            }
        };
        let place = &mut self.places[at as usize];
        place.held = Some(held);
        place.lent = lent;
        Some(at | u32::from(place.generation) << GENERATION_SHIFT)
    }

    fn place(&self, handle: u32) -> Option<&Place> {
        let place = self.places.get((handle & PLACE_MASK) as usize)?;
        (u32::from(place.generation) == handle >> GENERATION_SHIFT).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{ActorId, NodeId};

    fn address(byte: u8) -> Address {
        Address::new(ActorId([byte; 16]), NodeId([0; 32]))
    }

    fn reply(byte: u8) -> Reply {
        Reply::There(Box::new(address(byte)))
    }

    #[test]
    fn a_lent_address_dies_with_the_turn_unless_kept() {
        let mut table = Table::new(&Limits::default());
        let lent = table.lend(Held::Actor(address(1))).unwrap();
        let kept = table.lend(Held::Actor(address(2))).unwrap();
        table.keep(kept).unwrap();
        table.end_turn(&mut Vec::new());
        assert_eq!(table.find(lent), None);
        assert_eq!(table.find(kept), Some(&Held::Actor(address(2))));
    }

    #[test]
    fn a_stale_handle_names_nothing_even_when_its_place_is_used_again() {
        let mut table = Table::new(&Limits::default());
        let old = table.hold(Held::Pin(1)).unwrap();
        table.release(old).unwrap();
        let new = table.hold(Held::Pin(2)).unwrap();
        assert_ne!(old, new);
        assert_eq!(table.find(old), None);
        assert_eq!(table.keep(old), None);
        assert_eq!(table.release(old), None);
        assert_eq!(table.find(new), Some(&Held::Pin(2)));
    }

    #[test]
    fn parking_leaves_every_handle_as_it_is() {
        let grants = [("a".into(), Held::Pin(1)), ("b".into(), Held::Sensor(2))];
        let fresh = || Holdings::new(grants.clone(), &Limits::default());
        let mut holds = fresh();
        let kept = holds.table.hold(Held::Actor(address(3))).unwrap();
        let stale = holds.table.hold(Held::Reply(reply(4))).unwrap();
        let asked = holds.table.hold(Held::Reply(reply(5))).unwrap();
        holds.table.release(stale).unwrap();
        let rested = holds.rest();
        assert_eq!(rested.questions().collect::<Vec<_>>(), [&reply(5)]);
        let mut holds = fresh();
        holds.wake(rested);
        let find = |handle| holds.table.find(handle);
        assert_eq!(find(holds.grants[1].1), Some(&Held::Sensor(2)));
        assert_eq!(find(kept), Some(&Held::Actor(address(3))));
        assert_eq!((find(stale), find(asked)), (None, Some(&Held::Reply(reply(5)))));
        let again = holds.table.hold(Held::Pin(6)).unwrap();
        assert_eq!(again & PLACE_MASK, stale & PLACE_MASK, "its place is free");
        assert_ne!(again, stale);
    }

    #[test]
    fn unused_reply_addresses_are_named_when_they_die() {
        let mut table = Table::new(&Limits::default());
        table.lend(Held::Reply(reply(1))).unwrap();
        let used = table.lend(Held::Reply(reply(2))).unwrap();
        table.release(used).unwrap();
        let mut dead = Vec::new();
        table.end_turn(&mut dead);
        assert_eq!(dead, [reply(1)]);
    }

    #[test]
    fn the_table_is_bounded_and_does_not_wear_out() {
        let limits = Limits { handles: 1, ..Limits::default() };
        let mut table = Table::new(&limits);
        for _ in 0..1000 {
            let handle = table.hold(Held::Sensor(1)).unwrap();
            assert_eq!(table.hold(Held::Sensor(2)), None);
            table.release(handle).unwrap();
        }
    }
}
