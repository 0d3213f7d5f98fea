//! Histories for the property tests: real changes on a few replicas, merged now and then.

use std::fmt::Debug;

use proptest::prelude::*;

use crate::{Merge, Replica};

pub const REPLICAS: usize = 3;

#[derive(Clone, Debug)]
pub enum Step<C> {
    /// A replica changes something.
    Change(usize, C),
    /// A replica's whole state reaches another.
    Merge { from: usize, into: usize },
}

impl<C> Step<C> {
    pub fn change(&self) -> Option<&C> {
        match self {
            Step::Change(_, change) => Some(change),
            Step::Merge { .. } => None,
        }
    }
}

pub fn steps<C: Clone + Debug>(
    change: impl Strategy<Value = C>,
) -> impl Strategy<Value = Vec<Step<C>>> {
    let step = (0..3u8, 0..REPLICAS, 0..REPLICAS, change).prop_map(|(kind, from, into, change)| {
        if kind == 0 { Step::Merge { from, into } } else { Step::Change(from, change) }
    });
    proptest::collection::vec(step, 0..24)
}

/// Plays a history and checks the laws on the states it reaches: merging is commutative,
/// associative and idempotent, deltas in any order and twice do what states do, and replicas that
/// have all seen everything are equal. Gives the state at the end, when all have seen everything.
pub fn check<T, C>(history: &[Step<C>], apply: impl Fn(&mut T, Replica, &C) -> Option<T>) -> T
where
    T: Merge + Clone + Debug + Default + PartialEq,
{
    let mut replicas = vec![T::default(); REPLICAS];
    let mut deltas = Vec::new();
    for step in history {
        match step {
            Step::Change(replica, change) => {
                deltas.extend(apply(&mut replicas[*replica], *replica as Replica, change));
            }
            Step::Merge { from, into } => {
                let theirs = replicas[*from].clone();
                replicas[*into].merge(theirs);
            }
        }
    }
    let merged = |a: &T, b: &T| {
        let mut both = a.clone();
        both.merge(b.clone());
        both
    };
    for a in &replicas {
        assert_eq!(&merged(a, a), a);
        assert_eq!(&merged(a, &T::default()), a);
        for b in &replicas {
            assert_eq!(merged(a, b), merged(b, a));
            for c in &replicas {
                assert_eq!(merged(&merged(a, b), c), merged(a, &merged(b, c)));
            }
        }
    }
    let end = replicas.iter().fold(T::default(), |all, replica| merged(&all, replica));
    let by_deltas =
        deltas.iter().rev().chain(&deltas).fold(T::default(), |all, delta| merged(&all, delta));
    assert_eq!(by_deltas, end);
    end
}
