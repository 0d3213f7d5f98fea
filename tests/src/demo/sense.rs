//! Recorded sensors, and one of this machine's own.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use super::finding::Findings;
use super::stage::{ATTIC, CELLAR, SHED, Stage};

/// A sensor of this machine's, and the file that it reads.
struct Live {
    grant: String,
    file: PathBuf,
    /// What the file's number is divided by.
    scale: f64,
    /// How far two looks may differ.
    slack: f64,
    unit: &'static str,
}

/// What a node's room is read from, as a grant.
pub(super) fn room(node: usize) -> String {
    match node {
        ATTIC => "sensor:bench:san-francisco.csv/celsius?every=1s".into(),
        CELLAR => "sensor:bench:seattle.csv/celsius?every=1s".into(),
        _ => live().grant,
    }
}

/// Reads the sensors of all three nodes.
pub(super) fn sensors(stage: &mut Stage, findings: &mut Findings) -> anyhow::Result<()> {
    stage.title("4. Read the sensors");
    stage.say("The attic has the air of San Francisco, the cellar that of Seattle: °C, recorded");
    stage.say("hourly in January 2010 (NOAA), an hour a second.");
    let mut figures = Vec::new();
    for (node, name) in [(ATTIC, "san-francisco"), (CELLAR, "seattle")] {
        let recorded = recorded(&stage.folder().join(format!("{name}.csv")))?;
        let first = stage.until("a first reading", || Ok(raw(&last(stage, node)?)))?.0;
        let (next, _) = stage.until("the reading moves", || {
            Ok(raw(&last(stage, node)?).filter(|next| *next != first))
        })?;
        let known = |value: f64| recorded.contains(&value);
        anyhow::ensure!(known(first) && known(next), "{first} or {next} is not in {name}.csv");
        figures.push(format!("{name} {first} → {next} °C"));
        stage.tell(node, &["send", "sensor", "\"Last\""])?;
    }
    findings.observe("recorded sensors are read", figures.join(", "));
    let live = live();
    stage.say(format!("The shed has this machine's own sensor, {}.", live.file.display()));
    let (value, _) = stage.until("the live sensor says what the kernel says", || {
        let said = raw(&last(stage, SHED)?);
        let there = number(&live.file)? / live.scale;
        Ok(said.filter(|said| (said - there).abs() <= live.slack))
    })?;
    stage.tell(SHED, &["send", "sensor", "\"Last\""])?;
    println!("$ cat {}", live.file.display());
    stage.say(std::fs::read_to_string(&live.file)?.trim());
    let figure = format!("{} = {value}{}", live.grant, live.unit);
    findings.observe("this machine's own sensor is read", figure);
    Ok(())
}

/// The last reading of a node's sensor actor.
pub(super) fn last(stage: &Stage, node: usize) -> anyhow::Result<Value> {
    stage.ask(node, &["send", "sensor", "\"Last\""])
}

/// Its value as it was read, before smoothing.
pub(super) fn raw(last: &Value) -> Option<f64> {
    last["Last"]["raw"].as_f64()
}

/// A thermometer if this machine has one that can be read, else its load.
fn live() -> Live {
    let zones = std::fs::read_dir("/sys/class/thermal").into_iter().flatten().flatten();
    let mut zones: Vec<PathBuf> = zones.map(|zone| zone.path()).collect();
    zones.sort();
    let thermometer = zones.into_iter().find_map(|zone| {
        let kind = std::fs::read_to_string(zone.join("type")).ok()?.trim().to_string();
        let file = zone.join("temp");
        let plain = !kind.is_empty() && !kind.starts_with('.') && !kind.contains(['/', '?']);
        number(&file).ok().filter(|_| plain)?;
        let grant = format!("sensor:thermal:{kind}?every=1s");
        Some(Live { grant, file, scale: 1000.0, slack: 5.0, unit: " °C" })
    });
    thermometer.unwrap_or_else(|| Live {
        grant: "sensor:proc:loadavg?every=1s".into(),
        file: "/proc/loadavg".into(),
        scale: 1.0,
        slack: 0.0,
        unit: " (it has no thermometer)",
    })
}

fn number(file: &Path) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(file)?;
    let first = text.split_whitespace().next().context("it is empty")?;
    Ok(first.parse()?)
}

fn recorded(file: &Path) -> anyhow::Result<Vec<f64>> {
    let text = std::fs::read_to_string(file)?;
    let value = |line: &str| line.split(',').nth(1).and_then(|value| value.parse().ok());
    Ok(text.lines().skip(1).filter_map(value).collect())
}
