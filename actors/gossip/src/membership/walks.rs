//! Walks: how the names of nodes spread, and who is behind them.

use std::time::Duration;

use super::{Act, Membership};
use crate::event::Node;
use crate::limits::{PEERS, TOKENS, WALK, WALK_NOTE};
use crate::wire::{Entry, Want, Wire};

impl Membership {
    pub(super) fn walk(
        &mut self,
        now: Duration,
        from: u32,
        node: Node,
        left: u8,
        acts: &mut Vec<Act>,
    ) {
        if self.me == Some(node) {
            return;
        }
        let left = left.min(WALK);
        if left == WALK_NOTE {
            self.meet(Entry { node, age: 0 });
        }
        let stranger = !self.knows_link(&node);
        let room = if left == 0 { self.wanted() + 1 } else { self.wanted() };
        if stranger && self.count() < room {
            return self.open(now, node, Want::Offer, acts);
        }
        let others = self.others(from);
        if left > 0
            && let Some(next) = self.chance.pick(&others)
        {
            acts.push(Act::Say(next, Wire::Walk { node, left: left - 1 }));
        }
    }

    pub(super) fn begin_shuffle(&mut self, acts: &mut Vec<Act>) {
        self.passive.grow_older();
        let links = self.others(u32::MAX);
        let Some(link) = self.chance.pick(&links) else { return };
        // The neighbour adds this node, whose id it knows better.
        let peers = self.some_peers(3, PEERS - 1);
        let token = self.chance.next();
        acts.push(Act::Say(link, Wire::Shuffle { token, left: WALK, peers }));
    }

    pub(super) fn shuffle(
        &mut self,
        from: u32,
        (token, left): (u64, u8),
        mut peers: Vec<Entry>,
        acts: &mut Vec<Act>,
    ) {
        if left == WALK
            && peers.len() < PEERS
            && let Some(member) = self.links.get(&from)
        {
            peers.push(Entry { node: member.node, age: 0 });
        }
        let others = self.others(from);
        match self.chance.pick(&others).filter(|_| left > 0) {
            Some(next) => {
                if self.tokens.len() == TOKENS {
                    self.tokens.pop_front();
                }
                self.tokens.push_back((token, from));
                acts.push(Act::Say(next, Wire::Shuffle { token, left: left.min(WALK) - 1, peers }));
            }
            None => {
                let answer = self.some_peers(3, PEERS);
                acts.push(Act::Say(from, Wire::Shuffled { token, peers: answer }));
                self.meet_all(&peers);
            }
        }
    }

    pub(super) fn shuffled(&mut self, token: u64, peers: Vec<Entry>, acts: &mut Vec<Act>) {
        match self.tokens.iter().position(|(own, _)| *own == token) {
            Some(at) => {
                let back = self.tokens.remove(at).map(|(_, link)| link);
                if let Some(back) = back.filter(|back| self.is_active(*back)) {
                    acts.push(Act::Say(back, Wire::Shuffled { token, peers }));
                }
            }
            // This node's own, or one whose way was forgotten.
            None => self.meet_all(&peers),
        }
    }

    pub(super) fn meet(&mut self, entry: Entry) {
        if self.me != Some(entry.node) {
            self.passive.add(entry, &mut self.chance);
        }
    }

    pub(super) fn meet_all(&mut self, peers: &[Entry]) {
        // Who has lost neighbours and looks for others does not let go of names untried for those
        // that they have.
        let short = self.lost.any() && self.count() < self.wanted();
        for entry in peers {
            if !short || self.passive.has_room() {
                self.meet(*entry);
            }
        }
    }

    /// Names to give to others: so many neighbours at most, unless hardly anyone else is known.
    /// (Who becomes a neighbour of two neighbours closes a triangle: the overlay needs wide ones.)
    pub(super) fn some_peers(&mut self, near: usize, count: usize) -> Vec<Entry> {
        let near = if self.passive.len() < PEERS { PEERS / 2 } else { near };
        let mut peers: Vec<Entry> =
            self.active().map(|(_, member)| Entry { node: member.node, age: 0 }).collect();
        self.chance.shuffle(&mut peers);
        peers.truncate(near);
        let rest = count.saturating_sub(peers.len());
        let known = self.passive.sample(rest, &mut self.chance);
        let new = known.into_iter().filter(|entry| !peers.iter().any(|p| p.node == entry.node));
        let new: Vec<Entry> = new.collect();
        peers.extend(new);
        peers
    }

    pub(super) fn others(&self, link: u32) -> Vec<u32> {
        self.active().map(|(other, _)| other).filter(|other| *other != link).collect()
    }
}
