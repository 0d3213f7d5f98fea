//! Very many actors in one node: measured only if they are named, `make bench ROW=million_parked`.

use std::time::Duration;

use anyhow::ensure;
use bench::resident;
use serde_json::{Value, json};

use super::local::number;
use super::memory::still;
use crate::Bench;
use crate::machine::{mappings, most_mappings};
use crate::ours::Node;
use crate::row::{Better, Measure, Row};

/// Actors of one parent, and how many it spawns before it answers.
const EACH: u64 = 100_000;
const AT_ONCE: u64 = 10_000;
/// Longest wait for one of these answers.
const PATIENCE_MS: u64 = 300_000;
/// Those of the parked ones that are asked.
const SAMPLE: u64 = 1000;
/// No live actor takes less than this, and no parked one of these more.
const LIVE_BYTES: u64 = 8 << 10;
const PARKED_BYTES: u64 = 3 << 10;

/// 100,000 live actors (or `ACTORS=n`) in one process, as the machine is set up: resident megabytes
/// (10^6) of the node when each has told of its start and then answered a question. None is parked,
/// and the process has less than a tenth of the mappings that the kernel allows, or the row fails.
pub fn hundred_thousand_live(bench: &Bench) -> Row {
    Row::alone("hundred_thousand_live", "MB", Better::Lower).side("ours", live(bench))
}

/// A million parked actors (or `ACTORS=n`) in one node: its resident megabytes (10^6) when each has
/// told of its start and its memory has stayed the same for three seconds. At most 10,000 may be
/// live at any time, those that rest for a second are parked, and what the node takes leaves no
/// room for many that are not; 1,000 of them are woken by a question and answer, or the row fails.
pub fn million_parked(bench: &Bench) -> Row {
    Row::alone("million_parked", "MB", Better::Lower).side("ours", parked(bench))
}

fn live(bench: &Bench) -> anyhow::Result<Measure> {
    let (actors, ours) = (bench.actors.unwrap_or(100_000), bench.ours.clone());
    Ok(Box::new(move || {
        let limits = format!("live = {}\npark-ms = 3600000\n", actors + 1000);
        let node = ours.node(&manifest(actors, &limits))?;
        spawn(&node, actors)?;
        for (parent, count) in parents(actors) {
            answers(&node, &parent, &json!("AskAll"), count)?;
        }
        let (bytes, maps, most) =
            (resident(node.pid())?, mappings(node.pid())?, most_mappings()? / 10);
        ensure!(maps < most, "{maps} mappings, of {most} at most");
        ensure!(bytes > actors * LIVE_BYTES, "{bytes} bytes: some were parked");
        println!("  {actors} live actors answered: {bytes} bytes, {maps} mappings of {most}");
        Ok(bytes as f64 / 1e6)
    }))
}

fn parked(bench: &Bench) -> anyhow::Result<Measure> {
    let (actors, ours) = (bench.actors.unwrap_or(1_000_000), bench.ours.clone());
    Ok(Box::new(move || {
        let node = ours.node(&manifest(actors, "live = 10000\npark-ms = 1000\n"))?;
        spawn(&node, actors)?;
        // The allocator and the node give memory back for seconds after it was last used.
        let bytes = still(&node, Duration::from_secs(3), || resident(node.pid()))?;
        let each = bytes / actors;
        ensure!(each < PARKED_BYTES, "{each} bytes each: they are not all parked");
        let parents = parents(actors);
        for (parent, count) in &parents {
            let sample = (SAMPLE / parents.len() as u64).min(*count);
            answers(&node, parent, &json!({ "AskSome": sample }), sample)?;
        }
        println!("  {actors} parked actors: {bytes} bytes; {SAMPLE} were woken and answered");
        Ok(bytes as f64 / 1e6)
    }))
}

/// The parents of so many actors, and how many each has.
fn parents(actors: u64) -> Vec<(String, u64)> {
    let count = actors.div_ceil(EACH);
    let each = |number| (format!("nursery-{number}"), EACH.min(actors - number * EACH));
    (0..count).map(each).collect()
}

/// Has a parent ask its children; so many must answer.
fn answers(node: &Node, parent: &str, question: &Value, count: u64) -> anyhow::Result<()> {
    let told = node.ask_within(parent, question, PATIENCE_MS)?;
    ensure!(number(&told, "actors")? == count, "{parent} heard of {told}, not of {count}");
    Ok(())
}

fn manifest(actors: u64, limits: &str) -> String {
    let mut manifest = format!(
        "[limits]\nactors = {}\nhandles = {}\nmailbox = 20000\neffects = 20000\n\
        save-bytes = 16777216\n{limits}",
        actors + 1000,
        EACH + 1000,
    );
    for (parent, count) in parents(actors) {
        manifest += &format!(
            "[actor.{parent}]\ncomponent = \"$nursery\"\nmemory = \"64 MiB\"\nturn = \"1m\"\n\
            grant = {{ sprout = {{ spawn = \"$sprout\", max = {count} }} }}\n",
        );
    }
    manifest
}

fn spawn(node: &Node, actors: u64) -> anyhow::Result<()> {
    for (parent, count) in parents(actors) {
        let mut left = count;
        while left > 0 {
            let now = left.min(AT_ONCE);
            let message: Value = json!({ "Spawn": ["Started", now] });
            node.ask_within(&parent, &message, PATIENCE_MS)?;
            left -= now;
        }
    }
    Ok(())
}
