//! The simulation: nodes, actors, and the queue that drives them.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::event::{Cargo, Event, Parcel};
use crate::links::Link;
use crate::network::{Chance, Roads, nanoseconds};
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
    pub(crate) links: BTreeMap<u32, Link>,
    pub(crate) next_number: u64,
    pub(crate) next_ask: u64,
    pub(crate) next_link: u32,
    pub(crate) next_outage: u64,
    pub(crate) failures: Vec<Failure>,
    pub(crate) read: fn(&[u8]) -> Option<f64>,
    pub(crate) log: VecDeque<(Duration, ActorKey, String)>,
    queue: BTreeMap<(u64, u64), Event>,
    next_event: u64,
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
/// How far apart the nodes' clocks are.
const SKEW: u64 = 100_000_000;

impl Simulation {
    /// An empty simulation. All chance comes from `seed`.
    pub fn new(seed: u64, network: Network) -> Self {
        Self {
            now: 0,
            chance: Chance::new(seed),
            trace: Trace::default(),
            nodes: Vec::new(),
            actors: BTreeMap::new(),
            components: BTreeMap::new(),
            roads: Roads { usual: network, ..Roads::default() },
            links: BTreeMap::new(),
            next_number: 0,
            next_ask: 0,
            next_link: 0,
            next_outage: 0,
            failures: Vec::new(),
            read: |_| None,
            log: VecDeque::new(),
            queue: BTreeMap::new(),
            next_event: 0,
            turns: 0,
        }
    }

    /// Adds a node and gives its index. `reading` is what its sensors read.
    pub fn node(&mut self, reading: Option<f64>) -> usize {
        let index = self.nodes.len();
        let booted_at = self.now + 1 + self.chance.below(BOOT);
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
        });
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
        while let Some(next) = self.queue.first_entry() {
            let at = next.key().0;
            if at > end {
                break;
            }
            let event = next.remove();
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// A hash of all that happened until now.
    pub fn trace(&self) -> String {
        self.trace.text()
    }

    /// Turns taken so far.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Datagrams lost and doubled so far.
    pub fn datagrams(&self) -> (u64, u64) {
        (self.roads.lost, self.roads.doubled)
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
        self.next_event += 1;
        self.queue.insert((at, self.next_event), event);
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

    fn happen(&mut self, event: Event) {
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
        }
    }
}
