//! Who talks on one core wakes nobody: counted by the kernel, as sleeps of the node's threads.

use std::fs;

use anyhow::{Context, Result};
use serde_json::json;
use tests::process::Process;

use crate::nodes;

/// Questions that are counted. A thread that were woken for each would sleep as often.
const QUESTIONS: u64 = 10_000;
/// Sleeps beside: the message that begins it, its answer, and what the network has to do for
/// itself. One in forty.
const SLEEPS: u64 = QUESTIONS / 40;

/// How often the threads that run actors, or the network, went to sleep so far. The ticker is not
/// among them: while something runs it sleeps for a tick at a time, however long that takes.
fn sleeps(node: &Process) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{}/task", node.pid()))? {
        // A thread may have ended meanwhile.
        let Ok(status) = fs::read_to_string(task?.path().join("status")) else { continue };
        let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
        if value("Name:").context("no name")?.trim() != "ticker" {
            sum += value("voluntary_ctxt_switches:").context("no count")?.trim().parse::<u64>()?;
        }
    }
    Ok(sum)
}

#[test]
fn a_conversation_on_one_worker_wakes_no_other_thread() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = Process::start(folder.path(), &nodes::manifest(&[], ""))?;
    let other = nodes::start(&node, nodes::pair(), "b", &[])?;
    nodes::start(&node, nodes::pair(), "a", &[&format!("other={other}")])?;
    let converse = |count: u64| node.send("a", &json!({ "Converse": count }));
    assert_eq!(converse(100)?, 100, "a warm-up");
    let before = sleeps(&node)?;
    assert_eq!(converse(QUESTIONS)?, QUESTIONS);
    let slept = sleeps(&node)? - before;
    println!("{slept} sleeps in {QUESTIONS} questions and answers");
    assert!(slept < SLEEPS, "{slept} sleeps in {QUESTIONS} questions and answers");
    Ok(())
}
