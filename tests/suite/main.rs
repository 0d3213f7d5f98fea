//! All integration tests, in one binary.

mod content;
mod contract;
mod demo;
mod fixture;
mod gossip;
mod letters;
mod network;
mod nodes;
mod outside;
mod parity;
mod remote;
mod tidy;
mod turns;
mod upgrade;
