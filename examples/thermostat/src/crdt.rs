//! The last write wins; stands in for the crate `crdt` until that is here.

use guest_sdk::Stamp;
use serde::{Deserialize, Serialize};

/// A value and when it was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lww<T> {
    value: T,
    stamp: Stamp,
}

impl<T> Lww<T> {
    /// Writes a value.
    pub fn set(&mut self, value: T, stamp: Stamp) {
        self.merge(Self { value, stamp });
    }

    /// Takes up the later of two writes.
    pub fn merge(&mut self, other: Self) {
        if other.stamp > self.stamp {
            *self = other;
        }
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.value
    }
}
