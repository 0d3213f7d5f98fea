//! The host of edge-host: see ARCHITECTURE.md. Imports point down this list, never up.

pub mod cli;

pub mod node;

pub mod actor;

pub mod router;
pub mod supervisor;
pub mod wasm;

pub mod clock;
pub mod device;
pub mod journal;
pub mod mailbox;
pub mod net;
pub mod store;

pub mod address;
pub mod config;
pub mod limits;
pub mod reason;
