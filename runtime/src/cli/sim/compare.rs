//! Gossip beside the baselines, with and without crashes.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sim::{Baseline, Number, Run};

use super::table::Written;
use super::{Actor, Instead, Sim, bar, read};

/// What is shown of each.
const SHOWN: [&str; 9] =
    ["rmr", "ldh", "ldt_ms", "ldt_p99_ms", "p50_ms", "p99_ms", "delivery", "messages", "bytes"];
/// Which share crashes, where nothing else is said.
const CRASH: Number = Number::Share(0.2);
const NODES: usize = 500;
const BASELINES: [Baseline; 3] =
    [Baseline::Flood { hops: 7 }, Baseline::Push { fanout: 4 }, Baseline::Hubs { each: 20 }];

/// Plays all of them, and prints a table.
pub fn compare(sim: &Sim) -> anyhow::Result<()> {
    let nodes = sim.instead.nodes.unwrap_or(NODES);
    let crash = sim.instead.crash.unwrap_or(CRASH);
    // What --nodes and --crash say is in the scenarios' text; the rest changes them.
    let instead = Instead { nodes: None, crash: None, ..sim.instead };
    let mut scenarios = Vec::new();
    for crash in [None, Some(crash)] {
        let step = crash.map_or(String::new(), |crash| format!("{{ crash = {crash} }}, "));
        let text = format!(
            "about = 'compare'\nnodes = {nodes}\npatience = '2s'\ncontacts = 1\n\
             steps = [{{ wait = '30s' }}, {step}{{ rounds = 20 }}]\n"
        );
        let file = Written::new("compare.toml", text.as_bytes())?;
        let scenario = read(file.path(), instead)?;
        scenarios.push((crash, file, scenario));
    }
    let actor = Actor::of(sim)?;
    let mut all = Vec::new();
    for (crash, file, scenario) in &scenarios {
        let crashed = match crash {
            None => json!(0.0),
            Some(Number::Share(share)) => json!(share),
            Some(Number::Nodes(nodes)) => json!(nodes),
        };
        let mut add = |name: &str, reports: Vec<Value>| {
            let figures: BTreeMap<_, _> =
                SHOWN.iter().map(|name| (*name, mean(&reports, name))).collect();
            all.push(json!({ "protocol": name, "crashes": crashed, "figures": figures }));
        };
        let played = sim.seed.iter().map(|seed| actor.play(file.path(), *seed, instead));
        add("gossip", played.collect::<anyhow::Result<_>>()?);
        for baseline in BASELINES {
            let play = |seed: &u64| {
                let run = Run::baseline(scenario.clone(), *seed, baseline);
                let report = run.watch(&mut |far| bar::show(baseline.name(), far));
                serde_json::to_value(report)
            };
            add(baseline.name(), sim.seed.iter().map(play).collect::<Result<_, _>>()?);
        }
    }
    if sim.json {
        println!("{}", Value::Array(all));
    } else {
        let rounds = scenarios.first().map_or(0, |(_, _, scenario)| scenario.rounds());
        println!(
            "{nodes} nodes, 10-50 ms, {rounds} messages of 1 KiB from random senders; for each \
             message:"
        );
        print(&all);
    }
    Ok(())
}

/// Of a metric that some report has not, there is none.
fn mean(reports: &[Value], name: &str) -> Option<f64> {
    let values = reports.iter().map(|report| report["metrics"][name].as_f64());
    Some(values.sum::<Option<f64>>()? / reports.len() as f64)
}

fn print(all: &[Value]) {
    println!(
        "{:<29} {:>8} {:>9} {:>10} {:>6} {:>6} {:>7} {:>9}",
        "", "crashed", "frames", "bytes", "rmr", "hops", "last ms", "delivery"
    );
    for row in all {
        let number = |name: &str| row["figures"][name].as_f64().unwrap_or(f64::NAN);
        let crashed = match &row["crashes"] {
            share if share.is_f64() => format!("{:.0}%", share.as_f64().unwrap_or(0.0) * 100.0),
            nodes => nodes.to_string(),
        };
        println!(
            "{:<29} {:>8} {:>9.0} {:>10.0} {:>6.2} {:>6.1} {:>7.0} {:>8.2}%",
            row["protocol"].as_str().unwrap_or_default(),
            crashed,
            number("messages"),
            number("bytes"),
            number("rmr"),
            number("ldh"),
            number("ldt_ms"),
            number("delivery") * 100.0,
        );
    }
}
