//! A set without tombstones in which an addition wins over a concurrent removal (ORSWOT; Bieniusa
//! et al., RR-8083, 2012).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Dot, Dots, Merge, Replica, pairs};

/// Each item with the dots of the additions that hold it there; a removal takes away those it has
/// seen, and nothing is left of it but that they were seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de> + Ord"))]
pub struct OrSet<T> {
    #[serde(with = "pairs")]
    items: BTreeMap<T, BTreeSet<Dot>>,
    seen: Dots,
}

impl<T: Ord> OrSet<T> {
    /// Adds an item. Gives the delta: what to send to others, who `merge` it; `None` if the replica
    /// has used up its dots (after 2^63 changes).
    pub fn add(&mut self, replica: Replica, item: T) -> Option<Self>
    where
        T: Clone,
    {
        let dot = self.seen.next(replica)?;
        let before = self.items.insert(item.clone(), BTreeSet::from([dot])).unwrap_or_default();
        self.seen.insert(dot);
        let seen = before.into_iter().chain([dot]).collect();
        Some(Self { items: BTreeMap::from([(item, BTreeSet::from([dot]))]), seen })
    }

    /// Removes an item as far as it is seen here. Gives the delta; `None` if it is not there.
    pub fn remove(&mut self, item: &T) -> Option<Self> {
        let dots = self.items.remove(item)?;
        Some(Self { items: BTreeMap::new(), seen: dots.into_iter().collect() })
    }

    /// Whether an item is there.
    pub fn contains(&self, item: &T) -> bool {
        self.items.contains_key(item)
    }

    /// All items, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.keys()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What was seen, also what is gone: the digest by which others find what is missing here.
    pub fn seen(&self) -> &Dots {
        &self.seen
    }
}

impl<T> Default for OrSet<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), seen: Dots::default() }
    }
}

impl<T: Ord> Merge for OrSet<T> {
    fn merge(&mut self, other: Self) {
        self.items.retain(|item, dots| {
            let theirs = other.items.get(item);
            dots.retain(|dot| {
                theirs.is_some_and(|theirs| theirs.contains(dot)) || !other.seen.contains(*dot)
            });
            !dots.is_empty()
        });
        for (item, mut dots) in other.items {
            dots.retain(|dot| !self.seen.contains(*dot));
            if !dots.is_empty() {
                self.items.entry(item).or_default().extend(dots);
            }
        }
        self.seen.union(&other.seen);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::{Step, check, steps};

    #[derive(Clone, Debug)]
    enum Change {
        Add(u8),
        Remove(u8),
    }

    fn change() -> impl Strategy<Value = Change> {
        (any::<bool>(), 0u8..4).prop_map(
            |(add, item)| {
                if add { Change::Add(item) } else { Change::Remove(item) }
            },
        )
    }

    fn apply(set: &mut OrSet<u8>, replica: Replica, change: &Change) -> Option<OrSet<u8>> {
        match change {
            Change::Add(item) => set.add(replica, *item),
            Change::Remove(item) => set.remove(item),
        }
    }

    /// What the definition says: one addition of an item that no removal has seen keeps it.
    fn by_definition(history: &[Step<Change>]) -> Vec<u8> {
        let mut known = [const { BTreeSet::<usize>::new() }; crate::history::REPLICAS];
        let mut removed = BTreeSet::<usize>::new();
        let added = |at: usize| match history[at] {
            Step::Change(_, Change::Add(item)) => Some(item),
            _ => None,
        };
        for (at, step) in history.iter().enumerate() {
            match step {
                Step::Change(replica, Change::Remove(item)) => {
                    removed
                        .extend(known[*replica].iter().filter(|add| added(**add) == Some(*item)));
                }
                Step::Change(replica, Change::Add(_)) => drop(known[*replica].insert(at)),
                Step::Merge { from, into } => {
                    let theirs = known[*from].clone();
                    known[*into].extend(theirs);
                }
            }
        }
        let kept = (0..history.len()).filter(|at| !removed.contains(at)).filter_map(added);
        kept.collect::<BTreeSet<u8>>().into_iter().collect()
    }

    proptest! {
        #[test]
        fn an_addition_wins_over_the_removals_that_had_not_seen_it(history in steps(change())) {
            let end = check(&history, apply);
            prop_assert_eq!(end.iter().copied().collect::<Vec<_>>(), by_definition(&history));
        }
    }

    #[test]
    fn a_concurrent_addition_wins() {
        let mut here = OrSet::default();
        here.add(1, "lamp");
        let mut there = here.clone();
        there.add(2, "lamp");
        here.remove(&"lamp");
        here.merge(there.clone());
        there.merge(here.clone());
        assert!(here.contains(&"lamp") && here == there);
    }

    #[test]
    fn what_was_removed_leaves_nothing_behind() {
        let mut set = OrSet::default();
        for item in 0..1000 {
            set.add(1, item);
            set.remove(&item);
        }
        assert!(set.is_empty());
        assert!(serde_ipld_dagcbor::to_vec(&set).unwrap().len() < 40);
    }
}
