//! A node's state as bytes, for parking and for swaps: all fields in their order, in the numbers
//! and bytes that frames are made of.
//!
//! Serde's derives would read any format and order, and were a third of the component.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteBuf, Bytes};

use crate::Core;
use crate::codec::{Reader, Writer};

/// Counts the forms that a state has had. A component that finds another one does not take it.
const FORM: u8 = 5;

/// A part of the state.
pub trait Saved: Sized {
    fn save(&self, to: &mut Writer);

    /// `None`: these bytes are not what `save` wrote.
    fn restore(from: &mut Reader<'_>) -> Option<Self>;

    fn save_all(all: &[Self], to: &mut Writer) {
        all.iter().for_each(|one| one.save(to));
    }

    fn restore_all(count: usize, from: &mut Reader<'_>) -> Option<Vec<Self>> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Self::restore(from)?);
        }
        Some(all)
    }
}

/// A struct is saved as its fields; all of them must be named.
macro_rules! saved {
    ($of:ident { $($field:ident),* $(,)? }) => {
        impl $crate::saved::Saved for $of {
            fn save(&self, to: &mut $crate::codec::Writer) {
                let Self { $($field),* } = self;
                $($crate::saved::Saved::save($field, to);)*
            }

            fn restore(from: &mut $crate::codec::Reader<'_>) -> Option<Self> {
                Some(Self { $($field: $crate::saved::Saved::restore(from)?),* })
            }
        }
    };
}

pub(crate) use saved;

impl Serialize for Core {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut to = Writer::default();
        to.byte(FORM);
        self.save(&mut to);
        Bytes::new(&to.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Core {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        let mut from = Reader(&bytes);
        let core = from.byte().filter(|form| *form == FORM).and_then(|_| Core::restore(&mut from));
        let whole = core.filter(|_| from.0.is_empty());
        whole.ok_or_else(|| D::Error::custom("this is not a state of this form"))
    }
}

impl Saved for u8 {
    fn save(&self, to: &mut Writer) {
        to.byte(*self);
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        from.byte()
    }

    fn save_all(all: &[Self], to: &mut Writer) {
        to.bytes(all);
    }

    fn restore_all(count: usize, from: &mut Reader<'_>) -> Option<Vec<Self>> {
        from.bytes(count).map(<[u8]>::to_vec)
    }
}

impl Saved for bool {
    fn save(&self, to: &mut Writer) {
        to.byte((*self).into());
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        from.flag()
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Saved for $number {
            fn save(&self, to: &mut Writer) {
                to.number(*self as u64);
            }

            fn restore(from: &mut Reader<'_>) -> Option<Self> {
                from.small()
            }
        }
    )*};
}

numbers!(u16, u32, u64, usize);

impl Saved for Duration {
    fn save(&self, to: &mut Writer) {
        to.number(self.as_secs());
        to.number(self.subsec_nanos().into());
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        let (seconds, nanos) = (from.number()?, from.small()?);
        (nanos < 1_000_000_000).then(|| Self::new(seconds, nanos))
    }
}

impl<const N: usize> Saved for [u8; N] {
    fn save(&self, to: &mut Writer) {
        to.bytes(self);
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        from.array()
    }
}

impl<A: Saved, B: Saved> Saved for (A, B) {
    fn save(&self, to: &mut Writer) {
        self.0.save(to);
        self.1.save(to);
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        Some((A::restore(from)?, B::restore(from)?))
    }
}

impl<T: Saved> Saved for Option<T> {
    fn save(&self, to: &mut Writer) {
        self.is_some().save(to);
        if let Some(some) = self {
            some.save(to);
        }
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        if from.flag()? { T::restore(from).map(Some) } else { Some(None) }
    }
}

impl<T: Saved> Saved for Vec<T> {
    fn save(&self, to: &mut Writer) {
        to.number(self.len() as u64);
        T::save_all(self, to);
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        let count = from.count(1)?;
        T::restore_all(count, from)
    }
}

impl<T: Saved> Saved for VecDeque<T> {
    fn save(&self, to: &mut Writer) {
        to.number(self.len() as u64);
        let (front, back) = self.as_slices();
        T::save_all(front, to);
        T::save_all(back, to);
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        Vec::restore(from).map(Self::from)
    }
}

impl Saved for () {
    fn save(&self, _: &mut Writer) {}

    fn restore(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl<T: Saved + Ord> Saved for BTreeSet<T> {
    fn save(&self, to: &mut Writer) {
        to.number(self.len() as u64);
        self.iter().for_each(|one| one.save(to));
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        let mut all = Self::new();
        for _ in 0..from.count(1)? {
            all.insert(T::restore(from)?);
        }
        Some(all)
    }
}

impl<K: Saved + Ord, V: Saved> Saved for BTreeMap<K, V> {
    fn save(&self, to: &mut Writer) {
        to.number(self.len() as u64);
        for (key, value) in self {
            key.save(to);
            value.save(to);
        }
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        let mut all = Self::new();
        for _ in 0..from.count(1)? {
            all.insert(K::restore(from)?, V::restore(from)?);
        }
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Input;

    #[test]
    fn what_is_cut_short_or_too_long_or_of_another_form_is_not_taken() {
        let mut core = Core::new(1, 2);
        core.handle(Duration::from_secs(1), Input::Up(3, [4; 32]));
        core.handle(Duration::from_secs(2), Input::Published([5; 16], vec![6; 9]));
        let cbor = serde_ipld_dagcbor::to_vec(&core).unwrap();
        let whole: ByteBuf = serde_ipld_dagcbor::from_slice(&cbor).unwrap();
        let taken = |bytes: &[u8]| {
            let cbor = serde_ipld_dagcbor::to_vec(Bytes::new(bytes)).unwrap();
            serde_ipld_dagcbor::from_slice::<Core>(&cbor).is_ok()
        };
        assert!(taken(&whole));
        (0..whole.len()).for_each(|end| assert!(!taken(&whole[..end]), "{end} bytes"));
        assert!(!taken(&[&whole[..], &[0]].concat()));
        assert!(!taken(&[&[FORM + 1], &whole[1..]].concat()));
    }
}
