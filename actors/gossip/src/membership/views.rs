//! Nodes that a node knows besides its neighbours.

use std::collections::VecDeque;
use std::time::Duration;

use crate::chance::Chance;
use crate::event::Node;
use crate::limits::{AGAIN_FIRST, AGAIN_LAST, FORGET, FORMER, LOST, PASSIVE, PROBE, PROBES};
use crate::saved::saved;
use crate::wire::Entry;

/// HyParView's passive view, with ages: names of nodes that are gone grow old and are let go of.
#[derive(Debug, Default)]
pub struct Passive {
    known: Vec<Known>,
    /// Names that made room for others, the latest last: few of `known` may be left one day.
    former: VecDeque<Node>,
}

saved!(Passive { known, former });

#[derive(Debug)]
struct Known {
    entry: Entry,
    /// Not to be tried before this time.
    not_before: Duration,
    wait: Duration,
    /// It was tried, and did not answer.
    gone: bool,
}

saved!(Known { entry, not_before, wait, gone });

impl Passive {
    /// Takes a name in. Where there is no room, one that did not answer goes, else the oldest: the
    /// few names that still stand for somebody after a crash of many are not to be lost.
    pub fn add(&mut self, entry: Entry, chance: &mut Chance) {
        if let Some(known) = self.known.iter_mut().find(|known| known.entry.node == entry.node) {
            known.entry.age = known.entry.age.min(entry.age);
            return;
        }
        let wait = AGAIN_FIRST / 4;
        let known = Known { entry, not_before: Duration::ZERO, wait, gone: false };
        if self.known.len() < PASSIVE {
            return self.known.push(known);
        }
        if let Some(gone) = self.known.iter_mut().find(|known| known.gone) {
            *gone = known;
            return;
        }
        let oldest = self.known.iter().map(|known| known.entry.age).max().unwrap_or(0);
        let of_age = |known: &Known| known.entry.age == oldest;
        let count = self.known.iter().filter(|known| of_age(known)).count();
        let drawn = chance.below(count);
        let places = self.known.iter_mut().filter(|known| of_age(known));
        let place = places.into_iter().nth(drawn).filter(|_| oldest >= entry.age);
        let former = place.map(|place| std::mem::replace(place, known).entry.node);
        if let Some(node) = former.filter(|node| !self.former.contains(node)) {
            if self.former.len() == FORMER {
                self.former.pop_front();
            }
            self.former.push_back(node);
        }
    }

    /// Takes the last of the former names in again. `false`: there is none, or no room.
    pub fn recall(&mut self, chance: &mut Chance) -> bool {
        if !self.has_room() {
            return false;
        }
        let node = self.former.pop_back();
        node.map(|node| self.add(Entry { node, age: u8::MAX }, chance)).is_some()
    }

    /// Whether a name that is not there can be taken in for none, or for one that did not answer.
    pub fn has_room(&self) -> bool {
        self.known.len() < PASSIVE || self.known.iter().any(|known| known.gone)
    }

    /// It did not answer. A name that is not there already is not taken in for that.
    pub fn gone(&mut self, now: Duration, node: &Node) {
        self.put_off(now, node);
        if let Some(known) = self.known.iter_mut().find(|known| known.entry.node == *node) {
            known.gone = true;
        }
    }

    /// It can't be reached for now, or has no room.
    pub fn put_off(&mut self, now: Duration, node: &Node) {
        if let Some(known) = self.known.iter_mut().find(|known| known.entry.node == *node) {
            known.wait = (known.wait * 2).min(AGAIN_LAST);
            known.not_before = now + known.wait;
        }
    }

    /// It can be tried at once.
    pub fn put_on(&mut self, node: &Node) {
        if let Some(known) = self.known.iter_mut().find(|known| known.entry.node == *node) {
            known.gone = false;
            known.not_before = Duration::ZERO;
            known.wait = AGAIN_FIRST / 4;
        }
    }

    pub fn remove(&mut self, node: &Node) {
        self.known.retain(|known| known.entry.node != *node);
    }

    /// One that may be tried now and is none of these.
    pub fn candidate(
        &self,
        now: Duration,
        chance: &mut Chance,
        none_of: impl Fn(&Node) -> bool,
    ) -> Option<Node> {
        let ready = |known: &&Known| known.not_before <= now && !none_of(&known.entry.node);
        let ready: Vec<Node> =
            self.known.iter().filter(ready).map(|known| known.entry.node).collect();
        chance.pick(&ready)
    }

    /// When the next one may be tried, if none may be now.
    pub fn next(&self) -> Option<Duration> {
        self.known.iter().map(|known| known.not_before).min()
    }

    /// Up to so many of them.
    pub fn sample(&self, count: usize, chance: &mut Chance) -> Vec<Entry> {
        let mut all: Vec<Entry> = self.known.iter().map(|known| known.entry).collect();
        chance.shuffle(&mut all);
        all.truncate(count);
        all
    }

    /// A shuffle has passed.
    pub fn grow_older(&mut self) {
        for known in &mut self.known {
            known.entry.age = known.entry.age.saturating_add(1);
        }
    }

    pub fn contains(&self, node: &Node) -> bool {
        self.known.iter().any(|known| known.entry.node == *node)
    }

    pub fn len(&self) -> usize {
        self.known.len()
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

    /// Whether there are any.
    pub fn any(&self) -> bool {
        !self.nodes.is_empty()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn entry(number: usize, age: u8) -> Entry {
        Entry { node: [number as u8; 32], age }
    }

    #[test]
    fn a_name_that_did_not_answer_goes_first_and_the_oldest_next() {
        let (mut passive, mut chance) = (Passive::default(), Chance::new(1));
        for number in 0..PASSIVE {
            assert!(passive.has_room());
            passive.add(entry(number, if number == 3 { 9 } else { 1 }), &mut chance);
        }
        assert!(!passive.has_room());
        // Who has no room now answers: it is no reason to forget it.
        passive.put_off(NOW, &entry(4, 0).node);
        assert!(!passive.has_room());
        passive.gone(NOW, &entry(5, 0).node);
        assert!(passive.has_room());
        passive.add(entry(100, 0), &mut chance);
        assert!(!passive.contains(&entry(5, 0).node) && !passive.has_room());
        passive.add(entry(101, 0), &mut chance);
        assert!(!passive.contains(&entry(3, 0).node));
        assert_eq!(passive.len(), PASSIVE);
        // One that answers again is like any other.
        passive.gone(NOW, &entry(6, 0).node);
        passive.put_on(&entry(6, 0).node);
        assert!(!passive.has_room());
    }

    #[test]
    fn names_that_made_room_come_back_when_others_did_not_answer() {
        let (mut passive, mut chance) = (Passive::default(), Chance::new(1));
        for number in 0..PASSIVE + FORMER + 9 {
            passive.add(entry(number, 1), &mut chance);
            assert!(!passive.recall(&mut chance), "it would take the place of a name that is good");
        }
        let known = |passive: &Passive| {
            let is_known = |number: &usize| passive.contains(&entry(*number, 0).node);
            (0..PASSIVE + FORMER + 9).filter(is_known).collect::<Vec<_>>()
        };
        let before = known(&passive);
        let mut all = BTreeSet::new();
        for _ in 0..FORMER + 9 {
            all.extend(known(&passive));
            let tried = passive.candidate(NOW, &mut chance, |_| false).unwrap();
            passive.gone(NOW, &tried);
            passive.recall(&mut chance);
        }
        assert_eq!((before.len(), all.len(), passive.len()), (PASSIVE, PASSIVE + FORMER, PASSIVE));
    }
}
