//! What is to happen to a cluster, written by hand as TOML.
//!
//! ```toml
//! about = "a random sender each round"
//! nodes = 100
//! delay = ["10ms", "50ms"]
//! steps = [{ wait = "1s" }, { rounds = 30, senders = "random" }]
//! ```

mod healing;
mod overlay;
mod play;
mod report;
mod run;
mod stage;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use crate::{Latency, Network};

pub use overlay::Overlay;
pub use play::Play;
pub use report::{METRICS, Picture, Report, Row};
pub use run::Run;
pub use stage::{Finished, Stage};

/// A scenario. Keys that are not here are errors.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// What it is about, for people.
    #[serde(default)]
    pub about: String,
    /// What others reached, for people.
    #[serde(default)]
    pub reference: String,
    /// What is to be reached, by the names of [`Report::metric`]: shares of deliveries at least,
    /// all else at most.
    #[serde(default)]
    pub reach: BTreeMap<String, f64>,
    /// How many nodes there are at first.
    pub nodes: usize,
    /// Shortest and longest delay from node to node.
    #[serde(default = "delay", deserialize_with = "spans")]
    pub delay: (Duration, Duration),
    /// Where a pair's delay comes from.
    #[serde(default)]
    pub latency: From,
    /// Share of packets that are lost and sent again.
    #[serde(default)]
    pub loss: f64,
    /// Share of frames that vanish for good.
    #[serde(default)]
    pub vanish: f64,
    /// Share of packets that come twice.
    #[serde(default)]
    pub duplicate: f64,
    /// Bytes per second that a node sends; 0: any number.
    #[serde(default)]
    pub bandwidth: u64,
    /// After how long without a sign of life a connection is broken.
    #[serde(default = "patience", deserialize_with = "span")]
    pub patience: Duration,
    /// All nodes boot within this time.
    #[serde(default, deserialize_with = "span")]
    pub boot: Duration,
    /// The first so many nodes are known to all others.
    #[serde(default = "one")]
    pub contacts: usize,
    /// Clocks go too fast or too slow by up to so many parts per million.
    #[serde(default)]
    pub drift: u32,
    /// By what gossip chooses between neighbours.
    #[serde(default)]
    pub rule: Rule,
    /// Between two shuffles of a settled node, which `heal_cycles` is counted in.
    #[serde(default = "cycle", deserialize_with = "span")]
    pub cycle: Duration,
    /// What happens, in this order.
    pub steps: Vec<Step>,
}

/// Where a pair's delay comes from: see [`Latency`].
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// Drawn for each pair.
    #[default]
    Pair,
    /// Drawn for each packet.
    Each,
    /// From the map of 19 regions.
    Regions,
}

/// By what gossip chooses between neighbours: as its own `Rule`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Round-trip times. Nobody need be told.
    #[default]
    Nearest,
    /// Who brings messages first.
    Physarum,
}

impl Rule {
    /// As files have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Physarum => "physarum",
        }
    }
}

/// Who publishes in a round.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Senders {
    /// A node drawn for each round.
    #[default]
    Random,
    /// The first node that is up.
    One,
    /// All nodes at once.
    All,
}

/// One thing that happens: the first of these keys that is there says what, the others how.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Step {
    /// Rounds of messages: a round ends when all have them, or at `timeout`.
    pub rounds: Option<u32>,
    /// Who publishes.
    pub senders: Senders,
    /// Bytes of each body.
    pub bytes: Option<usize>,
    /// When a round is given up.
    #[serde(deserialize_with = "span_if")]
    pub timeout: Option<Duration>,
    /// The least time from round to round.
    #[serde(deserialize_with = "span_if")]
    pub every: Option<Duration>,
    /// So many nodes crash during the rounds.
    pub crashing: usize,
    /// Time passes.
    #[serde(deserialize_with = "span_if")]
    pub wait: Option<Duration>,
    /// So many nodes, or this share of them, crash at once.
    pub crash: Option<f64>,
    /// All that crashed start again. `fresh`: without their durable state.
    pub restart: bool,
    /// See `restart`.
    pub fresh: bool,
    /// The nodes are split into so many sides.
    pub split: Option<u32>,
    /// Cuts and splits end; time passes until all are one overlay again, or `timeout`.
    pub heal: bool,
    /// So many nodes, or this share, stand still for `time`, all at once.
    pub pause: Option<f64>,
    /// See `pause` and `flap`.
    #[serde(deserialize_with = "span_if")]
    pub time: Option<Duration>,
    /// This share of the links is cut in one direction.
    pub cut_one_way: Option<f64>,
    /// This share of the links is cut, and mended after `time`.
    pub flap: Option<f64>,
    /// So many nodes join.
    pub join: Option<usize>,
    /// So many nodes, or this share, leave: their protocol stops.
    pub leave: Option<f64>,
    /// Looks at the overlay, and puts what it finds in the report.
    pub overlay: bool,
}

/// Why a scenario was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Not TOML, or not a scenario's.
    #[error("not a scenario: {0}")]
    Unreadable(#[from] toml::de::Error),
    /// A number that makes no sense.
    #[error("{0}")]
    Senseless(String),
}

/// Nodes of one simulation: what fits a machine's memory.
const NODES: usize = 100_000;

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    /// What is not a scenario, or can't be played.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let scenario: Self = toml::from_str(text)?;
        let fault = |what: String| Err(Fault::Senseless(what));
        if !(2..=NODES).contains(&scenario.nodes) {
            return fault(format!("nodes = {}: write 2 to {NODES}", scenario.nodes));
        }
        if scenario.contacts == 0 {
            return fault("contacts = 0: nobody could join; write 1 or more".into());
        }
        for (name, share) in [
            ("loss", scenario.loss),
            ("vanish", scenario.vanish),
            ("duplicate", scenario.duplicate),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return fault(format!("{name} = {share}: a share is from 0 to 1"));
            }
        }
        if let Some(name) = scenario.reach.keys().find(|name| !METRICS.contains(&name.as_str())) {
            return fault(format!("reach.{name} is not measured: {}", METRICS.join(", ")));
        }
        let empty = scenario.steps.iter().position(|step| step.verb().is_none());
        if let Some(step) = empty {
            return fault(format!(
                "step {} does nothing: write one of rounds, wait, crash, restart, split, heal, \
                 pause, cut-one-way, flap, join, leave, overlay",
                step + 1
            ));
        }
        Ok(scenario)
    }

    /// The network that it asks for.
    pub fn network(&self) -> Network {
        let latency = match self.latency {
            From::Pair => Latency::Pair,
            From::Each => Latency::Each,
            From::Regions => Latency::Regions,
        };
        Network {
            delay: self.delay,
            latency,
            bandwidth: self.bandwidth,
            loss: self.loss,
            vanish: self.vanish,
            duplicate: self.duplicate,
            reorder: 0.0,
            patience: self.patience,
        }
    }

    /// So many nodes, or this share, crash wherever some crash at once.
    pub fn crash(&mut self, number: f64) {
        for crash in self.steps.iter_mut().filter_map(|step| step.crash.as_mut()) {
            *crash = number;
        }
    }

    /// No step has more rounds than this.
    pub fn shorten(&mut self, most: u32) {
        for rounds in self.steps.iter_mut().filter_map(|step| step.rounds.as_mut()) {
            *rounds = most.min(*rounds);
        }
    }

    /// How many rounds there are in all, to tell how far a run is.
    pub fn rounds(&self) -> u32 {
        self.steps.iter().filter_map(|step| step.rounds).sum()
    }
}

impl Step {
    /// What it does.
    pub fn verb(&self) -> Option<&'static str> {
        let verbs = [
            ("rounds", self.rounds.is_some()),
            ("wait", self.wait.is_some()),
            ("crash", self.crash.is_some()),
            ("restart", self.restart),
            ("split", self.split.is_some()),
            ("heal", self.heal),
            ("pause", self.pause.is_some()),
            ("cut-one-way", self.cut_one_way.is_some()),
            ("flap", self.flap.is_some()),
            ("join", self.join.is_some()),
            ("leave", self.leave.is_some()),
            ("overlay", self.overlay),
        ];
        verbs.into_iter().find(|(_, there)| *there).map(|(verb, _)| verb)
    }
}

fn delay() -> (Duration, Duration) {
    (Duration::from_millis(10), Duration::from_millis(50))
}

fn patience() -> Duration {
    Duration::from_secs(10)
}

fn cycle() -> Duration {
    Duration::from_secs(10)
}

fn one() -> usize {
    1
}

fn parse(text: &str) -> Result<Duration, String> {
    let at = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no time, like \"50ms\""))?;
    match unit {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err(format!("{text:?} is no time: write us, ms, s or m after the number")),
    }
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn span_if<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    span(deserializer).map(Some)
}

fn spans<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(Duration, Duration), D::Error> {
    let (least, most) = <(String, String)>::deserialize(deserializer)?;
    let parse = |text: &str| parse(text).map_err(serde::de::Error::custom);
    Ok((parse(&least)?, parse(&most)?))
}
