//! Registers and maps in which the last writer wins.

use std::collections::BTreeMap;

use guest_sdk::Stamp;
use serde::{Deserialize, Serialize};

use crate::{Merge, pairs};

/// A value and when it was written; of two, the later one stays.
///
/// Equal stamps mean the same write, so a stamp is used once. `Default` is before any write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lww<T> {
    value: T,
    stamp: Stamp,
}

impl<T> Lww<T> {
    /// Writes, after all that is seen here: a stamp that is not later is moved behind what it
    /// replaces.
    pub fn set(&mut self, value: T, stamp: Stamp) {
        let after = Stamp::new(self.stamp.time().saturating_add(1), stamp.replica());
        self.stamp = if stamp > self.stamp { stamp } else { after };
        self.value = value;
    }

    /// Takes in another copy: of the two writes the later one stays. (As [`Merge`] does.)
    pub fn merge(&mut self, other: Self) {
        if other.stamp > self.stamp {
            *self = other;
        }
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.value
    }

    /// When it was written.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }
}

impl<T> Merge for Lww<T> {
    fn merge(&mut self, other: Self) {
        Lww::merge(self, other);
    }
}

/// A map in which for each key the last writer wins.
///
/// A removed key leaves its stamp, or an older write would bring it back; where keys come and go
/// without end, a document or an [`crate::OrSet`] leaves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(
    serialize = "K: Serialize, V: Serialize",
    deserialize = "K: Deserialize<'de> + Ord, V: Deserialize<'de>"
))]
pub struct LwwMap<K, V> {
    #[serde(with = "pairs")]
    entries: BTreeMap<K, Lww<Option<V>>>,
}

impl<K: Ord, V> LwwMap<K, V> {
    /// Writes a key. Gives the delta: what to send to others, who `merge` it.
    pub fn set(&mut self, key: K, value: V, stamp: Stamp) -> Self
    where
        K: Clone,
        V: Clone,
    {
        self.write(key, Some(value), stamp)
    }

    /// Removes a key. Gives the delta.
    pub fn remove(&mut self, key: K, stamp: Stamp) -> Self
    where
        K: Clone,
        V: Clone,
    {
        self.write(key, None, stamp)
    }

    /// A key's value, if it has one.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)?.get().as_ref()
    }

    /// All keys that have a value, in order, with it.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().filter_map(|(key, value)| Some((key, value.get().as_ref()?)))
    }

    fn write(&mut self, key: K, value: Option<V>, stamp: Stamp) -> Self
    where
        K: Clone,
        V: Clone,
    {
        let entry = self.entries.entry(key.clone()).or_default();
        entry.set(value, stamp);
        Self { entries: BTreeMap::from([(key, entry.clone())]) }
    }
}

impl<K, V> Default for LwwMap<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new() }
    }
}

impl<K: Ord, V> Merge for LwwMap<K, V> {
    fn merge(&mut self, other: Self) {
        for (key, theirs) in other.entries {
            self.entries.entry(key).or_default().merge(theirs);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;
    use crate::history::{check, steps};

    proptest! {
        #[test]
        fn a_register_keeps_the_laws(history in steps((0u64..9, any::<u8>()))) {
            let writes = Cell::new(0);
            check(&history, |register: &mut Lww<u8>, replica, (time, value)| {
                // Clocks that are wrong and go back; the replica makes each stamp the only one.
                writes.set(writes.get() + 1);
                register.set(*value, Stamp::new(*time, writes.get() * 8 + replica));
                Some(*register)
            });
        }

        #[test]
        fn a_map_keeps_the_laws(history in steps((0u64..9, 0u8..4, any::<Option<u8>>()))) {
            let writes = Cell::new(0);
            check(&history, |map: &mut LwwMap<u8, u8>, replica, (time, key, value)| {
                writes.set(writes.get() + 1);
                let stamp = Stamp::new(*time, writes.get() * 8 + replica);
                Some(match value {
                    Some(value) => map.set(*key, *value, stamp),
                    None => map.remove(*key, stamp),
                })
            });
        }
    }

    #[test]
    fn a_write_at_time_zero_wins_over_the_default() {
        let mut written = Lww::default();
        written.set(21.5, Stamp::default());
        let mut other = Lww::<f64>::default();
        other.merge(written);
        assert_eq!(*other.get(), 21.5);
        written.merge(Lww::default());
        assert_eq!(*written.get(), 21.5);
    }

    #[test]
    fn a_clock_that_is_behind_does_not_lose_what_is_written_now() {
        let mut register = Lww::default();
        register.set("by a node that is ahead", Stamp::new(9_000, 1));
        let mut here = register;
        here.set("by a Pi in 1970", Stamp::new(5, 2));
        register.merge(here);
        assert_eq!(*register.get(), "by a Pi in 1970");
    }

    #[test]
    fn a_removed_key_does_not_come_back() {
        let mut map = LwwMap::default();
        let old = map.set("lamp", 1, Stamp::new(1, 1));
        map.remove("lamp", Stamp::new(2, 1));
        map.merge(old);
        assert_eq!((map.get(&"lamp"), map.iter().count()), (None, 0));
    }
}
