//! All integration tests, in one binary.

mod content;
mod network;
mod nodes;
mod remote;
mod upgrade;
