//! Letters between two processes on loopback.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::Context;
use bench::{Run, processor_seconds, sized};
use serde_json::json;

use super::local::number;
use crate::Bench;
use crate::ours::Node;
use crate::row::{Better, Measure, Row};

/// Letters of 64 bytes that may be on their way, and of 64 KiB.
const WINDOW: u64 = 4096;
const LARGE_WINDOW: u64 = 32;
/// Limits that the windows need. A letter is on its way until it is settled, which may be some
/// time after it was counted: a busy machine had twice the window unsettled. And all of them are
/// on one lane, which may hold a quarter of what is in flight.
const LIMITS: &str = "[limits]\nmailbox = 16384\nin-flight = 65536\n\
                      peer-queue-bytes = 16777216\n";

/// An actor on one node asks one on another, waits for the answer, asks again: 64 bytes there and
/// 64 back, the median round trip. Raw quinn: the same bytes back and forth on one stream; as it
/// comes, and tuned as a node has it (packets of 6,500 bytes, an acknowledgement for nine).
pub fn remote_ask_p50(bench: &Bench) -> Row {
    let peers = &bench.peers;
    Row::new("remote_ask_p50", "µs", Better::Lower, "quinn, one thread")
        .limit("quinn, one thread")
        .side("ours", ask(bench))
        .side("quinn, one thread", quinn(bench, "ask", &["mt=0"]))
        .side("quinn, many threads", quinn(bench, "ask", &["mt=1"]))
        .side("quinn, tuned", quinn(bench, "ask", &["mt=0", "tuned=1"]))
        .side("erlang", peers.erlang_nodes(false, "ask", bench.ms, &[]))
        .side("erlang, TLS", peers.erlang_nodes(true, "ask", bench.ms, &[]))
}

/// An actor sends 64-byte letters to one on another node, which counts them; at most 4,096 are on
/// their way, renewed after every 2,048 counted. Letters a second, until the last is counted and
/// the sender knows. Beside it, the processor time of both nodes for one, in nanoseconds. The
/// BEAM's are sent and counted on the same credit. Raw quinn: one stream, 1,024 of them in a write,
/// the number of bytes acknowledged at the end; it knows of no letters, no credit and no actors.
/// Tuned, it has a node's packets and acknowledgements.
pub fn remote_one_way_64(bench: &Bench) -> Row {
    let parameters = ["size=64", "window=4096"];
    let spent = Rc::new(Cell::new(None));
    let (peers, batched) = (&bench.peers, ["size=64", "batch=1024", "mt=0"]);
    Row::new("remote_one_way_64", "letters/s", Better::Higher, "erlang, TLS")
        .limit("quinn, tuned")
        .side("ours", stream(bench, 64, WINDOW, 1.0, spent.clone()))
        .beside(
            "ours, ns of processors",
            Ok(Box::new(move || spent.take().context("not measured"))),
        )
        .side("erlang, TLS", peers.erlang_nodes(true, "stream", bench.ms, &parameters))
        .side("erlang", peers.erlang_nodes(false, "stream", bench.ms, &parameters))
        .side("quinn, batched", quinn(bench, "stream", &batched))
        .side("quinn, tuned", quinn(bench, "stream", &[&batched[..], &["tuned=1"]].concat()))
        .side("quinn, a write each", quinn(bench, "stream", &["size=64", "batch=1", "mt=0"]))
}

/// The same with 64 KiB in a letter and 32 on their way, in megabytes (10^6) a second. Raw quinn:
/// one stream, 64 KiB in a write; as it comes, and tuned as a node has it.
pub fn remote_one_way_64k(bench: &Bench) -> Row {
    let (peers, whole) = (&bench.peers, ["size=65536", "batch=1", "mt=0", "unit=megabytes"]);
    let megabytes = ["size=65536", "window=32", "unit=megabytes"];
    Row::new("remote_one_way_64k", "MB/s", Better::Higher, "quinn, one thread")
        .limit("quinn, tuned")
        .side("ours", stream(bench, 65_536, LARGE_WINDOW, 65_536.0 / 1e6, Rc::default()))
        .side("quinn, one thread", quinn(bench, "stream", &whole))
        .side("quinn, tuned", quinn(bench, "stream", &[&whole[..], &["tuned=1"]].concat()))
        .side("erlang, TLS", peers.erlang_nodes(true, "stream", bench.ms, &megabytes))
        .side("erlang", peers.erlang_nodes(false, "stream", bench.ms, &megabytes))
}

/// quinn by itself, between two processes.
fn quinn(bench: &Bench, row: &str, parameters: &[&str]) -> anyhow::Result<Measure> {
    bench.peers.program("bench-native", &format!("quinn_{row}"), bench.ms, parameters)
}

fn ask(bench: &Bench) -> anyhow::Result<Measure> {
    let far = "[actor.player]\ncomponent = \"$player\"\n";
    let near = "[actor.conductor]\ncomponent = \"$conductor\"\ngrant = { other = \"ADDRESS\" }\n";
    let (near, far) = pair(bench, "player", far, near)?;
    let (ms, mut size) = (bench.ms, 100);
    Ok(Box::new(move || {
        let _both_live = &far;
        let (figure, next) = sized(ms, size, |size| {
            let asked = near.ask("conductor", &json!({ "Ask": size }))?;
            Ok(Run { ns: number(&asked, "ns")?, figure: number(&asked, "p50")? as f64 / 1000.0 })
        })?;
        size = next;
        Ok(figure)
    }))
}

/// `unit`: what a letter counts for in the figure. `spent` is set to the nanoseconds of processor
/// time that both nodes took for one.
fn stream(
    bench: &Bench,
    size: u64,
    window: u64,
    unit: f64,
    spent: Rc<Cell<Option<f64>>>,
) -> anyhow::Result<Measure> {
    let far = format!("{LIMITS}[actor.tally]\ncomponent = \"$tally\"\n");
    let near = format!(
        "{LIMITS}[actor.source]\ncomponent = \"$source\"\ngrant = {{ home = \"ADDRESS\" }}\n"
    );
    let (near, far) = pair(bench, "tally", &far, &near)?;
    let (ms, mut windows) = (bench.ms, 4);
    Ok(Box::new(move || {
        let used = || {
            Ok::<_, anyhow::Error>(processor_seconds(near.pid())? + processor_seconds(far.pid())?)
        };
        let (rate, next) = sized(ms, windows, |windows| {
            let before = used()?;
            let count = windows * window;
            let stream = json!({ "Stream": { "count": count, "size": size, "window": window } });
            let took = near.ask("source", &stream)?;
            spent.set(Some((used()? - before) * 1e9 / count as f64));
            Ok(Run::rate(number(&took, "letters")?, number(&took, "ns")?))
        })?;
        windows = next;
        Ok(rate * unit)
    }))
}

/// Two nodes that know each other: the first has `near`'s actors, with the address of the second's
/// actor `whom` in place of `ADDRESS`.
fn pair(bench: &Bench, whom: &str, far: &str, near: &str) -> anyhow::Result<(Node, Node)> {
    let (near_place, far_place) = (bench.ours.place()?, bench.ours.place()?);
    let table = format!("peers = [{{ id = \"{}\" }}]", near_place.id);
    let far = bench.ours.node_at(far_place, &table, far)?;
    let (id, at) = (&far.id, far.listens()?);
    let table = format!("peers = [{{ id = \"{id}\", at = \"{at}\" }}]");
    let near = near.replace("ADDRESS", &far.address(whom)?);
    let near = bench.ours.node_at(near_place, &table, &near)?;
    near.wait_for_peer()?;
    Ok((near, far))
}
