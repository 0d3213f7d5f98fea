//! Measures edge-host and its peers side by side on this machine: `make bench`.
//!
//! Each row runs our side and each peer in turn, several rounds. What is printed is the median of
//! the rounds and their spread; `target/bench.json` in the repository holds the same. `QUICK=1`
//! ends in minutes; `ROW=ring_1000_many` (or several, with commas) measures that row only;
//! `ATTRIBUTE=1` shows where a letter's time goes instead. Rows of very many actors are measured
//! only if they are named, in one round: `ROW=hundred_thousand_live`, `ROW=million_parked`;
//! `ACTORS=n` has them take so many.

mod attribute;
mod machine;
mod ours;
mod peers;
mod row;
mod rows;
mod stamp;
mod stats;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

/// How long and how often to measure, and with what.
pub struct Bench {
    /// Our side.
    pub ours: ours::Ours,
    /// The peers.
    pub peers: peers::Peers,
    /// Milliseconds that a run should take.
    pub ms: u64,
    /// Less of everything.
    pub quick: bool,
    /// How many actors the rows of very many have, if it was said.
    pub actors: Option<u64>,
}

fn main() -> anyhow::Result<()> {
    let set = |name| std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0");
    let quick = set("QUICK");
    let wanted = std::env::var("ROW").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').filter(|name| !name.is_empty()).collect();
    let given = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let rounds = given("ROUNDS").map(|rounds| rounds.parse()).transpose().context("ROUNDS")?;
    let rounds_given = rounds.is_some();
    let actors = given("ACTORS").map(|actors| actors.parse()).transpose().context("ACTORS")?;
    let began = Instant::now();
    let ours = ours::Ours::prepare()?;
    for (_, guest) in rows::GUESTS {
        ours.component(guest)?;
    }
    let peers = peers::Peers::find(&ours.programs)?;
    let bench = Bench { ours, peers, ms: if quick { 200 } else { 700 }, quick, actors };
    if set("ATTRIBUTE") {
        return attribute::print(&bench);
    }
    let most = |key| if quick { quick_rounds(key) } else { 7 };
    let rows = rows::ROWS.map(|(key, row)| (key, row, rounds.unwrap_or_else(|| most(key))));
    let named = rows::NAMED.map(|(key, row)| (key, row, rounds.unwrap_or(1)));
    let all: Vec<_> = rows.into_iter().chain(named).collect();
    for name in &wanted {
        let known: Vec<&str> = all.iter().map(|(key, ..)| *key).collect();
        ensure!(known.contains(name), "ROW={name} is no row: there are {}", known.join(", "));
    }
    println!("ours, then each peer, in turn; * is what `ratio` is taken against\n");
    let mut results = BTreeMap::new();
    let by_default = |key: &&str| rows.iter().any(|(row, ..)| row == key);
    let chosen = |key: &&str| wanted.contains(key) || wanted.is_empty() && by_default(key);
    let chosen: Vec<_> = all.into_iter().filter(|(key, ..)| chosen(key)).collect();
    for (left, (key, row, rounds)) in (1..=chosen.len() as u32).rev().zip(chosen) {
        // What is left of the time, and this row's part of it.
        let rest = QUICK_TIME.saturating_sub(began.elapsed()) / left;
        let until = (quick && !rounds_given).then(|| Instant::now() + rest);
        let mut row = row(&bench);
        row.measure(rounds, until);
        println!("{}", row.text());
        results.insert(key.to_string(), row.json(&stamp::Stamp::now(quick)?));
    }
    let file = write(&results, wanted.is_empty())?;
    println!("{} in {:.0} s", file.display(), began.elapsed().as_secs_f64());
    Ok(())
}

/// A quick run is to end in five minutes, actors that must be built first included: rows have fewer
/// rounds, but one at least, where all would take longer than this.
const QUICK_TIME: Duration = Duration::from_secs(140);

/// Rounds of a row in a quick run, on a machine that is as quick: fewer of those that wait by the
/// clock.
fn quick_rounds(key: &str) -> usize {
    match key {
        "parked_bytes" | "idle_node_mb" => 1,
        "spawn_addressable" | "hog_p99" | "gossip_boundary" | "gossip_boundary_cpu" => 2,
        _ => 3,
    }
}

/// Writes `target/bench.json`; rows that were not measured this time stay if some were chosen.
fn write(results: &BTreeMap<String, Value>, all: bool) -> anyhow::Result<std::path::PathBuf> {
    let folder = ours::repository().join("target");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("bench.json");
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    if !all && let Ok(text) = std::fs::read_to_string(&file) {
        rows = serde_json::from_str(&text).unwrap_or_default();
    }
    rows.extend(results.clone());
    std::fs::write(&file, serde_json::to_string_pretty(&rows)? + "\n")?;
    Ok(file)
}
