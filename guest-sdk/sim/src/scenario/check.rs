//! What makes no sense in a scenario is told before it is played: what, why, and what to write.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::number::LONGEST;
use super::{METRICS, Scenario, Senders, Step};
use crate::LEAST_BODY;

/// Why a scenario was not taken: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub(super) String);

/// Nodes of one simulation: what fits a machine's memory.
const NODES: usize = 100_000;
/// Rounds and steps of one scenario: more take days.
const ROUNDS: u32 = 1_000_000;
const STEPS: usize = 10_000;
/// What a message may carry: nodes make a blob of what is longer.
const BODY: RangeInclusive<usize> = LEAST_BODY..=255 << 10;
/// Of a clock: parts per million.
const DRIFT: u32 = 500_000;
/// Bytes per second below which nothing is ever over.
const BANDWIDTH: u64 = 1000;
/// What a step can do.
const VERBS: &str = "rounds, wait, crash, restart, split, heal, pause, cut-one-way, flap, join, \
                     leave, overlay";

impl Scenario {
    /// Whether it can be played: what was [read](Self::read), or changed since.
    ///
    /// # Errors
    /// What makes no sense.
    pub fn check(&self) -> Result<(), Fault> {
        self.check_network().map_err(Fault)?;
        if self.steps.is_empty() {
            return Err(Fault(format!("steps = []: nothing would happen; write some of {VERBS}")));
        }
        if self.steps.len() > STEPS {
            return Err(Fault(format!("{} steps: write {STEPS} at most", self.steps.len())));
        }
        let mut nodes = self.nodes;
        for (at, step) in (1..).zip(&self.steps) {
            let fault = |why| Fault(format!("step {at}: {why}"));
            nodes = nodes.saturating_add(step.join.unwrap_or(0));
            if nodes > NODES {
                let why = format!("{nodes} nodes with those that join: {NODES} are the most");
                return Err(fault(why));
            }
            step.check(nodes).map_err(fault)?;
        }
        if self.rounds() > ROUNDS {
            return Err(Fault(format!("{} rounds in all: write {ROUNDS} at most", self.rounds())));
        }
        let waits: Duration = self
            .steps
            .iter()
            .filter_map(|step| step.wait)
            .fold(Duration::ZERO, Duration::saturating_add);
        if waits > LONGEST {
            let most = LONGEST.as_secs() / 60;
            return Err(Fault(format!("it waits {waits:?} in all: write \"{most}m\" at most")));
        }
        self.check_reach().map_err(Fault)
    }

    fn check_network(&self) -> Result<(), String> {
        if !(2..=NODES).contains(&self.nodes) {
            return Err(format!("nodes = {}: write 2 to {NODES}", self.nodes));
        }
        if self.contacts == 0 {
            return Err("contacts = 0: nobody could join; write 1 or more".into());
        }
        if self.delay.0 > self.delay.1 {
            let (least, most) = self.delay;
            return Err(format!(
                "delay = [{least:?}, {most:?}]: write the shortest first, and then the longest"
            ));
        }
        let shares = [
            ("loss", self.loss),
            ("vanish", self.vanish),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
        ];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} = {share:?}: write a share from 0.0 to 1.0"));
            }
            if share == 1.0 && ["loss", "vanish"].contains(&name) {
                return Err(format!("{name} = 1.0: nothing would arrive; write less than 1.0"));
            }
        }
        if self.bandwidth > 0 && self.bandwidth < BANDWIDTH {
            let bandwidth = self.bandwidth;
            return Err(format!(
                "bandwidth = {bandwidth}: write {BANDWIDTH} or more bytes per second, or 0 for any"
            ));
        }
        if self.drift > DRIFT {
            let drift = self.drift;
            return Err(format!("drift = {drift}: write {DRIFT} parts per million at most"));
        }
        for (name, span) in [("patience", self.patience), ("cycle", self.cycle)] {
            if span.is_zero() {
                return Err(format!("{name} = 0: write a time, like \"10s\""));
            }
        }
        Ok(())
    }

    /// What is to be reached must be measured by some step.
    fn check_reach(&self) -> Result<(), String> {
        let verb = |verb| self.steps.iter().any(|step| step.verb() == Some(verb));
        for (name, value) in &self.reach {
            if !METRICS.contains(&name.as_str()) {
                return Err(format!("reach.{name} is not measured: write {}", METRICS.join(", ")));
            }
            if !value.is_finite() {
                return Err(format!("reach.{name} = {value}: write a number"));
            }
            let (there, missing) = match name.as_str() {
                "clustering" | "path" => (verb("overlay"), "overlay"),
                "healed_s" => (verb("heal"), "heal"),
                "heal_cycles" => (verb("crash") && verb("rounds"), "crash, and then rounds"),
                _ => (verb("rounds"), "rounds"),
            };
            if !there {
                return Err(format!("reach.{name} is measured by no step: add one of {missing}"));
            }
        }
        Ok(())
    }
}

impl Step {
    fn check(&self, nodes: usize) -> Result<(), String> {
        let verbs = self.verbs();
        let verb = match verbs[..] {
            [verb] => verb,
            [] => return Err(format!("it does nothing: write one of {VERBS}")),
            [first, second, ..] => {
                return Err(format!("{first} and {second} are two steps: write {{ … }}, {{ … }}"));
            }
        };
        if let Some((key, with)) = self.stray(verb) {
            return Err(format!("{key} says nothing of {verb}: it goes with {}", with.join(", ")));
        }
        for (key, number) in [("crash", self.crash), ("pause", self.pause), ("leave", self.leave)] {
            if let Some(number) = number {
                number.check(nodes).map_err(|why| format!("{key} = {number}: {why}"))?;
            }
        }
        for (key, share) in [("cut-one-way", self.cut_one_way), ("flap", self.flap)] {
            if let Some(share) = share.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
                return Err(format!("{key} = {share:?}: write more than 0.0 and up to 1.0"));
            }
        }
        for (key, span) in [("time", self.time), ("timeout", self.timeout)] {
            if span.is_some_and(|span| span.is_zero()) {
                return Err(format!("{key} = 0: write a time, like \"5s\""));
            }
        }
        if self.rounds == Some(0) || self.join == Some(0) {
            return Err(format!("{verb} = 0 does nothing: write 1 or more"));
        }
        if let Some(bytes) = self.bytes.filter(|bytes| !BODY.contains(bytes)) {
            let (least, most) = (BODY.start(), BODY.end());
            return Err(format!(
                "bytes = {bytes}: write {least} to {most}; nodes send what is longer as a blob, \
                 which isn't simulated"
            ));
        }
        if let Some(sides) = &self.split {
            sides.check(nodes).map_err(|why| format!("split = {sides}: {why}"))?;
        }
        if self.crashing >= nodes {
            let crashing = self.crashing;
            return Err(format!("crashing = {crashing}: of {nodes} nodes one sends; write less"));
        }
        Ok(())
    }

    /// A key that says how, with another verb than those it goes with.
    fn stray(&self, verb: &str) -> Option<(&'static str, &'static [&'static str])> {
        let keys: [(_, _, &[&str]); 7] = [
            ("senders", self.senders != Senders::default(), &["rounds"]),
            ("bytes", self.bytes.is_some(), &["rounds"]),
            ("timeout", self.timeout.is_some(), &["rounds", "heal"]),
            ("every", self.every.is_some(), &["rounds"]),
            ("crashing", self.crashing > 0, &["rounds"]),
            ("fresh", self.fresh, &["restart"]),
            ("time", self.time.is_some(), &["pause", "flap"]),
        ];
        let stray = keys.into_iter().find(|(_, there, with)| *there && !with.contains(&verb));
        stray.map(|(key, _, with)| (key, with))
    }
}
