//! Letters that came from another node: the receiver's accounts, without any I/O.
//!
//! Letters are settled in any order, and the settled front of a lane is reported.

use std::collections::VecDeque;

use crate::reason::Reason;

/// Failures in one report: a report must fit into a frame.
const FAILURES: usize = 1024;

/// What became of a letter.
pub type Outcome = Result<(), Reason>;

/// One lane, as its receiver sees it: which letters it has settled.
#[derive(Default)]
pub struct Arrivals {
    /// All before this number are settled and reported.
    first: u64,
    outcomes: VecDeque<Option<Outcome>>,
}

impl Arrivals {
    /// Counts letters in; gives the first one's number.
    pub fn arrive(&mut self, count: usize) -> u64 {
        let first = self.first + self.outcomes.len() as u64;
        self.outcomes.extend(std::iter::repeat_n(None, count));
        first
    }

    /// Notes what became of a letter.
    pub fn settle(&mut self, number: u64, outcome: Outcome) {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(slot) = place.and_then(|place| self.outcomes.get_mut(place)) {
            *slot = Some(outcome);
        }
    }

    /// Whether there is something to report.
    pub fn may_report(&self) -> bool {
        matches!(self.outcomes.front(), Some(Some(_)))
    }

    /// The next report, if there is one: `next` and `failed` of `Control::Settled`.
    pub fn report(&mut self) -> Option<(u64, Vec<(u64, Reason)>)> {
        let (before, mut failed) = (self.first, Vec::new());
        while failed.len() < FAILURES {
            let Some(Some(outcome)) = self.outcomes.front() else {
                break;
            };
            if let Err(reason) = outcome {
                failed.push((self.first, *reason));
            }
            self.outcomes.pop_front();
            self.first += 1;
        }
        (self.first > before).then_some((self.first, failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_settle_in_any_order_and_are_reported_from_the_front() {
        let mut arrivals = Arrivals::default();
        assert_eq!((arrivals.arrive(2), arrivals.arrive(1)), (0, 2));
        arrivals.settle(1, Err(Reason::MailboxFull));
        assert!(!arrivals.may_report());
        assert_eq!(arrivals.report(), None);
        arrivals.settle(0, Ok(()));
        assert!(arrivals.may_report());
        assert_eq!(arrivals.report(), Some((2, vec![(1, Reason::MailboxFull)])));
        assert_eq!(arrivals.arrive(1), 3);
    }
}
