//! What actors take of the machine's memory, and what it costs to park them.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bench::{page_tables, processor_seconds, resident};
use serde_json::{Value, json};

use super::local::PACKED;
use super::spawn::nursery;
use super::{MODULE, raw};
use crate::Bench;
use crate::ours::Node;
use crate::row::{Better, Measure, Row};

/// So long a node is given to park its actors.
const PATIENCE: Duration = Duration::from_secs(120);
/// Limits for parking: after a tenth of a second at rest, or when 1,000 are alive.
const PARKING: &str = "live = 1000\npark-ms = 100\n";
/// Actors that are woken and parked again, in turn: as many rest between two wakes of one.
const WOKEN: u64 = 500;
/// A node that used no processor time for so long has parked its actors.
const REST: Duration = Duration::from_millis(400);

/// Resident bytes that one more actor takes which is parked, after its first turn and an answer,
/// with no state to speak of: (VmRSS with 16,000 - VmRSS with 1,000) / 15,000, once no more are
/// being parked. They are asked 500 at once, or letters on their way would count. The BEAM's is a
/// process that waits, and has answered once: the mean of 200,000.
pub fn parked_bytes(bench: &Bench) -> Row {
    Row::new("parked_bytes", "bytes", Better::Lower, "erlang")
        .side("ours", parked(bench))
        .side("erlang", bench.peers.erlang("memory", bench.ms, &["count=200000"]))
}

/// Resident bytes that one more live actor takes, built with guest-sdk, after its first turn and
/// an answer: (VmRSS with 2,100 - VmRSS with 100) / 2,000. Raw: the same component's instances,
/// `start` and `handle` called, without a host. RUSM holds some 340 at once: 200 more than 100. The
/// BEAM's are 200,000 processes.
///
/// The kernel's page tables are not in VmRSS: VmPTE, in the same way, is shown by itself. Where
/// memories are guarded, each has 8 kB of them to itself; where they are packed, next to nothing.
///
/// The limit: instances of the component's module by itself. A mailbox, a table of handles and what
/// a supervisor must know are in ours alone.
pub fn live_bytes(bench: &Bench) -> Row {
    let guest = [("component", "sprout")];
    let peers = &bench.peers;
    let tables = Rc::new(Cell::new(None));
    let shown = tables.clone();
    Row::new("live_bytes", "bytes", Better::Lower, "rusm")
        .limit(MODULE)
        .side("ours", live(bench, "", tables))
        .beside("ours, page tables", Ok(Box::new(move || shown.take().context("not measured"))))
        .side("ours, packed", live(bench, PACKED, Rc::default()))
        .side("rusm", peers.rusm("memory", bench.ms, &[]))
        .side("raw wasmtime", raw(bench, "component_memory", &guest, &[]))
        .side(MODULE, raw(bench, "module_memory", &guest, &[]))
        .side("erlang", peers.erlang("memory", bench.ms, &["count=200000"]))
}

/// An actor with a state of 4 kB is woken by a question, and parked again: microseconds of the
/// node's processor time for each of 500 that are asked and then rest, question and answer
/// included; the mean of some rounds, in each of which a command line has its question answered,
/// too. Raw: of as many, instantiate, `restore` and one answer each, then `save` and drop each,
/// without a host, on one core: the median of the time that passes, which the kernel's share is in.
///
/// The limit: the same with the component's module by itself, in memories that are zeroed where
/// they were touched and used again (wasmtime's pooling allocator).
pub fn park_wake(bench: &Bench) -> Row {
    let guest = [("component", "sprout")];
    let actors = format!("actors={WOKEN}");
    let reused = format!("reused={WOKEN}");
    Row::new("park_wake", "µs", Better::Lower, "raw wasmtime")
        .limit(MODULE)
        .side("ours", woken(bench))
        .side("raw wasmtime", raw(bench, "component_renewed", &guest, &[&actors]))
        .side(MODULE, raw(bench, "module_renewed", &guest, &[&actors, &reused]))
}

/// `tables` is set to the page tables of one.
fn live(
    bench: &Bench,
    limits: &'static str,
    tables: Rc<Cell<Option<f64>>>,
) -> anyhow::Result<Measure> {
    const FEW: u64 = 100;
    const MORE: u64 = 2000;
    let ours = bench.ours.clone();
    Ok(Box::new(move || {
        let node = nursery(&ours, limits)?;
        let spawn = |count: u64| {
            node.ask("nursery", &json!({ "Spawn": ["Started", count] }))?;
            node.ask("nursery", &json!("AskAll"))?;
            Ok::<_, anyhow::Error>((resident(node.pid())?, page_tables(node.pid())?))
        };
        let few = spawn(FEW)?;
        let more = spawn(MORE)?;
        ensure!(more.0 > few.0, "{MORE} actors took no memory");
        tables.set(Some((more.1 - few.1) as f64 / MORE as f64));
        Ok((more.0 - few.0) as f64 / MORE as f64)
    }))
}

fn parked(bench: &Bench) -> anyhow::Result<Measure> {
    const FEW: u64 = 1000;
    const MORE: u64 = 15_000;
    let ours = bench.ours.clone();
    Ok(Box::new(move || {
        let node = nursery(&ours, PARKING)?;
        let spawn = |count: u64| {
            node.ask("nursery", &json!({ "Spawn": ["Started", count] }))?;
            node.ask("nursery", &json!("AskAll"))?;
            // The allocator and the node give memory back for seconds after it was last used.
            still(&node, Duration::from_secs(3), || resident(node.pid()))
        };
        let few = spawn(FEW)?;
        let more = spawn(MORE)?;
        let bytes = more.saturating_sub(few) as f64 / MORE as f64;
        // A live one takes several times that, and 15,000 are too many to be listed.
        ensure!(bytes > 0.0 && bytes < 15_000.0, "{bytes} bytes each: they were not parked");
        Ok(bytes)
    }))
}

fn woken(bench: &Bench) -> anyhow::Result<Measure> {
    const STATE: u64 = 4096;
    let node = nursery(&bench.ours, PARKING)?;
    node.ask("nursery", &json!({ "Spawn": ["Started", WOKEN] }))?;
    node.ask("nursery", &json!({ "GrowAll": STATE }))?;
    // In thousandths of a second: it rests when it uses less than one in a while.
    let used = move |node: &Node| Ok((processor_seconds(node.pid())? * 1000.0) as u64);
    still(&node, REST, || used(&node))?;
    all_parked(&node, WOKEN)?;
    let rounds = (bench.ms / 20).max(10);
    Ok(Box::new(move || {
        let before = processor_seconds(node.pid())?;
        for _ in 0..rounds {
            node.ask("nursery", &json!("AskAll"))?;
            still(&node, REST, || used(&node))?;
        }
        let seconds = processor_seconds(node.pid())? - before;
        all_parked(&node, WOKEN)?;
        Ok(seconds * 1e6 / (rounds * WOKEN) as f64)
    }))
}

/// Waits until what `look` sees has stayed the same for so long.
pub fn still(
    node: &Node,
    quiet: Duration,
    look: impl Fn() -> anyhow::Result<u64>,
) -> anyhow::Result<u64> {
    let (until, mut last, mut since) = (Instant::now() + PATIENCE, look()?, Instant::now());
    while since.elapsed() < quiet {
        std::thread::sleep(quiet / 8);
        let now = look()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        if Instant::now() > until {
            bail!("node {} finds no rest", node.pid());
        }
    }
    Ok(last)
}

/// Makes sure that so many actors are parked.
fn all_parked(node: &Node, count: u64) -> anyhow::Result<()> {
    let rows: Value = serde_json::from_str(&node.run(&["ls", "actors", "--json"])?)?;
    let rows = rows.as_array().context("no list of actors")?;
    let parked = rows.iter().filter(|row| row["state"] == "parked").count() as u64;
    ensure!(parked >= count, "{parked} of {} actors are parked, not {count}", rows.len());
    Ok(())
}
