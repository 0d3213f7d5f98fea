//! Nodes that a node knows besides its neighbours.

use std::time::Duration;

use crate::chance::Chance;
use crate::codec::{Reader, Writer};
use crate::event::Node;
use crate::limits::{AGAIN_FIRST, AGAIN_LAST, FORGET, LOST, PASSIVE, PROBE, PROBES};
use crate::saved::{Saved, saved};
use crate::wire::Entry;

/// HyParView's passive view, with ages: names of nodes that are gone grow old and are let go of.
#[derive(Debug, Default)]
pub struct Passive(Vec<Known>);

impl Saved for Passive {
    fn save(&self, to: &mut Writer) {
        self.0.save(to);
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        Vec::restore(from).map(Self)
    }
}

#[derive(Debug)]
struct Known {
    entry: Entry,
    /// Not to be tried before this time.
    not_before: Duration,
    wait: Duration,
}

saved!(Known { entry, not_before, wait });

impl Passive {
    /// Takes a name in; the oldest of all goes where there is no room.
    pub fn add(&mut self, entry: Entry, chance: &mut Chance) {
        if let Some(known) = self.0.iter_mut().find(|known| known.entry.node == entry.node) {
            known.entry.age = known.entry.age.min(entry.age);
            return;
        }
        let known = Known { entry, not_before: Duration::ZERO, wait: AGAIN_FIRST / 4 };
        if self.0.len() < PASSIVE {
            return self.0.push(known);
        }
        let oldest = self.0.iter().map(|known| known.entry.age).max().unwrap_or(0);
        let of_age = |known: &Known| known.entry.age == oldest;
        let count = self.0.iter().filter(|known| of_age(known)).count();
        let drawn = chance.below(count);
        let places = self.0.iter_mut().filter(|known| of_age(known));
        if let Some(place) = places.into_iter().nth(drawn).filter(|_| oldest >= entry.age) {
            *place = known;
        }
    }

    /// It can't be reached for now, or has no room.
    pub fn put_off(&mut self, now: Duration, node: &Node) {
        if let Some(known) = self.0.iter_mut().find(|known| known.entry.node == *node) {
            known.wait = (known.wait * 2).min(AGAIN_LAST);
            known.not_before = now + known.wait;
        }
    }

    /// It can be tried at once.
    pub fn put_on(&mut self, node: &Node) {
        if let Some(known) = self.0.iter_mut().find(|known| known.entry.node == *node) {
            known.not_before = Duration::ZERO;
            known.wait = AGAIN_FIRST / 4;
        }
    }

    pub fn remove(&mut self, node: &Node) {
        self.0.retain(|known| known.entry.node != *node);
    }

    /// One that may be tried now and is none of these.
    pub fn candidate(
        &self,
        now: Duration,
        chance: &mut Chance,
        none_of: impl Fn(&Node) -> bool,
    ) -> Option<Node> {
        let ready = |known: &&Known| known.not_before <= now && !none_of(&known.entry.node);
        let ready: Vec<Node> = self.0.iter().filter(ready).map(|known| known.entry.node).collect();
        chance.pick(&ready)
    }

    /// When the next one may be tried, if none may be now.
    pub fn next(&self) -> Option<Duration> {
        self.0.iter().map(|known| known.not_before).min()
    }

    /// Up to so many of them.
    pub fn sample(&self, count: usize, chance: &mut Chance) -> Vec<Entry> {
        let mut all: Vec<Entry> = self.0.iter().map(|known| known.entry).collect();
        chance.shuffle(&mut all);
        all.truncate(count);
        all
    }

    /// A shuffle has passed.
    pub fn grow_older(&mut self) {
        for known in &mut self.0 {
            known.entry.age = known.entry.age.saturating_add(1);
        }
    }

    pub fn contains(&self, node: &Node) -> bool {
        self.0.iter().any(|known| known.entry.node == *node)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Neighbours that were lost without a word: perhaps it is the network that parted.
///
/// They are tried again on a token bucket, one at a time, so that two overlays that were apart
/// find each other again, and a thousand nodes that were lost at once cost no storm.
#[derive(Debug, Default)]
pub struct Lost {
    nodes: Vec<(Node, Duration)>,
    tokens: u32,
    next: Duration,
    turn: usize,
}

saved!(Lost { nodes, tokens, next, turn });

impl Lost {
    pub fn add(&mut self, now: Duration, node: Node) {
        self.remove(&node);
        if self.nodes.len() == LOST {
            self.nodes.remove(0);
        }
        self.nodes.push((node, now));
    }

    /// Whether it was there.
    pub fn remove(&mut self, node: &Node) -> bool {
        let before = self.nodes.len();
        self.nodes.retain(|(lost, _)| lost != node);
        self.nodes.len() < before
    }

    /// One to try now.
    pub fn due(&mut self, now: Duration, chance: &mut Chance) -> Option<Node> {
        if now >= self.next {
            self.next = now + chance.about(PROBE);
            self.tokens = (self.tokens + 1).min(PROBES);
        }
        self.nodes.retain(|(_, since)| *since + FORGET > now);
        if self.tokens == 0 || self.nodes.is_empty() {
            return None;
        }
        self.tokens -= 1;
        self.turn = (self.turn + 1) % self.nodes.len();
        Some(self.nodes[self.turn].0)
    }
}
