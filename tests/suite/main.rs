//! All integration tests, in one binary.

mod contract;
mod fixture;
mod letters;
mod tidy;
mod turns;
