//! Chance from a seed.

use crate::codec::{Reader, Writer};
use crate::saved::Saved;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): small, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Saved for Chance {
    fn save(&self, to: &mut Writer) {
        self.0.save(to);
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        u64::restore(from).map(Self)
    }
}

impl Chance {
    /// All that follows hangs on the seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to and without `end`; 0 gives 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.below(of.len())).copied()
    }

    /// Puts them in any order.
    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }

    /// A time between three quarters and five quarters of this one.
    pub fn about(&mut self, time: std::time::Duration) -> std::time::Duration {
        let half = u64::try_from(time.as_micros()).unwrap_or(u64::MAX) / 2;
        let moved = self.below(usize::try_from(half).unwrap_or(usize::MAX)) as u64;
        time * 3 / 4 + std::time::Duration::from_micros(moved)
    }
}
