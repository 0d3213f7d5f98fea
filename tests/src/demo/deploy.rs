//! From source to actors that run on three nodes.

use std::fmt::Write;
use std::time::Instant;

use anyhow::{Context, bail};

use super::finding::Findings;
use super::sense;
use super::stage::{ALL, ATTIC, CELLAR, NAMES, SHED, Stage};
use super::words::seconds;
use crate::lives;

/// Silence after which a node takes another for gone. The usual 10 s would make the demo long.
const IDLE_MS: u64 = 2000;

/// Components built from source.
pub(super) struct Guests(Vec<(&'static str, String)>);

impl Guests {
    /// A component's CID.
    pub fn cid(&self, name: &str) -> anyhow::Result<&str> {
        let found = self.0.iter().find(|(built, _)| *built == name);
        Ok(&found.with_context(|| format!("{name} was not built"))?.1)
    }
}

/// What is built, in this order, and what it is.
const SOURCES: [(&str, &str, &str); 5] = [
    ("actors/gossip", "gossip", "broadcasts between nodes"),
    ("actors/crdt", "crdt", "keeps a document the same everywhere"),
    ("actors/sensor", "sensor", "samples, smooths, publishes"),
    ("examples/thermostat", "thermostat", "drives a heater by a room and a dial"),
    ("examples/hot-swap", "hot-swap", "is the next version of the thermostat"),
];

/// Builds all components.
pub(super) fn build(stage: &mut Stage, findings: &mut Findings) -> anyhow::Result<Guests> {
    stage.title("1. Build the actors from source");
    stage.say("A component is named by the hash of its bytes, its CID: the same source gives the");
    stage.say("same name on any machine. The first build compiles what actors depend on.");
    let began = Instant::now();
    let mut built = Vec::new();
    for (source, name, what) in SOURCES {
        let path = crate::guests::repository().join(source).display().to_string();
        let file = format!("{name}.wasm");
        let this = Instant::now();
        let arguments = ["build", &path, "--output", &file];
        let said = stage.run(&arguments, Some(&format!("building {name}")))?;
        stage.say(format!("({name} {what}; built in {})", seconds(this.elapsed())));
        let cid = said.split_whitespace().next().context("build printed nothing")?;
        built.push((name, cid.to_string()));
    }
    let figure = format!("{} components in {}", built.len(), seconds(began.elapsed()));
    findings.observe("actors are built from source", figure);
    Ok(Guests(built))
}

/// Starts three nodes that know each other's keys, and waits until they are connected.
pub(super) fn nodes(stage: &mut Stage, findings: &mut Findings) -> anyhow::Result<()> {
    stage.title("2. Start three nodes");
    stage.say("A node's id is its public key. Each manifest names the others by id, and reaches");
    stage.say("them through a small UDP relay of the demo's, so that a node can be cut off later.");
    stage.lay()?;
    for node in ALL {
        stage.id(node)?;
    }
    let began = Instant::now();
    for node in ALL {
        let manifest = manifest(stage, node)?;
        if node == ATTIC {
            println!("$ cat {}/node.toml", NAMES[node]);
            manifest.lines().for_each(|line| stage.say(line));
        }
        stage.start(&manifest)?;
    }
    for node in ALL {
        stage.until("all nodes are connected", || Ok((up(stage, node)? == 2).then_some(())))?;
    }
    let figure = format!("all connected {} after the first was started", seconds(began.elapsed()));
    stage.tell(ATTIC, &["ls", "peers"])?;
    findings.observe("three nodes know each other by key", figure);
    Ok(())
}

/// Gives the components to one node, and starts them on all: the others fetch them.
pub(super) fn actors(
    stage: &mut Stage,
    guests: &Guests,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    stage.title("3. Deploy by hash");
    stage.say("The components are given to the attic only. The others are told nothing but a CID;");
    stage.say("they fetch the bytes from a peer, check the hash, and compile them for themselves.");
    let names = ["gossip", "crdt", "sensor", "thermostat"];
    for name in names {
        let file = format!("{name}.wasm");
        let cid = stage.keep(ATTIC, &["add", &file], &name.to_uppercase())?;
        if cid != guests.cid(name)? {
            bail!("{name} has another name on the node than `edge-host build` printed");
        }
    }
    let began = Instant::now();
    let mut fetched = 0;
    for name in names {
        for node in ALL {
            let grants = grants(name, node);
            let mut arguments = vec!["start", guests.cid(name)?, "--as", name];
            arguments.extend(grants.iter().flat_map(|grant| ["--grant", grant.as_str()]));
            let said = stage.tell(node, &arguments)?;
            let from_peer = said.contains("fetched from peer");
            if from_peer != (node != ATTIC) {
                bail!("{name} on {} came from the wrong place: {said}", NAMES[node]);
            }
            fetched += usize::from(from_peer);
        }
    }
    for node in ALL {
        let ready = || {
            let rows = stage.ask(node, &["ls", "actors", "--json"])?;
            let rows = rows.as_array().cloned().unwrap_or_default();
            let all =
                rows.len() == names.len() && rows.iter().all(|row| lives(row["state"].as_str()));
            Ok(all.then_some(()))
        };
        stage.until("all actors are ready", ready)?;
    }
    let figure =
        format!("{fetched} of {fetched}, compiled and ready in {}", seconds(began.elapsed()));
    findings.observe("code is fetched from peers by its CID", figure);
    stage.tell(CELLAR, &["ls", "actors"])?;
    Ok(())
}

/// Peers of a node that are up.
pub(super) fn up(stage: &Stage, node: usize) -> anyhow::Result<usize> {
    let peers = stage.ask(node, &["ls", "peers", "--json"])?;
    let peers = peers.as_array().into_iter().flatten();
    Ok(peers.filter(|peer| peer["state"] == "up").count())
}

fn grants(actor: &str, node: usize) -> Vec<String> {
    let (room, air) = (sense::room(node), format!("{}-air", NAMES[node]));
    match actor {
        "gossip" => vec!["links=links".into()],
        "crdt" => vec!["replicas=topic:board".into()],
        "sensor" => vec![
            format!("source={room}"),
            format!("out={{ topic = \"{air}\", subscribe = false }}"),
        ],
        _ => vec![
            format!("room=sensor:topic:{air}"),
            "target=topic:target".into(),
            r#"heater={ pin = "bench:heater", safe = "low", lease = "30s" }"#.into(),
        ],
    }
}

fn manifest(stage: &Stage, node: usize) -> anyhow::Result<String> {
    let mut text = String::from("[node]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\npeers = [\n");
    for peer in [ATTIC, CELLAR, SHED].into_iter().filter(|peer| *peer != node) {
        let (id, at) = (stage.id_of(peer)?, stage.way(node, peer)?.address());
        writeln!(text, "  {{ id = \"{id}\", at = \"{at}\" }},")?;
    }
    writeln!(text, "]\n[limits]\nidle-ms = {IDLE_MS}")?;
    Ok(text)
}
