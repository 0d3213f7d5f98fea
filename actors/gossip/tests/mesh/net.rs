//! A network of cores on a virtual clock: links with delay, loss and full queues, cuts and crashes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use gossip::{Core, Input, Output, Stream, What};

pub const TOPIC: [u8; 16] = [7; 16];

/// SplitMix64: all chance of a run comes from one seed.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive { to: usize, from: usize, session: u64, frame: Arc<[u8]> },
    Room { node: usize, to: usize, session: u64 },
    Tick { node: usize, life: u64 },
    Open { from: usize, to: usize },
    Closed { to: usize, from: usize, there: bool },
}

struct Node {
    core: Core,
    life: u64,
    delivered: BTreeMap<Vec<u8>, u32>,
}

struct Edge {
    session: u64,
    /// When the last frame arrives, in each direction: links keep order.
    last: [Duration; 2],
    queued: [usize; 2],
    blocked: [bool; 2],
}

pub struct Net {
    pub now: Duration,
    pub chance: Chance,
    /// In thousandths; whole frames vanish.
    pub loss: u64,
    /// Bytes that a direction of a link holds, but always one frame: a node's queue is longer than
    /// the longest frame.
    pub queue: usize,
    pub frames: u64,
    /// Pairs that can't reach each other.
    pub cut: BTreeSet<(usize, usize)>,
    /// Nodes of which nothing is heard any more, though their links are up.
    pub mute: BTreeSet<usize>,
    /// A node, and another that has the same id.
    pub twins: Option<(usize, usize)>,
    /// What came to this node, to be said again.
    pub overheard: Option<(usize, Vec<Arc<[u8]>>)>,
    nodes: Vec<Node>,
    edges: BTreeMap<(usize, usize), Edge>,
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    count: u64,
}

impl Net {
    pub fn new(seed: u64, nodes: usize) -> Self {
        let mut net = Net {
            now: Duration::ZERO,
            chance: Chance(seed),
            loss: 0,
            queue: usize::MAX,
            frames: 0,
            cut: BTreeSet::new(),
            mute: BTreeSet::new(),
            twins: None,
            overheard: None,
            nodes: Vec::new(),
            edges: BTreeMap::new(),
            events: BinaryHeap::new(),
            count: 0,
        };
        for _ in 0..nodes {
            net.add();
        }
        net
    }

    pub fn add(&mut self) -> usize {
        let epoch = self.chance.below(u64::MAX);
        self.add_core(self.nodes.len() as u64, epoch)
    }

    pub fn add_core(&mut self, origin: u64, epoch: u64) -> usize {
        let node = self.nodes.len();
        let core = Core::new(origin, epoch);
        self.nodes.push(Node { core, life: epoch, delivered: BTreeMap::new() });
        let first = Duration::from_millis(self.chance.below(1000));
        self.at(first, Event::Tick { node, life: epoch });
        node
    }

    /// What stands for a node's messages in their names.
    pub fn stream(&self, node: usize) -> Stream {
        Stream { origin: node as u64, epoch: self.nodes[node].life }
    }

    /// Something is said that no core says.
    pub fn say(&mut self, from: usize, to: usize, frame: Vec<u8>) {
        self.transmit(from, to as u32, What::Control, frame.into());
    }

    pub fn core(&self, node: usize) -> &Core {
        &self.nodes[node].core
    }

    pub fn core_of(&mut self, node: usize) -> &mut Core {
        &mut self.nodes[node].core
    }

    /// Swaps a node's core for one restored from its saved bytes.
    pub fn swap(&mut self, node: usize) {
        let saved = serde_ipld_dagcbor::to_vec(&self.nodes[node].core).unwrap();
        self.nodes[node].core = serde_ipld_dagcbor::from_slice(&saved).unwrap();
    }

    /// Each node hears that it can reach the other.
    pub fn link(&mut self, a: usize, b: usize) {
        self.cut.remove(&(a.min(b), a.max(b)));
        if a != b {
            self.input(a, Input::Reachable(self.id_of(b)));
            self.input(b, Input::Reachable(self.id_of(a)));
        }
    }

    fn id_of(&self, node: usize) -> [u8; 32] {
        let twin = self.twins.filter(|(_, twin)| *twin == node);
        id(twin.map_or(node, |(first, _)| first))
    }

    /// They can't reach each other from now on.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.cut.insert((a.min(b), a.max(b)));
        self.close(a, b, false);
    }

    fn close(&mut self, a: usize, b: usize, there: bool) {
        if self.edges.remove(&(a.min(b), a.max(b))).is_some() {
            for (to, from) in [(a, b), (b, a)] {
                self.at(Duration::ZERO, Event::Closed { to, from, there });
            }
        }
    }

    fn open(&mut self, from: usize, to: usize) {
        let key = (from.min(to), from.max(to));
        if from == to || to >= self.nodes.len() || self.cut.contains(&key) {
            return self.at(Duration::ZERO, Event::Closed { to: from, from: to, there: false });
        }
        if self.edges.contains_key(&key) {
            return;
        }
        self.count += 1;
        let edge =
            Edge { session: self.count, last: [self.now; 2], queued: [0; 2], blocked: [false; 2] };
        self.edges.insert(key, edge);
        self.input(to, Input::Up(from as u32, self.id_of(from)));
        self.input(from, Input::Up(to as u32, self.id_of(to)));
    }

    pub fn edges(&self) -> Vec<(usize, usize)> {
        self.edges.keys().copied().collect()
    }

    /// A connected random graph: a random tree and some more edges.
    pub fn connect_randomly(&mut self, more: usize) {
        let nodes = self.nodes.len() as u64;
        for node in 1..nodes {
            let other = self.chance.below(node);
            self.link(node as usize, other as usize);
        }
        for _ in 0..more {
            let (a, b) = (self.chance.below(nodes), self.chance.below(nodes));
            self.link(a as usize, b as usize);
        }
    }

    pub fn publish(&mut self, node: usize, body: &[u8]) {
        self.input(node, Input::Published(TOPIC, body.to_vec()));
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Reverse((at, ..))) = self.events.peek()
            && *at <= end
        {
            let Reverse((at, _, event)) = self.events.pop().unwrap();
            self.now = at;
            self.take(event);
        }
        self.now = end;
    }

    /// How often a body was given to a node's subscribers.
    pub fn delivered(&self, node: usize, body: &[u8]) -> u32 {
        self.nodes[node].delivered.get(body).copied().unwrap_or(0)
    }

    /// Every body reached every node but its origin once, and the origin never.
    pub fn assert_complete(&self, bodies: &[(usize, Vec<u8>)]) {
        for node in 0..self.nodes.len() {
            for (origin, body) in bodies {
                let expected = u32::from(node != *origin);
                let times = self.delivered(node, body);
                let text = String::from_utf8_lossy(&body[..body.len().min(20)]);
                assert_eq!(times, expected, "{text:?} of node {origin} at node {node}");
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Tick { node, life } if self.nodes[node].life == life => {
                self.input(node, Input::Tick);
                let wake = self.nodes[node].core.wake().saturating_sub(self.now);
                // Soon enough for what an input in between may bring.
                let soon = wake.clamp(Duration::from_millis(1), Duration::from_millis(20));
                self.at(soon, Event::Tick { node, life });
            }
            Event::Open { from, to } => self.open(from, to),
            Event::Closed { to, from, there } => {
                let open = self.edges.contains_key(&(to.min(from), to.max(from)));
                if !open && to < self.nodes.len() {
                    self.input(to, Input::Down(from as u32, self.id_of(from), there));
                }
            }
            Event::Tick { .. } => {}
            Event::Arrive { to, from, session, frame } => {
                let Some(edge) = self.edges.get_mut(&(to.min(from), to.max(from))) else {
                    return;
                };
                if edge.session != session {
                    return;
                }
                let side = usize::from(from > to);
                edge.queued[side] -= frame.len();
                if std::mem::take(&mut edge.blocked[side]) {
                    self.at(Duration::ZERO, Event::Room { node: from, to, session });
                }
                if let Some((node, heard)) = &mut self.overheard
                    && *node == to
                {
                    heard.push(frame.clone());
                }
                if self.chance.below(1000) >= self.loss {
                    self.input(to, Input::Data(from as u32, frame.to_vec()));
                }
            }
            Event::Room { node, to, session } => {
                let edge = self.edges.get(&(node.min(to), node.max(to)));
                if edge.is_some_and(|edge| edge.session == session) {
                    self.input(node, Input::Writable(to as u32));
                }
            }
        }
    }

    pub fn input(&mut self, node: usize, input: Input) {
        let outputs = self.nodes[node].core.handle(self.now, input);
        for output in outputs {
            match output {
                Output::Deliver(topic, body) => {
                    // Only garbage is of another.
                    assert!(topic == TOPIC || self.overheard.is_some());
                    *self.nodes[node].delivered.entry(body).or_default() += 1;
                }
                Output::Transmit(..) if self.mute.contains(&node) => {}
                Output::Transmit(link, what, frame) => self.transmit(node, link, what, frame),
                Output::Connect(other) => {
                    let mut to = usize::from(u16::from_le_bytes([other[0], other[1]]));
                    if let Some((first, twin)) = self.twins
                        && first == to
                        && self.chance.below(2) == 0
                    {
                        to = twin;
                    }
                    self.at(Duration::from_millis(20), Event::Open { from: node, to });
                }
                Output::Disconnect(link) => {
                    let delay = Duration::from_millis(60);
                    self.edges.remove(&(node.min(link as usize), node.max(link as usize)));
                    let closed = Event::Closed { to: link as usize, from: node, there: true };
                    self.at(delay, closed);
                }
            }
        }
    }

    fn transmit(&mut self, from: usize, link: u32, what: What, frame: Arc<[u8]>) {
        let to = link as usize;
        let delay = Duration::from_micros(5_000 + self.chance.below(45_000));
        let Some(edge) = self.edges.get_mut(&(from.min(to), from.max(to))) else {
            return; // Its end is under way.
        };
        let side = usize::from(from > to);
        if edge.queued[side] > 0 && edge.queued[side] + frame.len() > self.queue {
            edge.blocked[side] = true;
            return self.input(from, Input::Refused(link, what, frame));
        }
        self.frames += 1;
        edge.queued[side] += frame.len();
        edge.last[side] = edge.last[side].max(self.now + delay);
        let (at, session) = (edge.last[side] - self.now, edge.session);
        self.at(at, Event::Arrive { to, from, session, frame });
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now + after, self.count, event)));
    }
}

/// The seed of this run: `SEED=`, else always the same.
pub fn seed() -> u64 {
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0xed6e);
    println!("SEED={seed}");
    seed
}

pub fn id(node: usize) -> [u8; 32] {
    let mut id = [0x77; 32];
    id[..2].copy_from_slice(&(node as u16).to_le_bytes());
    id
}

pub fn set_of(edges: &[(usize, usize)]) -> BTreeSet<(usize, usize)> {
    edges.iter().copied().collect()
}
