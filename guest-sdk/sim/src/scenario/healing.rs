//! How long it takes after a crash until all survivors have all messages again.

use std::time::Duration;

/// So many messages in a row that all survivors have: HyParView's authors send as many in a cycle.
const WHOLE: u32 = 10;

/// Counts whole rounds after a crash.
#[derive(Clone, Copy, Debug)]
pub struct Healing {
    crashed: Duration,
    /// When the first of the last whole rounds began, and how many there were.
    whole: Option<(Duration, u32)>,
    rounds: u32,
}

impl Healing {
    /// Nodes crash now.
    pub fn new(now: Duration) -> Self {
        Self { crashed: now, whole: None, rounds: 0 }
    }

    /// A round that began then reached all there were, or did not. Gives the cycles that had passed
    /// before the first of enough in a row that did; one that has begun is one.
    pub fn round(&mut self, began: Duration, all: bool, cycle: Duration) -> Option<u32> {
        self.rounds += 1;
        let (first, count) = self.whole.unwrap_or((began, 0));
        self.whole = all.then_some((first, count + 1));
        let passed = (first - self.crashed).as_nanos();
        let cycles = passed.div_ceil(cycle.as_nanos().max(1));
        (all && count + 1 == WHOLE).then_some(u32::try_from(cycles).unwrap_or(u32::MAX))
    }

    /// Whether there were enough rounds for it.
    pub fn could(&self) -> bool {
        self.rounds >= WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Rounds a second apart after a crash at 100 s, those from `whole` on whole.
    fn cycles(whole: u64, rounds: u64) -> Option<u32> {
        let mut healing = Healing::new(seconds(100));
        let round = |at| healing.round(seconds(100 + at), at >= whole, seconds(10));
        (0..rounds).map(round).fold(None, Option::or)
    }

    #[test]
    fn it_counts_the_cycles_before_the_first_of_ten_that_reach_all() {
        assert_eq!((cycles(0, 10), cycles(1, 20), cycles(10, 20)), (Some(0), Some(1), Some(1)));
        assert_eq!((cycles(11, 30), cycles(40, 60)), (Some(2), Some(4)));
    }

    #[test]
    fn nine_are_not_enough_and_one_that_misses_a_node_begins_anew() {
        assert_eq!(cycles(0, 9), None);
        let mut healing = Healing::new(seconds(0));
        let told: Vec<_> =
            (0..30).map(|at| healing.round(seconds(at), at != 9, seconds(10))).collect();
        assert_eq!(told.iter().position(Option::is_some), Some(19));
        assert_eq!(told[19], Some(1));
        assert_eq!(told.iter().flatten().count(), 1);
    }
}
