//! The simulation: nodes, actors, and the queue that drives them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::Serialize;

use crate::event::{Cargo, Event, Parcel};
use crate::links::Links;
use crate::network::{Chance, Roads, nanoseconds};
use crate::queue::Queue;
use crate::tally::Tally;
use crate::trace::Trace;
use crate::{ActorKey, Component, Desk, Machine, Network, Reading, Thing, World};

/// What a named actor of a node is made of.
#[derive(Clone)]
pub struct Role {
    /// Its name on the node, as in a manifest.
    pub name: String,
    /// Its world.
    pub world: World,
    /// Makes its incarnations.
    pub component: Component,
    /// Its grants by name; `open` grants whatever is asked for.
    pub grants: BTreeMap<String, Thing>,
    /// Whether names that are not in `grants` are granted too.
    pub open: bool,
}

/// A turn that ended in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Virtual time.
    pub at: Duration,
    /// Whose.
    pub actor: ActorKey,
    /// The error's text.
    pub why: String,
}

/// What became of datagrams on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Datagrams {
    /// Lost; sent again, where a transport carries them.
    pub lost: u64,
    /// Come twice.
    pub doubled: u64,
    /// Overtaken by others, or having them wait behind it.
    pub late: u64,
}

/// A whole cluster on one seed.
///
/// Add nodes and their actors, then [`run_for`](Simulation::run_for) and look. Nodes boot within
/// the first second, never in the same instant, as real ones do.
pub struct Simulation {
    pub(crate) now: u64,
    pub(crate) chance: Chance,
    pub(crate) trace: Trace,
    pub(crate) nodes: Vec<Node>,
    pub(crate) actors: BTreeMap<ActorKey, Actor>,
    pub(crate) components: BTreeMap<String, (World, Component)>,
    pub(crate) roads: Roads,
    pub(crate) links: Links,
    pub(crate) tally: Option<Box<Tally>>,
    pub(crate) next_number: u64,
    pub(crate) next_ask: u64,
    pub(crate) next_outage: u64,
    pub(crate) failures: Vec<Failure>,
    pub(crate) read: fn(&[u8]) -> Option<f64>,
    pub(crate) log: VecDeque<(Duration, ActorKey, String)>,
    pub(crate) queue: Queue,
    boot_within: u64,
    ids: BTreeMap<[u8; 32], usize>,
    turns: u64,
}

pub(crate) struct Node {
    pub id: [u8; 32],
    pub up: bool,
    pub life: u64,
    pub booted_at: u64,
    pub wall: Option<u64>,
    pub actors: BTreeMap<String, ActorKey>,
    pub peers: Option<Vec<usize>>,
    pub sensors: BTreeMap<String, Reading>,
    pub ambient: Option<Reading>,
    /// Nodes that it has exchanged something with.
    pub met: BTreeSet<usize>,
    /// What reaches it while it stands still.
    pub paused: Option<Vec<Event>>,
    /// Parts per million that its clock goes too fast.
    pub drift: i64,
}

impl Node {
    /// What its clock shows, if it started at its boot: nanoseconds.
    pub fn clock(&self, now: u64) -> u64 {
        let passed = now.saturating_sub(self.booted_at);
        passed.saturating_add_signed((i128::from(passed) * i128::from(self.drift) / MILLION) as i64)
    }

    /// How long a span of its clock really is.
    pub fn span(&self, time: u64) -> u64 {
        let less = i128::from(time) * i128::from(self.drift) / (MILLION + i128::from(self.drift));
        time.saturating_add_signed(-less as i64)
    }
}

pub(crate) struct Actor {
    pub role: Role,
    pub machine: Box<dyn Machine>,
    pub desk: Desk,
    pub running: bool,
    pub crashes: u32,
    pub timers: BTreeMap<u64, Timer>,
    pub asks: BTreeMap<u64, Ask>,
    pub waiting: VecDeque<Parcel>,
    pub parent: Option<(ActorKey, u64)>,
    pub watchers: Vec<(ActorKey, u64)>,
}

pub(crate) struct Timer {
    pub body: Vec<u8>,
    pub every: u64,
    pub generation: u64,
}

pub(crate) struct Ask {
    pub token: u64,
    pub node: usize,
}

/// Lines kept of all actors' logs.
const LOG_LINES: usize = 500;
/// Failures kept; a test that needs more than this has failed.
const FAILURES: usize = 1000;
/// Nodes boot within this time.
const BOOT: u64 = 1_000_000_000;
/// What clocks show when a simulation begins, about: some day in 2026.
const EPOCH: u64 = 1_780_000_000_000_000_000;
/// Drift is in millionths.
const MILLION: i128 = 1_000_000;
/// How far apart the nodes' clocks are.
const SKEW: u64 = 100_000_000;

impl Simulation {
    /// An empty simulation. All chance comes from `seed`.
    pub fn new(seed: u64, network: Network) -> Self {
        let mut chance = Chance::new(seed);
        let salt = chance.seed();
        Self {
            now: 0,
            chance,
            trace: Trace::default(),
            nodes: Vec::new(),
            actors: BTreeMap::new(),
            components: BTreeMap::new(),
            roads: Roads { usual: network, salt, ..Roads::default() },
            links: Links::default(),
            tally: None,
            next_number: 0,
            next_ask: 0,
            next_outage: 0,
            failures: Vec::new(),
            read: |_| None,
            log: VecDeque::new(),
            queue: Queue::default(),
            boot_within: BOOT,
            ids: BTreeMap::new(),
            turns: 0,
        }
    }

    /// Adds a node and gives its index. `reading` is what its sensors read.
    pub fn node(&mut self, reading: Option<f64>) -> usize {
        let index = self.nodes.len();
        let booted_at = self.now + 1 + self.chance.below(self.boot_within);
        let ambient = reading.map(|value| Reading { value, at: 0 });
        self.nodes.push(Node {
            id: self.chance.bytes(),
            up: false,
            life: 0,
            booted_at,
            wall: Some(EPOCH + self.chance.below(SKEW)),
            actors: BTreeMap::new(),
            peers: None,
            sensors: BTreeMap::new(),
            ambient,
            met: BTreeSet::new(),
            paused: None,
            drift: 0,
        });
        self.ids.insert(self.nodes[index].id, index);
        self.trace.note(&(index, reading.map(f64::to_bits)));
        self.schedule(booted_at, Event::Boot { node: index, life: 0 });
        index
    }

    /// Gives a node an actor. It starts when the node boots: add it before time passes.
    pub fn place(&mut self, node: usize, role: Role) -> ActorKey {
        let key = self.key(node, &role.name);
        self.add(key, role, None);
        key
    }

    /// The key of a node's named actor, which may be placed later: so actors can be granted each
    /// other.
    pub fn key(&mut self, node: usize, name: &str) -> ActorKey {
        let next = ActorKey { node, number: self.next_number };
        let key = *self.nodes[node].actors.entry(name.to_owned()).or_insert(next);
        self.next_number += u64::from(key == next);
        key
    }

    /// The actor of this name on a node.
    pub fn named(&self, node: usize, name: &str) -> Option<ActorKey> {
        self.nodes.get(node)?.actors.get(name).copied()
    }

    /// What a `child` grant of this name spawns.
    pub fn component(&mut self, name: &str, world: World, component: Component) {
        self.components.insert(name.to_owned(), (world, component));
    }

    /// A node's actors, children included, in the order they came.
    pub fn on(&self, node: usize) -> Vec<ActorKey> {
        self.of(node).map(|(key, _)| *key).collect()
    }

    /// What a published reading says, if a body is one: sensors named `topic:NAME` read what is
    /// published on the topic NAME. Without this, nothing is a reading.
    pub fn read(&mut self, read: fn(&[u8]) -> Option<f64>) {
        self.read = read;
    }

    /// A node's id.
    pub fn id(&self, node: usize) -> [u8; 32] {
        self.nodes[node].id
    }

    /// Virtual time.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now)
    }

    /// Lets virtual time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now.saturating_add(nanoseconds(time));
        while self.step(end) {}
        self.now = end;
    }

    /// Lets virtual time pass up to the next happening, if that is before `end` (virtual time in
    /// nanoseconds).
    pub(crate) fn step(&mut self, end: u64) -> bool {
        let Some((at, event)) = self.queue.pop_until(end) else {
            return false;
        };
        self.now = at;
        self.happen(event);
        true
    }

    /// How long the nodes that are added from now on take to boot, at most.
    pub fn boot_within(&mut self, time: Duration) {
        self.boot_within = nanoseconds(time).max(1);
    }

    /// The node of this id.
    pub fn of_id(&self, id: &[u8]) -> Option<usize> {
        self.ids.get(id).copied()
    }

    /// A hash of all that happened until now.
    pub fn trace(&self) -> String {
        self.trace.text()
    }

    /// Turns taken so far.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Datagrams lost, doubled and late so far.
    pub fn datagrams(&self) -> Datagrams {
        Datagrams { lost: self.roads.lost, doubled: self.roads.doubled, late: self.roads.late }
    }

    /// Turns that ended in an error, the first thousand.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The latest lines of all actors' logs.
    pub fn log(&self) -> impl Iterator<Item = &(Duration, ActorKey, String)> {
        self.log.iter()
    }

    pub(crate) fn of(&self, node: usize) -> impl Iterator<Item = (&ActorKey, &Actor)> {
        let key = |number| ActorKey { node, number };
        self.actors.range(key(0)..=key(u64::MAX))
    }

    pub(crate) fn add(&mut self, key: ActorKey, role: Role, parent: Option<(ActorKey, u64)>) {
        let desk = Desk::new(key, role.world, role.open, role.grants.clone());
        let machine = (role.component)();
        self.actors.insert(
            key,
            Actor {
                role,
                machine,
                desk,
                running: false,
                crashes: 0,
                timers: BTreeMap::new(),
                asks: BTreeMap::new(),
                waiting: VecDeque::new(),
                parent,
                watchers: Vec::new(),
            },
        );
    }

    pub(crate) fn schedule(&mut self, at: u64, event: Event) {
        self.queue.push(at, event);
    }

    /// Something for an actor that its own node makes; it dies with the node's present life.
    pub(crate) fn local(&mut self, to: ActorKey, cargo: Cargo, after: u64) {
        let life = self.nodes.get(to.node).map(|node| node.life);
        let parcel = Parcel { from: to, to, cargo };
        self.schedule(self.now.saturating_add(after), Event::Arrive { parcel, life });
    }

    pub(crate) fn note_failure(&mut self, actor: ActorKey, why: String) {
        if self.failures.len() < FAILURES {
            self.failures.push(Failure { at: Duration::from_nanos(self.now), actor, why });
        }
    }

    pub(crate) fn note_line(&mut self, actor: ActorKey, line: String) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back((Duration::from_nanos(self.now), actor, line));
    }

    pub(crate) fn count_turn(&mut self) {
        self.turns += 1;
    }

    pub(crate) fn happen(&mut self, event: Event) {
        let here = match &event {
            Event::Arrive { parcel, .. } => Some(parcel.to.node),
            Event::Start { actor, .. } => Some(actor.node),
            _ => None,
        };
        if let Some(paused) = here.and_then(|node| self.nodes.get_mut(node)?.paused.as_mut()) {
            return paused.push(event);
        }
        let lives = |sim: &Self, node: usize, life| sim.nodes[node].life == life;
        match event {
            Event::Boot { node, life } if lives(self, node, life) => self.boot(node),
            Event::Start { actor, life } if lives(self, actor.node, life) => self.start(actor),
            Event::Boot { .. } | Event::Start { .. } => {}
            Event::Arrive { parcel, life } => {
                if life.is_none_or(|life| lives(self, parcel.to.node, life)) {
                    self.arrive(parcel);
                }
            }
            Event::Broken { pair, number } => self.broken(pair, number),
            Event::Reachable { pair } => self.tell_reachable(pair),
            Event::Resume { node } => self.resume(node),
            Event::Sent { parcel, life, again } => {
                if lives(self, parcel.from.node, life) {
                    self.sent(*parcel, again);
                }
            }
        }
    }
}
