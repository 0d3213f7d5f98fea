//! Tables of what simulations showed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};
use sim::{Baseline, METRICS, Report, Run, Scenario};

use super::{Actor, Instead, Sim, progress, read};

/// One run, a line for each step.
pub fn rows(report: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    println!("{}: {} nodes, seed {}", text(&report["about"]), report["nodes"], report["seed"]);
    for otherwise in report["otherwise"].as_array().into_iter().flatten() {
        println!("  otherwise than it says: {}", text(otherwise));
    }
    for row in report["rows"].as_array().into_iter().flatten() {
        let number = |name: &str| row[name].as_f64().unwrap_or_default();
        let mut line = format!("  {}:", text(&row["step"]));
        if row["rmr"].is_number() {
            line += &format!(" rmr {:.3},", number("rmr"));
            if row["ldh"].is_number() {
                line += &format!(" ldh {:.1},", number("ldh"));
            }
            line += &format!(
                " ldt {:.0} ms, p50 {:.0} ms, p99 {:.0} ms, delivery {:.5},",
                number("ldt_ms"),
                number("p50_ms"),
                number("p99_ms"),
                number("delivery"),
            );
        }
        if let Some(overlay) = row["overlay"].as_object() {
            line += &format!(" {}", Value::Object(overlay.clone()));
        } else if row["messages"].is_number() {
            line += &format!(
                " {} messages, {} bytes, {} joins, {} evictions",
                row["messages"], row["bytes"], row["joins"], row["evictions"]
            );
        }
        if let Some(seconds) = row["healed_s"].as_f64() {
            let comma = if line.ends_with(':') { "" } else { "," };
            line += &format!("{comma} one overlay after {seconds:.1} s");
        }
        if let Some(cycles) = row["heal_cycles"].as_u64() {
            line += &format!(", healed after {cycles} cycles");
        }
        println!("{}", line.trim_end_matches([',', ':']));
    }
    if report["trace"].is_string() {
        println!("  trace {}", text(&report["trace"]));
    }
}

/// All scenarios that name what is to be reached, beside what others reached.
pub fn report(sim: &Sim) -> anyhow::Result<()> {
    let actor = Actor::of(sim)?;
    let mut files: Vec<_> = std::fs::read_dir(&sim.scenarios)
        .with_context(|| format!("no scenarios in {}", sim.scenarios.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let scenario = read(&file, sim.instead)?;
        if scenario.reach.is_empty() {
            continue;
        }
        let mut means: BTreeMap<&String, f64> = BTreeMap::new();
        for seed in &sim.seed {
            let report = actor.play(&file, *seed, sim.instead)?;
            for name in scenario.reach.keys() {
                let value = metric(&report, name).unwrap_or(f64::NAN);
                *means.entry(name).or_default() += value / sim.seed.len() as f64;
            }
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let row = row(&name, &scenario, &means);
        if !sim.json {
            line(&row);
        }
        all.push(row);
    }
    if sim.json {
        println!("{}", Value::Array(all));
    }
    Ok(())
}

fn row(name: &str, scenario: &Scenario, means: &BTreeMap<&String, f64>) -> Value {
    let judged = means.iter().map(|(name, value)| {
        let reach = scenario.reach.get(*name).copied().unwrap_or_default();
        // A millionth of the deliveries: seven digits of a mean of ones.
        let met = if *name == "delivery" { *value + 1e-6 >= reach } else { *value <= reach };
        ((*name).clone(), json!({ "is": value, "reach": reach, "met": met }))
    });
    json!({
        "scenario": name, "about": scenario.about, "nodes": scenario.nodes,
        "reference": scenario.reference, "figures": judged.collect::<serde_json::Map<_, _>>(),
    })
}

fn line(row: &Value) {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    println!("{} ({} nodes): {}", text("scenario"), row["nodes"], text("about"));
    println!("    reference: {}", text("reference"));
    for (name, figure) in row["figures"].as_object().into_iter().flatten() {
        let number = |name: &str| figure[name].as_f64().unwrap_or(f64::NAN);
        let met = if figure["met"] == true { "met" } else { "NOT met" };
        println!("    {name}: {:.4} (to reach: {}) {met}", number("is"), number("reach"));
    }
}

/// A metric of a report that came as JSON: as [`Report::metric`] has it.
fn metric(report: &Value, name: &str) -> Option<f64> {
    report["metrics"][name].as_f64()
}

/// Gossip beside the baselines, with and without crashes.
pub fn compare(sim: &Sim) -> anyhow::Result<()> {
    let actor = Actor::of(sim)?;
    let nodes = sim.instead.nodes.unwrap_or(500);
    let mut all = Vec::new();
    for crashes in [0.0, 0.2] {
        let text = format!(
            "about = 'compare'\nnodes = {nodes}\npatience = '2s'\ncontacts = 1\n\
             steps = [{{ wait = '30s' }}, {{ crash = {crashes:?} }}, {{ rounds = 20 }}]\n"
        );
        let file = Written::new("scenario.toml", text.as_bytes())?;
        let seeds = &sim.seed;
        let mut add = |name: &str, reports: Vec<Value>| {
            let mean = |metric_name: &str| {
                let values = reports.iter().filter_map(|report| metric(report, metric_name));
                values.sum::<f64>() / reports.len() as f64
            };
            let figures: serde_json::Map<_, _> = METRICS
                .iter()
                .take(9)
                .map(|name| ((*name).to_owned(), json!(mean(name))))
                .collect();
            all.push(json!({ "protocol": name, "crashes": crashes, "figures": figures }));
        };
        let played = seeds
            .iter()
            .map(|seed| actor.play(file.path(), *seed, Instead { nodes: None, ..sim.instead }));
        add("gossip", played.collect::<anyhow::Result<_>>()?);
        let baselines = [
            Baseline::Flood { hops: 7 },
            Baseline::Push { fanout: 4 },
            Baseline::Hubs { each: 20 },
        ];
        for baseline in baselines {
            let play = |seed: &u64| -> anyhow::Result<Value> {
                let scenario = Scenario::read(&text)?;
                let report: Report = Run::baseline(scenario, *seed, baseline).play(&mut progress);
                Ok(serde_json::to_value(report)?)
            };
            add(baseline.name(), seeds.iter().map(play).collect::<anyhow::Result<_>>()?);
        }
    }
    if sim.json {
        println!("{}", Value::Array(all));
        return Ok(());
    }
    println!(
        "{nodes} nodes, 10-50 ms, 20 messages of 1 KiB from random senders; for each message:"
    );
    println!(
        "{:<29} {:>8} {:>9} {:>10} {:>6} {:>6} {:>7} {:>9}",
        "", "crashed", "frames", "bytes", "rmr", "hops", "last ms", "delivery"
    );
    for row in &all {
        let number = |name: &str| row["figures"][name].as_f64().unwrap_or(f64::NAN);
        println!(
            "{:<29} {:>7}% {:>9.0} {:>10.0} {:>6.2} {:>6.1} {:>7.0} {:>8.2}%",
            row["protocol"].as_str().unwrap_or_default(),
            row["crashes"].as_f64().unwrap_or_default() * 100.0,
            number("messages"),
            number("bytes"),
            number("rmr"),
            number("ldh"),
            number("ldt_ms"),
            number("delivery") * 100.0,
        );
    }
    Ok(())
}

/// A file for as long as it is needed.
pub struct Written(PathBuf);

impl Written {
    pub fn new(name: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let name = format!("edge-host-{}-{name}", std::process::id());
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, bytes).with_context(|| format!("can't write {}", file.display()))?;
        Ok(Self(file))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        // What is left in the temporary folder harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}
