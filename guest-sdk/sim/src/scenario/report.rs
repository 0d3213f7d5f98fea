//! What a run showed, as one JSON object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Number, Overlay, Scenario, Senders, Step};
use crate::tally::{Frames, Told};

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
    /// Virtual seconds; on real nodes those of the clock.
    pub virtual_s: f64,
    /// What [`metric`](Self::metric) gives, by name.
    pub metrics: BTreeMap<&'static str, f64>,
    /// A row for each step.
    pub rows: Vec<Row>,
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

/// One step.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// What was done.
    pub step: String,
    /// Virtual seconds that it took.
    pub seconds: f64,
    /// Nodes that were up at its end.
    pub up: usize,
    /// Turns that all actors took.
    pub turns: u64,
    /// Rounds of messages, and what they came to.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<Rounds>,
    /// Frames sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Both by kind.
    pub kinds: BTreeMap<&'static str, (u64, u64)>,
    /// Links that came up, both ends counted.
    pub joins: u64,
    /// Neighbours that were let go of.
    pub evictions: u64,
    /// Seconds until all nodes were one overlay again, after a heal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healed_s: Option<f64>,
    /// Cycles after a crash until ten messages in a row, the first of them sent then, reach all
    /// survivors; in the step of the tenth. See `cycle` of [`Scenario`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heal_cycles: Option<u32>,
    /// The overlay, where the step looked at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
}

/// Means over rounds, or over deliveries where it says so.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rounds {
    /// How many.
    pub rounds: u64,
    /// Redundant payloads per delivery.
    pub rmr: f64,
    /// The first round's, and the worst round's.
    pub rmr_first: f64,
    /// See `rmr_first`.
    pub rmr_max: f64,
    /// Hops of the last delivery.
    pub ldh: f64,
    /// The worst round's.
    pub ldh_max: u16,
    /// Milliseconds to the last delivery.
    pub ldt_ms: f64,
    /// The worst round's.
    pub ldt_max_ms: f64,
    /// The 99th percentile of rounds.
    pub ldt_p99_ms: f64,
    /// Milliseconds to a delivery: the median of all.
    pub p50_ms: f64,
    /// The 99th percentile of all.
    pub p99_ms: f64,
    /// Share of the deliveries that were to be; in the first round alone.
    pub delivery: f64,
    /// See `delivery`.
    pub delivery_first: f64,
    /// Deliveries that were not.
    pub missed: u64,
    /// Deliveries that were two.
    pub twice: u64,
    /// Payload frames that arrived.
    pub payloads: u64,
    /// Who missed what, the first few: the round, its sender, and the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misses: Vec<(u64, usize, usize)>,
    /// RMR and LDT of the first rounds, to see a tree form or mend.
    pub first: Vec<(f64, f64)>,
    #[serde(skip)]
    delays: Vec<u64>,
    #[serde(skip)]
    last: Vec<u64>,
    #[serde(skip)]
    expected: u64,
}

/// The names that [`Report::metric`] knows. Messages and bytes are those of a round.
pub const METRICS: [&str; 13] = [
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
];
/// Names of kinds that count as evictions.
const EVICTIONS: &str = "leave";
/// Rounds that are listed one by one, and misses.
const LISTED: usize = 10;

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
            virtual_s: 0.0,
            metrics: BTreeMap::new(),
            rows: Vec::new(),
            picture: None,
        }
    }

    /// The last row that has one of [`METRICS`]; of `healed_s` the longest.
    pub fn metric(&self, name: &str) -> Option<f64> {
        if name == "healed_s" {
            let heals = self.rows.iter().filter(|row| row.step == "heal");
            return heals.map(|row| row.healed_s.unwrap_or(f64::INFINITY)).reduce(f64::max);
        }
        self.rows.iter().rev().find_map(|row| row.metric(name))
    }
}

impl Row {
    fn metric(&self, name: &str) -> Option<f64> {
        let (rounds, overlay) = (self.rounds.as_ref(), self.overlay.as_ref());
        let per = |sum: u64| rounds.map(|rounds| sum as f64 / rounds.rounds as f64);
        match name {
            "rmr" => rounds.map(|rounds| rounds.rmr),
            "ldh" => rounds.map(|rounds| rounds.ldh),
            "ldt_ms" => rounds.map(|rounds| rounds.ldt_ms),
            "ldt_p99_ms" => rounds.map(|rounds| rounds.ldt_p99_ms),
            "p50_ms" => rounds.map(|rounds| rounds.p50_ms),
            "p99_ms" => rounds.map(|rounds| rounds.p99_ms),
            "delivery" => rounds.map(|rounds| rounds.delivery),
            "messages" => per(self.messages),
            "bytes" => per(self.bytes),
            "clustering" => overlay.map(|overlay| overlay.clustering),
            "heal_cycles" => self.heal_cycles.map(f64::from),
            "path" => overlay.map(|overlay| overlay.path),
            _ => None,
        }
    }

    pub(super) fn new(step: &Step) -> Self {
        let number = |number: Option<Number>| number.map(|number| format!(" {number}"));
        let share = |share: Option<f64>| share.map(|share| format!(" {share}"));
        let what = match step.verb().unwrap_or_default() {
            "rounds" => {
                let senders = match step.senders {
                    Senders::Random => "a random sender",
                    Senders::One => "one sender",
                    Senders::All => "all send",
                };
                Some(format!(" {}, {senders}", step.rounds.unwrap_or(0)))
            }
            "wait" => step.wait.map(|time| format!(" {time:?}")),
            "crash" => number(step.crash),
            "pause" => number(step.pause),
            "leave" => number(step.leave),
            "flap" => share(step.flap),
            "cut-one-way" => share(step.cut_one_way),
            "split" => step.split.map(|sides| format!(" {sides}")),
            "join" => step.join.map(|nodes| format!(" {nodes}")),
            _ => None,
        };
        let step = format!("{}{}", step.verb().unwrap_or_default(), what.unwrap_or_default());
        Self { step, ..Self::default() }
    }

    /// Takes one round in.
    pub(super) fn round(&mut self, told: Told, missing: Vec<(usize, usize)>) {
        let rounds = self.rounds.get_or_insert_default();
        let (rmr, ldt) = (told.rmr(), told.ldt as f64 / 1e6);
        let share =
            |part: u64, whole: u64| if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
        if rounds.rounds == 0 {
            rounds.rmr_first = rmr;
            rounds.delivery_first = share(told.delivered, told.expected);
        }
        let listed = missing.iter().map(|(sender, node)| (rounds.rounds, *sender, *node));
        let room = LISTED.saturating_sub(rounds.misses.len());
        rounds.misses.extend(listed.take(room));
        if rounds.first.len() < LISTED {
            rounds.first.push((rmr, ldt));
        }
        rounds.rounds += 1;
        let mean = |mean: f64, new: f64| mean + (new - mean) / rounds.rounds as f64;
        rounds.rmr = mean(rounds.rmr, rmr);
        rounds.ldh = mean(rounds.ldh, told.ldh.into());
        rounds.ldt_ms = mean(rounds.ldt_ms, ldt);
        rounds.rmr_max = rounds.rmr_max.max(rmr);
        rounds.ldh_max = rounds.ldh_max.max(told.ldh);
        rounds.ldt_max_ms = rounds.ldt_max_ms.max(ldt);
        rounds.expected += told.expected;
        rounds.missed += told.expected - told.delivered;
        rounds.delivery = share(rounds.expected - rounds.missed, rounds.expected);
        rounds.twice += told.twice;
        rounds.payloads += told.payloads;
        rounds.last.push(told.ldt);
        rounds.delays.extend(&told.delays);
        self.take(told);
    }

    /// Takes in what was sent, and what is known by now.
    pub(super) fn take(&mut self, told: Told) {
        let Frames { messages, bytes } = told.all();
        self.messages += messages;
        self.bytes += bytes;
        self.joins += told.links;
        for (kind, frames) in told.sent {
            let sum = self.kinds.entry(kind).or_default();
            *sum = (sum.0 + frames.messages, sum.1 + frames.bytes);
        }
        self.evictions = self.kinds.get(EVICTIONS).map_or(0, |sum| sum.0);
    }

    /// Microseconds to each delivery, until nothing more comes.
    pub(super) fn delays_us(&self) -> impl Iterator<Item = u32> {
        let delays = self.rounds.as_ref().map(|rounds| rounds.delays.iter());
        delays.into_iter().flatten().map(|delay| u32::try_from(delay / 1000).unwrap_or(u32::MAX))
    }

    /// Nothing more comes: the percentiles of all that did.
    pub(super) fn close(&mut self) {
        if let Some(rounds) = &mut self.rounds {
            let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
            rounds.p50_ms = ms(percentile(&mut rounds.delays, 0.5));
            rounds.p99_ms = ms(percentile(&mut rounds.delays, 0.99));
            rounds.ldt_p99_ms = ms(percentile(&mut rounds.last, 0.99));
            rounds.delays = Vec::new();
        }
    }
}

fn percentile(values: &mut [u64], share: f64) -> u64 {
    if values.is_empty() {
        return 0;
    }
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    *values.select_nth_unstable(at).1
}
