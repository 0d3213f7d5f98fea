//! The Physarum-like rule, in place of round-trip times: ways that bring news first grow, and all
//! decay (Tero and others, Science 2010, with a flow of first deliveries).

use std::time::Duration;

use crate::saved::saved;

/// What one message more adds to the link that was the first to bring it, or to name it.
const FIRST: u32 = 1000;
/// A way that brings nothing first is half as wide after this.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// A link is weak that conducts less than such a part of what the widest does.
const WEAK: u32 = 8;

/// How much a link has lately been the first to bring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conductivity {
    width: u32,
    at: Duration,
}

saved!(Conductivity { width, at });

impl Conductivity {
    /// That of a link which is new among these: it has yet to show what it brings.
    pub fn among(now: Duration, others: impl Iterator<Item = Self>) -> Self {
        let (count, sum) =
            others.fold((0, 0), |(count, sum), other| (count + 1, sum + u64::from(other.now(now))));
        Self { width: (sum / count.max(1)) as u32, at: now }
    }

    /// The link was the first with so many messages.
    pub fn grow(&mut self, now: Duration, firsts: u32) {
        self.width = self.now(now).saturating_add(firsts.saturating_mul(FIRST));
        self.at = now;
    }

    /// What is left of it by now.
    pub fn now(self, now: Duration) -> u32 {
        let passed = now.saturating_sub(self.at).as_millis();
        let half = HALF_LIFE.as_millis();
        let width = u128::from(self.width) >> (passed / half).min(32);
        // Between two halves along a line.
        (width - width * (passed % half) / (2 * half)) as u32
    }

    /// Whether it is as nothing beside the widest. Where nothing is said, none is.
    pub fn is_weak(self, now: Duration, widest: u32) -> bool {
        self.now(now) < widest / WEAK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_brings_news_first_grows_and_what_does_not_decays_by_half_lives() {
        let mut way = Conductivity::default();
        way.grow(MINUTE, 3);
        way.grow(MINUTE, 5);
        assert_eq!(way.now(MINUTE), 8 * FIRST);
        let later = |halves: f64| way.now(MINUTE + HALF_LIFE.mul_f64(halves));
        assert_eq!((later(0.5), later(1.0), later(3.0)), (6 * FIRST, 4 * FIRST, FIRST));
        assert_eq!(later(1e6), 0);
        way.grow(MINUTE + HALF_LIFE, 1);
        assert_eq!(way.now(MINUTE + HALF_LIFE), 5 * FIRST);
    }

    #[test]
    fn it_never_overflows_and_time_may_stand_still() {
        let mut way = Conductivity::default();
        way.grow(MINUTE, u32::MAX);
        way.grow(MINUTE, u32::MAX);
        assert_eq!((way.now(MINUTE), way.now(Duration::ZERO)), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_new_way_is_given_the_mean_and_is_weak_only_when_it_has_brought_nothing() {
        let wide = |firsts| {
            let mut way = Conductivity::default();
            way.grow(MINUTE, firsts);
            way
        };
        let new = Conductivity::among(MINUTE, [wide(2), wide(10)].into_iter());
        assert_eq!(new.now(MINUTE), 6 * FIRST);
        let (mut busy, widest) = (wide(10), |way: Conductivity, now| way.now(now));
        assert!(!new.is_weak(MINUTE, widest(busy, MINUTE)));
        let later = MINUTE + HALF_LIFE * 3;
        busy.grow(later, 10);
        assert!(new.is_weak(later, widest(busy, later)));
    }

    #[test]
    fn where_nothing_is_said_nobody_is_weak() {
        let silent = Conductivity::among(MINUTE, std::iter::empty());
        assert!(!silent.is_weak(MINUTE * 10, silent.now(MINUTE * 10)));
    }
}
