//! `edge-host sim`: a scenario in the simulator, with the component that nodes run, or with the
//! same source compiled natively.

mod bar;
mod compare;
mod native;
mod papers;
mod picture;
mod real;
mod report;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use serde_json::Value;
use sim::scenario::Rule;
use sim::{Number, Play, Run, Scenario};

use crate::wasm::{Engine, Layout};
use table::Written;

/// What to simulate.
#[derive(Args, Clone)]
pub(super) struct Sim {
    /// A scenario's file; or `report`: all that name what is to be reached, beside the references;
    /// or `compare`: gossip beside flooding, plain push, hubs and leaves; or `papers`: the tables
    /// of HyParView and Plumtree beside what comes of them here, of 10,000 nodes in some hours.
    what: PathBuf,
    /// All chance comes from it. May be given more than once.
    #[arg(long, value_name = "N", default_value = "1")]
    seed: Vec<u64>,
    #[command(flatten)]
    instead: Instead,
    /// Run the actor's source compiled natively, for speed.
    #[arg(long)]
    native: bool,
    /// Play it on real nodes, over QUIC: all in this process, or a process each, so that they can
    /// crash and stand still.
    #[arg(
        long, value_name = "WHERE", num_args = 0..=1, require_equals = true,
        default_missing_value = "nodes", conflicts_with = "native"
    )]
    real: Option<Where>,
    /// What publishes and hears on real nodes: as --actor.
    #[arg(long, value_name = "PATH", default_value = "actors/ear")]
    ear: PathBuf,
    /// The actor: the folder of its crate, or a component's file (not with --native).
    #[arg(long, value_name = "PATH", default_value = "actors/gossip")]
    actor: PathBuf,
    /// Where `report` finds scenarios.
    #[arg(long, value_name = "DIR", default_value = "tests/scenarios")]
    scenarios: PathBuf,
    /// `report` leaves out those of more than 1000 nodes.
    #[arg(long)]
    quick: bool,
    /// Draw each run of a scenario as SVG into this folder: the overlay, the way of the last
    /// message, the times of deliveries.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// What is otherwise than the scenario says.
#[derive(Args, Clone, Copy, Default)]
struct Instead {
    /// How many nodes, in place of what the scenario says.
    #[arg(long, value_name = "N")]
    nodes: Option<usize>,
    /// By what gossip chooses neighbours, in place of what the scenario says: nearest or physarum.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    rule: Option<Rule>,
    /// How many nodes, or which share, crash where some crash at once, in place of what the
    /// scenario says.
    #[arg(long, value_name = "SHARE")]
    crash: Option<Number>,
    /// Rounds of each step at the most.
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
}

fn rule(text: &str) -> Result<Rule, serde_json::Error> {
    serde_json::from_value(Value::from(text))
}

impl Instead {
    fn change(self, scenario: &mut Scenario) -> anyhow::Result<()> {
        scenario.nodes = self.nodes.unwrap_or(scenario.nodes);
        scenario.rule = self.rule.unwrap_or(scenario.rule);
        if let Some(number) = self.crash {
            scenario.crash(number).context("--crash")?;
        }
        if let Some(most) = self.rounds {
            scenario.shorten(most).context("--rounds")?;
        }
        Ok(scenario.check()?)
    }
}

/// Where real nodes run.
#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
enum Where {
    /// All in this process.
    Nodes,
    /// A process each.
    Processes,
}

/// What the frames of gossip are, by their second byte: names for people, as in its own `wire.rs`.
const KINDS: [&str; 20] = [
    "hello",
    "welcome",
    "walk",
    "shuffle",
    "shuffled",
    "leave",
    "introduce",
    "shed",
    "nearer",
    "post",
    "have",
    "get",
    "digest",
    "more",
    "beacon",
    "attach",
    "depth",
    "root",
    "sides",
    "renew",
];

pub(super) fn sim(sim: &Sim) -> anyhow::Result<()> {
    let one_run = !matches!(sim.what.to_str(), Some("report" | "compare" | "papers"));
    if sim.svg.is_some() && !one_run {
        bail!("--svg draws the runs of one scenario: name its file");
    }
    if sim.quick && sim.what.to_str() != Some("report") {
        bail!("--quick is for `report`: others play what they are given");
    }
    match sim.what.to_str() {
        Some("report") => report::report(sim),
        Some("compare") => compare::compare(sim),
        Some("papers") => papers::papers(sim),
        _ => one(sim),
    }
}

fn one(sim: &Sim) -> anyhow::Result<()> {
    // Before anything is built that nobody needs.
    read(&sim.what, sim.instead)?;
    let actor = Actor::of(sim)?;
    for seed in &sim.seed {
        let mut report = actor.play_drawn(&sim.what, *seed, sim.instead, sim.svg.is_some())?;
        if let Some(folder) = &sim.svg {
            let picture = report["picture"].take();
            let picture = serde_json::from_value(picture).context("nothing to draw")?;
            let about = report["about"].as_str().unwrap_or_default();
            for file in picture::draw(&picture, about, *seed, folder)? {
                eprintln!("{file}");
            }
            report.as_object_mut().map(|report| report.remove("picture"));
        }
        if sim.json {
            println!("{report}");
        } else {
            table::rows(&report);
        }
    }
    Ok(())
}

/// The actor, ready to be played with.
enum Actor {
    Native(PathBuf),
    Component(sim::Component),
    /// On real nodes: itself and the ear, as files.
    Real(Written, Written, Where),
}

impl Actor {
    fn of(sim: &Sim) -> anyhow::Result<Self> {
        if sim.native {
            return Ok(Self::Native(native::player(&sim.actor)?));
        }
        let actor = component(&sim.actor, "--actor")?;
        if let Some(place) = sim.real {
            let ear = component(&sim.ear, "--ear")?;
            let written = |name, bytes: &[u8]| Written::new(name, bytes);
            return Ok(Self::Real(
                written("gossip.wasm", &actor)?,
                written("ear.wasm", &ear)?,
                place,
            ));
        }
        // Ten thousand of them at once are not too many.
        Ok(Self::Component(Engine::new(Layout::Packed)?.simulated(&actor)?))
    }

    /// The report of one run.
    fn play(&self, file: &Path, seed: u64, instead: Instead) -> anyhow::Result<Value> {
        self.play_drawn(file, seed, instead, false)
    }

    /// The same, with what there is to draw if that is wanted.
    fn play_drawn(
        &self,
        file: &Path,
        seed: u64,
        instead: Instead,
        draw: bool,
    ) -> anyhow::Result<Value> {
        let label = bar::label(file);
        match self {
            Self::Component(component) => {
                let scenario = read(file, instead)?;
                let mut run = Run::new(scenario, seed, component.clone(), kind);
                if draw {
                    run.draw();
                }
                Ok(serde_json::to_value(run.watch(&mut |far| bar::show(&label, far)))?)
            }
            Self::Native(program) => {
                read(file, instead)?; // Its faults are told better here.
                native::play(program, file, seed, instead, draw)
            }
            Self::Real(gossip, ear, place) => {
                let scenario = read(file, instead)?;
                let files = (gossip.path(), ear.path());
                let stage = real::Real::new(&scenario, seed, files, *place == Where::Processes)?;
                let mut play = Play::new(scenario, seed, stage)?;
                if draw {
                    play.draw();
                }
                real::told(&play.play(&mut |far| bar::show(&label, far))?)
            }
        }
    }
}

/// What to do where nothing is found.
const HERE: &str = "run this in a checkout of edge-host, or name an actor's folder with --actor";

/// The bytes of an actor's component, from its crate's folder or a file.
fn component(actor: &Path, option: &str) -> anyhow::Result<Vec<u8>> {
    if actor.is_dir() {
        return super::build::component_bytes(actor);
    }
    let file = actor.display();
    std::fs::read(actor).map_err(|error| {
        anyhow!("can't read {file}: {error}; name an actor's folder or component with {option}")
    })
}

fn read(file: &Path, instead: Instead) -> anyhow::Result<Scenario> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| {
        anyhow!(
            "can't read {name}: {error}; name a scenario's file, `report`, `compare` or `papers`"
        )
    })?;
    let read = || -> anyhow::Result<Scenario> {
        let mut scenario = Scenario::read(&text)?;
        instead.change(&mut scenario)?;
        Ok(scenario)
    };
    read().with_context(|| format!("{name} can't be played"))
}

fn kind(frame: &[u8]) -> &'static str {
    let kind = frame.get(1).and_then(|kind| KINDS.get(usize::from(*kind)));
    kind.copied().unwrap_or("other")
}
