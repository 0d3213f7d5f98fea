//! Who talks on one core wakes nobody: counted by the kernel, as sleeps of the node's threads.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;

use anyhow::{Context, Result};
use serde_json::json;
use tests::process::Process;

use crate::nodes;

/// Questions that are counted. A thread that were woken for each would sleep as often.
const QUESTIONS: u64 = 10_000;
/// Sleeps beside: the message that begins it, its answer, and what the network has to do for
/// itself. One in twenty.
const SLEEPS: u64 = QUESTIONS / 20;

/// How often each thread that runs actors, or the network, went to sleep so far. The ticker is not
/// among them: while something runs it sleeps for a tick at a time, however long that takes.
fn sleeps(node: &Process) -> Result<BTreeMap<OsString, u64>> {
    let mut sleeps = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{}/task", node.pid()))? {
        let task = task?;
        // A thread may have ended meanwhile.
        let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
        let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
        if value("Name:").context("no name")?.trim() != "ticker" {
            let count = value("voluntary_ctxt_switches:").context("no count")?.trim().parse()?;
            sleeps.insert(task.file_name(), count);
        }
    }
    Ok(sleeps)
}

#[test]
fn a_conversation_on_one_worker_wakes_no_other_thread() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Process::start(folder.path(), &nodes::manifest(&[], ""))?;
    let other = nodes::start(&node, nodes::pair(), "b", &[])?;
    nodes::start(&node, nodes::pair(), "a", &[&format!("other={other}")])?;
    let converse = |count: u64| -> Result<u64> {
        let message = json!({ "Converse": count }).to_string();
        // As long as a busy machine may take.
        Ok(node.run(&["send", "a", &message, "--deadline", "60000"])?.trim().parse()?)
    };
    assert_eq!(converse(100)?, 100, "a warm-up");
    let before = sleeps(&node)?;
    assert_eq!(converse(QUESTIONS)?, QUESTIONS);
    let after = sleeps(&node)?;
    let slept = |(thread, count): (&OsString, &u64)| count - before.get(thread).unwrap_or(&0);
    let slept: u64 = after.iter().map(slept).sum();
    println!("{slept} sleeps in {QUESTIONS} questions and answers");
    assert!(slept < SLEEPS, "{slept} sleeps in {QUESTIONS} questions and answers");
    Ok(())
}
