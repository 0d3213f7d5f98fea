//! What a node does as a whole.

use std::time::Duration;

use anyhow::ensure;
use bench::{Run, resident, sized};
use serde_json::json;

use super::local::number;
use crate::Bench;
use crate::ours::Node;
use crate::row::{Better, Measure, Row};

/// The system actors of an idle node, with their crates and grants.
const SYSTEM: [(&str, &str); 3] = [
    ("gossip", "links = \"links\""),
    ("crdt", "replicas = \"topic:board\""),
    ("sensor", "source = \"sensor:proc:loadavg?every=1s\", out = \"topic:readings\""),
];
/// Longest wait for a pair beside looping guests.
const HOG_PATIENCE_MS: u64 = 10_000;

/// The 99th percentile of an actor's round trips with another (64 bytes each way) while as many
/// guests as there are cores loop for ever, each with a turn budget of an hour: milliseconds.
/// The peers' loop in the same way, and their pair asks by the same means as in `local_ask_p50`.
pub fn hog_p99(bench: &Bench) -> Row {
    Row::new("hog_p99", "ms", Better::Lower, "rusm")
        .side("ours", hogs(bench))
        .side("rusm", bench.peers.rusm("hog", bench.ms, &[]))
        .side("erlang", bench.peers.erlang("hog", bench.ms, &[]))
}

fn hogs(bench: &Bench) -> anyhow::Result<Measure> {
    let cores = std::thread::available_parallelism()?.get();
    let mut manifest = String::from(
        "[actor.player]\ncomponent = \"$player\"\n[actor.conductor]\ncomponent = \"$conductor\"\n\
        grant = { other = \"actor:player\" }\n",
    );
    for number in 0..cores {
        manifest += &format!("[actor.hog-{number}]\ncomponent = \"$hog\"\nturn = \"1h\"\n");
    }
    let (ours, ms) = (bench.ours.clone(), bench.ms);
    Ok(Box::new(move || {
        let node = ours.node(&manifest)?;
        for number in 0..cores {
            let name = format!("hog-{number}");
            // It never answers.
            let _ = node.run(&["send", &name, "\"Loop\"", "--deadline", "1"]);
        }
        let (figure, _) = sized(ms, 100, |size| {
            let asked = node.ask_within("conductor", &json!({ "Ask": size }), HOG_PATIENCE_MS)?;
            Ok(Run { ns: number(&asked, "ns")?, figure: number(&asked, "p99")? as f64 / 1e6 })
        })?;
        Ok(figure)
    }))
}

/// From the request to start a component whose native code the node has, to its first answer, over
/// a connection that is up: milliseconds, the median. Nothing of it is in memory: it was stopped
/// and unloaded before. The BEAM ships a module of 12 kB to the other node, loads it, starts a
/// process and hears from it.
pub fn cached_start(bench: &Bench) -> Row {
    let peers = &bench.peers;
    Row::new("cached_start", "ms", Better::Lower, "erlang")
        .side("ours", start(bench))
        .side("erlang", peers.erlang_nodes(false, "load", bench.ms, &[]))
        .side("erlang, TLS", peers.erlang_nodes(true, "load", bench.ms, &[]))
}

fn start(bench: &Bench) -> anyhow::Result<Measure> {
    let node = bench.ours.node("")?;
    let cid = node.run(&["add", &bench.ours.guest("sprout").to_string_lossy()])?;
    let parameters = [format!("data={}", node.data().display()), format!("cid={}", cid.trim())];
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    let mut measure = bench.peers.program("bench-client", "start", bench.ms, &parameters)?;
    Ok(Box::new(move || {
        let _live = &node;
        measure()
    }))
}

/// Resident megabytes (10^6) of a node with the system actors gossip, crdt and sensor, three
/// seconds after its start. The BEAM: a node that can be reached, without applications.
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
    let rows: serde_json::Value = serde_json::from_str(&node.run(&["ls", "actors", "--json"])?)?;
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(rows.len() == SYSTEM.len() && rows.iter().all(|row| row["state"] == "ready"))
}
