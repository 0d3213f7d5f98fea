//! Publications that are too large for gossip: they travel as blobs, and none vanishes in silence.

use std::path::Path;

use anyhow::{Context, Result};
use ear::{Heard, Message};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tests::process::{self, Process};
use tests::wait_for;

use crate::nodes;

/// The longest letter, and so the longest publication: more than gossip takes.
const LONGEST: usize = 256 << 10;

/// Nodes in a line, each with gossip; those that have one also with an ear.
struct Line {
    nodes: Vec<Process>,
    _folder: TempDir,
}

impl Line {
    /// Each node has these limits, and an ear if that is true.
    fn start(each: &[(&str, bool)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = |node: usize| folder.path().join(node.to_string());
        let ids = (0..each.len()).map(|node| process::id(&at(node))).collect::<Result<Vec<_>>>()?;
        let mut running: Vec<Process> = Vec::new();
        for (node, (limits, has_ear)) in each.iter().enumerate() {
            let mut peers = Vec::new();
            if let Some(before) = running.last() {
                peers.push(nodes::peer(&ids[node - 1], Some(&before.address()?.to_string())));
            }
            peers.extend(ids.get(node + 1).map(|id| nodes::peer(id, None)));
            let ear = format!(
                "[actor.ear]\ncomponent = {:?}\ngrant = {{ news = \"topic:news\" }}\n",
                nodes::ear().file
            );
            let rest = format!(
                "[limits]\n{limits}\n{}[actor.gossip]\ncomponent = {:?}\n\
                 grant = {{ links = \"links\" }}\n",
                if *has_ear { ear.as_str() } else { "" },
                nodes::gossip().file
            );
            running.push(Process::start(&at(node), &nodes::manifest(&peers, &rest))?);
        }
        let line = Self { nodes: running, _folder: folder };
        let ends = |node: usize| if node == 0 || node + 1 == each.len() { 1 } else { 2 };
        for (node, process) in line.nodes.iter().enumerate() {
            let look = || (neighbours(process).ok()? == ends(node)).then_some(());
            wait_for("neighbours", look).with_context(|| process.log())?;
        }
        Ok(line)
    }

    fn publish(&self, node: usize, number: u32, bytes: usize) -> Result<()> {
        self.nodes[node].send("ear", &json!(Message::Publish { number, bytes })).map(drop)
    }

    /// Waits until an ear has heard these.
    fn hears(&self, node: usize, numbers: &[u32]) -> Result<()> {
        let node = &self.nodes[node];
        let look = || {
            let answer = node.send("ear", &json!(Message::Lacks(numbers.to_vec()))).ok()?;
            let heard: Heard = serde_json::from_value(answer).ok()?;
            assert_eq!(heard.twice, 0, "a publication came twice");
            heard.missing.is_empty().then_some(())
        };
        wait_for("the ear hears all", look).with_context(|| node.log())
    }
}

fn neighbours(node: &Process) -> Result<usize> {
    let ids = node.send("gossip", &json!(gossip::Message::Neighbours))?;
    Ok(ids.as_array().context("no list")?.len())
}

fn publications(folder: &Path) -> Result<usize> {
    let blobs = std::fs::read_dir(folder.join("data/publications/blobs"))?;
    Ok(blobs.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_file())).count())
}

#[test]
fn a_publication_too_large_for_gossip_goes_as_a_blob_past_nodes_that_do_not_listen() -> Result<()> {
    let line = Line::start(&[("", true), ("", false), ("", true)])?;
    for (number, bytes) in [(1, 200), (2, 200_000), (3, LONGEST), (4, 127 << 10)] {
        line.publish(0, number, bytes)?;
    }
    line.hears(2, &[1, 2, 3, 4])?;
    // Only what gossip doesn't carry, and each that has carried a name serves the blob.
    for node in &line.nodes {
        assert_eq!(publications(&node.folder)?, 2, "{}", node.log());
        let status = node.send("gossip", &json!(gossip::Message::Status))?;
        assert_eq!(status["counts"]["oversized"], 0, "gossip was given what it doesn't take");
    }
    // Longer than any letter: whoever says it is told, and nobody hears a part of it.
    line.publish(0, 5, LONGEST + 100)?;
    line.publish(0, 6, 300)?;
    line.hears(2, &[6])?;
    let answer = line.nodes[2].send("ear", &json!(Message::Lacks(vec![5])))?;
    assert_eq!(answer["missing"], json!([5]));
    Ok(())
}

#[test]
fn a_publication_that_can_not_be_had_is_told_of_with_its_reason() -> Result<()> {
    let impatient = "idle-ms = 20000\npeer-patience-ms = 500\npublications-bytes = 1";
    let short = "letter-bytes = 190000";
    let line = Line::start(&[(impatient, true), (impatient, true), (short, true)])?;
    // Its blob is gone before the next node can ask for it: another has taken its place.
    line.nodes[1].signal(Signal::STOP)?;
    line.publish(0, 1, 180_000)?;
    wait_for("it is kept", || (publications(&line.nodes[0].folder).ok()? == 1).then_some(()))?;
    line.publish(0, 2, 200_000)?;
    let other = || {
        let folder = line.nodes[0].folder.join("data/publications/blobs");
        let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
        let sizes: Vec<_> = files.filter_map(|file| Some(file.metadata().ok()?.len())).collect();
        sizes.iter().any(|size| *size > 190_000).then_some(())
    };
    wait_for("another takes its place", other)?;
    line.nodes[1].signal(Signal::CONT)?;
    line.hears(1, &[2])?;
    line.nodes[1].says("did not come: blob bafkrei")?;
    line.nodes[1].says("not from any peer in 3000 ms: the node does not have this blob")?;
    line.nodes[2].says("it is longer than 190000 bytes (letter-bytes in limits)")?;
    let missed = || (line.nodes[1].actor("ear").ok()?["missed"] == 1).then_some(());
    wait_for("what was missed is counted", missed)?;
    Ok(())
}
