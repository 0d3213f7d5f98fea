//! A register that keeps all values which were written without knowing of each other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Dot, Dots, Merge, Replica, pairs};

/// Holds more than one value only after concurrent writes; the next write settles it. It needs no
/// clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct MvRegister<T> {
    #[serde(with = "pairs")]
    values: BTreeMap<Dot, T>,
    seen: Dots,
}

impl<T> MvRegister<T> {
    /// Writes over all values seen here. Gives the delta; `None` if the replica has used up its
    /// dots (after 2^63 changes).
    pub fn set(&mut self, replica: Replica, value: T) -> Option<Self>
    where
        T: Clone,
    {
        let dot = self.seen.next(replica)?;
        let before = std::mem::replace(&mut self.values, BTreeMap::from([(dot, value)]));
        self.seen.insert(dot);
        let seen = before.into_keys().chain([dot]).collect();
        Some(Self { values: self.values.clone(), seen })
    }

    /// The values: none before the first write, several after concurrent ones.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.values.values()
    }
}

impl<T> Default for MvRegister<T> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), seen: Dots::default() }
    }
}

impl<T> Merge for MvRegister<T> {
    fn merge(&mut self, other: Self) {
        self.values.retain(|dot, _| other.values.contains_key(dot) || !other.seen.contains(*dot));
        let news = other.values.into_iter().filter(|(dot, _)| !self.seen.contains(*dot));
        self.values.extend(news);
        self.seen.union(&other.seen);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::{check, steps};

    proptest! {
        #[test]
        fn a_register_keeps_the_laws(history in steps(0u8..9)) {
            let mut end = check(&history, |register: &mut MvRegister<u8>, replica, value| {
                register.set(replica, *value)
            });
            end.set(9, 200);
            prop_assert_eq!(end.values().collect::<Vec<_>>(), [&200]);
        }
    }

    #[test]
    fn concurrent_writes_are_both_kept() {
        let mut here = MvRegister::default();
        here.set(1, "on");
        let mut there = here.clone();
        there.set(2, "off");
        here.set(1, "dim");
        here.merge(there);
        assert_eq!(here.values().collect::<Vec<_>>(), [&"dim", &"off"]);
    }
}
