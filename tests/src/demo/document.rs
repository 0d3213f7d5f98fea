//! A document that is written on all nodes.

use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value, json};

use super::finding::Findings;
use super::stage::{ALL, ATTIC, CELLAR, NAMES, SHED, Stage};
use super::words::seconds;

/// Writes on each node, and waits until all have the same.
pub(super) fn write(stage: &mut Stage, findings: &mut Findings) -> anyhow::Result<()> {
    stage.title("6. Write a document on three nodes");
    let began = Instant::now();
    change(stage, ATTIC, json!({ "Set": { "key": "host", "value": "attic" } }))?;
    change(stage, CELLAR, json!({ "Add": { "key": "guests", "item": "ann" } }))?;
    change(stage, SHED, json!({ "Add": { "key": "guests", "item": "bob" } }))?;
    for (node, by) in [(ATTIC, 1), (CELLAR, 2), (SHED, 3)] {
        change(stage, node, json!({ "Increment": { "key": "rings", "by": by } }))?;
    }
    let wanted = json!({
        "guests": { "items": ["ann", "bob"] },
        "host": { "value": "attic" },
        "rings": { "count": 6 },
    });
    agreed(stage, &wanted)?;
    let took = seconds(began.elapsed());
    show(stage, &ALL)?;
    let figure = format!("6 changes on 3 nodes, the same everywhere in {took}");
    findings.observe("a document agrees on three nodes", figure);
    Ok(())
}

/// Changes the document on one node.
pub(super) fn change(stage: &Stage, node: usize, message: Value) -> anyhow::Result<()> {
    let said = stage.tell(node, &["send", "crdt", &message.to_string()])?;
    ensure!(said.trim() == "\"Done\"", "not done: {said}");
    Ok(())
}

/// The document as it is on one node.
pub(super) fn on(stage: &Stage, node: usize) -> anyhow::Result<Value> {
    Ok(stage.ask(node, &["send", "crdt", ALL_OF_IT])?["Page"]["entries"].clone())
}

/// Waits until all nodes have this document.
pub(super) fn agreed(stage: &Stage, wanted: &Value) -> anyhow::Result<()> {
    for node in ALL {
        let what = format!("{} has {wanted}", NAMES[node]);
        stage.until(&what, || Ok((on(stage, node)? == *wanted).then_some(())))?;
    }
    Ok(())
}

/// Shows the document as it is on these nodes.
pub(super) fn show(stage: &Stage, nodes: &[usize]) -> anyhow::Result<()> {
    let typed = ["send", "crdt", ALL_OF_IT, "--data", "$NODE/data"];
    println!(
        "$ for NODE in {}; do {}; done",
        nodes.iter().map(|node| NAMES[*node]).collect::<Vec<_>>().join(" "),
        stage.line(&typed)
    );
    for node in nodes {
        stage.say(format!("{:<7} {}", NAMES[*node], on(stage, *node)?));
    }
    Ok(())
}

/// The question for all entries.
const ALL_OF_IT: &str = r#"{"All": {}}"#;
