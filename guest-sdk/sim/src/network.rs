//! The network between simulated nodes: delays, losses, cuts, and what was on its way meanwhile.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::event::Parcel;
use crate::{ActorKey, Class, Latency};

/// How one pair of nodes, or all of them, are connected.
///
/// Letters and link data travel over a transport: a lost datagram costs them time, a late one what
/// comes behind it too, a doubled one is dropped but takes its time on the line, and their order
/// holds for each pair of actors. Publications, where no protocol carries them, are bare datagrams:
/// they meet loss, doubling and reordering as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Shortest and longest time of a datagram from node to node.
    pub delay: (Duration, Duration),
    /// Whether that is drawn for each datagram, for each pair, or by a map.
    pub latency: Latency,
    /// Bytes per second that a node sends; what is more waits. 0: any number.
    pub bandwidth: u64,
    /// Share of datagrams that are lost, 0 to 1.
    pub loss: f64,
    /// Share of what protocols send over links that vanishes for good, as on a link of bare
    /// datagrams.
    pub vanish: f64,
    /// Share that arrive twice.
    pub duplicate: f64,
    /// Share that are late, by up to four times the longest delay: later ones overtake them.
    pub reorder: f64,
    /// A connection without a sign of life for so long is broken.
    pub patience: Duration,
}

impl Default for Network {
    fn default() -> Self {
        let delay = (Duration::from_millis(1), Duration::from_millis(20));
        let patience = Duration::from_secs(10);
        let (latency, bandwidth) = (Latency::Each, 0);
        let (loss, vanish, duplicate, reorder) = (0.0, 0.0, 0.0, 0.0);
        Self { delay, latency, bandwidth, loss, vanish, duplicate, reorder, patience }
    }
}

/// The simulation's only source of chance.
pub(crate) struct Chance(ChaCha8Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn seed(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From 0 up to and without `end` (0 gives 0).
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(end)) >> 64) as u64
    }

    pub fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64 <= share
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// Two nodes, the lower index first.
pub(crate) type Pair = (usize, usize);

pub(crate) fn pair(a: usize, b: usize) -> Pair {
    (a.min(b), a.max(b))
}

/// What is on its way while two nodes can't reach each other.
#[derive(Default)]
pub(crate) struct Outage {
    /// Tells this outage from later ones of the same pair.
    pub number: u64,
    /// Both ends know by now.
    pub broken: bool,
    /// Only what comes from this node is stopped.
    pub only: Option<usize>,
    /// Waits for the outage's end.
    pub held: Vec<Parcel>,
}

impl Outage {
    /// Whether what a node sends is stopped.
    pub fn stops(&self, from: usize) -> bool {
        self.broken || self.only.is_none_or(|only| only == from)
    }
}

/// What waits for a node's line.
pub(crate) type Line = BTreeMap<Class, VecDeque<Parcel>>;

/// All roads between nodes.
#[derive(Default)]
pub(crate) struct Roads {
    pub usual: Network,
    pub special: BTreeMap<Pair, Network>,
    pub cuts: BTreeSet<Pair>,
    /// Directions that are cut.
    pub one_way: BTreeSet<(usize, usize)>,
    /// The side of a split that each node is on.
    pub sides: Vec<u32>,
    /// Sets the delays of this run's pairs apart from those of others.
    pub salt: u64,
    pub outages: BTreeMap<Pair, Outage>,
    pub last: BTreeMap<(ActorKey, ActorKey), u64>,
    /// What waits for each node's line, while something is on it: by class, in order.
    pub lines: BTreeMap<usize, Line>,
    /// Datagrams lost, doubled and late so far.
    pub lost: u64,
    pub doubled: u64,
    pub late: u64,
}

/// The longest delay of an acknowledgement (RFC 9002, section 6.2).
const RETRANSMIT: u64 = 25_000_000;
/// A letter on one node takes so long: time must pass, or two actors could talk for ever in one
/// instant.
const LOCAL: u64 = 1_000;
/// More losses in a row than this are not drawn.
const TRIES: u32 = 16;

impl Roads {
    pub fn of(&self, pair: Pair) -> &Network {
        self.special.get(&pair).unwrap_or(&self.usual)
    }

    /// Whether no cut keeps what one node sends from another.
    pub fn open(&self, from: usize, to: usize) -> bool {
        let side = |node: usize| self.sides.get(node).copied().unwrap_or(0);
        side(from) == side(to)
            && (self.cuts.is_empty() || !self.cuts.contains(&pair(from, to)))
            && (self.one_way.is_empty() || !self.one_way.contains(&(from, to)))
    }

    /// The sender whose direction alone is cut.
    pub fn cut_one_way(&self, (a, b): Pair) -> Option<usize> {
        match (self.open(a, b), self.open(b, a)) {
            (false, true) => Some(a),
            (true, false) => Some(b),
            _ => None,
        }
    }

    /// A round trip without losses and queues, on average.
    pub fn rtt(&self, a: usize, b: usize) -> u64 {
        let network = self.of(pair(a, b));
        let (least, most) = (nanoseconds(network.delay.0), nanoseconds(network.delay.1));
        match network.latency.between((a, b), (least, most), self.salt) {
            Some(delay) => delay.saturating_mul(2),
            None => least.saturating_add(most),
        }
    }

    /// When something sent now over the transport arrives: after all that was sent before it.
    pub fn transport(
        &mut self,
        from: ActorKey,
        to: ActorKey,
        now: u64,
        chance: &mut Chance,
    ) -> u64 {
        let mut at = now + LOCAL;
        if from.node != to.node {
            let network = *self.of(pair(from.node, to.node));
            at = now + self.draw(from.node, to.node, chance);
            if network.loss > 0.0 {
                at += self.losses(from.node, to.node, network.loss, chance);
            }
            at += self.lateness(&network, chance);
            if network.bandwidth == 0 {
                self.doubled += u64::from(chance.happens(network.duplicate));
            }
        }
        let last = self.last.entry((from, to)).or_default();
        // Never the same instant, so that order is plain to see.
        *last = at.max(*last + 1);
        *last
    }

    /// What losses cost: each is noticed after a probe timeout (RFC 9002, section 6.2: the
    /// round trip, four times its variation, and the longest delay of an acknowledgement), which
    /// doubles.
    fn losses(&mut self, from: usize, to: usize, loss: f64, chance: &mut Chance) -> u64 {
        let timeout = self.rtt(from, to) / 8 * 9 + RETRANSMIT;
        let (mut cost, mut tries) = (0, 0);
        while tries < TRIES && chance.happens(loss) {
            cost += timeout << tries.min(6);
            tries += 1;
        }
        self.lost += u64::from(tries);
        cost
    }

    /// How much later than others a datagram comes.
    fn lateness(&mut self, network: &Network, chance: &mut Chance) -> u64 {
        if !chance.happens(network.reorder) {
            return 0;
        }
        self.late += 1;
        chance.below(nanoseconds(network.delay.1).saturating_mul(4))
    }

    fn draw(&self, a: usize, b: usize, chance: &mut Chance) -> u64 {
        let network = self.of(pair(a, b));
        let (least, most) = (nanoseconds(network.delay.0), nanoseconds(network.delay.1));
        let fixed = network.latency.between((a, b), (least, most), self.salt);
        fixed.unwrap_or_else(|| least + chance.below(most.saturating_sub(least) + 1))
    }

    /// When the copies of a bare datagram sent now arrive: none, one or two.
    pub fn datagram(
        &mut self,
        from: ActorKey,
        to: ActorKey,
        now: u64,
        chance: &mut Chance,
    ) -> Vec<u64> {
        if from.node == to.node {
            return vec![self.transport(from, to, now, chance)];
        }
        let network = *self.of(pair(from.node, to.node));
        if chance.happens(network.loss) {
            self.lost += 1;
            return Vec::new();
        }
        let mut at = now + self.draw(from.node, to.node, chance);
        let late = self.lateness(&network, chance);
        if late > 0 {
            at += late;
        } else {
            let last = self.last.entry((from, to)).or_default();
            *last = at.max(*last + 1);
            at = *last;
        }
        let mut copies = vec![at];
        if chance.happens(network.duplicate) {
            self.doubled += 1;
            copies.push(at + self.draw(from.node, to.node, chance));
        }
        copies
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}
