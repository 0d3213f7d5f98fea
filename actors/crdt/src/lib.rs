//! Replicated data: types that merge, and an actor that keeps a document the same on many nodes.
//!
//! Two copies of a [`Merge`] type that have seen the same changes are equal, in whatever order,
//! however often and by whatever way they came. [`Lww`], [`GCounter`], [`PnCounter`], [`OrSet`],
//! [`MvRegister`] and [`LwwMap`] are for an actor's own state; a [`Document`] holds many keys, is
//! stored fact by fact, and knows what another copy of it lacks.

mod actor;
mod counter;
mod document;
mod dots;
mod exchange;
mod fact;
#[cfg(test)]
mod history;
pub mod limits;
mod lww;
mod mvregister;
mod orset;
mod pairs;
mod store;
mod value;

pub use actor::{Answer, Counts, Crdt, Message, Status};
pub use counter::{GCounter, PnCounter};
pub use document::Document;
pub use dots::{Dot, Dots, Replica};
pub use exchange::{Exchange, Said};
pub use fact::{Content, Delta, Digest, Entry, Fact, Merged, Refusal};
pub use lww::{Lww, LwwMap};
pub use mvregister::MvRegister;
pub use orset::OrSet;
pub use value::Value;

/// What can be merged: commutative, associative and idempotent.
pub trait Merge {
    /// Takes in all that another copy has seen.
    fn merge(&mut self, other: Self);
}
