//! All integration tests, in one binary.

mod content;
mod contract;
mod crash;
mod demo;
mod device;
mod fixture;
mod gossip;
mod letters;
mod network;
mod nodes;
mod outside;
mod parity;
mod remote;
mod state;
mod tidy;
mod turns;
mod upgrade;
