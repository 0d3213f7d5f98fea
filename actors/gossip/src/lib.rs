//! Broadcast over links: what is published on a topic on one node reaches every node once.
//!
//! [`Core`] is the protocol as a pure machine: `membership` finds neighbours (HyParView),
//! `broadcast` sends along a tree among them (Plumtree). The actor around it only passes on.

mod actor;
mod broadcast;
mod chance;
mod codec;
mod core;
mod event;
mod few;
pub mod limits;
mod membership;
mod neighbour;
mod recent;
mod saved;
mod window;
mod wire;

pub use actor::{Gossip, Message, Status};
pub use core::Core;
pub use event::{Counts, Input, Node, Output, What};
pub use membership::Rule;
pub use wire::{
    Beacon, Entry, Held, Id, MINOR, Post, Side, Stream, Unreadable, VERSION, Want, Why, Wire, kind,
};
