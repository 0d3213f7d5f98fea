//! A scenario on real nodes: all in this process, or a process each; with the same components, over
//! QUIC, on roads that take as long as the simulator's of the same seed.

mod place;
mod roads;
mod round;
mod stage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sim::scenario::{From, Rule};
use sim::{Report, Scenario, Simulation, Stage, Step};

use crate::limits::Limits;
use place::Place;
use roads::{Roads, Weather};
use round::Round;

/// The names of the two actors on each node.
const GOSSIP: &str = "gossip";
const EAR: &str = "ear";
/// How long nodes may take to become one overlay before the first step, or to say how they are.
const PATIENCE: Duration = Duration::from_secs(60);
/// A round that does not end is given up after this at the earliest: elsewhere a machine may be
/// busy, and the simulator's turns take no time.
const ROUND: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// The scenario's figures that real nodes show.
const MEASURED: [&str; 11] = [
    "rmr",
    "ldt_ms",
    "ldt_p99_ms",
    "p50_ms",
    "p99_ms",
    "delivery",
    "clustering",
    "path",
    "healed_s",
    "heal_cycles",
    "delivery_first",
];

/// What real nodes don't count.
const UNCOUNTED: [&str; 12] = [
    "trace",
    "turns",
    "failures",
    "messages",
    "bytes",
    "kinds",
    "joins",
    "evictions",
    "given_up",
    "ldh",
    "ldh_max",
    "datagrams",
];

/// Real nodes, about to play a scenario.
pub struct Real {
    began: Instant,
    places: Vec<Place>,
    /// Those that have come so far.
    count: usize,
    roads: Roads,
    /// Knows how long the roads are.
    map: Simulation,
    rest: String,
    processes: bool,
    rule: Rule,
    /// What is otherwise here than the scenario says.
    otherwise: Vec<String>,
    round: Round,
    network: Network,
    _folder: Folder,
}

/// The thread that serves what this process itself has to do with the network.
struct Network {
    handle: tokio::runtime::Handle,
    _gone: tokio::sync::oneshot::Sender<()>,
}

/// A folder for as long as it is needed.
struct Folder(PathBuf);

/// Answers of nodes, by node.
type Answers<T> = BTreeMap<usize, anyhow::Result<T>>;

/// A report of real nodes, without what they don't count.
pub fn told(report: &Report) -> anyhow::Result<Value> {
    let without = |row: &mut Value| {
        if let Some(row) = row.as_object_mut() {
            row.retain(|name, _| !UNCOUNTED.contains(&name.as_str()));
        }
    };
    let mut report = serde_json::to_value(report)?;
    without(&mut report);
    without(&mut report["sum"]);
    for rows in ["rows", "per_round"] {
        report[rows].as_array_mut().into_iter().flatten().for_each(without);
    }
    Ok(report)
}

impl Real {
    /// The nodes of a scenario, none of them up yet. Both actors are given as components' files.
    pub fn new(
        scenario: &Scenario,
        seed: u64,
        (gossip, ear): (&Path, &Path),
        processes: bool,
    ) -> anyhow::Result<Self> {
        let all = refuse(scenario, processes)?;
        let folder = Folder::new()?;
        let place = |node: usize| Place::new(folder.0.join(node.to_string()));
        let places = (0..all).map(place).collect::<anyhow::Result<Vec<_>>>()?;
        let network = Network::start()?;
        let each = (scenario.latency == From::Each).then_some(scenario.delay);
        let weather = Weather { loss: scenario.loss, duplicate: scenario.duplicate, each };
        let rest = format!(
            "[limits]\nidle-ms = {}\n\n\
             [actor.{GOSSIP}]\ncomponent = {gossip:?}\ngrant = {{ links = \"links\" }}\n\n\
             [actor.{EAR}]\ncomponent = {ear:?}\nmailbox = 1024\n\
             grant = {{ news = \"topic:news\" }}\n",
            scenario.patience.as_millis()
        );
        Ok(Self {
            began: Instant::now(),
            count: 0,
            roads: Roads::new(network.handle.clone(), weather),
            map: Simulation::new(seed, scenario.network()),
            rest,
            processes,
            rule: scenario.rule,
            otherwise: otherwise(scenario),
            round: Round::new(all),
            places,
            network,
            _folder: folder,
        })
    }

    fn start(&mut self, node: usize) -> anyhow::Result<()> {
        let peers: Vec<String> = (0..self.places.len())
            .filter(|other| *other != node)
            .map(|other| {
                let id = &self.places[other].id;
                match self.roads.way(other, node) {
                    Some(at) => format!("{{ id = \"{id}\", at = \"{at}\" }}"),
                    None => format!("{{ id = \"{id}\" }}"),
                }
            })
            .collect();
        self.places[node]
            .start(&peers.join(", "), &self.rest, self.processes)
            .with_context(|| format!("node {node}"))?;
        if self.rule == Rule::Physarum {
            let choose = json!({ "Choose": "physarum" });
            for (_, chosen) in self.ask::<Value>(&[node], GOSSIP, &choose) {
                chosen?;
            }
        }
        Ok(())
    }

    fn up(&self) -> Vec<usize> {
        (0..self.count).filter(|node| self.is_up(*node)).collect()
    }

    /// Asks an actor on each of these nodes, all at once.
    fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        nodes: &[usize],
        actor: &'static str,
        message: &Value,
    ) -> Answers<T> {
        let asked: Vec<_> = nodes
            .iter()
            .map(|&node| {
                let (voice, message) = (self.places[node].voice.clone(), message.clone());
                let ask = async move {
                    let answer = voice.ask(actor, &message, PATIENCE).await?;
                    answer.with_context(|| format!("{actor} gave no answer"))
                };
                (node, self.network.handle.spawn(ask))
            })
            .collect();
        let answers = asked.into_iter().map(|(node, task)| {
            (node, self.network.handle.block_on(task).unwrap_or_else(|lost| Err(lost.into())))
        });
        answers.collect()
    }
}

/// What can't be had on real nodes is refused. Gives how many nodes there are to be in all.
fn refuse(scenario: &Scenario, processes: bool) -> anyhow::Result<usize> {
    let never = [
        ("bandwidth", scenario.bandwidth > 0),
        ("vanish", scenario.vanish > 0.0),
        ("reorder", scenario.reorder > 0.0),
        ("drift", scenario.drift > 0),
        ("skew", !scenario.skew.is_zero()),
    ];
    if let Some((name, _)) = never.into_iter().find(|(_, asked)| *asked) {
        bail!("{name} can't be had on real nodes: play it without --real, or take it out");
    }
    let alone = |step: &&Step| {
        step.crash.is_some() || step.crashing > 0 || step.restart || step.pause.is_some()
    };
    if let Some(step) = scenario.steps.iter().find(alone).filter(|_| !processes) {
        bail!(
            "{}: nodes of one process can't crash or stand still alone: write --real=processes",
            if step.crashing > 0 { "crashing" } else { step.verb().unwrap_or_default() }
        );
    }
    let joins: usize = scenario.steps.iter().filter_map(|step| step.join).sum();
    let (all, most) = (scenario.nodes + joins, Limits::default().peers + 1);
    if all > most {
        bail!(
            "{all} real nodes are too many, as a node has at most {} peers: write --nodes {} or \
             less",
            most - 1,
            most - joins
        );
    }
    Ok(all)
}

fn otherwise(scenario: &Scenario) -> Vec<String> {
    let mut otherwise = vec![
        format!("each node knows all others, not the first {}", scenario.contacts),
        "each node begins when it can, and the first step when all are one overlay".into(),
        format!("a round that can end is given up after {} s at the earliest", ROUND.as_secs()),
    ];
    if scenario.latency == From::Each {
        otherwise.push("a datagram never overtakes another".into());
    }
    otherwise
}

/// Gives a node the native code that another has made, so that not each compiles the same.
fn share(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        std::fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

impl Drop for Real {
    fn drop(&mut self) {
        place::stop_all(&mut self.places);
    }
}

impl Network {
    fn start() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (_gone, gone) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || drop(runtime.block_on(gone)));
        Ok(Self { handle, _gone })
    }
}

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("edge-host-nodes-{}", std::process::id()));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("can't make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
