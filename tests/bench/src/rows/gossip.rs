//! What it costs that gossip is a guest.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use bench::processor_seconds;
use serde_json::Value;
use tempfile::TempDir;

use crate::Bench;
use crate::ours::{Ours, repository};
use crate::row::{Better, Measure, Row};

/// Nodes, and rounds of the shorter run: what both runs have in common is no part of a figure.
const NODES: usize = 20;
const FEW: u64 = 50;

/// Broadcasts in a second: 20 nodes in the simulator, 10 to 50 ms apart, a random one of which
/// publishes 1 KiB each round, one after the other; the figure is that of the rounds by which a
/// long run is longer than a short one. Ours: the component as nodes run it, each turn a call of
/// it. Native: the same source, compiled for this machine and for speed, in the same simulator;
/// both runs leave the same trace, or the row fails. The simulator's own work is in both.
pub fn gossip_boundary(bench: &Bench) -> Row {
    let rate = |took: &Took| took.rounds as f64 / took.seconds;
    Row::new("gossip_boundary", "broadcasts/s", Better::Higher, "native")
        .limit("native")
        .side("ours", sides(bench, false, rate))
        .side("native", sides(bench, true, rate))
}

/// The same runs: microseconds of processor time for each message that an actor handled.
pub fn gossip_boundary_cpu(bench: &Bench) -> Row {
    let each = |took: &Took| took.processor * 1e6 / took.turns as f64;
    Row::new("gossip_boundary_cpu", "µs", Better::Lower, "native")
        .limit("native")
        .side("ours", sides(bench, false, each))
        .side("native", sides(bench, true, each))
}

/// What a run took.
struct Took {
    rounds: u64,
    turns: u64,
    seconds: f64,
    processor: f64,
    trace: String,
}

/// How gossip is run, and its scenarios.
struct Player {
    component: [String; 4],
    edge_host: PathBuf,
    native: PathBuf,
    scenarios: TempDir,
    many: u64,
}

fn sides(
    bench: &Bench,
    native: bool,
    figure: impl Fn(&Took) -> f64 + 'static,
) -> anyhow::Result<Measure> {
    let player = Player::prepare(&bench.ours, if bench.quick { 1200 } else { 4000 })?;
    let traces = player.run(FEW, !native)?.trace;
    Ok(Box::new(move || {
        // Most of a short run is that the component is compiled, now and then held up by others.
        let (few, again) = (player.run(FEW, native)?, player.run(FEW, native)?);
        let many = player.run(player.many, native)?;
        ensure!(few.trace == traces, "component and source did not do the same");
        let took = Took {
            rounds: many.rounds - few.rounds,
            turns: many.turns - few.turns,
            seconds: many.seconds - few.seconds.min(again.seconds),
            processor: many.processor - few.processor.min(again.processor),
            trace: many.trace,
        };
        ensure!(took.seconds > 0.0 && took.processor > 0.0, "the run is too short to be measured");
        Ok(figure(&took))
    }))
}

impl Player {
    fn prepare(ours: &Ours, many: u64) -> anyhow::Result<Self> {
        let component = ours.component("actors/gossip")?.to_string_lossy().into_owned();
        let source = repository().join("actors/gossip/Cargo.toml");
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--quiet", "--profile", "bench", "--example", "native"]);
        let output = cargo.arg("--manifest-path").arg(source).output().context("no cargo here")?;
        ensure!(output.status.success(), "gossip doesn't build natively");
        let scenarios = tempfile::tempdir()?;
        for rounds in [FEW, many] {
            let text =
                format!("nodes = {NODES}\nsteps = [{{ wait = '1s' }}, {{ rounds = {rounds} }}]\n");
            std::fs::write(scenarios.path().join(format!("{rounds}.toml")), text)?;
        }
        Ok(Self {
            component: ["--json".into(), "--seed=1".into(), "--actor".into(), component],
            edge_host: ours.edge_host(),
            native: ours.programs.join("examples/native"),
            scenarios,
            many,
        })
    }

    fn run(&self, rounds: u64, native: bool) -> anyhow::Result<Took> {
        let file = self.scenarios.path().join(format!("{rounds}.toml"));
        if native {
            return took(Command::new(&self.native).arg(&file).arg("seed=1"), &self.native);
        }
        let mut command = Command::new(&self.edge_host);
        took(command.arg("sim").arg(&file).args(&self.component), &self.edge_host)
    }
}

/// Runs a program that prints a report. What it has used can be read until it is waited for.
fn took(command: &mut Command, program: &Path) -> anyhow::Result<Took> {
    let began = Instant::now();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child =
        command.spawn().with_context(|| format!("{} can't be run", program.display()))?;
    let said = std::io::read_to_string(child.stdout.take().context("it has no output")?)?;
    let stat = format!("/proc/{}/stat", child.id());
    let ended = |text: &str| text.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z"));
    while !ended(&std::fs::read_to_string(&stat)?) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let (seconds, processor) = (began.elapsed().as_secs_f64(), processor_seconds(child.id())?);
    ensure!(child.wait()?.success(), "{} failed", program.display());
    let report: Value = serde_json::from_str(said.trim()).context("it printed no report")?;
    let rows = report["rows"].as_array().context("a report without rows")?;
    let row = rows.iter().find(|row| row["rounds"].is_number()).context("no rounds were played")?;
    Ok(Took {
        rounds: row["rounds"].as_u64().context("no rounds")?,
        turns: row["turns"].as_u64().context("no turns")?,
        seconds,
        processor,
        trace: report["trace"].as_str().context("no trace")?.into(),
    })
}
