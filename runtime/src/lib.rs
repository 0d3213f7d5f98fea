//! The host of edge-host: see ARCHITECTURE.md. Imports point up this list, never down.

pub mod supervisor;

pub mod address;
pub mod config;
pub mod limits;
pub mod mailbox;
pub mod reason;
pub mod store;
pub mod wasm;
