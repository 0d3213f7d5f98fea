//! A scenario in the simulator.

use std::collections::BTreeMap;
use std::time::Duration;

use super::report::{METRICS, Report, Row};
use super::{Overlay, Scenario, Senders, Step};
use crate::network::{Chance, nanoseconds, pair};
use crate::{Baseline, Component, Role, Simulation, Tally, World};

/// A run of a scenario: make one, [`play`](Run::play) it.
pub struct Run {
    /// The simulation, to look into.
    pub sim: Simulation,
    scenario: Scenario,
    chance: Chance,
    seed: u64,
    component: Component,
    crashed: Vec<usize>,
    baseline: Option<Baseline>,
    /// Rounds played so far.
    played: u32,
}

/// The topic of all messages.
const TOPIC: [u8; 16] = [7; 16];
/// As in the reference's simulator.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a body where a scenario says nothing.
const BODY: usize = 1024;
/// Between two looks at an overlay that heals.
const LOOK: Duration = Duration::from_millis(100);

impl Run {
    /// The scenario's nodes, about to boot. `kind` tells frames apart, for the report.
    pub fn new(
        scenario: Scenario,
        seed: u64,
        component: Component,
        kind: fn(&[u8]) -> &'static str,
    ) -> Self {
        Self::with(scenario, seed, component, kind, None)
    }

    /// The same with a broadcast to compare with.
    pub fn baseline(scenario: Scenario, seed: u64, baseline: Baseline) -> Self {
        Self::with(scenario, seed, baseline.component(), Baseline::kind, Some(baseline))
    }

    fn with(
        scenario: Scenario,
        seed: u64,
        component: Component,
        kind: fn(&[u8]) -> &'static str,
        baseline: Option<Baseline>,
    ) -> Self {
        let mut sim = Simulation::new(seed, scenario.network());
        sim.boot_within(scenario.boot);
        sim.count_with(Tally::new(kind));
        // Not the network's chance: what happens does not hang on what is done about it.
        let mut run = Self {
            sim,
            chance: Chance::new(!seed),
            seed,
            component,
            crashed: Vec::new(),
            played: 0,
            baseline,
            scenario,
        };
        run.add(run.scenario.nodes);
        run
    }

    /// Plays all steps. `progress` is told how many rounds of how many are over.
    pub fn play(mut self, progress: &mut dyn FnMut(u32, u32)) -> Report {
        let mut report = Report::new(&self.scenario, self.seed);
        for step in self.scenario.steps.clone() {
            if let Some(row) = self.step(&step, progress) {
                report.rows.push(row);
            }
        }
        report.trace = self.sim.trace();
        report.turns = self.sim.turns();
        report.failures = self.sim.failures().len();
        let metrics = METRICS.into_iter();
        report.metrics = metrics.filter_map(|name| Some((name, report.metric(name)?))).collect();
        report.virtual_s = self.sim.now().as_secs_f64();
        report
    }

    fn add(&mut self, count: usize) {
        for _ in 0..count {
            let node = self.sim.node(None);
            let contacts: Vec<usize> = match self.baseline {
                Some(baseline) => baseline.peers(node, &mut self.chance),
                None => (0..self.scenario.contacts.min(node)).collect(),
            };
            self.sim.peers(node, &contacts);
            let drift = i64::from(self.scenario.drift);
            let parts = self.chance.below(2 * drift as u64 + 1) as i64 - drift;
            self.sim.drift(node, parts as i32);
            let role = Role {
                name: "it".into(),
                world: World::Protocol,
                component: self.component.clone(),
                grants: BTreeMap::new(),
                open: false,
            };
            self.sim.place(node, role);
        }
    }

    fn step(&mut self, step: &Step, progress: &mut dyn FnMut(u32, u32)) -> Option<Row> {
        let began = self.sim.now();
        let mut row = Row::new(step);
        let (seen, mut healed) = (self.sim.turns(), None);
        match step.verb()? {
            "rounds" => self.rounds(step, &mut row, progress),
            "wait" => self.sim.run_for(step.wait?),
            "crash" => self.crash(step.crash?),
            "restart" => self.restart(step.fresh),
            "split" => self.split(step.split?),
            "heal" => healed = self.heal(step.timeout.unwrap_or(TIMEOUT * 12)),
            "pause" => {
                for node in self.some(step.pause?) {
                    self.sim.pause(node, step.time.unwrap_or(TIMEOUT));
                }
            }
            "cut-one-way" => {
                for (a, b) in self.some_links(step.cut_one_way?) {
                    self.sim.cut_one_way(a, b);
                }
            }
            "flap" => {
                let cut = self.some_links(step.flap?);
                cut.iter().for_each(|(a, b)| self.sim.cut(*a, *b));
                self.sim.run_for(step.time.unwrap_or(TIMEOUT));
                cut.iter().for_each(|(a, b)| self.sim.mend(*a, *b));
            }
            "join" => self.add(step.join?),
            "leave" => self.leave(step.leave?),
            _ => row.overlay = Some(Overlay::of(&self.sim)),
        }
        row.seconds = (self.sim.now() - began).as_secs_f64();
        row.healed_s = healed;
        row.turns = self.sim.turns() - seen;
        row.up = self.up().len();
        row.take(self.sim.tally()?.finish());
        row.close();
        Some(row)
    }

    fn rounds(&mut self, step: &Step, row: &mut Row, progress: &mut dyn FnMut(u32, u32)) {
        let rounds = step.rounds.unwrap_or(0);
        let of = self.scenario.rounds();
        let timeout = step.timeout.unwrap_or(TIMEOUT);
        let mut crashes: Vec<u32> =
            (0..step.crashing).map(|_| self.chance.below(rounds.into()) as u32).collect();
        crashes.sort_unstable();
        // What was under way before belongs to no round.
        self.sim.tally().map(Tally::finish);
        for round in 0..rounds {
            let began = self.sim.now();
            let senders = self.senders(step.senders);
            let now = nanoseconds(began);
            let up: Vec<bool> = (0..self.sim.count()).map(|node| self.sim.is_up(node)).collect();
            let Some(tally) = self.sim.tally() else { return };
            let bodies = tally.begin(now, &senders, &up, step.bytes.unwrap_or(BODY));
            for (sender, body) in senders.iter().zip(bodies) {
                self.sim.publish_at(*sender, TOPIC, &body);
            }
            let end = now + nanoseconds(timeout);
            for _ in crashes.iter().filter(|crash| **crash == round) {
                let soon = self.chance.below(100_000_000);
                self.until(now + soon);
                let up: Vec<_> =
                    self.up().into_iter().filter(|node| !senders.contains(node)).collect();
                let node = up[self.chance.below(up.len() as u64) as usize];
                self.fell(node);
            }
            self.until(end);
            let missing = self.sim.tally().map(|tally| tally.missing());
            let told = self.sim.tally().map(Tally::finish).unwrap_or_default();
            row.round(told, missing.unwrap_or_default());
            if let Some(every) = step.every {
                self.sim.run_for((began + every).saturating_sub(self.sim.now()));
            }
            self.played += 1;
            progress(self.played, of);
        }
    }

    /// Runs to a time, or until the round is done.
    fn until(&mut self, end: u64) {
        while !self.sim.tally().is_none_or(|tally| tally.done()) && self.sim.step(end) {}
    }

    fn senders(&mut self, senders: Senders) -> Vec<usize> {
        let up = self.up();
        match senders {
            Senders::All => up,
            Senders::One => up.into_iter().take(1).collect(),
            Senders::Random if up.is_empty() => up,
            Senders::Random => vec![up[self.chance.below(up.len() as u64) as usize]],
        }
    }

    fn up(&self) -> Vec<usize> {
        (0..self.sim.count()).filter(|node| self.sim.is_up(*node)).collect()
    }

    /// So many of the nodes that are up, or this share of them.
    fn some(&mut self, number: f64) -> Vec<usize> {
        let mut up = self.up();
        let share = number < 1.0;
        let count = if share { (up.len() as f64 * number).round() } else { number } as usize;
        let count = count.min(up.len());
        for at in 0..count {
            let other = at + self.chance.below((up.len() - at) as u64) as usize;
            up.swap(at, other);
        }
        up.truncate(count);
        up
    }

    fn some_links(&mut self, share: f64) -> Vec<(usize, usize)> {
        let of = |node: usize| self.sim.neighbours(node).into_iter().map(move |to| pair(node, to));
        let mut links: Vec<_> = self.up().into_iter().flat_map(of).collect();
        links.sort_unstable();
        links.dedup();
        links.retain(|_| self.chance.happens(share));
        links
    }

    fn crash(&mut self, number: f64) {
        for node in self.some(number) {
            self.fell(node);
        }
    }

    fn fell(&mut self, node: usize) {
        self.sim.crash(node);
        self.crashed.push(node);
        if let Some(tally) = self.sim.tally() {
            tally.gone(node);
        }
    }

    fn restart(&mut self, fresh: bool) {
        for node in std::mem::take(&mut self.crashed) {
            if fresh {
                self.sim.wipe(node);
            }
            self.sim.restart(node);
        }
    }

    fn leave(&mut self, number: f64) {
        for node in self.some(number) {
            self.sim.leave(node);
            self.fell(node);
        }
    }

    fn split(&mut self, sides: u32) {
        let nodes = self.sim.count();
        let mut of: Vec<u32> = (0..nodes).map(|node| node as u32 % sides.max(1)).collect();
        for at in 0..nodes {
            of.swap(at, at + self.chance.below((nodes - at) as u64) as usize);
        }
        self.sim.split(&of);
    }

    /// Seconds until all nodes are one overlay.
    fn heal(&mut self, timeout: Duration) -> Option<f64> {
        self.sim.heal();
        let began = self.sim.now();
        while self.sim.now() < began + timeout {
            self.sim.run_for(LOOK);
            if Overlay::components_of(&self.sim) == 1 {
                return Some((self.sim.now() - began).as_secs_f64());
            }
        }
        None
    }
}
