//! What one step came to.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Number, Overlay, Senders, Step};
use crate::tally::{Frames, Told};

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
    /// Neighbours that were let go of, and those given up.
    pub evictions: u64,
    /// Those given up, as the connection to them broke.
    pub given_up: u64,
    /// Seconds until all nodes were one overlay again, after a heal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healed_s: Option<f64>,
    /// How many overlays they were still, when a heal had no more time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub apart: Option<usize>,
    /// Cycles after a crash until ten messages in a row, the first of them sent then, reach all
    /// survivors; in the step of the tenth. See `cycle` of [`Scenario`](super::Scenario).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heal_cycles: Option<u32>,
    /// There were rounds enough for that, in vain.
    #[serde(skip)]
    pub(super) unhealed: bool,
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
    /// Share of the deliveries that were to be. Not a number (null) if there were none to be.
    pub delivery: f64,
    /// The same of the first round alone.
    pub delivery_first: f64,
    /// Deliveries that were to be.
    pub expected: u64,
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
    pub(super) each: Vec<Round>,
}

/// A round, or all.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Round {
    /// Redundant payloads per delivery.
    pub rmr: f64,
    /// Hops of the last delivery.
    pub ldh: f64,
    /// Milliseconds to the last delivery.
    pub ldt_ms: f64,
    /// Share of the deliveries that were to be. Not a number (null) if there were none to be.
    pub delivery: f64,
    /// Frames sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Links that came up, both ends counted.
    pub joins: u64,
    /// Neighbours that were let go of or given up.
    pub evictions: u64,
}

/// The kind of frame that lets a neighbour go.
const EVICTIONS: &str = "leave";
/// Rounds that are listed one by one, and misses.
const LISTED: usize = 10;

impl Row {
    pub(super) fn metric(&self, name: &str) -> Option<f64> {
        let (rounds, overlay) = (self.rounds.as_ref(), self.overlay.as_ref());
        let per = |sum: u64| rounds.map(|rounds| sum as f64 / rounds.rounds as f64);
        match name {
            "rmr" => rounds.map(|rounds| rounds.rmr),
            "ldh" => rounds.map(|rounds| rounds.ldh),
            "ldt_ms" => rounds.map(|rounds| rounds.ldt_ms),
            "ldt_p99_ms" => rounds.map(|rounds| rounds.ldt_p99_ms),
            "p50_ms" => rounds.map(|rounds| rounds.p50_ms),
            "p99_ms" => rounds.map(|rounds| rounds.p99_ms),
            "delivery" => rounds.map(|rounds| rounds.delivery).filter(|share| !share.is_nan()),
            "delivery_first" => {
                rounds.map(|rounds| rounds.delivery_first).filter(|share| !share.is_nan())
            }
            "messages" => per(self.messages),
            "bytes" => per(self.bytes),
            "clustering" => overlay.map(|overlay| overlay.clustering),
            "heal_cycles" if self.unhealed && self.heal_cycles.is_none() => Some(f64::INFINITY),
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
            "split" => step.split.as_ref().map(|sides| format!(" {sides}")),
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
        let Frames { messages, bytes } = told.all();
        rounds.each.push(Round {
            rmr,
            ldh: told.ldh.into(),
            ldt_ms: ldt,
            delivery: share(told.delivered, told.expected),
            messages,
            bytes,
            joins: told.links,
            evictions: evictions(&told),
        });
        self.take(told);
    }

    /// Takes in what was sent, and what is known by now.
    pub(super) fn take(&mut self, told: Told) {
        let Frames { messages, bytes } = told.all();
        self.messages += messages;
        self.bytes += bytes;
        self.joins += told.links;
        self.evictions += evictions(&told);
        self.given_up += told.broken;
        for (kind, frames) in told.sent {
            let sum = self.kinds.entry(kind).or_default();
            *sum = (sum.0 + frames.messages, sum.1 + frames.bytes);
        }
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

/// Neighbours that were let go of, and those given up.
fn evictions(told: &Told) -> u64 {
    told.sent.get(EVICTIONS).map_or(0, |frames| frames.messages) + told.broken
}

pub(super) fn share(part: u64, whole: u64) -> f64 {
    // Of nothing it is not a number.
    part as f64 / whole as f64
}

fn percentile(values: &mut [u64], share: f64) -> u64 {
    if values.is_empty() {
        return 0;
    }
    let at = ((values.len() - 1) as f64 * share).round() as usize;
    *values.select_nth_unstable(at).1
}
