//! The host of edge-host: see ARCHITECTURE.md. Imports point down this list, never up.

pub mod address;
pub mod limits;
pub mod net;
pub mod reason;
