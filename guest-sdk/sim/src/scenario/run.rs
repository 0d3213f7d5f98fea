//! A scenario in the simulator.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use super::play::{Far, Play};
use super::report::Report;
use super::{Clock, Finished, Rule, Scenario, Stage};
use crate::network::nanoseconds;
use crate::{Baseline, Component, Role, Simulation, Tally, World};

/// A run of a scenario in the simulator: make one, [`play`](Run::play) it.
pub struct Run(Play<Simulated>);

/// The nodes of a simulation.
struct Simulated {
    sim: Simulation,
    component: Component,
    rule: Rule,
}

/// Tells frames apart.
type KindOf = fn(&[u8]) -> &'static str;

/// The name of each node's actor.
const PROTOCOL: &str = "it";
/// `{"Choose": "physarum"}` in DAG-CBOR.
const CHOOSE_PHYSARUM: &[u8] = b"\xa1\x66Choose\x68physarum";
/// The topic of all messages.
const TOPIC: [u8; 16] = [7; 16];

impl Run {
    /// The scenario's nodes, about to boot. `kind` tells frames apart, for the report.
    pub fn new(scenario: Scenario, seed: u64, component: Component, kind: KindOf) -> Self {
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
        kind: KindOf,
        baseline: Option<Baseline>,
    ) -> Self {
        let mut sim = Simulation::new(seed, scenario.network());
        sim.boot_within(scenario.boot);
        sim.count_with(Tally::new(kind));
        let stage = Simulated { sim, component, rule: scenario.rule };
        Self(certain(Play::with(scenario, seed, stage, baseline)))
    }

    /// Puts what there is to draw in the report.
    pub fn draw(&mut self) {
        self.0.draw();
    }

    /// Plays all steps. `progress` is told how many rounds of how many are over.
    pub fn play(self, progress: &mut dyn FnMut(u32, u32)) -> Report {
        self.watch(&mut |far| progress(far.rounds, far.of))
    }

    /// The same, told how far it is in waits, too.
    pub fn watch(mut self, progress: &mut dyn FnMut(Far)) -> Report {
        let mut report = certain(self.0.play(progress));
        let sim = &self.0.stage.sim;
        report.trace = sim.trace();
        report.failures = sim.failures().len();
        report.datagrams = sim.datagrams();
        report
    }
}

fn certain<T>(outcome: Result<T, Infallible>) -> T {
    match outcome {
        Ok(outcome) => outcome,
        Err(never) => match never {},
    }
}

impl Simulated {
    /// Tells a node's protocol what it must know besides what is usual.
    fn brief(&mut self, node: usize) {
        let Rule::Physarum = self.rule else { return };
        let protocol = self.sim.key(node, PROTOCOL);
        self.sim.post(protocol, CHOOSE_PHYSARUM.to_vec());
    }

    fn tally(&mut self, change: impl FnOnce(&mut Tally)) {
        self.sim.tally().map(change);
    }
}

impl Stage for Simulated {
    type Fault = Infallible;

    fn name(&self) -> &'static str {
        "the simulator"
    }

    fn count(&self) -> usize {
        self.sim.count()
    }

    fn is_up(&self, node: usize) -> bool {
        self.sim.is_up(node)
    }

    fn now(&self) -> Duration {
        self.sim.now()
    }

    fn turns(&self) -> u64 {
        self.sim.turns()
    }

    fn tree(&self) -> Vec<(usize, usize)> {
        self.sim.counts().map(Tally::tree).unwrap_or_default()
    }

    fn add(&mut self, contacts: &[usize], clock: Clock) -> Result<(), Infallible> {
        let node = self.sim.node(None);
        self.sim.peers(node, contacts);
        self.sim.drift(node, clock.drift);
        self.sim.skew(node, clock.skew);
        let role = Role {
            name: PROTOCOL.into(),
            world: World::Protocol,
            component: self.component.clone(),
            grants: BTreeMap::new(),
            open: false,
        };
        self.sim.place(node, role);
        self.brief(node);
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<(), Infallible> {
        self.sim.run_for(time);
        Ok(())
    }

    fn begin(&mut self, senders: &[usize], bytes: usize) -> Result<(), Infallible> {
        let now = nanoseconds(self.sim.now());
        let up: Vec<bool> = (0..self.sim.count()).map(|node| self.sim.is_up(node)).collect();
        let tally = self.sim.tally();
        let bodies = tally.map(|tally| tally.begin(now, senders, &up, bytes));
        for (sender, body) in senders.iter().zip(bodies.unwrap_or_default()) {
            self.sim.publish_at(*sender, TOPIC, &body);
        }
        Ok(())
    }

    fn until(&mut self, end: Duration) -> Result<(), Infallible> {
        let end = nanoseconds(end);
        while !self.sim.tally().is_none_or(|tally| tally.done()) && self.sim.step(end) {}
        Ok(())
    }

    fn finish(&mut self) -> Result<Finished, Infallible> {
        let tally = self.sim.tally();
        Ok(tally.map_or_else(Default::default, |tally| {
            let missing = tally.missing();
            (tally.finish(), missing)
        }))
    }

    fn crash(&mut self, node: usize) -> Result<(), Infallible> {
        self.sim.crash(node);
        self.tally(|tally| tally.gone(node));
        Ok(())
    }

    fn restart(&mut self, node: usize, fresh: bool) -> Result<(), Infallible> {
        if fresh {
            self.sim.wipe(node);
        }
        self.sim.restart(node);
        self.brief(node);
        Ok(())
    }

    fn leave(&mut self, node: usize) -> Result<(), Infallible> {
        self.sim.leave(node);
        self.crash(node)
    }

    fn pause(&mut self, node: usize, time: Duration) -> Result<(), Infallible> {
        self.sim.pause(node, time);
        Ok(())
    }

    fn split(&mut self, sides: &[u32]) -> Result<(), Infallible> {
        self.sim.split(sides);
        Ok(())
    }

    fn heal(&mut self) -> Result<(), Infallible> {
        self.sim.heal();
        Ok(())
    }

    fn cut(&mut self, a: usize, b: usize) -> Result<(), Infallible> {
        self.sim.cut(a, b);
        Ok(())
    }

    fn cut_one_way(&mut self, from: usize, to: usize) -> Result<(), Infallible> {
        self.sim.cut_one_way(from, to);
        Ok(())
    }

    fn mend(&mut self, a: usize, b: usize) -> Result<(), Infallible> {
        self.sim.mend(a, b);
        Ok(())
    }

    fn neighbours(&mut self) -> Result<Vec<Vec<usize>>, Infallible> {
        Ok((0..self.sim.count()).map(|node| self.sim.neighbours(node)).collect())
    }

    fn connected(&self, a: usize, b: usize) -> bool {
        self.sim.connected(a, b)
    }

    fn rtt(&self, a: usize, b: usize) -> u64 {
        self.sim.rtt(a, b)
    }
}
