//! Where a local letter's nanoseconds go, by part: `make bench ATTRIBUTE=1`, with Linux's perf.
//!
//! Three tables. Two are a node's, with a ring of 1,000 and a token for each actor, and with one
//! token in all. The third is the raw call's of one instance of the same component, its functions
//! by name, on one core: it stays in the cache, as a ring of 1,000 does not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use bench::processor_seconds;
use serde_json::json;

use crate::Bench;
use crate::ours::repository;
use crate::rows::{ALONG, number, ring};

/// Samples a second.
const RATE: &str = "997";
/// Rows shown of single functions.
const FUNCTIONS: usize = 25;
/// What a function is counted to: the first whose text is in its object or name.
const PARTS: [(&str, &[&str]); 11] = [
    ("the guest itself", &[".cwasm", ".map", "[JIT]"]),
    ("kernel", &["[k]"]),
    ("allocator", &["_rjem_", "malloc", "calloc", "allocx"]),
    ("copying", &["memmove", "memcpy", "memset"]),
    ("plain components: lifting, lowering", &["edge_host::wasm::plain"]),
    ("wasmtime: calls; of others lifting, lowering", &["wasmtime"]),
    ("turn: handles, limits, effects", &["edge_host::wasm"]),
    ("mailbox and run queue", &["edge_host::mailbox", "pthread_mutex", "futex"]),
    ("router", &["edge_host::router", "dashmap", "hashbrown"]),
    ("scheduler, activation, commit", &["edge_host::actor", "edge_host::supervisor"]),
    ("clock", &["clock", "Instant", "Timespec", "vdso"]),
];

/// Prints all tables.
pub fn print(bench: &Bench) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for tokens in [1000, 1] {
        node(bench, tokens, &folder.path().join(format!("node-{tokens}.data")))?;
    }
    raw(bench, folder.path())
}

fn node(bench: &Bench, tokens: u64, data: &Path) -> anyhow::Result<()> {
    let node = ring(bench, 1000, "")?;
    let ask = |hops: u64| node.ask("conductor", &json!({ "Run": [tokens, hops, ALONG] }));
    let warm = 20_000 / tokens;
    let per_hop = number(&ask(warm)?, "ns")? as f64 / warm as f64;
    let before = processor_seconds(node.pid())?;
    let mut perf = record(data).arg("-p").arg(node.pid().to_string()).spawn()?;
    // perf has no way to say that it has begun.
    std::thread::sleep(Duration::from_millis(300));
    let took = ask((3e9 / per_hop) as u64 + 1)?;
    interrupt(perf.id())?;
    perf.wait()?;
    let seconds = processor_seconds(node.pid())? - before;
    let ns = seconds * 1e9 / number(&took, "letters")? as f64;
    println!("A letter of a ring of 1,000 with {tokens}: {ns:.0} ns of a node's processor time\n");
    table(data, ns)
}

/// The same component, its functions' names kept, called by itself.
fn raw(bench: &Bench, folder: &Path) -> anyhow::Result<()> {
    let module = named_module("player")?;
    let data = folder.join("raw.data");
    let mut command = record(&data);
    command.arg(bench.ours.programs.join("bench-raw"));
    command.args(["component_share", "3000", "actors=1", "batch=8", "names=1"]);
    let output = command.arg(format!("component={}", module.display())).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let rate: f64 = said.trim().parse().with_context(|| format!("bench-raw said {said:?}"))?;
    println!("A letter of the raw call, 8 in a call: {:.0} ns\n", 1e9 / rate);
    table(&data, 1e9 / rate)
}

/// Builds an actor's module as `edge-host build` does, with its stack and memory, but with
/// names and as a program.
fn named_module(name: &str) -> anyhow::Result<PathBuf> {
    let source = repository().join("tests/bench");
    let target = std::env::current_exe()?.with_file_name("bench-kept").join("named");
    let flags = ["-Clink-arg=-zstack-size=67072", "-Clink-arg=--initial-memory=262144"];
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--quiet", "--target", "wasm32-unknown-unknown"]);
    cargo.args(["--package", name, "--target-dir"]).arg(&target).current_dir(source);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let rustc = Command::new(repository().join("scripts/toolchain.sh")).arg("--print").output()?;
    cargo.env("RUSTC", String::from_utf8_lossy(&rustc.stdout).trim());
    let profile = [("LTO", "fat"), ("CODEGEN_UNITS", "1"), ("PANIC", "abort"), ("STRIP", "none")];
    for (key, value) in profile {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    if !cargo.status()?.success() {
        bail!("{name} doesn't build: see above");
    }
    Ok(target.join(format!("wasm32-unknown-unknown/release/{name}.wasm")))
}

fn record(data: &Path) -> Command {
    let mut perf = Command::new("perf");
    perf.args(["record", "-q", "-e", "cpu-clock", "-F", RATE, "-o"]).arg(data);
    perf.stderr(Stdio::null());
    perf
}

fn interrupt(pid: u32) -> anyhow::Result<()> {
    let status = Command::new("kill").args(["-INT", &pid.to_string()]).status()?;
    if !status.success() {
        bail!("perf has ended early: can it be used here? (kernel.perf_event_paranoid)");
    }
    Ok(())
}

/// Prints parts and functions, `ns` shared out among them.
fn table(data: &Path, ns: f64) -> anyhow::Result<()> {
    let output = Command::new("perf")
        .args(["report", "--stdio", "--no-children", "-F", "overhead,dso,symbol", "-i"])
        .arg(data)
        .output()
        .context("no perf here: apt-get install linux-perf")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rows: Vec<(f64, &str)> = text.lines().filter_map(row).collect();
    let mut parts: BTreeMap<&str, f64> = BTreeMap::new();
    for (share, name) in &rows {
        let part = PARTS.iter().find(|(_, marks)| marks.iter().any(|mark| name.contains(mark)));
        *parts.entry(part.map_or("the rest", |(part, _)| part)).or_default() += share;
    }
    let mut parts: Vec<_> = parts.into_iter().collect();
    parts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    for (part, share) in parts {
        println!("{:>7.0} ns {share:>5.1} %  {part}", ns * share / 100.0);
    }
    println!();
    for (share, name) in rows.iter().take(FUNCTIONS) {
        let words: Vec<&str> = name.split_whitespace().collect();
        let name: String = words.join(" ").chars().take(110).collect();
        println!("{:>7.0} ns {share:>5.1} %  {name}", ns * share / 100.0);
    }
    println!();
    Ok(())
}

/// A row of perf's report: percent, and object and name.
fn row(line: &str) -> Option<(f64, &str)> {
    let (share, name) = line.trim().split_once('%')?;
    Some((share.parse().ok()?, name.trim()))
}
