//! What tests with several nodes are made of: guests that are built once, nodes that know each
//! other, and a relay between them.

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use pair::{Message, Report};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::guests::{self, Guest};
use tests::process::{self, Process};
use tests::relay::Relay;
use tests::wait_for;

/// Makes tests of broken links short, and burdens no machine: a link is broken after 2 s.
pub const QUICK: &str = "[limits]\nidle-ms = 2000\npeer-patience-ms = 5000\n";

/// A guest of `tests/guests`, `actors` or `examples`, built once.
macro_rules! guest {
    ($name:ident, $folder:literal) => {
        pub fn $name() -> &'static Guest {
            static BUILT: OnceLock<Guest> = OnceLock::new();
            BUILT.get_or_init(|| build($folder))
        }
    };
}

guest!(pair, "tests/guests/pair");
guest!(pair2, "tests/guests/pair2");
guest!(picky, "tests/guests/picky");
guest!(gossip, "actors/gossip");
guest!(ear, "actors/ear");
guest!(crdt, "actors/crdt");
guest!(sensor, "actors/sensor");
guest!(soak, "tests/guests/soak");
guest!(thermostat, "examples/thermostat");

fn build(folder: &str) -> Guest {
    let into = Path::new(env!("CARGO_TARGET_TMPDIR"));
    guests::build(&guests::repository().join(folder), into).unwrap()
}

/// A peer as a manifest names it.
pub fn peer(id: &str, at: Option<&str>) -> String {
    match at {
        Some(at) => format!("{{ id = \"{id}\", at = \"{at}\" }}"),
        None => format!("{{ id = \"{id}\" }}"),
    }
}

/// A manifest of a node on loopback.
pub fn manifest(peers: &[String], rest: &str) -> String {
    let peers = peers.join(", ");
    format!("[node]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\npeers = [{peers}]\n\n{rest}")
}

/// Two nodes; all that passes between them passes the relay.
pub struct Two {
    pub a: Process,
    pub b: Process,
    pub relay: Relay,
    pub ids: [String; 2],
    pub folder: TempDir,
}

impl Two {
    /// Starts both with the same limits and waits until they are connected.
    pub fn start(rest: &str) -> Result<Self> {
        Self::start_each(rest, rest)
    }

    /// Starts them with limits of their own and waits until they are connected.
    pub fn start_each(rest_a: &str, rest_b: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (at_a, at_b) = (folder.path().join("a"), folder.path().join("b"));
        let ids = [process::id(&at_a)?, process::id(&at_b)?];
        let relay = Relay::open()?;
        let b = Process::start(&at_b, &manifest(&[peer(&ids[0], None)], rest_b))?;
        relay.lead_to(b.address()?);
        let to_b = peer(&ids[1], Some(&relay.address().to_string()));
        let a = Process::start(&at_a, &manifest(&[to_b], rest_a))?;
        let two = Self { a, b, relay, ids, folder };
        two.connected()?;
        Ok(two)
    }

    pub fn connected(&self) -> Result<()> {
        peer_is(&self.a, &self.ids[1], "up")?;
        peer_is(&self.b, &self.ids[0], "up")
    }

    /// Cuts the link, and waits until both have noticed.
    pub fn cut(&self) -> Result<()> {
        self.relay.cut(true);
        peer_is(&self.a, &self.ids[1], "down")?;
        peer_is(&self.b, &self.ids[0], "down")
    }

    /// Heals the link, and waits until both have noticed.
    pub fn heal(&self) -> Result<()> {
        self.relay.cut(false);
        self.connected()
    }

    /// The pair: an actor `b` on the second node, and an actor `a` on the first that writes to it.
    pub fn pair(&self) -> Result<()> {
        let b = start(&self.b, pair(), "b", &[])?;
        start(&self.a, pair(), "a", &[&format!("other={b}")])?;
        Ok(())
    }
}

/// Waits until a peer is seen `up` or `down`.
pub fn peer_is(node: &Process, id: &str, state: &str) -> Result<()> {
    let look = || (peer_row(node, id).ok()?["state"] == state).then_some(());
    wait_for(&format!("peer {id} is {state}"), look).with_context(|| node.log())
}

/// A row of `ls peers`.
pub fn peer_row(node: &Process, id: &str) -> Result<Value> {
    let rows = node.json(&["ls", "peers"])?;
    let row = rows.as_array().into_iter().flatten().find(|row| row["id"] == id);
    row.cloned().with_context(|| format!("no peer {id} in {rows}"))
}

/// Adds a component to a node and starts an actor from it; gives the actor's address.
pub fn start(node: &Process, guest: &Guest, name: &str, grants: &[&str]) -> Result<String> {
    node.run(&["add", &guest.file.to_string_lossy()])?;
    start_by_name(node, &guest.cid, name, grants)
}

/// Starts an actor from a component that the node may have to fetch.
pub fn start_by_name(node: &Process, cid: &str, name: &str, grants: &[&str]) -> Result<String> {
    let mut arguments = vec!["start", cid, "--as", name];
    grants.iter().for_each(|grant| arguments.extend(["--grant", grant]));
    let started = node.json(&arguments)?;
    Ok(started["address"].as_str().context("no address")?.into())
}

/// Tells a pair something that it doesn't answer.
pub fn tell(node: &Process, name: &str, message: &Message) -> Result<()> {
    let answer = node.send(name, &json!(message))?;
    anyhow::ensure!(answer.is_null(), "{name} answered {answer} to {message:?}");
    Ok(())
}

/// What a pair reports.
pub fn report(node: &Process, name: &str) -> Result<Report> {
    Ok(serde_json::from_value(node.send(name, &json!(Message::Report))?)?)
}

/// Waits until a pair's report is as it should be.
pub fn until(
    node: &Process,
    name: &str,
    what: &str,
    mut right: impl FnMut(&Report) -> bool,
) -> Result<Report> {
    let mut last = None;
    let look = || {
        last = report(node, name).ok();
        last.clone().filter(|report| right(report))
    };
    wait_for(what, look).with_context(|| format!("{last:?}\n{}", node.log()))
}

/// The one line that a command fails with.
pub fn refusal<T>(outcome: Result<T>) -> String {
    let error = outcome.err().expect("it should have failed").to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}
