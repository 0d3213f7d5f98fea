//! What a run showed, as one JSON object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Scenario;
use super::row::{Round, Row, share};
use crate::Datagrams;

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What the scenario is about.
    pub about: String,
    /// Where it was played.
    pub on: &'static str,
    /// What was otherwise there than the scenario says, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub otherwise: Vec<String>,
    /// Nodes at first.
    pub nodes: usize,
    /// The run's seed.
    pub seed: u64,
    /// A hash of all that happened.
    pub trace: String,
    /// Turns that all actors took.
    pub turns: u64,
    /// Turns that ended in an error.
    pub failures: usize,
    /// Datagrams that were lost, doubled and late.
    pub datagrams: Datagrams,
    /// Virtual seconds; on real nodes those of the clock.
    pub virtual_s: f64,
    /// What [`metric`](Self::metric) gives, by name.
    pub metrics: BTreeMap<&'static str, f64>,
    /// A row for each step.
    pub rows: Vec<Row>,
    /// Each round of all steps, in order.
    pub per_round: Vec<Round>,
    /// The whole run: frames, bytes, joins and evictions of all steps; means over all rounds.
    pub sum: Round,
    /// What there is to draw, if that was wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
}

/// What there is to draw of a run, at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Nodes that are up, in order.
    pub up: Vec<usize>,
    /// The overlay's links, each once, the lower node first.
    pub links: Vec<(usize, usize)>,
    /// The way of the last message: from whom to whom it came first. Empty where nobody knows.
    pub tree: Vec<(usize, usize)>,
    /// Microseconds to each delivery of all rounds.
    pub delays_us: Vec<u32>,
}

/// The names that [`Report::metric`] knows. Messages and bytes are those of a round, joins and
/// evictions those of the run.
pub const METRICS: [&str; 16] = [
    "rmr",
    "ldh",
    "ldt_ms",
    "ldt_p99_ms",
    "p50_ms",
    "p99_ms",
    "delivery",
    "messages",
    "bytes",
    "clustering",
    "path",
    "healed_s",
    "heal_cycles",
    "delivery_first",
    "joins",
    "evictions",
];

impl Report {
    pub(super) fn new(scenario: &Scenario, seed: u64, on: &'static str) -> Self {
        Self {
            about: scenario.about.clone(),
            on,
            otherwise: Vec::new(),
            nodes: scenario.nodes,
            seed,
            trace: String::new(),
            turns: 0,
            failures: 0,
            datagrams: Datagrams::default(),
            virtual_s: 0.0,
            metrics: BTreeMap::new(),
            rows: Vec::new(),
            per_round: Vec::new(),
            sum: Round::default(),
            picture: None,
        }
    }

    /// The last row that has one of [`METRICS`]; of `healed_s` the longest, and `delivery_first`
    /// of the first message after the last crash. What never came is infinite.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match name {
            "healed_s" => {
                let heals = self.rows.iter().filter(|row| row.step == "heal");
                heals.map(|row| row.healed_s.unwrap_or(f64::INFINITY)).reduce(f64::max)
            }
            "delivery_first" => {
                let crash = self.rows.iter().rposition(|row| row.step.starts_with("crash"));
                let after = &self.rows[crash.unwrap_or(0)..];
                after.iter().find_map(|row| row.metric(name))
            }
            "joins" => Some(self.sum.joins as f64),
            "evictions" => Some(self.sum.evictions as f64),
            _ => self.rows.iter().rev().find_map(|row| row.metric(name)),
        }
    }

    /// Takes a step's row in.
    pub(super) fn push(&mut self, mut row: Row) {
        let sum = &mut self.sum;
        sum.messages += row.messages;
        sum.bytes += row.bytes;
        sum.joins += row.joins;
        sum.evictions += row.evictions;
        if let Some(rounds) = &mut row.rounds {
            self.per_round.append(&mut rounds.each);
        }
        self.rows.push(row);
    }

    /// No more rows come: the means over all rounds.
    pub(super) fn close(&mut self) {
        let all = self.rows.iter().filter_map(|row| row.rounds.as_ref());
        let (expected, missed) =
            all.fold((0, 0), |sum, row| (sum.0 + row.expected, sum.1 + row.missed));
        let rounds = self.per_round.len().max(1) as f64;
        let mean = |of: fn(&Round) -> f64| self.per_round.iter().map(of).sum::<f64>() / rounds;
        self.sum.rmr = mean(|round| round.rmr);
        self.sum.ldh = mean(|round| round.ldh);
        self.sum.ldt_ms = mean(|round| round.ldt_ms);
        self.sum.delivery = share(expected - missed, expected);
    }
}
