//! What a test does to the nodes' surroundings, and sees of them.

use std::time::Duration;

use crate::event::Cargo;
use crate::network::{nanoseconds, pair};
use crate::simulation::Simulation;
use crate::{ActorKey, Edge, LinkEvent, Machine, Network, Reading, Tally};

impl Simulation {
    /// Whom a node's protocols are told of when it boots; without this, all other nodes.
    pub fn peers(&mut self, node: usize, peers: &[usize]) {
        self.nodes[node].peers = Some(peers.to_vec());
    }

    /// A node's wall clock, as the time since 1970 at virtual time 0. `None`: it doesn't know the
    /// time.
    pub fn wall(&mut self, node: usize, wall: Option<Duration>) {
        self.nodes[node].wall = wall.map(nanoseconds);
    }

    /// Sets a node's wall clock, if it knows the time, forward by so many nanoseconds.
    pub fn skew(&mut self, node: usize, ahead: i64) {
        let wall = &mut self.nodes[node].wall;
        *wall = wall.map(|wall| wall.saturating_add_signed(ahead));
    }

    /// How many parts per million a node's clock goes too fast (below 0: too slow). Timers that
    /// run go on as they were.
    pub fn drift(&mut self, node: usize, parts: i32) {
        self.nodes[node].drift = parts.clamp(-500_000, 500_000).into();
    }

    /// Forgets a node's durable values, as a new disk does. For a node that is down.
    pub fn wipe(&mut self, node: usize) {
        for key in self.on(node) {
            if let Some(actor) = self.actors.get_mut(&key) {
                actor.desk.wipe();
            }
        }
    }

    /// Somebody on a node publishes on a topic.
    pub fn publish_at(&mut self, node: usize, topic: [u8; 16], body: &[u8]) {
        for protocol in self.protocols(node) {
            let (topic, body) = (topic.to_vec(), body.to_vec());
            self.local(protocol, Cargo::Link(LinkEvent::Published { topic, body }), 0);
        }
    }

    /// Stops a node's actors, which tells their neighbours.
    pub fn leave(&mut self, node: usize) {
        for key in self.on(node) {
            self.drop_links(key);
        }
    }

    /// A round trip between two nodes without losses and queues, on average: nanoseconds.
    pub fn rtt(&self, a: usize, b: usize) -> u64 {
        self.roads.rtt(a, b)
    }

    /// The counts, to read.
    pub fn counts(&self) -> Option<&Tally> {
        self.tally.as_deref()
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes[node].up
    }

    /// How many nodes there are, up or down.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The nodes to which a node has links that both ends know of.
    pub fn neighbours(&self, node: usize) -> Vec<usize> {
        self.links.neighbours(node).collect()
    }

    /// Counts from now on what goes over links.
    pub fn count_with(&mut self, tally: Tally) {
        self.tally = Some(Box::new(tally));
    }

    /// What was counted.
    pub fn tally(&mut self) -> Option<&mut Tally> {
        self.tally.as_deref_mut()
    }

    /// Connects two nodes otherwise than the rest.
    pub fn road(&mut self, a: usize, b: usize, network: Network) {
        self.roads.special.insert(pair(a, b), network);
    }

    /// A new reading of one of a node's sensors.
    pub fn reading(&mut self, node: usize, sensor: &str, value: f64) {
        self.trace.note(&(self.now, node, sensor, value.to_bits()));
        let at = self.now.saturating_sub(self.nodes[node].booted_at);
        self.nodes[node].sensors.insert(sensor.to_owned(), Reading { value, at });
    }

    /// A change on an input pin, seen by the actor that holds it.
    pub fn edge(&mut self, node: usize, pin: &str, level: bool) {
        let at = self.now.saturating_sub(self.nodes[node].booted_at);
        let edge = Edge { pin: 0, level, at, sequence: 1, dropped: 0 };
        for key in self.on(node) {
            self.local(key, Cargo::Edge { pin: pin.to_owned(), edge }, 0);
        }
    }

    /// Ends a pin's lease: it goes low and its holder is told.
    pub fn expire(&mut self, node: usize, pin: &str) {
        for key in self.on(node) {
            self.local(key, Cargo::Expired { pin: pin.to_owned() }, 0);
        }
    }

    /// A letter from outside, as an administrator sends one.
    pub fn post(&mut self, to: ActorKey, body: Vec<u8>) {
        let cargo = Cargo::Letter { body, carried: Vec::new(), reply: None, token: 0 };
        self.local(to, cargo, 0);
    }

    /// The level of an output pin: false where none of the node's actors has driven it.
    pub fn pin(&self, node: usize, pin: &str) -> bool {
        let actors = self.of(node);
        actors.filter_map(|(_, actor)| actor.desk.pins.get(pin)).any(|level| *level)
    }

    /// An actor's present incarnation, to look into. One that is not running has had no `start`.
    pub fn machine(&self, actor: ActorKey) -> Option<&dyn Machine> {
        self.actors.get(&actor).map(|actor| &*actor.machine)
    }
}
