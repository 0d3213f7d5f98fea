//! Actors that are spawned, and what they cost.

use bench::{Run, sized};
use serde_json::json;

use super::local::number;
use super::{MODULE, raw};
use crate::Bench;
use crate::ours::{Node, Ours};
use crate::row::{Better, Measure, Row};

/// Actors alive after each spawn row's run.
const ALIVE: usize = 4000;

/// One actor spawns 4,000 others; until it has the address of each and that takes letters. Letters
/// to all of them, and their answers, follow outside the time. Repeated until the time is full.
/// ractor gives an address only when the actor's own start has run; kameo and the BEAM, as ours, at
/// once.
pub fn spawn_addressable(bench: &Bench) -> Row {
    Row::new("spawn_addressable", "actors/s", Better::Higher, "erlang")
        .side("ours", spawns(bench, "Addressable"))
        .side("erlang", bench.peers.erlang("spawn_addressable", bench.ms, &[&alive()]))
        .side("kameo", bench.peers.program("bench-native", "kameo_spawn", bench.ms, &[&alive()]))
        .side("ractor", bench.peers.program("bench-native", "ractor_spawn", bench.ms, &[&alive()]))
}

/// The same, until the first turn of each has taken place and it has told its parent so. Raw: the
/// same component, instantiated in a store of its own with its `start` called, on all cores, 4,000
/// alive; they are dropped outside the time. RUSM holds some 340 components, so 200 are alive; and
/// since one knows nobody until it is told, the time is taken until each has answered a question.
///
/// The limit does the same with the component's module by itself. It is no limit of what a node
/// reuses from one row's round to the next: its memories come from the kernel, each of them.
pub fn spawn_started(bench: &Bench) -> Row {
    let alive = alive();
    let guest = [("component", "sprout")];
    Row::new("spawn_started", "actors/s", Better::Higher, "raw wasmtime")
        .limit(MODULE)
        .side("ours", spawns(bench, "Started"))
        .side("raw wasmtime", raw(bench, "component_started", &guest, &[]))
        .side(MODULE, raw(bench, "module_started", &guest, &[]))
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
/// that it is gone; 100 at once. kameo and ractor do it in 100 tasks, each one actor after the
/// other; RUSM's native parent waits for the eldest of its 100. Raw: the same component
/// instantiated, `start` and `handle` called with that question, and dropped, on all cores; each
/// memory is mapped and unmapped.
///
/// The limit: the same with the component's module by itself, one alive on each core, in memories
/// that are zeroed where they were touched and used again (wasmtime's pooling allocator).
pub fn spawn_answer_stop(bench: &Bench) -> Row {
    let guest = [("component", "sprout")];
    let peers = &bench.peers;
    let once = ["at_once=100"];
    Row::new("spawn_answer_stop", "actors/s", Better::Higher, "raw wasmtime")
        .limit(MODULE)
        .side("ours", answers(bench))
        .side("raw wasmtime", raw(bench, "component_answered", &guest, &[]))
        .side(MODULE, raw(bench, "module_answered", &guest, &["reused=64"]))
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
