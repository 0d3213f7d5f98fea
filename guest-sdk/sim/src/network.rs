//! The network between simulated nodes: delays, losses, cuts, and what was on its way meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::ActorKey;
use crate::event::Parcel;

/// How one pair of nodes, or all of them, are connected.
///
/// Letters and link data travel over a transport: a lost datagram costs them time, a doubled one is
/// dropped, and their order holds for each pair of actors. Publications, where no protocol carries
/// them, are bare datagrams: they meet loss, doubling and reordering as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Shortest and longest time of a datagram from node to node.
    pub delay: (Duration, Duration),
    /// Share of datagrams that are lost, 0 to 1.
    pub loss: f64,
    /// Share that arrive twice.
    pub duplicate: f64,
    /// Share that later ones may overtake.
    pub reorder: f64,
    /// A connection without a sign of life for so long is broken.
    pub patience: Duration,
}

impl Default for Network {
    fn default() -> Self {
        let delay = (Duration::from_millis(1), Duration::from_millis(20));
        let patience = Duration::from_secs(10);
        Self { delay, loss: 0.0, duplicate: 0.0, reorder: 0.0, patience }
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
    /// Waits for the outage's end.
    pub held: Vec<Parcel>,
}

/// All roads between nodes.
#[derive(Default)]
pub(crate) struct Roads {
    pub usual: Network,
    pub special: BTreeMap<Pair, Network>,
    pub cuts: BTreeSet<Pair>,
    pub outages: BTreeMap<Pair, Outage>,
    pub last: BTreeMap<(ActorKey, ActorKey), u64>,
    /// Datagrams lost and doubled so far.
    pub lost: u64,
    pub doubled: u64,
}

/// The time that one datagram more takes to be missed and sent again, beyond a round trip.
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
            let network = self.of(pair(from.node, to.node)).clone();
            at = now + draw(&network, chance);
            let mut tries = 0;
            while tries < TRIES && chance.happens(network.loss) {
                at += nanoseconds(network.delay.1) * 2 + RETRANSMIT;
                tries += 1;
            }
            self.lost += u64::from(tries);
            self.doubled += u64::from(chance.happens(network.duplicate));
        }
        let last = self.last.entry((from, to)).or_default();
        // Never the same instant, so that order is plain to see.
        *last = at.max(*last + 1);
        *last
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
        let network = self.of(pair(from.node, to.node)).clone();
        if chance.happens(network.loss) {
            self.lost += 1;
            return Vec::new();
        }
        let mut at = now + draw(&network, chance);
        if chance.happens(network.reorder) {
            at += chance.below(nanoseconds(network.delay.1) * 4);
        } else {
            let last = self.last.entry((from, to)).or_default();
            *last = at.max(*last + 1);
            at = *last;
        }
        let mut copies = vec![at];
        if chance.happens(network.duplicate) {
            self.doubled += 1;
            copies.push(at + draw(&network, chance));
        }
        copies
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos().try_into().unwrap_or(u64::MAX)
}

fn draw(network: &Network, chance: &mut Chance) -> u64 {
    let (least, most) = (nanoseconds(network.delay.0), nanoseconds(network.delay.1));
    least + chance.below(most.saturating_sub(least) + 1)
}
