//! All scenarios that name what is to be reached, beside what others reached.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use sim::Scenario;

use super::{Actor, Instead, Sim, bar, read};

/// Nodes of a scenario that `--quick` leaves in.
const QUICK: usize = 1000;

/// Plays them, and prints figure by figure whether it is reached. It fails where one is not.
pub fn report(sim: &Sim) -> anyhow::Result<()> {
    if sim.instead.crash.is_some() {
        bail!("--crash is for one scenario: name its file in place of `report`");
    }
    let scenarios = scenarios(sim)?;
    let actor = Actor::of(sim)?;
    let mut all = Vec::new();
    for (file, scenario) in &scenarios {
        let mut means: BTreeMap<&String, f64> = BTreeMap::new();
        for seed in &sim.seed {
            let report = actor.play(file, *seed, here_instead(sim, scenario))?;
            for name in scenario.reach.keys() {
                *means.entry(name).or_default() += metric(&report, name) / sim.seed.len() as f64;
            }
        }
        let row = row(&bar::label(file), scenario, &means);
        if !sim.json {
            line(&row);
        }
        all.push(row);
    }
    let (missed, figures) = missed(&all);
    if sim.json {
        println!("{}", Value::Array(all));
    }
    if missed.is_empty() {
        return Ok(());
    }
    bail!("{} of {figures} figures are not met: {}", missed.len(), missed.join(", "))
}

/// The scenarios to play. Says how long the large ones take.
fn scenarios(sim: &Sim) -> anyhow::Result<Vec<(PathBuf, Scenario)>> {
    let folder = sim.scenarios.display();
    let here = "run this in a checkout of edge-host, or name a folder with --scenarios";
    let mut files: Vec<_> = std::fs::read_dir(&sim.scenarios)
        .with_context(|| format!("there are no scenarios in {folder}; {here}"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort();
    let mut scenarios = Vec::new();
    for file in files {
        let plain = read(&file, Instead::default())?;
        if !plain.reach.is_empty() {
            let instead = here_instead(sim, &plain);
            scenarios.push((file.clone(), read(&file, instead)?));
        }
    }
    if scenarios.is_empty() {
        bail!("no scenario in {folder} names what is to be reached; {here}");
    }
    let all = scenarios.len();
    let large = |scenario: &Scenario| scenario.nodes > QUICK;
    if sim.quick {
        scenarios.retain(|(_, scenario)| !large(scenario));
    }
    let most = scenarios.iter().filter(|(_, scenario)| large(scenario)).count();
    if sim.quick {
        eprintln!("{} of {all} scenarios: those of up to {QUICK} nodes", scenarios.len());
    } else if most > 0 {
        eprintln!(
            "{most} of {all} scenarios have more than {QUICK} nodes, and take up to an hour each \
             with --native, hours without; --quick leaves them out"
        );
    }
    Ok(scenarios)
}

/// Where a scenario has no rounds, there are none to be less.
fn here_instead(sim: &Sim, scenario: &Scenario) -> Instead {
    Instead { rounds: sim.instead.rounds.filter(|_| scenario.rounds() > 0), ..sim.instead }
}

/// A metric of a report that came as JSON: infinite if it never came, no number if nothing
/// measured it.
fn metric(report: &Value, name: &str) -> f64 {
    match report["metrics"].get(name) {
        Some(Value::Null) => f64::INFINITY,
        Some(value) => value.as_f64().unwrap_or(f64::NAN),
        None => f64::NAN,
    }
}

fn row(name: &str, scenario: &Scenario, means: &BTreeMap<&String, f64>) -> Value {
    let judged = means.iter().map(|(name, value)| {
        let reach = scenario.reach.get(*name).copied().unwrap_or_default();
        // A millionth of the deliveries: seven digits of a mean of ones.
        let share = name.starts_with("delivery");
        let met = if share { *value + 1e-6 >= reach } else { *value <= reach };
        ((*name).clone(), json!({ "is": value, "reach": reach, "met": met, "says": says(*value) }))
    });
    json!({
        "scenario": name, "about": scenario.about, "nodes": scenario.nodes,
        "reference": scenario.reference, "figures": judged.collect::<serde_json::Map<_, _>>(),
    })
}

fn says(value: f64) -> String {
    if value.is_nan() {
        "not measured".into()
    } else if value.is_infinite() {
        "never".into()
    } else {
        format!("{value:.4}")
    }
}

/// The figures that are not met, and how many there are.
fn missed(rows: &[Value]) -> (Vec<String>, usize) {
    let (mut missed, mut all) = (Vec::new(), 0);
    for row in rows {
        for (name, figure) in row["figures"].as_object().into_iter().flatten() {
            all += 1;
            if figure["met"] != true {
                missed.push(format!("{} {name}", row["scenario"].as_str().unwrap_or_default()));
            }
        }
    }
    (missed, all)
}

fn line(row: &Value) {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    println!("{} ({} nodes): {}", text("scenario"), row["nodes"], text("about"));
    if !text("reference").is_empty() {
        println!("    reference: {}", text("reference"));
    }
    for (name, figure) in row["figures"].as_object().into_iter().flatten() {
        let met = if figure["met"] == true { "met" } else { "NOT met" };
        let is = figure["says"].as_str().unwrap_or_default();
        println!("    {name}: {is} (to reach: {}) {met}", figure["reach"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_or_never_came_is_not_met() {
        let report = json!({ "metrics": { "healed_s": null, "rmr": 0.1, "delivery": 0.99999999 } });
        let text = "nodes = 5\nreach = { healed_s = 5, rmr = 0.2, delivery = 1.0, ldt_ms = 9 }\n\
                    steps = [{ rounds = 1 }, { heal = true }]";
        let scenario = Scenario::read(text).unwrap();
        let means = scenario
            .reach
            .keys()
            .map(|name| (name, metric(&report, name)))
            .collect::<BTreeMap<_, _>>();
        let row = row("it", &scenario, &means);
        let says =
            |name: &str| row["figures"][name]["says"].as_str().unwrap_or_default().to_owned();
        assert_eq!([says("healed_s"), says("ldt_ms")], ["never", "not measured"]);
        assert_eq!(missed(&[row]), (vec!["it healed_s".into(), "it ldt_ms".into()], 4));
    }
}
