//! A scenario's steps, one after the other, on whatever stage.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::healing::Healing;
use super::report::{METRICS, Report};
use super::row::Row;
use super::{Clock, Number, Overlay, Picture, Scenario, Senders, Stage, Step};
use crate::Baseline;
use crate::network::{Chance, nanoseconds, pair};

/// A scenario on a stage: make one, [`play`](Play::play) it.
pub struct Play<S> {
    pub(super) stage: S,
    scenario: Scenario,
    chance: Chance,
    seed: u64,
    crashed: Vec<usize>,
    healing: Option<Healing>,
    baseline: Option<Baseline>,
    far: Far,
    picture: Option<Picture>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Far {
    /// Rounds that are over.
    pub rounds: u32,
    /// How many there are to be.
    pub of: u32,
    /// The same, each second of a wait counted as a round: to draw a bar.
    pub done: u64,
    /// How much that is to be.
    pub all: u64,
    /// Time that has passed in the scenario.
    pub now: Duration,
}

/// As in the reference's simulator.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a body where a scenario says nothing.
const BODY: usize = 1024;
/// Between two looks at an overlay that heals.
const LOOK: Duration = Duration::from_millis(100);
/// Between two words on how far a wait is.
const SECOND: Duration = Duration::from_secs(1);

impl<S: Stage> Play<S> {
    /// The scenario's nodes, about to boot. What happens hangs on the seed alone: the same nodes
    /// send, crash and are cut off on each stage.
    ///
    /// # Errors
    /// The stage has no place for a node.
    pub fn new(scenario: Scenario, seed: u64, stage: S) -> Result<Self, S::Fault> {
        Self::with(scenario, seed, stage, None)
    }

    pub(super) fn with(
        scenario: Scenario,
        seed: u64,
        stage: S,
        baseline: Option<Baseline>,
    ) -> Result<Self, S::Fault> {
        // Not the network's chance: what happens does not hang on what is done about it.
        let chance = Chance::new(!seed);
        let mut play = Self {
            stage,
            scenario,
            chance,
            seed,
            crashed: Vec::new(),
            healing: None,
            baseline,
            far: Far::default(),
            picture: None,
        };
        play.add(play.scenario.nodes)?;
        play.stage.begun()?;
        Ok(play)
    }

    /// Puts what there is to draw in the report.
    pub fn draw(&mut self) {
        self.picture = Some(Picture::default());
    }

    /// Plays all steps. `progress` is told how far it is, after each round and second of a wait.
    ///
    /// # Errors
    /// The stage can't do a step.
    pub fn play(&mut self, progress: &mut dyn FnMut(Far)) -> Result<Report, S::Fault> {
        let mut report = Report::new(&self.scenario, self.seed, self.stage.name());
        let of = self.scenario.rounds();
        let waits = self.scenario.steps.iter().filter_map(|step| step.wait);
        let waits: u64 = waits.map(|time| time.as_secs_f64().ceil() as u64).sum();
        self.far = Far { of, all: u64::from(of) + waits, ..Far::default() };
        for step in self.scenario.steps.clone() {
            if let Some(row) = self.step(&step, progress)? {
                report.push(row);
            }
        }
        report.close();
        report.picture = self.picture()?;
        report.otherwise = self.stage.otherwise();
        report.turns = self.stage.turns();
        let metrics = METRICS.into_iter().filter(|name| self.stage.measures(name));
        report.metrics = metrics.filter_map(|name| Some((name, report.metric(name)?))).collect();
        report.virtual_s = self.stage.now().as_secs_f64();
        Ok(report)
    }

    fn add(&mut self, count: usize) -> Result<(), S::Fault> {
        for _ in 0..count {
            let node = self.stage.count();
            let contacts: Vec<usize> = match self.baseline {
                Some(baseline) => baseline.peers(node, &mut self.chance),
                None => (0..self.scenario.contacts.min(node)).collect(),
            };
            let drift = i64::from(self.scenario.drift);
            let parts = self.chance.below(2 * drift as u64 + 1) as i64 - drift;
            let skew = nanoseconds(self.scenario.skew);
            let ahead = match skew {
                0 => 0,
                most => self.chance.below(2 * most + 1) as i64 - most as i64,
            };
            self.stage.add(&contacts, Clock { drift: parts as i32, skew: ahead })?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        step: &Step,
        progress: &mut dyn FnMut(Far),
    ) -> Result<Option<Row>, S::Fault> {
        let Some(verb) = step.verb() else { return Ok(None) };
        let began = self.stage.now();
        let mut row = Row::new(step);
        let seen = self.stage.turns();
        let time = step.time.unwrap_or(TIMEOUT);
        if !matches!(verb, "rounds" | "wait" | "overlay") {
            // What comes after it heals from more than the crash.
            self.healing = None;
        }
        match verb {
            "rounds" => self.rounds(step, &mut row, progress)?,
            "wait" => self.wait(step.wait.unwrap_or_default(), progress)?,
            "crash" => {
                self.healing = Some(Healing::new(self.stage.now()));
                for node in self.some(step.crash) {
                    self.fell(node)?;
                }
            }
            "restart" => {
                for node in std::mem::take(&mut self.crashed) {
                    self.stage.restart(node, step.fresh)?;
                }
            }
            "split" => {
                let nodes = self.stage.count();
                let of = step.split.as_ref().map(|sides| sides.of(nodes, &mut self.chance));
                self.stage.split(&of.unwrap_or_default())?;
            }
            "heal" => match self.heal(step.timeout.unwrap_or(TIMEOUT * 12))? {
                Ok(seconds) => row.healed_s = Some(seconds),
                Err(parts) => row.apart = Some(parts),
            },
            "pause" => {
                for node in self.some(step.pause) {
                    self.stage.pause(node, time)?;
                }
            }
            "cut-one-way" => {
                for (a, b) in self.some_links(step.cut_one_way.unwrap_or_default())? {
                    self.stage.cut_one_way(a, b)?;
                }
            }
            "flap" => self.flap(step.flap.unwrap_or_default(), time)?,
            "join" => self.add(step.join.unwrap_or_default())?,
            "leave" => {
                for node in self.some(step.leave) {
                    self.stage.leave(node)?;
                    self.crashed.push(node);
                }
            }
            _ => row.overlay = Some(self.overlay()?),
        }
        row.seconds = (self.stage.now() - began).as_secs_f64();
        row.turns = self.stage.turns() - seen;
        row.up = self.up().len();
        row.take(self.stage.finish()?.0);
        if let Some(picture) = &mut self.picture {
            picture.delays_us.extend(row.delays_us());
        }
        row.close();
        Ok(Some(row))
    }

    fn wait(&mut self, time: Duration, progress: &mut dyn FnMut(Far)) -> Result<(), S::Fault> {
        let end = self.stage.now() + time;
        while self.stage.now() < end {
            self.stage.wait(SECOND.min(end.saturating_sub(self.stage.now())))?;
            self.tell(1, progress);
        }
        Ok(())
    }

    fn tell(&mut self, more: u64, progress: &mut dyn FnMut(Far)) {
        self.far.done = (self.far.done + more).min(self.far.all);
        self.far.now = self.stage.now();
        progress(self.far);
    }

    /// What is wanted to be drawn, as it is now.
    fn picture(&mut self) -> Result<Option<Picture>, S::Fault> {
        let Some(mut picture) = self.picture.take() else { return Ok(None) };
        (picture.up, picture.tree) = (self.up(), self.stage.tree());
        let edges = self.edges()?;
        let of = |node: usize| edges[node].iter().map(move |other| pair(node, *other));
        picture.links = picture.up.iter().flat_map(|node| of(*node)).collect();
        picture.links.sort_unstable();
        picture.links.dedup();
        Ok(Some(picture))
    }

    fn rounds(
        &mut self,
        step: &Step,
        row: &mut Row,
        progress: &mut dyn FnMut(Far),
    ) -> Result<(), S::Fault> {
        let rounds = step.rounds.unwrap_or(0);
        let timeout = self.stage.patience(step.timeout.unwrap_or(TIMEOUT));
        let mut crashes: Vec<u32> =
            (0..step.crashing).map(|_| self.chance.below(rounds.into()) as u32).collect();
        crashes.sort_unstable();
        // What was under way before belongs to no round.
        self.stage.finish()?;
        for round in 0..rounds {
            let began = self.stage.now();
            let senders = self.senders(step.senders);
            self.stage.begin(&senders, step.bytes.unwrap_or(BODY))?;
            for _ in crashes.iter().filter(|crash| **crash == round) {
                let soon = self.chance.below(100_000_000);
                self.stage.until(began + Duration::from_nanos(soon))?;
                let up: Vec<_> =
                    self.up().into_iter().filter(|node| !senders.contains(node)).collect();
                // Who sends does not crash, and may be the last one.
                let Some(node) = up.get(self.chance.below(up.len() as u64) as usize) else { break };
                self.fell(*node)?;
            }
            self.stage.until(began + timeout)?;
            let (told, missing) = self.stage.finish()?;
            let all = told.delivered == told.expected && told.expected > 0;
            if let Some(healing) = &mut self.healing {
                row.heal_cycles = healing.round(began, all, self.scenario.cycle);
                row.unhealed = healing.could();
                self.healing = self.healing.filter(|_| row.heal_cycles.is_none());
            }
            row.round(told, missing);
            if let Some(every) = step.every {
                self.stage.wait((began + every).saturating_sub(self.stage.now()))?;
            }
            self.far.rounds += 1;
            self.tell(1, progress);
        }
        Ok(())
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
        (0..self.stage.count()).filter(|node| self.stage.is_up(*node)).collect()
    }

    /// So many of the nodes that are up, or this share of them.
    fn some(&mut self, number: Option<Number>) -> Vec<usize> {
        let mut up = self.up();
        let count = number.map_or(0, |number| number.of(up.len()));
        for at in 0..count {
            let other = at + self.chance.below((up.len() - at) as u64) as usize;
            up.swap(at, other);
        }
        up.truncate(count);
        up
    }

    fn some_links(&mut self, share: f64) -> Result<Vec<(usize, usize)>, S::Fault> {
        let graph = self.stage.neighbours()?;
        let of = |node: usize| graph[node].iter().map(move |to| pair(node, *to));
        let mut links: Vec<_> = self.up().into_iter().flat_map(of).collect();
        links.sort_unstable();
        links.dedup();
        links.retain(|_| self.chance.happens(share));
        Ok(links)
    }

    fn fell(&mut self, node: usize) -> Result<(), S::Fault> {
        self.crashed.push(node);
        self.stage.crash(node)
    }

    fn flap(&mut self, share: f64, time: Duration) -> Result<(), S::Fault> {
        let cut = self.some_links(share)?;
        for (a, b) in &cut {
            self.stage.cut(*a, *b)?;
        }
        self.stage.wait(time)?;
        cut.iter().try_for_each(|(a, b)| self.stage.mend(*a, *b))
    }

    /// Seconds until all nodes are one overlay, or how many they are after all the time there was.
    fn heal(&mut self, timeout: Duration) -> Result<Result<f64, usize>, S::Fault> {
        self.stage.heal()?;
        let began = self.stage.now();
        loop {
            self.stage.wait(LOOK)?;
            let (parts, now) = (self.overlay()?.components, self.stage.now());
            if parts == 1 {
                return Ok(Ok((now - began).as_secs_f64()));
            }
            if now >= began + timeout {
                return Ok(Err(parts));
            }
        }
    }

    fn overlay(&mut self) -> Result<Overlay, S::Fault> {
        let (edges, up) = (self.edges()?, self.up());
        Ok(Overlay::of(&edges, &up, |a, b| self.stage.rtt(a, b)))
    }

    /// Each node's neighbours that it can reach, in order.
    fn edges(&mut self) -> Result<Vec<Vec<usize>>, S::Fault> {
        let (links, up) = (self.stage.neighbours()?, self.up());
        let open = |node: usize, other: &usize| {
            self.stage.is_up(*other) && self.stage.connected(node, *other)
        };
        let mut edges: Vec<Vec<usize>> = vec![Vec::new(); links.len()];
        for &node in &up {
            edges[node] = links[node].iter().copied().filter(|other| open(node, other)).collect();
            edges[node].sort_unstable();
            edges[node].dedup();
        }
        Ok(edges)
    }
}
