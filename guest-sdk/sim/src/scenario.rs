//! What is to happen to a cluster, written by hand as TOML.
//!
//! ```toml
//! about = "a random sender each round"
//! nodes = 100
//! delay = ["10ms", "50ms"]
//! steps = [{ wait = "1s" }, { rounds = 30, senders = "random" }]
//! ```

mod check;
mod healing;
mod number;
mod overlay;
mod play;
mod report;
mod row;
mod run;
mod sides;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;

use crate::{Latency, Network};
use number::{share_if, span, span_if, spans};

pub use check::Fault;
pub use number::Number;
pub use overlay::Overlay;
pub use play::{Far, Play};
pub use report::{METRICS, Picture, Report};
pub use row::{Round, Row};
pub use run::Run;
pub use sides::Sides;
pub use stage::{Clock, Finished, Stage};

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
    /// Share of packets that are late: what comes behind them on the same way waits.
    #[serde(default)]
    pub reorder: f64,
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
    /// Clocks are ahead or behind by up to so long.
    #[serde(default, deserialize_with = "span")]
    pub skew: Duration,
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

/// One thing that happens: one key says what, others how.
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
    pub crash: Option<Number>,
    /// All that crashed start again. `fresh`: without their durable state.
    pub restart: bool,
    /// See `restart`.
    pub fresh: bool,
    /// The nodes are split into these sides.
    pub split: Option<Sides>,
    /// Cuts and splits end; time passes until all are one overlay again, or `timeout`.
    pub heal: bool,
    /// So many nodes, or this share, stand still for `time`, all at once.
    pub pause: Option<Number>,
    /// See `pause` and `flap`.
    #[serde(deserialize_with = "span_if")]
    pub time: Option<Duration>,
    /// This share of the links is cut in one direction.
    #[serde(deserialize_with = "share_if")]
    pub cut_one_way: Option<f64>,
    /// This share of the links is cut, and mended after `time`.
    #[serde(deserialize_with = "share_if")]
    pub flap: Option<f64>,
    /// So many nodes join.
    pub join: Option<usize>,
    /// So many nodes, or this share, leave: their protocol stops.
    pub leave: Option<Number>,
    /// Looks at the overlay, and puts what it finds in the report.
    pub overlay: bool,
}

impl Scenario {
    /// Reads one.
    ///
    /// # Errors
    /// What is not a scenario, or can't be played.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let scenario: Self = toml::from_str(text).map_err(|error| {
            let line = |span: Range<usize>| Some(text.get(..span.start)?.matches('\n').count() + 1);
            let line = error.span().and_then(line).unwrap_or(1);
            Fault(format!("line {line}: {}", error.message().replace('\n', ", ")))
        })?;
        scenario.check()?;
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
            reorder: self.reorder,
            patience: self.patience,
        }
    }

    /// So many nodes, or this share, crash wherever some crash at once.
    ///
    /// # Errors
    /// None do.
    pub fn crash(&mut self, number: Number) -> Result<(), Fault> {
        let mut crashes: Vec<_> =
            self.steps.iter_mut().filter_map(|step| step.crash.as_mut()).collect();
        if crashes.is_empty() {
            return Err(Fault("no step has crash, which could be another number".into()));
        }
        crashes.iter_mut().for_each(|crash| **crash = number);
        Ok(())
    }

    /// No step has more rounds than this.
    ///
    /// # Errors
    /// None has any.
    pub fn shorten(&mut self, most: u32) -> Result<(), Fault> {
        let mut all: Vec<_> =
            self.steps.iter_mut().filter_map(|step| step.rounds.as_mut()).collect();
        if all.is_empty() {
            return Err(Fault("no step has rounds, of which there could be less".into()));
        }
        all.iter_mut().for_each(|rounds| **rounds = most.min(**rounds));
        Ok(())
    }

    /// How many rounds there are in all, to tell how far a run is.
    pub fn rounds(&self) -> u32 {
        self.steps.iter().filter_map(|step| step.rounds).fold(0, u32::saturating_add)
    }
}

impl Step {
    /// What it does.
    pub fn verb(&self) -> Option<&'static str> {
        self.verbs().first().copied()
    }

    /// All that it is to do: one thing, if it makes sense.
    fn verbs(&self) -> Vec<&'static str> {
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
        verbs.into_iter().filter(|(_, there)| *there).map(|(verb, _)| verb).collect()
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
