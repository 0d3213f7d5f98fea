//! All integration tests, in one binary.

mod network;
mod nodes;
