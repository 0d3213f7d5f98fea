//! The rows. Each says what is done on both sides.
//!
//! All sides run one at a time, at the same priority, on the processors that this program may use.

mod gossip;
mod local;
mod many;
mod memory;
mod node;
mod remote;
mod spawn;

use crate::Bench;
use crate::row::{Measure, Row};

pub use local::{ALONG, number, ring};

/// The actors of the benchmarks by name, and their crates from the repository's folder.
pub const GUESTS: [(&str, &str); 7] = [
    ("player", "tests/bench/guests/player"),
    ("conductor", "tests/bench/guests/conductor"),
    ("source", "tests/bench/guests/source"),
    ("tally", "tests/bench/guests/tally"),
    ("sprout", "tests/bench/guests/sprout"),
    ("nursery", "tests/bench/guests/nursery"),
    ("hog", "tests/bench/guests/hog"),
];

/// The side that calls a component's one module by itself, as a node does, without a node: the
/// limit. The side "raw wasmtime" calls the component, through the layer that a node leaves out.
pub const MODULE: &str = "raw core module";

/// A raw side; it is given the guests by what it calls them.
fn raw(
    bench: &Bench,
    row: &str,
    guests: &[(&str, &str)],
    parameters: &[&str],
) -> anyhow::Result<Measure> {
    let guests: Vec<String> = guests
        .iter()
        .map(|(name, guest)| format!("{name}={}", bench.ours.guest(guest).display()))
        .collect();
    let all: Vec<&str> =
        guests.iter().map(String::as_str).chain(parameters.iter().copied()).collect();
    bench.peers.program("bench-raw", row, bench.ms, &all)
}

/// Makes a row ready to be measured.
type Make = fn(&Bench) -> Row;

/// All rows by key.
pub const ROWS: [(&str, Make); 20] = [
    ("local_ask_p50", local::local_ask_p50),
    ("ring_1000_one", local::ring_1000_one),
    ("ring_1000_many", local::ring_1000_many),
    ("ring_10000_many", local::ring_10000_many),
    ("fan_in_100", local::fan_in_100),
    ("spawn_addressable", spawn::spawn_addressable),
    ("spawn_started", spawn::spawn_started),
    ("spawn_answer_stop", spawn::spawn_answer_stop),
    ("call_share", local::call_share),
    ("parked_bytes", memory::parked_bytes),
    ("live_bytes", memory::live_bytes),
    ("park_wake", memory::park_wake),
    ("remote_ask_p50", remote::remote_ask_p50),
    ("remote_one_way_64", remote::remote_one_way_64),
    ("remote_one_way_64k", remote::remote_one_way_64k),
    ("hog_p99", node::hog_p99),
    ("cached_start", node::cached_start),
    ("idle_node_mb", node::idle_node_mb),
    ("gossip_boundary", gossip::gossip_boundary),
    ("gossip_boundary_cpu", gossip::gossip_boundary_cpu),
];

/// Rows that are measured only if they are named: they take minutes and gigabytes.
pub const NAMED: [(&str, Make); 2] = [
    ("hundred_thousand_live", many::hundred_thousand_live),
    ("million_parked", many::million_parked),
];
