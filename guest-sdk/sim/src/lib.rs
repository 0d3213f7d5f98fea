//! A seeded simulator of nodes, their actors and the network between them.
//!
//! It knows actors only as [`Machine`]s, which map a turn's inputs to effects as bytes: guest-sdk
//! implements them natively for an `Actor`, the host for a component. Time is virtual, a turn takes
//! none of it, and chance comes from one seed: the same seed gives the same trace
//! ([`Simulation::trace`]). The core never reads a clock, never iterates over a map without order.
//!
//! It is simpler than the host where nothing but speed or fullness would show: mailboxes are
//! unbounded while an actor is down, turns have no time budget, pins have no lease (`expire` says
//! when one ends).

mod baseline;
mod deeds;
mod desk;
mod event;
mod latency;
mod line;
mod links;
mod machine;
mod message;
mod network;
mod outages;
mod outside;
mod queue;
pub mod scenario;
mod simulation;
mod table;
mod tally;
#[cfg(test)]
mod tests;
mod trace;
mod turns;

pub use baseline::Baseline;
pub use desk::{Desk, Device, World};
pub use latency::Latency;
pub use machine::{Component, Machine};
pub use message::{
    BusError, Class, Edge, Effect, Granted, Handle, Kind, Letter, LinkEvent, Message, Notice, Now,
    Reading, Reason, Refusal,
};
pub use network::Network;
pub use scenario::{
    Far, Fault, METRICS, Number, Overlay, Picture, Play, Report, Round, Row, Run, Scenario, Stage,
    Step,
};
pub use simulation::{Datagrams, Failure, Role, Simulation};
pub use table::{ActorKey, Thing};
pub use tally::{Frames, LEAST_BODY, Tally, Told};
