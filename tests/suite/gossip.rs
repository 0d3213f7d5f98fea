//! Publications over real nodes that stand in a line.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gossip::Status;
use pair::Message;
use serde_json::json;
use tests::process::{self, Process};
use tests::wait_for;

use crate::nodes::{self, tell, until};

/// Starts a node with gossip and a pair that reads and writes the news. The pair starts first (its
/// name does), so that it misses nothing.
fn node(folder: &Path, peers: &[String]) -> Result<Process> {
    let rest = format!(
        "[actor.ear]\ncomponent = \"{}\"\nmailbox = 1024\ngrant = {{ news = \"topic:news\" }}\n\n\
         [actor.gossip]\ncomponent = \"{}\"\ngrant = {{ links = \"links\" }}\n",
        nodes::pair().file.display(),
        nodes::gossip().file.display()
    );
    Process::start(folder, &nodes::manifest(peers, &rest))
}

#[test]
fn news_reach_the_end_of_the_line_once_and_a_late_joiner_is_caught_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(process::id(&at(name))?);
    }
    let known = |of: usize| nodes::peer(&ids[of], None);
    let to = |of: usize, node: &Process| -> Result<String> {
        Ok(nodes::peer(&ids[of], Some(&node.address()?.to_string())))
    };
    let a = node(&at("a"), &[known(1)])?;
    let b = node(&at("b"), &[to(0, &a)?, known(2)])?;
    let c = node(&at("c"), &[to(1, &b)?, known(3)])?;
    nodes::peer_is(&b, &ids[0], "up")?;
    nodes::peer_is(&b, &ids[2], "up")?;
    tell(&a, "ear", &Message::Publish { first: 0, count: 100 })?;
    let all: Vec<u64> = (0..100).collect();
    for node in [&b, &c] {
        let got = until(node, "ear", "100 news", |report| report.letters.len() >= 100)?;
        assert_eq!(sorted(got.letters), all);
    }
    let d = node(&at("d"), &[to(2, &c)?])?;
    let got = until(&d, "ear", "100 old news", |report| report.letters.len() >= 100)?;
    assert_eq!(sorted(got.letters), all);
    // What comes twice would come before this has gone all the way.
    tell(&d, "ear", &Message::Publish { first: 100, count: 1 })?;
    until(&a, "ear", "the news from the end", |report| report.letters.contains(&100))?;
    assert_eq!(nodes::report(&a, "ear")?.letters, [100], "it heard its own news");
    for node in [&b, &c] {
        let got = until(node, "ear", "one more", |report| report.letters.contains(&100))?;
        assert_eq!(got.letters.len(), 101, "news came twice: {got:?}");
    }
    Ok(())
}

#[test]
fn the_component_is_small_enough_to_be_compiled_while_a_node_starts() -> Result<()> {
    // It was 820 kB: 70 s on a machine with other things to do.
    let bytes = std::fs::metadata(&nodes::gossip().file)?.len();
    assert!(bytes < 350_000, "{bytes} bytes");
    Ok(())
}

#[test]
fn an_idle_overlay_takes_few_turns_though_a_node_is_without() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let ids = [process::id(&at("a"))?, process::id(&at("b"))?, process::id(&at("c"))?];
    let to = |of: usize, node: &Process| -> Result<String> {
        Ok(nodes::peer(&ids[of], Some(&node.address()?.to_string())))
    };
    let known = |of: usize| nodes::peer(&ids[of], None);
    let c = Process::start(&at("c"), &nodes::manifest(&[known(0), known(1)], ""))?;
    let a = node(&at("a"), &[known(1), to(2, &c)?])?;
    let b = node(&at("b"), &[to(0, &a)?, to(2, &c)?])?;
    nodes::peer_is(&c, &ids[0], "up")?;
    nodes::peer_is(&c, &ids[1], "up")?;
    for node in [&a, &b] {
        let look = || {
            let status = node.send("gossip", &json!(gossip::Message::Status)).ok()?;
            let status: Status = serde_json::from_value(status).ok()?;
            (status.neighbours == 1).then_some(())
        };
        wait_for("the two with gossip are neighbours", look).with_context(|| node.log())?;
    }
    let (before, began) = ([handled(&a)?, handled(&b)?], Instant::now());
    wait_for("some seconds pass", || (began.elapsed() > Duration::from_secs(4)).then_some(()))?;
    for (node, before) in [&a, &b].into_iter().zip(before) {
        let each = (handled(node)? - before) as f64 / began.elapsed().as_secs_f64();
        // A tick and a round-trip time a second; while they are new some beacons and shuffles.
        assert!(each < 20.0, "{each} messages a second, and nothing is said");
    }
    Ok(())
}

/// Messages that a node's gossip has handled.
fn handled(node: &Process) -> Result<u64> {
    let rows = node.json(&["ls", "actors"])?;
    let row = rows.as_array().into_iter().flatten().find(|row| row["name"] == "gossip");
    row.and_then(|row| row["handled"].as_u64()).with_context(|| format!("no gossip in {rows}"))
}

/// Each once, in whatever order.
fn sorted(mut letters: Vec<u64>) -> Vec<u64> {
    letters.sort();
    letters
}
