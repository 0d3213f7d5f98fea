//! The rows, in the order of `bench.json`'s documentation. Each says what is done on both sides.
//!
//! All sides run one at a time, at the same priority, on all cores, without pinning.

mod local;
mod spawn;

use crate::Bench;
use crate::row::Row;

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

/// Makes a row ready to be measured.
type Make = fn(&Bench) -> Row;

/// All rows by key.
pub const ROWS: [(&str, Make); 9] = [
    ("local_ask_p50", local::local_ask_p50),
    ("ring_1000_one", local::ring_1000_one),
    ("ring_1000_many", local::ring_1000_many),
    ("ring_10000_many", local::ring_10000_many),
    ("fan_in_100", local::fan_in_100),
    ("spawn_addressable", spawn::spawn_addressable),
    ("spawn_started", spawn::spawn_started),
    ("spawn_answer_stop", spawn::spawn_answer_stop),
    ("call_share", local::call_share),
];
