//! Three replicas of a document that is changed on all of them while one is cut off.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use crdt::{Answer, Crdt, Entry, Message, Value};
use gossip::Gossip;
use guest_sdk::{Duration, Grant, Sim, seed};
use serde_json::json;

use super::stage::{Real, Simulated, Stage};
use crate::nodes;

type Entries = BTreeMap<String, Entry>;

trait Replicas: Stage<Message> {
    /// All that a node's replica knows.
    fn document(&self, node: usize) -> Result<Entries>;

    fn agree(&mut self, nodes: &[usize]) -> Result<()> {
        self.until("replicas agree", |stage| {
            let first = stage.document(nodes[0])?;
            for node in nodes {
                if stage.document(*node)? != first {
                    return Ok(false);
                }
            }
            Ok(!first.is_empty())
        })
    }
}

impl Replicas for Simulated<Crdt> {
    fn document(&self, node: usize) -> Result<Entries> {
        let document = self.sim.actor(node).document();
        let entry = |key: &str| Some((key.to_string(), document.entry(key)?));
        Ok(document.keys_after("").filter_map(entry).collect())
    }
}

impl Replicas for Real {
    fn document(&self, node: usize) -> Result<Entries> {
        let answer = self.nodes[node].send("it", &json!({ "All": {} }))?;
        match serde_json::from_value(answer)? {
            Answer::Page { entries, next: None, .. } => Ok(entries),
            other => bail!("{other:?}"),
        }
    }
}

fn set(key: &str, value: impl Into<Value>) -> Message {
    Message::Set { key: key.into(), value: value.into() }
}

fn add(item: &str) -> Message {
    Message::Add { key: "rooms".into(), item: item.into() }
}

fn remove(item: &str) -> Message {
    Message::Remove { key: "rooms".into(), item: item.into() }
}

fn increment(by: i64) -> Message {
    Message::Increment { key: "opened".into(), by }
}

fn replicas_converge(mut stage: impl Replicas) -> Result<()> {
    for message in [set("name", "house"), add("hall"), add("attic"), increment(10)] {
        stage.tell(0, message)?;
    }
    stage.until("the last one knows all", |stage| {
        Ok(stage.document(2)?.len() == 3 && stage.document(2)? == stage.document(0)?)
    })?;
    stage.cut()?;
    // "hall" is taken out on one side while it is put in again on the other: it stays.
    let changes = [
        (0, set("target", 21)),
        (2, set("target", 23)),
        (0, remove("hall")),
        (2, add("hall")),
        (1, remove("attic")),
        (1, add("cellar")),
        (2, add("roof")),
        (0, increment(1)),
        (1, increment(2)),
        (2, increment(-4)),
        (2, set("name", "home")),
    ];
    for (node, change) in changes {
        stage.tell(node, change)?;
    }
    stage.agree(&[0, 1])?;
    assert_ne!(stage.document(1)?, stage.document(2)?, "a change got over a cut link");
    stage.heal()?;
    stage.agree(&[0, 1, 2])?;
    let mut document = stage.document(2)?;
    // Whose clock was ahead decides, and all agree on it.
    let target = document.remove("target").and_then(|entry| entry.value);
    assert!([Some(21.into()), Some(23.into())].contains(&target), "{target:?}");
    let rooms: Vec<Value> = ["cellar", "hall", "roof"].map(Value::from).into();
    let expected = [
        ("name", Entry { value: Some("home".into()), ..Entry::default() }),
        ("opened", Entry { count: Some(9), ..Entry::default() }),
        ("rooms", Entry { items: rooms, ..Entry::default() }),
    ];
    assert_eq!(document, expected.map(|(key, entry)| (key.to_string(), entry)).into());
    Ok(())
}

#[test]
fn replicas_converge_in_the_simulator() -> Result<()> {
    let sim = Sim::builder(seed())
        .nodes(3)
        .actor::<Crdt>("it", &[("replicas", Grant::Topic("it"))])
        .protocol::<Gossip>("gossip", &[])
        .build();
    replicas_converge(Simulated::new(sim, 3, Duration::from_secs(5)))
}

#[test]
fn replicas_converge_on_real_nodes() -> Result<()> {
    replicas_converge(Real::start(3, nodes::crdt(), "{ replicas = \"topic:it\" }", "")?)
}
