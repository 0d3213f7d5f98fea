//! What a node does as a whole.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bench::{Run, resident, sized};
use serde_json::{Value, json};

use super::local::number;
use crate::Bench;
use crate::machine::thread_times;
use crate::ours::{Node, Ours};
use crate::peers::Peers;
use crate::row::{Better, Measure, Row};

/// The system actors of an idle node, with their crates and grants.
const SYSTEM: [(&str, &str); 3] = [
    ("gossip", "links = \"links\""),
    ("crdt", "replicas = \"topic:board\""),
    ("sensor", "source = \"sensor:proc:loadavg?every=1s\", out = \"topic:readings\""),
];
/// Longest wait for a pair beside looping guests, and for those to loop.
const HOG_PATIENCE: Duration = Duration::from_secs(30);
/// So long the pair asks at least.
const HOG_MS: u64 = 2000;
/// Processor time by which a thread is known to loop, and the part of the time that it must be
/// given while the pair asks: a busy machine gives it little, and one that starves it gives it
/// nothing.
const LOOPS_MS: u64 = 100;
const LEAST_PART: f64 = 0.01;

/// The 99th percentile of an actor's round trips with another (64 bytes each way) while as many
/// guests as there are cores loop for ever, each with a turn budget of an hour: milliseconds, for
/// at least 2 s. The longest of all round trips stands beside it. Ours: two guests, the asking one
/// takes the time by the turn clock. A thread for each looping guest must be seen to use processor
/// time before the pair begins, and to be given some while it asks; and none of them has ended its
/// turn. RUSM: two components, the asking one takes the time by its own clock, in messages of ten
/// round trips. The BEAM: two processes.
pub fn hog_p99(bench: &Bench) -> Row {
    let longest = Rc::new(Cell::new(None));
    let peers = &bench.peers;
    let ms = bench.ms.max(HOG_MS);
    Row::new("hog_p99", "ms", Better::Lower, "rusm")
        .side("ours", hogs(bench, longest.clone()))
        .beside("ours, longest", Ok(Box::new(move || longest.take().context("not measured"))))
        .side("rusm", peers.rusm("hog", ms, &["part=0.99"]))
        .beside("rusm, longest", peers.rusm("hog", ms, &["part=1"]))
        .side("erlang", peers.erlang("hog", ms, &["part=0.99"]))
        .beside("erlang, longest", peers.erlang("hog", ms, &["part=1.0"]))
}

fn hogs(bench: &Bench, longest: Rc<Cell<Option<f64>>>) -> anyhow::Result<Measure> {
    let cores = std::thread::available_parallelism()?.get();
    // The asking one keeps what each of some million round trips took.
    let mut manifest = String::from(
        "[actor.player]\ncomponent = \"$player\"\n[actor.conductor]\ncomponent = \"$conductor\"\n\
        grant = { other = \"actor:player\" }\nmemory = \"128 MiB\"\n",
    );
    for number in 0..cores {
        manifest += &format!("[actor.hog-{number}]\ncomponent = \"$hog\"\nturn = \"1h\"\n");
    }
    let (ours, ms) = (bench.ours.clone(), bench.ms.max(HOG_MS));
    Ok(Box::new(move || {
        let node = ours.node(&manifest)?;
        let before = thread_times(node.pid())?;
        for number in 0..cores {
            let name = format!("hog-{number}");
            // It never answers.
            let _ = node.run(&["send", &name, "\"Loop\"", "--deadline", "1"]);
        }
        let hogs = looping(&node, &before, cores)?;
        // A run is long enough when it takes half of what is wanted.
        let (figure, _) = sized(2 * ms, 1000, |size| {
            let (before, began) = (thread_times(node.pid())?, Instant::now());
            let question = json!({ "Ask": size });
            let patience = HOG_PATIENCE.as_millis() as u64;
            let asked = node.ask_within("conductor", &question, patience)?;
            if began.elapsed() >= Duration::from_millis(HOG_MS) {
                none_starved(&node, &hogs, &before, began.elapsed())?;
            }
            longest.set(Some(number(&asked, "most")? as f64 / 1e6));
            Ok(Run { ns: number(&asked, "ns")?, figure: number(&asked, "p99")? as f64 / 1e6 })
        })?;
        all_loop(&node, cores)?;
        Ok(figure)
    }))
}

/// Waits until so many threads of a node, which nothing else keeps busy, have looped for a while;
/// gives their numbers.
fn looping(node: &Node, before: &BTreeMap<u32, u64>, cores: usize) -> anyhow::Result<Vec<u32>> {
    let began = Instant::now();
    loop {
        let times = thread_times(node.pid())?;
        let used = |(thread, ms): (&u32, &u64)| {
            let before = before.get(thread).copied().unwrap_or(0);
            Some((ms.saturating_sub(before), *thread)).filter(|(ms, _)| *ms >= LOOPS_MS)
        };
        let mut hogs: Vec<(u64, u32)> = times.iter().filter_map(used).collect();
        if hogs.len() >= cores {
            all_loop(node, cores)?;
            hogs.sort_unstable_by(|one, other| other.cmp(one));
            return Ok(hogs.into_iter().take(cores).map(|(_, thread)| thread).collect());
        }
        if began.elapsed() > HOG_PATIENCE {
            bail!("{} of {cores} guests loop", hogs.len());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Makes sure that each looping guest's thread was given processor time.
fn none_starved(
    node: &Node,
    hogs: &[u32],
    before: &BTreeMap<u32, u64>,
    elapsed: Duration,
) -> anyhow::Result<()> {
    let times = thread_times(node.pid())?;
    let least = elapsed.as_millis() as f64 * LEAST_PART;
    for hog in hogs {
        let given = |times: &BTreeMap<u32, u64>| times.get(hog).copied().unwrap_or(0);
        let more = given(&times).saturating_sub(given(before));
        let ms = elapsed.as_millis();
        ensure!(more as f64 >= least, "a looping guest was given {more} ms of {ms}");
    }
    Ok(())
}

/// Makes sure that no looping guest has ended its turn or its life.
fn all_loop(node: &Node, cores: usize) -> anyhow::Result<()> {
    let rows: Value = serde_json::from_str(&node.run(&["ls", "actors", "--json"])?)?;
    let loops = |row: &&Value| {
        row["name"].as_str().is_some_and(|name| name.starts_with("hog-"))
            && (&row["state"], &row["handled"], &row["incarnations"])
                == (&json!("ready"), &json!(0), &json!(1))
    };
    let count = rows.as_array().context("no list of actors")?.iter().filter(loops).count();
    ensure!(count == cores, "{count} of {cores} guests are in their endless turn");
    Ok(())
}

/// From the request to start a component whose native code the node has, to its first answer, over
/// a connection that is up: milliseconds, the median. Nothing of it is loaded: it was stopped
/// before. That its native code is whole on the disk is known since its first start; that one, with
/// a node that has done nothing else yet, stands beside. The BEAM ships a module of some 11 kB to
/// the other node, loads it, starts a process and hears from it: the median, too.
pub fn cached_start(bench: &Bench) -> Row {
    let peers = &bench.peers;
    Row::new("cached_start", "ms", Better::Lower, "erlang")
        .side("ours", start(bench))
        .beside("ours, first", first_start(bench))
        .side("erlang", peers.erlang_nodes(false, "load", bench.ms, &[]))
        .side("erlang, TLS", peers.erlang_nodes(true, "load", bench.ms, &[]))
}

fn start(bench: &Bench) -> anyhow::Result<Measure> {
    let node = bench.ours.node("")?;
    let mut measure = starting(&bench.ours, &bench.peers, &node, bench.ms)?;
    Ok(Box::new(move || {
        let _live = &node;
        measure()
    }))
}

fn first_start(bench: &Bench) -> anyhow::Result<Measure> {
    let (ours, peers) = (bench.ours.clone(), bench.peers.clone());
    Ok(Box::new(move || {
        let node = ours.node("")?;
        starting(&ours, &peers, &node, 0)?()
    }))
}

/// Starts a component on a node, for so many milliseconds or once.
fn starting(ours: &Ours, peers: &Peers, node: &Node, ms: u64) -> anyhow::Result<Measure> {
    let cid = node.run(&["add", &ours.guest("sprout").to_string_lossy()])?;
    let (data, cid) = (format!("data={}", node.data().display()), format!("cid={}", cid.trim()));
    let first = format!("first={}", if ms == 0 { 1 } else { 4 });
    peers.program("bench-client", "start", ms, &[&data, &cid, &first])
}

/// Resident megabytes (10^6) of a node with the system actors gossip, crdt and sensor, three
/// seconds after its start. The BEAM: as a distributed node, without applications, three seconds
/// after its start.
pub fn idle_node_mb(bench: &Bench) -> Row {
    Row::new("idle_node_mb", "MB", Better::Lower, "erlang")
        .side("ours", idle(bench))
        .side("erlang", bench.peers.erlang("idle", bench.ms, &[]))
}

fn idle(bench: &Bench) -> anyhow::Result<Measure> {
    let mut manifest = String::new();
    for (name, grants) in SYSTEM {
        bench.ours.component(&format!("actors/{name}"))?;
        manifest += &format!("[actor.{name}]\ncomponent = \"${name}\"\ngrant = {{ {grants} }}\n");
    }
    let ours = bench.ours.clone();
    // The first node compiles what the others find compiled.
    drop(ours.node(&manifest)?);
    Ok(Box::new(move || {
        let node = ours.node(&manifest)?;
        std::thread::sleep(Duration::from_secs(3));
        ensure!(all_ready(&node)?, "its actors are not all ready: {}", node.run(&["ls"])?);
        Ok(resident(node.pid())? as f64 / 1e6)
    }))
}

fn all_ready(node: &Node) -> anyhow::Result<bool> {
    let rows: Value = serde_json::from_str(&node.run(&["ls", "actors", "--json"])?)?;
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(rows.len() == SYSTEM.len() && rows.iter().all(|row| row["state"] == "ready"))
}
