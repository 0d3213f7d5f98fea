//! All integration tests, in one binary.

mod content;
mod contract;
mod fixture;
mod letters;
mod network;
mod nodes;
mod remote;
mod tidy;
mod turns;
mod upgrade;
