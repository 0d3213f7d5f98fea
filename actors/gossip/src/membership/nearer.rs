//! Nearer neighbours in place of farther ones: X-BOT's idea (Leitão and others, SRDS 2009).
//!
//! Four nodes take part: this one, its farthest neighbour `old`, a candidate that is nearer, and
//! the candidate's farthest neighbour. The two in the middle become neighbours, and the two that
//! are let go are told of each other, so that all keep as many as they had.
//! [`UNBIASED`](crate::limits::UNBIASED) neighbours of a node are never given up for this, but once
//! each for a node that is drawn from all, which the first neighbours of a new node are not.
//!
//! By the Physarum-like rule it is not the farthest that is given up but the one that has brought
//! hardly anything first, for whomever: ways are tried, and those that bring news stay.

use std::time::Duration;

use super::{Act, Member, Membership, Phase, Rule};
use crate::event::{Counts, Node};
use crate::limits::{PEERS, SETTLED};
use crate::wire::{Want, Why, Wire};

impl Membership {
    /// Measures the way to a node that might be nearer than a neighbour.
    pub(super) fn look_nearer(&mut self, now: Duration, acts: &mut Vec<Act>) {
        if self.spare(now, None).is_none() || self.count() < self.wanted() {
            return;
        }
        if let Some(node) = self.candidate(now) {
            self.open(now, node, Want::Probe, acts);
        }
    }

    /// The round trip on a probing link is known.
    pub(super) fn measured(&mut self, now: Duration, link: u32, acts: &mut Vec<Act>) {
        let spare = self.spare(now, None);
        let Some(member) = self.links.get_mut(&link) else { return };
        let rtt = member.rtt.unwrap_or(Duration::MAX);
        match spare {
            Some((_, old, old_rtt)) if rtt < old_rtt.saturating_mul(4) / 5 => {
                member.phase = Phase::Offered(old);
                member.since = now;
                let rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
                acts.push(Act::Say(link, Wire::Nearer { rtt_us, old }));
            }
            _ => {
                let node = member.node;
                self.links.remove(&link);
                acts.push(Act::Disconnect(link));
                self.passive.put_off(now, &node);
            }
        }
    }

    /// Another node offers to be a nearer neighbour.
    pub(super) fn nearer(
        &mut self,
        now: Duration,
        link: u32,
        (rtt, old): (Duration, Node),
        counts: &mut Counts,
        acts: &mut Vec<Act>,
    ) {
        let room = self.count() < self.wanted();
        let spare = self.spare(now, Some(old)).filter(|(_, _, theirs)| rtt < *theirs);
        let peers = self.some_peers(0, PEERS);
        let origin = self.origin;
        let Some(member) = self.links.get_mut(&link) else { return };
        if member.phase == Phase::Active {
            return;
        }
        let you = member.node;
        let accepted = room || spare.is_some();
        acts.push(Act::Say(link, Wire::Welcome { accepted, origin, you, peers }));
        if !accepted {
            return;
        }
        member.rtt.get_or_insert(rtt);
        self.activate(now, link, false, counts, acts);
        if let Some(member) = self.links.get_mut(&link) {
            member.biased = true;
        }
        if let Some((spare, ..)) = spare.filter(|_| !room) {
            self.take_after(link, spare);
            self.leave(now, spare, Why::Farther, Some(old), counts, acts);
        }
    }

    /// A new neighbour is what the one was that is given up for it: chosen for being near, or not.
    pub(super) fn take_after(&mut self, link: u32, old: u32) {
        let biased = self.links.get(&old).is_some_and(|member| member.biased);
        if let Some(member) = self.links.get_mut(&link) {
            member.biased = biased;
        }
    }

    /// The neighbour that is given up next.
    fn spare(&self, now: Duration, but: Option<Node>) -> Option<(u32, Node, Duration)> {
        self.early(but).or_else(|| self.worst(now, but))
    }

    /// One that was found while this node was new and knew only others that were: who joined at
    /// about the same time are neighbours of each other, and one after the other is given up for a
    /// node from anywhere.
    fn early(&self, but: Option<Node>) -> Option<(u32, Node, Duration)> {
        let since = self.since? + SETTLED;
        let early = |member: &Member| {
            !member.biased && !member.useful && member.since < since && Some(member.node) != but
        };
        let found = self.active().find(|(_, member)| early(member));
        found.map(|(link, member)| (link, member.node, Duration::MAX))
    }

    /// The neighbour that may be given up for one nearer than so: its link, its node, its round
    /// trip; by the Physarum-like rule for any.
    fn worst(&self, now: Duration, but: Option<Node>) -> Option<(u32, Node, Duration)> {
        // Links that messages go over stay: the tree finds nearer ones by itself first.
        let may = |member: &Member| member.biased && !member.useful && Some(member.node) != but;
        let may = self.active().filter(|(_, member)| may(member));
        if self.rule == Rule::Physarum {
            let widest = self.active().map(|(_, member)| member.flow.now(now)).max()?;
            let weak = may.filter(|(_, member)| member.flow.is_weak(now, widest));
            let weakest = weak.min_by_key(|(link, member)| (member.flow.now(now), *link));
            return weakest.map(|(link, member)| (link, member.node, Duration::MAX));
        }
        let known = may.filter_map(|(link, member)| Some((link, member.node, member.rtt?)));
        known.max_by_key(|(link, _, rtt)| (*rtt, *link))
    }
}
