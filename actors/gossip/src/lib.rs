//! Broadcast over links: what is published on a topic on one node reaches every node once.
//!
//! [`Core`] is the protocol as a pure machine; the actor around it only passes on.

mod absent;
mod actor;
mod core;
mod event;
pub mod limits;
mod neighbour;
mod pairs;
mod recent;
mod window;
mod wire;

pub use actor::{Gossip, Message, Status};
pub use core::Core;
pub use event::{Counts, Input, Node, Output, What};
pub use wire::{Held, Id, Post, Stream, Unreadable, VERSION, Wire};
