//! One scenario, in the seeded simulator and on real nodes: the same outcome, asserted by the same
//! code.

mod house;
mod replicas;
mod scenarios;
mod stage;
