//! The edges of one actor's pins: so many wait for it, and of each pin one more that came late.

use std::collections::VecDeque;

use super::Edge;

#[derive(Debug, Default)]
pub(super) struct Edges {
    waiting: usize,
    /// Of each pin the last that found no room, which stands for those before it: when there is
    /// room it is put in, so that the actor knows the level at which its pin came to rest.
    late: VecDeque<Edge>,
}

impl Edges {
    /// Has an edge put in, or kept until there is room.
    pub fn come(&mut self, mut edge: Edge, capacity: usize, put: impl FnOnce(Edge)) {
        if let Some(late) = self.late.iter_mut().find(|late| late.pin == edge.pin) {
            edge.dropped += late.dropped + 1;
            *late = edge;
        } else if self.waiting >= capacity {
            self.late.push_back(edge);
        } else {
            self.waiting += 1;
            put(edge);
        }
    }

    /// One was handed to the actor: `put` is given the next that found no room before.
    pub fn handed(&mut self, capacity: usize, put: impl FnOnce(Edge)) {
        self.waiting -= 1;
        if self.waiting < capacity
            && let Some(late) = self.late.pop_front()
        {
            self.waiting += 1;
            put(late);
        }
    }

    /// One that was handed out waits once more, whatever room there is.
    pub fn put_back(&mut self) {
        self.waiting += 1;
    }

    /// Nobody takes any more.
    pub fn close(&mut self) {
        self.late.clear();
    }
}
