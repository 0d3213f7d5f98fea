//! What actors take of the machine's memory, and what it costs to park them.

use anyhow::{anyhow, ensure};
use bench::resident;
use serde_json::json;

use super::spawn::nursery;
use crate::Bench;
use crate::row::{Better, Measure, Row};

/// What stands in the rows that need it.
const NO_PARKING: &str = "parking is not built yet";

/// Resident bytes that one more actor takes which is parked, its state aside: (VmRSS with many -
/// VmRSS with few) / actors. The BEAM's is a process that waits, and has answered once.
pub fn parked_bytes(bench: &Bench) -> Row {
    Row::new("parked_bytes", "bytes", Better::Lower, "erlang")
        .side("ours", Err(anyhow!(NO_PARKING)))
        .side("erlang", bench.peers.erlang("memory", bench.ms, &["count=200000"]))
}

/// Resident bytes that one more live actor takes, built with guest-sdk, after its first turn and
/// an answer: (VmRSS with 2,100 - VmRSS with 100) / 2,000. Raw: the same component's instances,
/// `start` and `handle` called, without a host. RUSM holds some 340 at once: 200 more than 100.
pub fn live_bytes(bench: &Bench) -> Row {
    let component = format!("component={}", bench.ours.guest("sprout").display());
    let peers = &bench.peers;
    Row::new("live_bytes", "bytes", Better::Lower, "rusm")
        .limit("raw wasmtime")
        .side("ours", live(bench))
        .side("rusm", peers.rusm("memory", bench.ms, &[]))
        .side("raw wasmtime", peers.program("bench-raw", "memory", bench.ms, &[&component]))
        .side("erlang", peers.erlang("memory", bench.ms, &["count=200000"]))
}

/// An actor with a state of 4 kB is parked and woken by a question: microseconds, the median. Raw:
/// `save`, drop, instantiate, `restore` and one answer, without a host.
pub fn park_wake(bench: &Bench) -> Row {
    let component = format!("component={}", bench.ours.guest("sprout").display());
    Row::new("park_wake", "µs", Better::Lower, "raw wasmtime")
        .limit("raw wasmtime")
        .side("ours", Err(anyhow!(NO_PARKING)))
        .side("raw wasmtime", bench.peers.program("bench-raw", "renewed", bench.ms, &[&component]))
}

fn live(bench: &Bench) -> anyhow::Result<Measure> {
    const FEW: u64 = 100;
    const MORE: u64 = 2000;
    let ours = bench.ours.clone();
    Ok(Box::new(move || {
        let node = nursery(&ours)?;
        let spawn = |count: u64| {
            node.ask("nursery", &json!({ "Spawn": ["Started", count] }))?;
            node.ask("nursery", &json!("AskAll"))?;
            resident(node.pid())
        };
        let few = spawn(FEW)?;
        let more = spawn(MORE)?;
        ensure!(more > few, "{MORE} actors took no memory");
        Ok((more - few) as f64 / MORE as f64)
    }))
}
