//! What an actor's context stands on: the calls to the host, and what the host brings.
//!
//! Three have these functions: the component (imports), the unit-test bench and the simulator.

use crate::{LinkEvent, Reason};

#[cfg(not(target_arch = "wasm32"))]
mod any;
#[cfg(not(target_arch = "wasm32"))]
pub use any::{Host, Links, Reach, Transfers};

/// What was granted under a name. The number is the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    Address(u32),
    Topic(u32),
    Pin(u32),
    Sensor(u32),
    Bus(u32),
    Child(u32),
}

/// The kinds of [`Granted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Address,
    Topic,
    Pin,
    Sensor,
    Bus,
    Child,
}

/// When a turn takes place, and its only source of chance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    pub monotonic: u64,
    pub wall: Option<u64>,
    pub seed: u64,
}

/// A message of the host's, before the SDK has looked into it.
#[derive(Debug)]
pub enum Event<'a> {
    Letter { body: &'a [u8], carried: Vec<u32>, reply: Option<u32> },
    Answer { token: u64, outcome: Result<(Vec<u8>, Vec<u32>), Reason> },
    Undelivered { token: u64, reason: Reason },
    Timer(&'a [u8]),
    Down { token: u64, reason: Reason },
    Edge(crate::Edge),
    Expired(u32),
    Link(LinkEvent),
}

/// The host that a context reaches. A component has but one: what its actor never calls it does not
/// import, as it would through a table of all functions.
#[cfg(target_arch = "wasm32")]
pub type Reach<'a> = crate::component::Imports;
