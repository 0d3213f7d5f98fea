//! All integration tests, in one binary.

mod content;
mod gossip;
mod network;
mod nodes;
mod outside;
mod parity;
mod remote;
mod upgrade;
