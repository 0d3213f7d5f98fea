//! How long a committed `drive` is good for. Pure: time comes in.

use std::time::Duration;

/// The lease of one output pin. It runs from each [`Lease::renew`], and is over once.
#[derive(Debug)]
pub(super) struct Lease {
    length: Option<Duration>,
    until: Option<Duration>,
}

impl Lease {
    /// A lease that does not run yet; without a length it never ends.
    pub fn new(length: Option<Duration>) -> Self {
        Self { length, until: None }
    }

    /// Runs anew from `now`.
    pub fn renew(&mut self, now: Duration) {
        self.until = self.length.map(|length| now.saturating_add(length));
    }

    /// Runs no more: the pin is at its safe level.
    pub fn end(&mut self) {
        self.until = None;
    }

    /// When it runs out, if it runs.
    pub fn due(&self) -> Option<Duration> {
        self.until
    }

    /// What is left of it at `now`, if it runs.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        self.until.map(|until| until.saturating_sub(now))
    }

    /// Whether it has run out at `now`. It stays so until it is renewed or ended.
    pub fn is_over(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_runs_from_the_first_drive_until_its_length_has_passed() {
        let mut lease = Lease::new(Some(2 * SECOND));
        assert!(!lease.is_over(100 * SECOND));
        lease.renew(10 * SECOND);
        assert_eq!(lease.left(11 * SECOND), Some(SECOND));
        assert!(!lease.is_over(11 * SECOND));
        assert!(lease.is_over(12 * SECOND));
        lease.end();
        assert_eq!((lease.is_over(13 * SECOND), lease.due()), (false, None));
    }

    #[test]
    fn a_pin_without_a_lease_never_expires() {
        let mut lease = Lease::new(None);
        lease.renew(SECOND);
        assert!(!lease.is_over(Duration::MAX));
    }

    proptest! {
        #[test]
        fn a_lease_is_over_exactly_when_the_last_drive_is_older_than_its_length(
            length in 1_u64..50,
            drives in prop::collection::vec(0_u64..100, 1..20),
            now in 0_u64..200,
        ) {
            let seconds = Duration::from_secs;
            let mut lease = Lease::new(Some(seconds(length)));
            let mut drives = drives;
            drives.sort_unstable();
            drives.iter().for_each(|at| lease.renew(seconds(*at)));
            let last = drives[drives.len() - 1];
            prop_assert_eq!(lease.is_over(seconds(now)), now >= last + length);
        }
    }
}
