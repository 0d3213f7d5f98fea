//! Counters that many replicas count on at once.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Merge, Replica, pairs};

/// A counter that only grows: how far each replica has counted; the sum is the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GCounter {
    #[serde(with = "pairs")]
    counted: BTreeMap<Replica, u64>,
}

impl GCounter {
    /// Counts on. Gives the delta: what to send to others, who `merge` it.
    pub fn increment(&mut self, replica: Replica, by: u64) -> Self {
        let counted = self.counted.entry(replica).or_default();
        *counted = counted.saturating_add(by);
        Self { counted: BTreeMap::from([(replica, *counted)]) }
    }

    /// The sum over all replicas; `u64::MAX` if it is more.
    pub fn value(&self) -> u64 {
        self.counted.values().fold(0, |sum, counted| sum.saturating_add(*counted))
    }
}

impl Merge for GCounter {
    fn merge(&mut self, other: Self) {
        for (replica, theirs) in other.counted {
            let ours = self.counted.entry(replica).or_default();
            *ours = theirs.max(*ours);
        }
    }
}

/// A counter that goes up and down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PnCounter {
    up: GCounter,
    down: GCounter,
}

impl PnCounter {
    /// Counts up, or down where `by` is below 0. Gives the delta.
    pub fn increment(&mut self, replica: Replica, by: i64) -> Self {
        let mut delta = Self::default();
        if by >= 0 {
            delta.up = self.up.increment(replica, by.unsigned_abs());
        } else {
            delta.down = self.down.increment(replica, by.unsigned_abs());
        }
        delta
    }

    /// What went up less what went down, held within an `i64`.
    pub fn value(&self) -> i64 {
        let value = i128::from(self.up.value()) - i128::from(self.down.value());
        value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

impl Merge for PnCounter {
    fn merge(&mut self, other: Self) {
        self.up.merge(other.up);
        self.down.merge(other.down);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::{Step, check, steps};

    proptest! {
        #[test]
        fn no_count_is_lost_or_counted_twice(history in steps(-5i64..9)) {
            let total: i64 = history.iter().filter_map(Step::change).sum();
            let end = check(&history, |counter: &mut PnCounter, replica, by| {
                Some(counter.increment(replica, *by))
            });
            prop_assert_eq!(end.value(), total);
        }

        #[test]
        fn a_counter_that_grows_keeps_the_laws(history in steps(0u64..9)) {
            let total: u64 = history.iter().filter_map(Step::change).sum();
            let end = check(&history, |counter: &mut GCounter, replica, by| {
                Some(counter.increment(replica, *by))
            });
            prop_assert_eq!(end.value(), total);
        }
    }

    #[test]
    fn a_counter_stays_at_its_end() {
        let mut counter = PnCounter::default();
        counter.increment(1, i64::MIN);
        counter.increment(2, i64::MIN);
        assert_eq!(counter.value(), i64::MIN);
        let mut counter = GCounter::default();
        counter.increment(1, u64::MAX);
        counter.increment(1, 1);
        counter.increment(2, 1);
        assert_eq!(counter.value(), u64::MAX);
    }
}
