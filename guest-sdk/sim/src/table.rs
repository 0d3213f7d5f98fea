//! An actor's table of what it holds. A handle is a place and that place's generation.

use crate::Handle;

/// Where an actor lives in a simulation: its node, and a number that is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ActorKey {
    /// Index of the node.
    pub node: usize,
    /// The actor's number, unique in the simulation.
    pub number: u64,
}

/// What a handle stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Thing {
    /// An actor.
    Actor(ActorKey),
    /// The place where one question's answer is awaited.
    Reply(ActorKey, u64),
    /// A topic, by name.
    Topic(String),
    /// A pin, by name.
    Pin(String),
    /// A sensor, by name.
    Sensor(String),
    /// A device on a bus, by name.
    Bus(String),
    /// The right to spawn children of the component of this name.
    Child(String),
}

/// Places of one table.
const PLACES: usize = 4096;

/// The table. What a letter brought dies with the turn unless kept; what is let go in a turn can
/// still be resolved until its end, since the turn's effects may name it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    places: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    generation: u8,
    state: State,
    thing: Thing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Turn,
    Kept,
    LetGo,
}

impl Table {
    /// Puts a thing in; for good if `kept`, else until the turn ends. `None`: the table is full.
    pub fn insert(&mut self, thing: Thing, kept: bool) -> Option<Handle> {
        let state = if kept { State::Kept } else { State::Turn };
        let free = self.places.iter().position(|place| place.state == State::Free);
        let at = match free {
            Some(at) => {
                let generation = self.places[at].generation.wrapping_add(1);
                self.places[at] = Place { generation, state, thing };
                at
            }
            None if self.places.len() < PLACES => {
                self.places.push(Place { generation: 0, state, thing });
                self.places.len() - 1
            }
            None => return None,
        };
        Some(at as Handle | Handle::from(self.places[at].generation) << 24)
    }

    /// What a handle stands for, if the actor holds it now.
    pub fn held(&self, handle: Handle) -> Option<&Thing> {
        let place = self.places.get(Self::index(handle, &self.places)?)?;
        (place.state != State::LetGo).then_some(&place.thing)
    }

    /// What a handle stood for at some time in this turn.
    pub fn named(&self, handle: Handle) -> Option<&Thing> {
        Some(&self.places[Self::index(handle, &self.places)?].thing)
    }

    /// The handle of a thing that is held.
    pub fn find(&self, thing: &Thing) -> Option<Handle> {
        let held = |place: &Place| matches!(place.state, State::Kept | State::Turn);
        let at = self.places.iter().position(|place| held(place) && place.thing == *thing)?;
        Some(at as Handle | Handle::from(self.places[at].generation) << 24)
    }

    /// Keeps a thing beyond the turn. False: not held.
    pub fn keep(&mut self, handle: Handle) -> bool {
        self.set(handle, State::Kept)
    }

    /// Lets a thing go. False: not held.
    pub fn let_go(&mut self, handle: Handle) -> bool {
        self.set(handle, State::LetGo)
    }

    /// Frees what was let go, and what came with this turn. Gives the replies among them that
    /// nothing used.
    pub fn end_turn(&mut self) -> Vec<Thing> {
        let mut unused = Vec::new();
        for place in &mut self.places {
            if place.state == State::Turn && matches!(place.thing, Thing::Reply(..)) {
                unused.push(place.thing.clone());
            }
            if matches!(place.state, State::Turn | State::LetGo) {
                place.state = State::Free;
            }
        }
        unused
    }

    fn set(&mut self, handle: Handle, state: State) -> bool {
        match Self::index(handle, &self.places) {
            Some(at) if self.places[at].state != State::LetGo => {
                self.places[at].state = state;
                true
            }
            _ => false,
        }
    }

    fn index(handle: Handle, places: &[Place]) -> Option<usize> {
        let at = (handle & 0x00ff_ffff) as usize;
        let place = places.get(at)?;
        (place.state != State::Free && u32::from(place.generation) == handle >> 24).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_letter_brought_dies_with_the_turn_unless_kept() {
        let mut table = Table::default();
        let topic = |name: &str| Thing::Topic(name.into());
        let lost = table.insert(topic("lost"), false).unwrap();
        let kept = table.insert(topic("kept"), false).unwrap();
        assert!(table.keep(kept));
        table.end_turn();
        assert_eq!(table.held(lost), None);
        assert_eq!(table.held(kept), Some(&topic("kept")));
    }

    #[test]
    fn a_stale_handle_never_names_what_took_its_place() {
        let mut table = Table::default();
        let old = table.insert(Thing::Pin("a".into()), true).unwrap();
        assert!(table.let_go(old));
        table.end_turn();
        let new = table.insert(Thing::Pin("b".into()), true).unwrap();
        assert_ne!(old, new);
        assert_eq!(table.held(old), None);
    }

    #[test]
    fn a_table_is_bounded() {
        let mut table = Table::default();
        let full = (0..=PLACES).map(|_| table.insert(Thing::Pin("a".into()), true)).last();
        assert_eq!(full, Some(None));
    }
}
