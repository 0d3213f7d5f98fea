//! A worker's own queue, and its dealings with the one that all share. `tests/model` checks with
//! loom that nothing is lost between the two, or run twice.

use std::collections::VecDeque;

use super::shared::{Shared, Wake};

/// After so many activations a worker looks into the shared queue, however much it has itself.
const LOOK: u32 = 8;
/// So many at most in a row go before those that have waited for longer: half as many on average.
/// Were it always the same, letters that follow each other through many actors would keep their
/// distance for ever; so they catch up with each other, and have a turn together.
pub const STREAK: u32 = 7;
/// One of so many activations is a beginning, whatever else waits.
pub const BEGIN: u32 = 4;

/// See the module.
#[derive(Debug)]
pub struct Own<T> {
    /// The last that a letter made ready.
    next: Option<T>,
    /// How many more may be that before one is taken that has waited.
    streak: u32,
    ready: VecDeque<T>,
    /// Those whose first turn is to come.
    beginning: VecDeque<T>,
    /// How many it has given to be run.
    pub activations: u32,
}

impl<T> Own<T> {
    /// Empty.
    pub const fn new() -> Self {
        let ready = VecDeque::new();
        let beginning = VecDeque::new();
        Self { next: None, streak: 0, ready, beginning, activations: 0 }
    }

    /// How many wait here.
    pub fn len(&self) -> usize {
        self.ready.len() + self.beginning.len() + usize::from(self.next.is_some())
    }

    /// Nobody waits here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts one at the end.
    pub fn push(&mut self, one: T) {
        self.ready.push_back(one);
    }

    /// As [`Own::push`], for one that something came for just now.
    pub fn push_next(&mut self, one: T) {
        if let Some(before) = self.next.replace(one) {
            self.ready.push_back(before);
        }
    }

    /// As [`Own::push`], for one whose first turn is to come.
    pub fn push_beginning(&mut self, one: T) {
        self.beginning.push_back(one);
    }

    /// The next to be run, if there is one without waiting: from here, or what this worker takes of
    /// the shared queue. It gives half of its own to that while another worker has nothing.
    pub fn next(
        &mut self,
        shared: &Shared<T, impl Wake>,
        begins: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let look = self.is_empty() || self.activations.is_multiple_of(LOOK);
        let count = self.len();
        if look && shared.has_some() {
            shared.take(|one| match begins(&one) {
                true => self.beginning.push_front(one),
                false => self.ready.push_front(one),
            });
        } else if count > 1 && shared.has_idle() {
            shared.give(self.give(count / 2));
        }
        self.pop()
    }

    /// Gives all to the other workers.
    pub fn leave(&mut self, shared: &Shared<T, impl Wake>) {
        self.ready.extend(self.next.take());
        let all = self.len();
        shared.give(self.give(all));
    }

    /// The next of those that wait here.
    pub fn pop(&mut self) -> Option<T> {
        self.activations = self.activations.wrapping_add(1);
        if self.activations.is_multiple_of(BEGIN)
            && let Some(begins) = self.beginning.pop_front()
        {
            return Some(begins);
        }
        if let Some(next) = self.next.take() {
            if self.streak > 0 || self.ready.is_empty() {
                self.streak = self.streak.saturating_sub(1);
                return Some(next);
            }
            self.ready.push_back(next);
        }
        // 0 to STREAK: Fibonacci hashing (Knuth, The Art of Computer Programming 3, section 6.4).
        self.streak = self.activations.wrapping_mul(0x9e37_79b9) >> STREAK.leading_zeros();
        self.ready.pop_front().or_else(|| self.beginning.pop_front())
    }

    /// Takes so many out, those that can best wait first.
    pub fn give(&mut self, count: usize) -> impl Iterator<Item = T> {
        let begin = self.beginning.len().min(count);
        let ready = self.ready.len().min(count - begin);
        let (begin, ready) = (self.beginning.len() - begin, self.ready.len() - ready);
        self.ready.drain(ready..).chain(self.beginning.drain(begin..))
    }
}
