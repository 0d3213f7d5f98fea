//! The messages of the last minutes, kept for those who lack them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use crate::limits::{LIFETIME, RECENT, RECENT_BYTES, RECENT_OVERHEAD};
use crate::saved::saved;
use crate::wire::{Id, Post};

/// Bounded by count, bytes and age; the oldest arrival goes first.
#[derive(Debug, Default)]
pub struct Recent {
    kept: BTreeMap<Id, Kept>,
    /// In the order of arrival.
    order: VecDeque<Id>,
    bytes: usize,
}

saved!(Recent { kept, order, bytes });

#[derive(Debug)]
struct Kept {
    /// Its age is the one it had when it arrived.
    post: Post,
    arrived: Duration,
}

saved!(Kept { post, arrived });

impl Recent {
    /// Keeps a message that arrived now, and lets go of the oldest where there is no room.
    pub fn keep(&mut self, now: Duration, post: Post) {
        self.bytes += cost(&post);
        self.order.push_back(post.id);
        self.kept.insert(post.id, Kept { post, arrived: now });
        while self.order.len() > RECENT || self.bytes > RECENT_BYTES {
            self.drop_oldest();
        }
    }

    /// Lets go of what is past its time.
    pub fn expire(&mut self, now: Duration) {
        self.order.retain(|id| {
            let alive = self.kept.get(id).is_some_and(|kept| kept.age(now).is_some());
            if !alive && let Some(kept) = self.kept.remove(id) {
                self.bytes -= cost(&kept.post);
            }
            alive
        });
    }

    /// A message as it would be passed on now, if it is kept.
    pub fn get(&self, now: Duration, id: Id) -> Option<Post> {
        self.kept.get(&id)?.at(now)
    }

    /// The names of all messages, in the order of their names, from the one after this and round.
    pub fn ids_after(&self, last: Option<Id>) -> impl Iterator<Item = Id> {
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let round = last.map(|last| self.kept.range(..=last));
        self.kept
            .range((after, Bound::Unbounded))
            .chain(round.into_iter().flatten())
            .map(|(id, _)| *id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// What they cost, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_oldest(&mut self) {
        if let Some(kept) = self.order.pop_front().and_then(|id| self.kept.remove(&id)) {
            self.bytes -= cost(&kept.post);
        }
    }
}

impl Kept {
    fn age(&self, now: Duration) -> Option<u32> {
        let here = u32::try_from(now.saturating_sub(self.arrived).as_millis()).ok()?;
        let age = self.post.age.checked_add(here)?;
        (u128::from(age) < LIFETIME.as_millis()).then_some(age)
    }

    fn at(&self, now: Duration) -> Option<Post> {
        Some(Post { age: self.age(now)?, ..self.post.clone() })
    }
}

fn cost(post: &Post) -> usize {
    post.body.len() + RECENT_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Stream;

    fn post(seq: u64, bytes: usize) -> Post {
        let id = Id { stream: Stream { origin: 1, epoch: 1 }, seq };
        Post { id, age: 0, hop: 0, tree: None, topic: [0; 16], body: vec![0; bytes] }
    }

    #[test]
    fn count_and_bytes_are_bounded() {
        let mut recent = Recent::default();
        for seq in 1..=RECENT as u64 + 5 {
            recent.keep(Duration::ZERO, post(seq, 1));
        }
        assert_eq!(recent.len(), RECENT);
        assert!(recent.get(Duration::ZERO, post(5, 0).id).is_none());
        for seq in 10_000..10_100 {
            recent.keep(Duration::ZERO, post(seq, 100 << 10));
            assert!(recent.bytes() <= RECENT_BYTES);
        }
        assert!(recent.get(Duration::ZERO, post(10_099, 0).id).is_some());
    }

    #[test]
    fn a_message_ages_and_expires() {
        let mut recent = Recent::default();
        let second = Duration::from_secs(1);
        recent.keep(second, Post { age: 500, ..post(1, 3) });
        assert_eq!(recent.get(second * 3, post(1, 0).id).map(|post| post.age), Some(2500));
        assert_eq!(recent.get(second + LIFETIME, post(1, 0).id), None);
        recent.expire(second + LIFETIME);
        assert_eq!((recent.len(), recent.bytes(), recent.ids_after(None).count()), (0, 0, 0));
    }
}
