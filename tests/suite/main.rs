//! All integration tests, in one binary.

mod children;
mod content;
mod contract;
mod crash;
mod demo;
mod device;
mod examples;
mod fixture;
mod formats;
mod gossip;
mod letters;
mod limits;
mod manifest;
mod network;
mod nodes;
mod outside;
mod parity;
mod parking;
mod remote;
mod simulate;
mod state;
mod strangers;
mod supervision;
mod tidy;
mod turns;
mod upgrade;
