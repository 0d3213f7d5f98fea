//! When something was written, in an order that all replicas agree on.
//!
//! A hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", OPODIS 2014) in one number:
//! nanoseconds of wall time where the node knows it, and always past every stamp seen so far.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::codec;

/// A write's place in the order of all writes. `Default` is before every real one; of two with the
/// same time the replica decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Stamp(u64, u64);

impl Stamp {
    /// A stamp of these parts; actors take theirs from `Context::stamp`.
    pub const fn new(time: u64, replica: u64) -> Self {
        Self(time, replica)
    }

    /// Nanoseconds since 1970, about: a clock that was seen ahead is followed.
    pub const fn time(self) -> u64 {
        self.0
    }

    /// Whose write: drawn at random by each incarnation's first turn.
    pub const fn replica(self) -> u64 {
        self.1
    }
}

/// No stamp is later: 2116. Beyond it there would be no room for a later one.
const LATEST: u64 = 1 << 62;

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (time, replica) = Deserialize::deserialize(deserializer)?;
        if time > LATEST {
            return Err(D::Error::custom("a stamp from beyond the year 2116"));
        }
        codec::note_stamp(time);
        Ok(Self(time, replica))
    }
}

/// One incarnation's clock.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Clock {
    last: u64,
    replica: u64,
}

impl Clock {
    pub fn new(replica: u64) -> Self {
        Self { last: 0, replica }
    }

    /// A stamp after all that were seen or made.
    pub fn stamp(&mut self, wall: Option<u64>) -> Stamp {
        self.last = (self.last + 1).max(wall.unwrap_or(0)).min(LATEST);
        Stamp(self.last, self.replica)
    }

    /// Stamps up to this time were seen.
    pub fn observe(&mut self, time: u64) {
        self.last = self.last.max(time.min(LATEST));
    }

    pub fn replica(&self) -> u64 {
        self.replica
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_at_time_zero_is_after_the_default() {
        assert!(Clock::new(0).stamp(Some(0)) > Stamp::default());
        assert!(Clock::new(0).stamp(None) > Stamp::default());
    }

    #[test]
    fn a_stamp_is_after_all_that_were_decoded() {
        let ahead = codec::encode(&vec![Stamp::new(9_000, 7), Stamp::new(8_000, 8)]).unwrap();
        let mut clock = Clock::new(1);
        codec::decode::<Vec<Stamp>>(&ahead).unwrap();
        clock.observe(codec::take_seen());
        let first = clock.stamp(Some(5));
        assert!(first > Stamp::new(9_000, 7));
        assert!(clock.stamp(Some(5)) > first);
    }

    #[test]
    fn a_stamp_from_beyond_the_end_is_refused() {
        let never = codec::encode(&Stamp::new(u64::MAX, 0)).unwrap();
        assert!(codec::decode::<Stamp>(&never).is_err());
        let mut clock = Clock::new(1);
        clock.observe(u64::MAX);
        assert_eq!(clock.stamp(None), Stamp::new(LATEST, 1));
    }

    #[test]
    fn a_stamp_takes_no_more_than_19_bytes() {
        assert!(codec::encode(&Stamp::new(1 << 61, u64::MAX)).unwrap().len() <= 19);
    }
}
