//! Dots name changes; a set of dots says what a replica has seen (Almeida, Shoker, Baquero, 2016).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One copy that changes things: a random number, drawn once and kept with what it has changed.
pub type Replica = u64;

/// The name of one change: the replica that made it, and its count there, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Replica, u64)")]
pub struct Dot(pub Replica, pub u64);

/// The highest count of a dot; none follows it.
const LAST: u64 = i64::MAX as u64;

/// A set of dots, kept as runs: what was seen without a gap costs the same however long it is.
///
/// As causal context it takes the place of tombstones: a dot that was seen, but is not there any
/// more, was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Encoded", into = "Encoded")]
pub struct Dots {
    /// Runs first to last: in order, apart from each other, none empty.
    runs: BTreeMap<Replica, Vec<Run>>,
}

type Run = (u64, u64);

/// Keys of a DAG-CBOR map may only be texts.
type Encoded = Vec<(Replica, Vec<Run>)>;

impl Dots {
    /// Whether a dot is in the set.
    pub fn contains(&self, Dot(replica, count): Dot) -> bool {
        self.runs.get(&replica).is_some_and(|runs| {
            let after = runs.partition_point(|run| run.0 <= count);
            after > 0 && count <= runs[after - 1].1
        })
    }

    /// Adds a dot.
    pub fn insert(&mut self, Dot(replica, count): Dot) {
        let runs = self.runs.entry(replica).or_default();
        match runs.last_mut() {
            // By far the most common case.
            Some(run) if run.1.checked_add(1) == Some(count) => run.1 = count,
            _ => {
                runs.push((count, count));
                join(runs);
            }
        }
    }

    /// The name of a replica's next change; `None` when it has used up all.
    pub fn next(&self, replica: Replica) -> Option<Dot> {
        let last = self.runs.get(&replica).and_then(|runs| runs.last()).map_or(0, |run| run.1);
        (last < LAST).then(|| Dot(replica, last + 1))
    }

    /// Adds all dots of another set.
    pub fn union(&mut self, other: &Dots) {
        for (&replica, theirs) in &other.runs {
            let runs = self.runs.entry(replica).or_default();
            runs.extend(theirs);
            join(runs);
        }
    }

    /// The dots that are here and not there.
    pub fn minus(&self, other: &Dots) -> Dots {
        let left = self.runs.iter().map(|(replica, runs)| {
            let taken = other.runs.get(replica).map_or(&[][..], Vec::as_slice);
            (*replica, subtract(runs, taken))
        });
        Dots { runs: left.filter(|(_, runs)| !runs.is_empty()).collect() }
    }

    /// The dots that are here and there.
    pub fn intersection(&self, other: &Dots) -> Dots {
        self.minus(&self.minus(other))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many runs there are: what the set costs.
    pub fn runs(&self) -> usize {
        self.runs.values().map(Vec::len).sum()
    }
}

impl TryFrom<(Replica, u64)> for Dot {
    type Error = &'static str;

    fn try_from((replica, count): (Replica, u64)) -> Result<Self, Self::Error> {
        if (1..=LAST).contains(&count) { Ok(Dot(replica, count)) } else { Err("not a dot") }
    }
}

impl FromIterator<Dot> for Dots {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut runs: BTreeMap<Replica, Vec<Run>> = BTreeMap::new();
        for Dot(replica, count) in dots {
            runs.entry(replica).or_default().push((count, count));
        }
        runs.values_mut().for_each(join);
        Self { runs }
    }
}

impl From<Dots> for Encoded {
    fn from(dots: Dots) -> Self {
        dots.runs.into_iter().collect()
    }
}

impl TryFrom<Encoded> for Dots {
    type Error = &'static str;

    fn try_from(encoded: Encoded) -> Result<Self, Self::Error> {
        let mut runs: BTreeMap<Replica, Vec<Run>> = BTreeMap::new();
        for (replica, theirs) in encoded {
            if theirs.iter().any(|&(first, last)| first == 0 || first > last || last > LAST) {
                return Err("not a run of dots");
            }
            if !theirs.is_empty() {
                runs.entry(replica).or_default().extend(theirs);
            }
        }
        runs.values_mut().for_each(join);
        Ok(Self { runs })
    }
}

/// Puts runs in order, and those together that overlap or touch.
fn join(runs: &mut Vec<Run>) {
    runs.sort_unstable();
    runs.dedup_by(|next, run| {
        let touches = next.0 <= run.1.saturating_add(1);
        if touches {
            run.1 = run.1.max(next.1);
        }
        touches
    });
}

fn subtract(runs: &[Run], taken: &[Run]) -> Vec<Run> {
    let mut left = Vec::new();
    for &(mut first, last) in runs {
        let from = taken.partition_point(|run| run.1 < first);
        for &(start, end) in taken[from..].iter().take_while(|run| run.0 <= last) {
            if first < start {
                left.push((first, start - 1));
            }
            first = end.saturating_add(1);
        }
        if first <= last {
            left.push((first, last));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn some() -> impl Strategy<Value = BTreeSet<Dot>> {
        proptest::collection::btree_set((0u64..3, 1u64..30).prop_map(|(r, c)| Dot(r, c)), 0..40)
    }

    fn dots(set: &BTreeSet<Dot>) -> Dots {
        set.iter().copied().collect()
    }

    fn one_by_one<'a>(set: impl Iterator<Item = &'a Dot>) -> Dots {
        let mut dots = Dots::default();
        set.for_each(|dot| dots.insert(*dot));
        dots
    }

    proptest! {
        #[test]
        fn dots_are_a_set(a in some(), b in some()) {
            prop_assert_eq!(one_by_one(a.iter().rev()), dots(&a));
            let mut union = dots(&a);
            union.union(&dots(&b));
            prop_assert_eq!(union, dots(&(&a | &b)));
            prop_assert_eq!(dots(&a).minus(&dots(&b)), dots(&(&a - &b)));
            prop_assert_eq!(dots(&a).intersection(&dots(&b)), dots(&(&a & &b)));
            for dot in &b {
                prop_assert_eq!(dots(&a).contains(*dot), a.contains(dot));
            }
            let last = a.iter().filter(|dot| dot.0 == 1).map(|dot| dot.1).max().unwrap_or(0);
            prop_assert_eq!(dots(&a).next(1), Some(Dot(1, last + 1)));
            let bytes = serde_ipld_dagcbor::to_vec(&dots(&a)).unwrap();
            prop_assert_eq!(serde_ipld_dagcbor::from_slice::<Dots>(&bytes).unwrap(), dots(&a));
        }
    }

    #[test]
    fn a_long_history_without_gaps_is_one_run() {
        let dots =
            one_by_one((1..=10_000).map(|count| Dot(u64::MAX, count)).collect::<Vec<_>>().iter());
        assert_eq!(dots.runs(), 1);
        assert!(serde_ipld_dagcbor::to_vec(&dots).unwrap().len() < 20);
    }

    #[test]
    fn runs_that_are_none_are_refused() {
        for (first, last) in [(0, 1), (3, 2), (1, LAST + 1), (u64::MAX, u64::MAX)] {
            assert!(Dots::try_from(vec![(1, vec![(first, last)])]).is_err());
        }
        let all = Dots::try_from(vec![(1, vec![(5, LAST), (1, 4)])]).unwrap();
        assert_eq!((all.runs(), all.next(1)), (1, None));
        assert!(all.minus(&all).is_empty());
    }
}
