//! The queue of what will happen, in the order of time, and of scheduling where times are equal.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::Event;

/// A heap of small keys; the events, which are large, stay where they are.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    events: Vec<Option<Event>>,
    free: Vec<u32>,
    next: u64,
}

impl Queue {
    pub fn push(&mut self, at: u64, event: Event) {
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place as usize] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                (self.events.len() - 1) as u32
            }
        };
        self.next += 1;
        self.heap.push(Reverse((at, self.next, place)));
    }

    /// The next event and its time, if that is not after `end`.
    pub fn pop_until(&mut self, end: u64) -> Option<(u64, Event)> {
        if self.heap.peek()?.0.0 > end {
            return None;
        }
        let Reverse((at, _, place)) = self.heap.pop()?;
        let event = self.events[place as usize].take()?;
        self.free.push(place);
        Some((at, event))
    }
}
