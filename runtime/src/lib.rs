//! The host of edge-host: see ARCHITECTURE.md. Imports point down this list, never up.

pub mod supervisor;

pub mod device;

pub mod address;
pub mod config;
pub mod limits;
