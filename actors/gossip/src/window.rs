//! Which messages of one stream have been seen: a bitmap that slides (RFC 6479).

use crate::limits::WINDOW;
use crate::saved::saved;

const BITS: u64 = u64::BITS as u64;
const WORDS: usize = (WINDOW / BITS) as usize;

/// The newest sequence number seen, and which of the [`WINDOW`] numbers up to it were.
///
/// Takes no more room however many messages there were, and whatever the numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    top: u64,
    /// The least number seen.
    first: u64,
    /// The bit of a number is at its distance from the top. What is not there was not seen.
    bits: Vec<u64>,
}

saved!(Window { top, first, bits });

/// A number ahead by no more than this follows on whatever it makes too old: of a fast sender's
/// messages some are lost for good.
const NEAR: u64 = 32;

/// What a window says to a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// Not seen before; now it is.
    New,
    /// Seen before.
    Seen,
    /// Too far behind to know.
    TooOld,
    /// Too far from all others that were seen, when there were too many such already.
    Ahead,
}

impl Window {
    /// The newest number seen; 0 before the first.
    pub fn top(&self) -> u64 {
        self.top
    }

    /// Notes a number.
    pub fn see(&mut self, seq: u64) -> Sighting {
        let sighting = self.sighting(seq);
        if sighting == Sighting::New {
            self.first = if self.top == 0 { seq } else { self.first.min(seq) };
            self.slide_to(seq);
            let distance = self.top - seq;
            let word = (distance / BITS) as usize;
            if self.bits.len() <= word {
                self.bits.resize(word + 1, 0);
            }
            self.bits[word] |= 1 << (distance % BITS);
        }
        sighting
    }

    /// What [`Window::see`] would say.
    pub fn sighting(&self, seq: u64) -> Sighting {
        match self.top.checked_sub(seq) {
            None => Sighting::New,
            Some(distance) if distance >= WINDOW || seq == 0 => Sighting::TooOld,
            Some(distance) => {
                let word = self.bits.get((distance / BITS) as usize).copied().unwrap_or(0);
                if word >> (distance % BITS) & 1 == 1 { Sighting::Seen } else { Sighting::New }
            }
        }
    }

    /// Whether a number belongs with those that were seen: it is among them, or to note it makes
    /// none between them too old that has not come.
    pub fn takes(&self, seq: u64) -> bool {
        if seq <= self.top {
            return seq >= self.first || self.top - seq < WINDOW;
        }
        let least = self.first.max(self.top.saturating_sub(WINDOW - 1));
        let mut given_up = least..=seq.saturating_sub(WINDOW);
        seq - self.top <= NEAR || given_up.all(|seq| self.sighting(seq) == Sighting::Seen)
    }

    /// How far a number is from those that were seen, and between them.
    pub fn distance(&self, seq: u64) -> u64 {
        self.first.saturating_sub(seq).max(seq.saturating_sub(self.top))
    }

    /// Gaps below the newest number, the newest first: the distance of each gap's newest number
    /// from the top, and its length; at most `limit` of them.
    pub fn gaps(&self, limit: usize) -> Vec<(u16, u16)> {
        let mut gaps: Vec<(u16, u16)> = Vec::new();
        for distance in 0..WINDOW.min(self.top) {
            if self.sighting(self.top - distance) != Sighting::New {
                continue;
            }
            let distance = distance as u16; // below WINDOW
            let full = gaps.len() >= limit;
            match gaps.last_mut() {
                Some((first, length)) if *first + *length == distance => *length += 1,
                _ if full => break,
                _ => gaps.push((distance, 1)),
            }
        }
        gaps
    }

    fn slide_to(&mut self, seq: u64) {
        let Some(step) = seq.checked_sub(self.top).filter(|step| *step > 0) else {
            return;
        };
        self.top = seq;
        if step >= WINDOW {
            return self.bits.clear();
        }
        let (words, bits) = ((step / BITS) as usize, step % BITS);
        self.bits.splice(0..0, std::iter::repeat_n(0, words));
        if bits > 0 {
            let mut carry = 0;
            for word in &mut self.bits[words..] {
                let next = *word >> (BITS - bits);
                *word = *word << bits | carry;
                carry = next;
            }
            if carry > 0 {
                self.bits.push(carry);
            }
        }
        self.bits.truncate(WORDS);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_new_once() {
        let mut window = Window::default();
        assert_eq!(window.see(5), Sighting::New);
        assert_eq!(window.see(3), Sighting::New);
        assert_eq!(window.see(5), Sighting::Seen);
        assert_eq!(window.gaps(9), [(1, 1), (3, 2)]);
    }

    #[test]
    fn far_behind_is_too_old_and_what_makes_others_so_does_not_belong() {
        let mut window = Window::default();
        (1..=9).for_each(|seq| assert_eq!(window.see(seq), Sighting::New));
        let lost = 10;
        assert!(window.takes(lost + WINDOW - 1), "that may still come");
        assert!(!window.takes(lost + WINDOW) && !window.takes(u64::MAX));
        assert_eq!(window.see(lost + WINDOW - 1), Sighting::New);
        assert!(window.takes(lost) && window.takes(lost + WINDOW + 5), "not for ever");
        let mut window = Window::default();
        assert_eq!(window.see(u64::MAX), Sighting::New);
        assert!(!window.takes(9));
        assert_eq!(window.see(u64::MAX - WINDOW), Sighting::TooOld);
        assert_eq!(window.see(u64::MAX - WINDOW + 1), Sighting::New);
        assert_eq!(window.see(0), Sighting::TooOld);
        assert_eq!(window.gaps(9), [(1, WINDOW as u16 - 2)]);
    }

    proptest! {
        #[test]
        fn a_window_says_what_a_set_says(steps in proptest::collection::vec(1u64..3000, 1..200)) {
            let (mut window, mut set) = (Window::default(), BTreeSet::new());
            for seq in steps {
                let top = set.last().copied().unwrap_or(0);
                let expected = if seq + WINDOW <= top {
                    Sighting::TooOld
                } else if set.contains(&seq) {
                    Sighting::Seen
                } else {
                    Sighting::New
                };
                prop_assert_eq!(window.see(seq), expected);
                if expected == Sighting::New {
                    set.insert(seq);
                }
            }
            let top = window.top();
            let mut missing = BTreeSet::new();
            for (first, length) in window.gaps(usize::MAX) {
                missing.extend((0..length).map(|step| top - u64::from(first + step)));
            }
            let low = top.saturating_sub(WINDOW - 1).max(1);
            let expected: BTreeSet<u64> = (low..=top).filter(|seq| !set.contains(seq)).collect();
            prop_assert_eq!(missing, expected);
        }
    }
}
