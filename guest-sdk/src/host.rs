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
pub enum Message<'a> {
    Body(Body<'a>),
    Event(Event<'a>),
}

/// What the actor's `handle` takes: a letter, or what a timer was armed with.
#[derive(Debug)]
pub struct Body<'a> {
    pub bytes: &'a [u8],
    /// `None` is a timer's, whose addresses are the actor's own.
    pub carried: Option<Vec<u32>>,
    pub reply: Option<u32>,
}

/// What has a function of its own.
#[derive(Debug)]
pub enum Event<'a> {
    Answer { token: u64, outcome: Result<(&'a [u8], &'a [u32]), Reason> },
    Undelivered { token: u64, reason: Reason },
    Down { token: u64, reason: Reason },
    Edge(crate::Edge),
    Expired(u32),
    Link(LinkEvent),
}

/// The host that a context reaches. A component has but one: what its actor never calls it does not
/// import, as it would through a table of all functions.
#[cfg(target_arch = "wasm32")]
pub type Reach<'a> = crate::component::Imports;
