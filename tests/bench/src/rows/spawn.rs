//! Actors that are spawned, and what they cost.

use bench::{Run, sized};
use serde_json::json;

use super::local::number;
use crate::Bench;
use crate::ours::{Node, Ours};
use crate::row::{Better, Measure, Row};

/// Actors alive after each spawn row's run.
const ALIVE: usize = 4000;

/// One actor spawns 4,000 others; until it has the address of each and that takes letters. Letters
/// to all of them, and their answers, follow outside the time. Repeated until the time is full.
pub fn spawn_addressable(bench: &Bench) -> Row {
    Row::new("spawn_addressable", "actors/s", Better::Higher, "erlang")
        .side("ours", spawns(bench, "Addressable"))
        .side("erlang", bench.peers.erlang("spawn_addressable", bench.ms, &[&alive()]))
        .side("kameo", bench.peers.program("bench-native", "kameo_spawn", bench.ms, &[&alive()]))
        .side("ractor", bench.peers.program("bench-native", "ractor_spawn", bench.ms, &[&alive()]))
}

/// The same, until the first turn of each has taken place and it has told its parent so. Raw: the
/// same component, instantiated in a store of its own with its `start` called, on all cores.
pub fn spawn_started(bench: &Bench) -> Row {
    let alive = alive();
    let component = format!("component={}", bench.ours.guest("sprout").display());
    Row::new("spawn_started", "actors/s", Better::Higher, "raw wasmtime")
        .limit("raw wasmtime")
        .side("ours", spawns(bench, "Started"))
        .side("raw wasmtime", bench.peers.program("bench-raw", "started", bench.ms, &[&component]))
        .side("erlang", bench.peers.erlang("spawn_started", bench.ms, &[&alive]))
        .side("rusm", bench.peers.rusm("spawn_started", bench.ms, &[]))
}

fn alive() -> String {
    format!("alive={ALIVE}")
}

fn spawns(bench: &Bench, task: &'static str) -> anyhow::Result<Measure> {
    let node = nursery(&bench.ours, "")?;
    let wanted = bench.ms * 1_000_000;
    Ok(Box::new(move || {
        let (mut ns, mut actors) = (0, 0);
        while ns < wanted {
            let took = node.ask("nursery", &json!({ "Spawn": [task, ALIVE] }))?;
            ns += number(&took, "ns")?;
            actors += number(&took, "actors")?;
            node.ask("nursery", &json!("AskAll"))?;
            node.ask("nursery", &json!("StopAll"))?;
        }
        Ok(Run::rate(actors, ns).figure)
    }))
}

/// An actor is spawned, asked (64 bytes), answers (64 bytes), ends itself, and its parent hears
/// that it is gone; 100 at once. Raw: the same component instantiated, `start` and `handle` called
/// with that question, and dropped, on all cores.
pub fn spawn_answer_stop(bench: &Bench) -> Row {
    let component = format!("component={}", bench.ours.guest("sprout").display());
    let peers = &bench.peers;
    let once = ["at_once=100"];
    Row::new("spawn_answer_stop", "actors/s", Better::Higher, "raw wasmtime")
        .limit("raw wasmtime")
        .side("ours", answers(bench))
        .side("raw wasmtime", peers.program("bench-raw", "answered", bench.ms, &[&component]))
        .side("erlang", peers.erlang("spawn_answer_stop", bench.ms, &once))
        .side("kameo", peers.program("bench-native", "kameo_answer_stop", bench.ms, &once))
        .side("ractor", peers.program("bench-native", "ractor_answer_stop", bench.ms, &once))
        .side("rusm", peers.rusm("spawn_answer_stop", bench.ms, &once))
}

fn answers(bench: &Bench) -> anyhow::Result<Measure> {
    let node = nursery(&bench.ours, "")?;
    let (ms, mut count) = (bench.ms, 500);
    Ok(Box::new(move || {
        let (figure, next) = sized(ms, count, |count| {
            let task = json!({ "Answered": 100 });
            let took = node.ask("nursery", &json!({ "Spawn": [task, count] }))?;
            Ok(Run::rate(number(&took, "actors")?, number(&took, "ns")?))
        })?;
        count = next;
        Ok(figure)
    }))
}

/// A node with an actor that spawns.
pub fn nursery(ours: &Ours, limits: &str) -> anyhow::Result<Node> {
    ours.node(&format!(
        "[limits]\nactors = 30000\nhandles = 20000\nmailbox = 16384\neffects = 20000\n{limits}\
        [actor.nursery]\ncomponent = \"$nursery\"\n\
        grant = {{ sprout = {{ spawn = \"$sprout\", max = 20000 }} }}\n",
    ))
}
