//! The host of edge-host: see ARCHITECTURE.md. Imports point up this list, never down.

pub mod address;
pub mod limits;
pub mod mailbox;
pub mod reason;
pub mod store;
pub mod wasm;
