//! What actors are written with.
//!
//! An actor is a type that implements [`Actor`]. The same source runs in three drivers: as a Wasm
//! component (one line in `main.rs`: [`main!`]), in a unit test ([`Bench`]) and in the seeded
//! simulator ([`Sim`]).
//!
//! This library exports no Wasm symbol of its own, or every actor that links it would: that is
//! [`main!`]'s, in the actor's `main.rs`.

mod actor;
mod codec;
mod context;
mod error;
mod host;
mod main_macro;
mod stamp;
mod things;
mod turn;

#[cfg(not(target_arch = "wasm32"))]
mod bench;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod component;
#[cfg(target_arch = "wasm32")]
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(not(target_arch = "wasm32"))]
mod simulate;
#[cfg(test)]
mod tests;

pub use std::time::Duration;

pub use actor::{Actor, Answer, Class, Edge, LinkEvent, NodeId, TopicId};
#[cfg(not(target_arch = "wasm32"))]
pub use bench::{Bench, Benched, Receiver, Sent};
pub use context::{Context, Subject};
pub use error::{BusError, Error, Reason, Refusal, Result};
#[cfg(not(target_arch = "wasm32"))]
pub use simulate::{Builder, Failure, Grant, Network, Sim, native, seed};
pub use stamp::Stamp;
pub use things::{Address, Bus, Child, HalBus, Held, Pin, Reading, Sensor, Topic};
