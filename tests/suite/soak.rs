//! Full load for a while, with an account of every letter: none lost, none twice, each pair's in
//! order, though children are parked, crash, run over their budget and are stopped; memory flat;
//! and it ends by itself. `make soak` takes a minute, `make test` some seconds. What is promised
//! for the letters of who crashes or is stopped: `tests/guests/soak/src/kid.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use soak::{Report, WINDOW};
use tests::process::{self, Process, always_parked};

use crate::nodes::{self, peer};

/// A letter that crashes its child is set aside at the second time, a turn is over its budget soon,
/// and nothing is put into quarantine.
const LIMITS: &str = "[limits]\nmailbox = 4096\nturn-ms = 250\nrestart-ms = 10\n\
    message-crashes = 2\nquarantine-crashes = 100000\n";
/// Children rest for 300 ms, and are parked meanwhile.
const PARKED: &str = "park-ms = 40\n";
/// Resident bytes by which a node may grow after its first quarter: its allocator's slack.
const SLACK: u64 = 24 << 20;

#[test]
fn no_letter_is_lost_or_out_of_order_under_full_load_and_memory_stays_flat() -> Result<()> {
    let seconds = std::env::var("SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(4u64);
    let folder = tempfile::tempdir()?;
    let (at_a, at_b) = (folder.path().join("a"), folder.path().join("b"));
    let ids = [process::id(&at_a)?, process::id(&at_b)?];
    let b = Process::start(&at_b, &nodes::manifest(&[peer(&ids[0], None)], &actor("")))?;
    let address = b.actor("soak")?["address"].as_str().context("no address")?.to_string();
    let to_b = peer(&ids[1], Some(&b.address()?.to_string()));
    let grant = format!(", peer = {address:?}");
    let a = Process::start(&at_a, &nodes::manifest(&[to_b], &actor(&grant)))?;
    nodes::peer_is(&a, &ids[1], "up")?;
    let over = AtomicBool::new(false);
    let (reports, memory) = thread::scope(|scope| {
        let runs = [&a, &b].map(|node| scope.spawn(move || run(node, seconds)));
        let memory = [&a, &b].map(|node| {
            let over = &over;
            scope.spawn(move || watch(node, over))
        });
        let reports = runs.map(|run| run.join().expect("a run ends"));
        over.store(true, Ordering::Release);
        (reports, memory.map(|memory| memory.join().expect("a watch ends")))
    });
    for (report, memory) in reports.into_iter().zip(memory) {
        let (report, memory) = (report?, memory?);
        println!("{report:?}, {} MB", memory.last().unwrap_or(&0) >> 20);
        assert_eq!(report.faults, [""; 0], "{report:?}");
        let Report { sent, taken, aside, returned, left, .. } = report;
        assert_eq!(sent, taken + aside + returned + left, "{report:?}");
        assert!(left <= WINDOW * report.stopped, "{report:?}");
        assert!(returned >= 2 * report.spawned, "{report:?}");
        assert_eq!(aside, report.trapped + report.overran, "{report:?}");
        if !always_parked() {
            much_happened(&report);
        }
        let (early, late) = (memory[memory.len() / 4], memory[memory.len() - 1]);
        assert!(late < early + SLACK, "from {early} to {late} bytes: {memory:?}");
    }
    Ok(())
}

/// Whether it was full load. Parked between every two messages, a node does a tenth as much.
fn much_happened(report: &Report) {
    let happened = [
        ("letters taken afar", report.far, 100),
        ("children stopped under load", report.stopped, 4),
        ("rests", report.rests, 24),
        ("children woken", report.woken, 4),
        ("children that trapped and came back", report.trapped, 0),
        ("children over budget that came back", report.overran, 0),
    ];
    for (what, times, least) in happened {
        assert!(times > least, "{times} {what}: {report:?}");
    }
}

#[test]
fn a_node_stops_in_the_middle_of_full_load() -> Result<()> {
    for _ in 0..4 {
        let folder = tempfile::tempdir()?;
        let mut node = Process::start(folder.path(), &nodes::manifest(&[], &actor("")))?;
        let go = json!({ "Go": 60_000 }).to_string();
        // Nobody waits for its report: it is asked to begin, and the deadline is over at once.
        let said = node.run(&["send", "soak", &go, "--deadline", "300"]);
        let said = said.expect_err("it has a minute to go").to_string();
        assert!(said.contains("deadline"), "{said}");
        let ended = node.interrupt()?;
        assert!(ended.success(), "{ended}: {}", node.log());
    }
    Ok(())
}

/// The lines of a manifest for the one actor, perhaps with one more grant.
fn actor(grant: &str) -> String {
    let file = &nodes::soak().file;
    let parked = if always_parked() { "" } else { PARKED };
    format!(
        "{LIMITS}{parked}[actor.soak]\ncomponent = {file:?}\nturn = \"10s\"\n\
        grant = {{ kid = {{ spawn = {file:?}, max = 100 }}{grant} }}\n"
    )
}

fn run(node: &Process, seconds: u64) -> Result<Report> {
    let message = json!({ "Go": seconds * 1000 }).to_string();
    let patience = (seconds * 1000 + 30_000).to_string();
    let said = node.run(&["send", "soak", &message, "--deadline", &patience]);
    let said = said.with_context(|| format!("{:?}", node.send("soak", &json!("Look"))))?;
    serde_json::from_str(&said).with_context(|| format!("{said}: {}", node.log()))
}

/// Resident bytes, ten times a second.
fn watch(node: &Process, over: &AtomicBool) -> Result<Vec<u64>> {
    let mut seen = Vec::new();
    while !over.load(Ordering::Acquire) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.context("no VmRSS")?.trim().trim_end_matches(" kB").parse::<u64>()?;
        seen.push(kib << 10);
        thread::sleep(Duration::from_millis(100));
    }
    Ok(seen)
}
