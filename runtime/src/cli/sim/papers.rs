//! The tables of the papers that gossip comes from, beside what it shows.

use anyhow::Context;
use serde_json::{Value, json};

use super::table::Written;
use super::{Actor, Instead, Sim};

/// A figure, what the paper says, where it says it, and why ours may differ.
struct Line {
    name: String,
    paper: &'static str,
    ours: f64,
    why: &'static str,
}

/// Shares of crashed nodes, and what HyParView's second figure shows of the messages after it.
const CRASHES: [(f64, &str); 7] = [
    (0.1, "1"),
    (0.3, "1"),
    (0.5, "1"),
    (0.7, "1"),
    (0.8, "1"),
    (0.9, "nearly 1"),
    (0.95, "about .9"),
];

/// HyParView's and Plumtree's first tables, and the reliability after crashes.
pub fn papers(sim: &Sim) -> anyhow::Result<()> {
    let actor = Actor::of(sim)?;
    let nodes = sim.instead.nodes.unwrap_or(10_000);
    let mut all = Vec::new();
    for seed in &sim.seed {
        let at_rest = play(
            &actor,
            *seed,
            nodes,
            "{ wait = '180s' }, { overlay = true }, { rounds = 50, senders = 'one' }, \
             { rounds = 50 }",
        )?;
        heading(sim, *seed, nodes);
        tell(sim, *seed, &overlay(&at_rest["rows"][1]["overlay"]), &mut all);
        tell(sim, *seed, &broadcast(&at_rest["rows"]), &mut all);
        for (share, paper) in CRASHES {
            let steps = format!(
                "{{ wait = '120s' }}, {{ crash = {share:?} }}, {{ rounds = 1, bytes = 64 }}, \
                 {{ rounds = 1000, bytes = 64 }}, {{ overlay = true }}"
            );
            let crashed = play(&actor, *seed, nodes, &steps)?;
            tell(sim, *seed, &survivors(&crashed["rows"], share, paper), &mut all);
        }
    }
    if sim.json {
        println!("{}", Value::Array(all));
    }
    Ok(())
}

fn play(actor: &Actor, seed: u64, nodes: usize, steps: &str) -> anyhow::Result<Value> {
    let text = format!(
        "about = 'as in the papers'\nnodes = {nodes}\nboot = '60s'\npatience = '1s'\n\
         steps = [{steps}]\n"
    );
    let file = Written::new("scenario.toml", text.as_bytes())?;
    actor.play(file.path(), seed, Instead::default()).context("a scenario of the papers")
}

fn overlay(seen: &Value) -> Vec<Line> {
    let number = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
    let near = "two or three of five neighbours are chosen for being near";
    vec![
        Line {
            name: "HyParView, table 1: clustering".into(),
            paper: ".00092",
            ours: number("clustering"),
            why: near,
        },
        Line { name: "  shortest path".into(), paper: "6.38542", ours: number("path"), why: near },
        Line {
            name: "  neighbours".into(),
            paper: "about 5",
            ours: seen["degree"][1].as_f64().unwrap_or(f64::NAN),
            why: "one more than wanted is let be",
        },
    ]
}

/// Plumtree's messages are those of one broadcast.
fn broadcast(rows: &Value) -> Vec<Line> {
    let each = |row: usize, kind: &str| {
        let sent = rows[row]["kinds"][kind][0].as_f64().unwrap_or(0.0);
        sent / rows[row]["rounds"].as_f64().unwrap_or(f64::NAN)
    };
    let names = "names go only to neighbours outside the tree, and several in one frame";
    let hops = "a tree of the shortest times, through one root";
    let rmr = |row: usize| rows[row]["rmr"].as_f64().unwrap_or(f64::NAN);
    vec![
        Line {
            name: "Plumtree, table 1: payloads, one sender".into(),
            paper: "9999",
            ours: each(2, "post"),
            why: "",
        },
        Line { name: "  names".into(), paper: "29987", ours: each(2, "have"), why: names },
        Line { name: "  redundancy".into(), paper: "0", ours: rmr(2), why: "" },
        Line {
            name: "  payloads, any sender".into(),
            paper: "9999",
            ours: each(3, "post"),
            why: "",
        },
        Line {
            name: "  names".into(), paper: "29990 … 38976", ours: each(3, "have"), why: names
        },
        Line { name: "  redundancy".into(), paper: "0", ours: rmr(3), why: "" },
        Line {
            name: "HyParView, table 1: hops to the last".into(),
            paper: "9.0",
            ours: rows[3]["ldh"].as_f64().unwrap_or(f64::NAN),
            why: hops,
        },
    ]
}

fn survivors(rows: &Value, share: f64, paper: &'static str) -> Vec<Line> {
    let delivery = |row: usize| rows[row]["delivery"].as_f64().unwrap_or(f64::NAN);
    let share = share * 100.0;
    vec![
        Line {
            name: format!("{share} % crash: the first message reaches"),
            paper: "(Plumtree: 0 above .7)",
            ours: delivery(2),
            why: "",
        },
        Line { name: "  the next 1000, mean".into(), paper, ours: delivery(3), why: "" },
    ]
}

fn heading(sim: &Sim, seed: u64, nodes: usize) {
    if !sim.json {
        println!("{nodes} nodes, seed {seed:<24} {:>28} {:>12}", "the paper, 10,000", "here");
    }
}

fn tell(sim: &Sim, seed: u64, lines: &[Line], all: &mut Vec<Value>) {
    for Line { name, paper, ours, why } in lines {
        if !sim.json {
            println!("{name:<42} {paper:>24} {ours:>12.5}  {why}");
        }
        all.push(json!({
            "seed": seed, "name": name.trim(), "paper": paper, "ours": ours, "why": why,
        }));
    }
}
