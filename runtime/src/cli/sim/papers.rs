//! The tables of the papers that gossip comes from, beside what it shows.

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::table::Written;
use super::{Actor, Instead, Sim, read};

/// A figure, what the paper says, and why ours differs if it does.
struct Line {
    name: String,
    paper: &'static str,
    ours: f64,
    /// Whether ours is what the paper says, or better.
    same: bool,
    why: Why,
}

/// Why ours differs.
#[derive(Clone, Copy)]
enum Why {
    /// It hangs on how many nodes there are: whether it grows with them, what the paper says, and
    /// the reason where their number is none.
    Count(bool, f64, &'static str),
    /// Whatever their number.
    Always(&'static str),
}

/// Shares of crashed nodes, what HyParView's second figure shows of the messages after it, and what
/// its authors say of the cycles until all have them again.
const CRASHES: [(f64, &str, &str); 7] = [
    (0.1, "1", "1 … 2"),
    (0.3, "1", "1 … 2"),
    (0.5, "1", "1 … 2"),
    (0.7, "1", "1 … 2"),
    (0.8, "1", "up to 4"),
    (0.9, "nearly 1", "up to 4"),
    (0.95, "about .9", "not said"),
];
/// Nodes of both papers.
const NODES: usize = 10_000;
/// Messages after a crash, where nothing else is said.
const MESSAGES: u32 = 1000;
const AT_REST: &str = "{ wait = '180s' }, { overlay = true }, { rounds = 50, senders = 'one' }, \
                       { rounds = 50 }";

/// HyParView's and Plumtree's first tables, and the reliability after crashes.
pub fn papers(sim: &Sim) -> anyhow::Result<()> {
    let Instead { nodes, rule, crash, rounds } = sim.instead;
    if rule.is_some() || crash.is_some() {
        bail!(
            "--rule and --crash are for scenarios: the papers' tables name each crash themselves"
        );
    }
    let (nodes, messages) = (nodes.unwrap_or(NODES), rounds.unwrap_or(MESSAGES).min(MESSAGES));
    let instead = Instead { rounds, ..Instead::default() };
    let mut scenarios = vec![scenario(nodes, AT_REST)?];
    for (share, ..) in CRASHES {
        let steps = format!(
            "{{ wait = '120s' }}, {{ crash = {share:?} }}, {{ rounds = 1, bytes = 64 }}, \
             {{ rounds = {MESSAGES}, bytes = 64 }}, {{ overlay = true }}"
        );
        scenarios.push(scenario(nodes, &steps)?);
    }
    for file in &scenarios {
        read(file.path(), instead)?;
    }
    let actor = Actor::of(sim)?;
    let mut all = Vec::new();
    for seed in &sim.seed {
        let mut reports = scenarios.iter().map(|file| {
            actor.play(file.path(), *seed, instead).context("a scenario of the papers")
        });
        heading(sim, *seed, nodes);
        if let Some(at_rest) = reports.next() {
            let rows = &at_rest?["rows"];
            tell(sim, (*seed, nodes), &overlay(&rows[1]["overlay"], nodes), &mut all);
            tell(sim, (*seed, nodes), &broadcast(rows, nodes), &mut all);
        }
        for (report, crash) in reports.zip(CRASHES) {
            tell(sim, (*seed, nodes), &survivors(&report?, crash, messages), &mut all);
        }
    }
    if sim.json {
        println!("{}", Value::Array(all));
    }
    Ok(())
}

fn scenario(nodes: usize, steps: &str) -> anyhow::Result<Written> {
    let text = format!(
        "about = 'as in the papers'\nnodes = {nodes}\nboot = '60s'\npatience = '1s'\n\
         steps = [{steps}]\n"
    );
    Written::new("papers.toml", text.as_bytes())
}

fn overlay(seen: &Value, nodes: usize) -> Vec<Line> {
    let number = |name: &str| seen[name].as_f64().unwrap_or(f64::NAN);
    let (clustering, path) = (number("clustering"), number("path"));
    let degree = seen["degree"][1].as_f64().unwrap_or(f64::NAN);
    let more = match nodes {
        0..=8 => "of so few each is a neighbour of each",
        _ => "one neighbour more than wanted is let be",
    };
    vec![
        Line {
            name: "HyParView, table 1: clustering".into(),
            paper: ".00092",
            ours: clustering,
            same: clustering <= 0.00092,
            why: Why::Count(
                false,
                0.00092,
                "two or three of five neighbours are chosen for being near",
            ),
        },
        Line {
            name: "  shortest path".into(),
            paper: "6.38542",
            ours: path,
            same: near(path, 6.38542),
            why: Why::Count(true, 6.38542, "more neighbours, so shorter ways"),
        },
        Line {
            name: "  neighbours".into(),
            paper: "about 5",
            ours: degree,
            same: near(degree, 5.0),
            why: Why::Always(more),
        },
    ]
}

/// Plumtree's messages are those of one broadcast.
fn broadcast(rows: &Value, nodes: usize) -> Vec<Line> {
    let each = |row: usize, kind: &str| {
        let sent = rows[row]["kinds"][kind][0].as_f64().unwrap_or(0.0);
        sent / rows[row]["rounds"].as_f64().unwrap_or(f64::NAN)
    };
    let payloads = |name: &str, row: usize| Line {
        name: name.into(),
        paper: "9999",
        ours: each(row, "post"),
        same: near(each(row, "post"), 9999.0),
        why: Why::Count(true, 9999.0, "as many more as are redundant"),
    };
    let names = |paper, row: usize| Line {
        name: "  names".into(),
        paper,
        ours: each(row, "have"),
        same: false,
        why: Why::Count(
            true,
            29987.0,
            "names go only to neighbours outside the tree, and several in one frame",
        ),
    };
    let redundancy = |row: usize| {
        let ours = rows[row]["rmr"].as_f64().unwrap_or(f64::NAN);
        let why = match nodes {
            0..=50 => "until it is known which links are of the tree, both may bring a message",
            _ => {
                "a sender far from all roots, and a node far from its neighbours, have two parents"
            }
        };
        let name = "  redundancy".into();
        Line { name, paper: "0", ours, same: ours < 0.005, why: Why::Always(why) }
    };
    let hops = rows[3]["ldh"].as_f64().unwrap_or(f64::NAN);
    vec![
        payloads("Plumtree, table 1: payloads, one sender", 2),
        names("29987", 2),
        redundancy(2),
        payloads("  payloads, any sender", 3),
        names("29990 … 38976", 3),
        redundancy(3),
        Line {
            name: "HyParView, table 1: hops to the last".into(),
            paper: "9.0",
            ours: hops,
            same: near(hops, 9.0),
            why: Why::Count(true, 9.0, "trees of the shortest times, not of the fewest hops"),
        },
    ]
}

fn survivors(
    report: &Value,
    (share, next, heals): (f64, &'static str, &'static str),
    messages: u32,
) -> Vec<Line> {
    let delivery = |row: usize| report["rows"][row]["delivery"].as_f64().unwrap_or(f64::NAN);
    let cycles = match &report["metrics"]["heal_cycles"] {
        // It never came, if there were enough messages to see it.
        Value::Null if messages >= 10 => f64::INFINITY,
        cycles => cycles.as_f64().unwrap_or(f64::NAN),
    };
    let most = if share < 0.8 { 2.0 } else { 4.0 };
    let names = "who finds no neighbour alive tries all names it ever had, one each quarter second";
    let late = "some survivors are apart, or are found by a shuffle only";
    let mean = delivery(3);
    vec![
        Line {
            name: format!("{:.0} % crash: the first message reaches", share * 100.0),
            paper: "(Plumtree: 0 above .7)",
            ours: delivery(2),
            same: share <= 0.7 && delivery(2) > 0.999,
            why: Why::Always("who has found a new neighbour asks it at once for what it missed"),
        },
        Line {
            name: format!("  the next {messages}, mean"),
            paper: next,
            ours: mean,
            same: share < 0.9 && mean > 0.999,
            why: Why::Always(if mean > 0.9 { names } else { late }),
        },
        Line {
            name: "  healed after cycles of 10 s".into(),
            paper: heals,
            ours: cycles,
            same: share < 0.95 && (1.0..=most).contains(&cycles),
            why: Why::Always(if cycles < 1.0 { names } else { late }),
        },
    ]
}

fn near(ours: f64, paper: f64) -> bool {
    (ours - paper).abs() <= paper * 0.02
}

impl Line {
    fn why(&self, nodes: usize) -> String {
        match self.why {
            _ if self.same => String::new(),
            _ if self.ours.is_nan() => "too few nodes or messages to see it".into(),
            // Only if it differs in the direction in which that would have it differ.
            Why::Count(grows, paper, _)
                if nodes != NODES && (nodes < NODES) == ((self.ours < paper) == grows) =>
            {
                format!("{nodes} nodes, not {NODES}")
            }
            Why::Count(_, _, why) | Why::Always(why) => why.into(),
        }
    }
}

fn heading(sim: &Sim, seed: u64, nodes: usize) {
    if !sim.json {
        println!("{nodes} nodes, seed {seed:<24} {:>28} {:>12}", "the paper, 10,000", "here");
    }
}

fn tell(sim: &Sim, (seed, nodes): (u64, usize), lines: &[Line], all: &mut Vec<Value>) {
    for line in lines {
        let Line { name, paper, ours, .. } = line;
        let why = line.why(nodes);
        if !sim.json {
            let ours = match ours {
                ours if ours.is_nan() => "not seen".into(),
                ours if ours.is_infinite() => "never".into(),
                ours => format!("{ours:.5}"),
            };
            println!("{name:<42} {paper:>24} {ours:>12}  {why}");
        }
        all.push(json!({
            "seed": seed, "name": name.trim(), "paper": paper, "ours": ours, "why": why,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(ours: f64, grows: bool, nodes: usize) -> String {
        let line = Line {
            name: "it".into(),
            paper: "9",
            ours,
            same: near(ours, 9.0),
            why: Why::Count(grows, 9.0, "by design"),
        };
        line.why(nodes)
    }

    #[test]
    fn fewer_nodes_are_a_reason_only_for_what_fewer_would_bring_about() {
        assert_eq!(why(9.1, true, 10_000), "");
        assert_eq!(why(5.0, true, 10_000), "by design");
        assert_eq!(why(5.0, true, 30), "30 nodes, not 10000");
        assert_eq!(why(15.0, true, 30), "by design");
        assert_eq!(why(15.0, false, 30), "30 nodes, not 10000");
        assert_eq!(why(f64::NAN, true, 30), "too few nodes or messages to see it");
    }
}
