//! The questions that an actor waits for answers to.
//!
//! They belong to the actor, not to its incarnation: the next one gets the answers. Only the
//! actor's runner touches them, so that a question costs no lock and, while an earlier deadline is
//! armed, no alarm.

use std::time::Duration;

use crate::clock::Alarm;
use crate::mailbox::Place;

/// See the module. An actor that never asks has no more than a word for it.
#[derive(Debug, Default)]
pub(super) struct Asks(Option<Box<Table>>);

#[derive(Debug, Default)]
struct Table {
    slots: Vec<Slot>,
    /// The first free slot, if there is one.
    free: Option<u32>,
    open: usize,
    alarm: Option<Alarm>,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Open { token: u64, deadline: Duration },
    Free { next: Option<u32> },
}

impl Asks {
    /// Questions without an answer yet.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |table| table.open)
    }

    /// A question that waits until `deadline`, on the node's clock.
    pub fn open(&mut self, token: u64, deadline: Duration) -> Place {
        let table = self.0.get_or_insert_default();
        let state = State::Open { token, deadline };
        table.open += 1;
        let Some(at) = table.free else {
            table.slots.push(Slot { generation: 0, state });
            let at = u32::try_from(table.slots.len() - 1).expect("a mailbox's capacity is a u32");
            return Place { at, generation: 0 };
        };
        let slot = &mut table.slots[at as usize];
        if let State::Free { next } = slot.state {
            table.free = next;
        }
        slot.state = state;
        Place { at, generation: slot.generation }
    }

    /// The question at a place has its answer: its token, if it was still waiting.
    pub fn settle(&mut self, place: Place) -> Option<u64> {
        let table = self.0.as_mut()?;
        let slot = table.slots.get(place.at as usize)?;
        match slot.state {
            State::Open { token, .. } if slot.generation == place.generation => {
                table.close(place.at);
                Some(token)
            }
            _ => None,
        }
    }

    /// The question at a place still waits.
    pub fn waits(&self, place: Place) -> bool {
        self.slots().get(place.at as usize).is_some_and(|slot| {
            slot.generation == place.generation && matches!(slot.state, State::Open { .. })
        })
    }

    /// The tokens of those whose deadline has passed: they wait no more.
    pub fn overdue(&mut self, now: Duration) -> Vec<u64> {
        let late = |(at, slot): (usize, &Slot)| match slot.state {
            State::Open { token, deadline } if deadline <= now => Some((at, token)),
            _ => None,
        };
        let late: Vec<_> = self.slots().iter().enumerate().filter_map(late).collect();
        if let Some(table) = &mut self.0 {
            late.iter().for_each(|(at, _)| table.close(u32::try_from(*at).unwrap_or(u32::MAX)));
        }
        late.into_iter().map(|(_, token)| token).collect()
    }

    /// The earliest deadline.
    pub fn earliest(&self) -> Option<Duration> {
        let deadline = |slot: &Slot| match slot.state {
            State::Open { deadline, .. } => Some(deadline),
            State::Free { .. } => None,
        };
        self.slots().iter().filter_map(deadline).min()
    }

    /// When the clock will have the actor look at its deadlines.
    pub fn alarm(&self) -> Option<Duration> {
        self.0.as_ref()?.alarm.map(|(at, _)| at)
    }

    /// The clock will have the actor look at its deadlines then.
    pub fn set_alarm(&mut self, alarm: Alarm) {
        self.0.get_or_insert_default().alarm = Some(alarm);
    }

    /// The clock has nothing to do with it any more, or is to be told so.
    pub fn take_alarm(&mut self) -> Option<Alarm> {
        self.0.as_mut()?.alarm.take()
    }

    fn slots(&self) -> &[Slot] {
        self.0.as_ref().map_or(&[], |table| &table.slots)
    }
}

impl Table {
    fn close(&mut self, at: u32) {
        let slot = &mut self.slots[at as usize];
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Free { next: self.free };
        self.free = Some(at);
        self.open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_question_is_settled_once() {
        let mut asks = Asks::default();
        let place = asks.open(7, SECOND);
        assert!(asks.waits(place));
        assert_eq!(asks.settle(place), Some(7));
        assert_eq!(asks.settle(place), None);
        let again = asks.open(8, SECOND);
        assert_eq!(again.at, place.at, "its place is used again");
        assert_eq!(asks.settle(place), None, "a late answer finds it used again");
        assert_eq!((asks.len(), asks.settle(again)), (1, Some(8)));
    }

    #[test]
    fn deadlines_pass_in_any_order() {
        let mut asks = Asks::default();
        let late = asks.open(1, 3 * SECOND);
        asks.open(2, SECOND);
        asks.open(3, 2 * SECOND);
        assert_eq!(asks.earliest(), Some(SECOND));
        assert_eq!(asks.overdue(2 * SECOND), [2, 3]);
        assert_eq!(asks.earliest(), Some(3 * SECOND));
        assert!(asks.waits(late));
        assert_eq!(asks.overdue(9 * SECOND), [1]);
        assert_eq!((asks.len(), asks.earliest()), (0, None));
    }
}
