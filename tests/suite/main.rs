//! All integration tests, in one binary.

mod contract;
mod crash;
mod device;
mod fixture;
mod letters;
mod state;
mod turns;
