//! How neighbourhoods begin and end.

use std::time::Duration;

use super::{Act, Conductivity, End, Membership, Phase};
use crate::event::{Counts, Node};
use crate::limits::{ACTIVE, LINKS, PEERS, SILENT, UNBIASED, WALK};
use crate::wire::{Entry, Want, Why, Wire};

/// Neighbours below which it is urgent to find more.
const FEW: usize = 2;
/// Pairs of neighbours that are introduced to each other at once.
const SHED_AT_ONCE: usize = 8;
/// A node with one neighbour too many asks about this many ticks later whether it may go.
const SHED_ONE_IN: usize = 10;
/// Walks for one who joins.
const JOIN_WALKS: usize = 4;

impl Membership {
    /// Tries for more neighbours where they are too few.
    pub(super) fn fill(&mut self, now: Duration, acts: &mut Vec<Act>) {
        let wanted = self.wanted();
        let asked = self.links.values().filter(|m| matches!(m.phase, Phase::Asked(_))).count();
        let mut have = self.count();
        let want = match have {
            0 if self.since.is_none() => Want::Join,
            0..FEW => Want::High,
            _ => Want::Low,
        };
        // After a loss, one that is slow to answer is most likely gone too: the next one is tried
        // beside it.
        let lost = self.lost.any();
        let opening = self.opening.values();
        have += asked + opening.filter(|(_, at)| !lost || now < *at + SILENT).count();
        while have < wanted && self.links.len() + self.opening.len() < LINKS {
            let mut candidate = self.candidate(now);
            while candidate.is_none() && lost && self.passive.recall(&mut self.chance) {
                candidate = self.candidate(now);
            }
            let Some(node) = candidate else {
                // As soon as one that was put off may be tried.
                if let Some(next) = self.passive.next().filter(|next| *next > now) {
                    self.tick_at = self.tick_at.min(next);
                }
                break;
            };
            self.open(now, node, want, acts);
            have += 1;
        }
        if lost && self.count() < wanted {
            let silent = self.opening.values().map(|(_, at)| *at + SILENT);
            self.tick_at = silent.filter(|at| *at > now).fold(self.tick_at, Duration::min);
        }
    }

    /// One to try now, of the names that stand for no neighbour.
    pub(super) fn candidate(&mut self, now: Duration) -> Option<Node> {
        let known = |node: &Node| self.knows_link(node) || self.me == Some(*node);
        let mut chance = self.chance.clone();
        let candidate = self.passive.candidate(now, &mut chance, known);
        self.chance = chance;
        candidate
    }

    /// Whether a node that was tried beside others answers when enough of those have.
    pub(super) fn comes_late(&self, link: u32, want: Want) -> bool {
        let tried = matches!(want, Want::High | Want::Low) && !self.links.contains_key(&link);
        tried && self.lost.any() && self.count() >= self.wanted()
    }

    pub(super) fn open(&mut self, now: Duration, node: Node, want: Want, acts: &mut Vec<Act>) {
        if self.me == Some(node) || self.knows_link(&node) || self.links.len() >= LINKS {
            return;
        }
        self.opening.insert(node, (want, now));
        acts.push(Act::Connect(node));
    }

    pub(super) fn hello(
        &mut self,
        now: Duration,
        link: u32,
        (want, origin, you): (Want, u64, Node),
        counts: &mut Counts,
        acts: &mut Vec<Act>,
    ) {
        self.me.get_or_insert(you);
        let room = self.has_room(want);
        let peers = self.some_peers(0, PEERS);
        let own = self.origin;
        let Some(member) = self.links.get_mut(&link) else { return };
        member.origin = origin;
        let node = member.node;
        // Both opened at once: both want it.
        let both = matches!(member.phase, Phase::Asked(asked) if asked != Want::Probe);
        let active = member.phase == Phase::Active;
        let accepted = active || both && want != Want::Probe || room;
        acts.push(Act::Say(link, Wire::Welcome { accepted, origin: own, you: node, peers }));
        if accepted && !active {
            self.activate(now, link, want == Want::Again, counts, acts);
            if let Want::Instead(old) = want {
                self.leave_node(now, old, counts, acts);
            }
        }
        if want == Want::Join {
            let mut others = self.others(link);
            self.chance.shuffle(&mut others);
            for other in others.into_iter().take(JOIN_WALKS) {
                acts.push(Act::Say(other, Wire::Walk { node, left: WALK }));
            }
        }
        self.meet(Entry { node, age: 0 });
    }

    pub(super) fn welcome(
        &mut self,
        now: Duration,
        link: u32,
        accepted: bool,
        counts: &mut Counts,
        acts: &mut Vec<Act>,
    ) {
        let Some(member) = self.links.get_mut(&link) else { return };
        let (node, phase) = (member.node, member.phase);
        match phase {
            Phase::Asked(Want::Probe) if !accepted => {
                member.rtt.get_or_insert(now.saturating_sub(member.since));
                self.measured(now, link, acts);
            }
            Phase::Asked(want) if accepted => {
                self.activate(now, link, want == Want::Again, counts, acts);
                if let Want::Instead(old) = want {
                    self.leave_node(now, old, counts, acts);
                }
            }
            Phase::Offered(old) if accepted => {
                self.activate(now, link, false, counts, acts);
                if let Some(old) = self.link_to(old) {
                    self.take_after(link, old);
                    self.leave(now, old, Why::Replaced, None, counts, acts);
                }
            }
            Phase::Asked(_) | Phase::Offered(_) => {
                self.passive.put_off(now, &node);
                self.links.remove(&link);
                acts.push(Act::Disconnect(link));
            }
            _ => {}
        }
    }

    pub(super) fn activate(
        &mut self,
        now: Duration,
        link: u32,
        again: bool,
        counts: &mut Counts,
        acts: &mut Vec<Act>,
    ) {
        let unbiased = self.active().filter(|(_, member)| !member.biased).count();
        let flow = Conductivity::among(now, self.active().map(|(_, member)| member.flow));
        let Some(member) = self.links.get_mut(&link) else { return };
        member.phase = Phase::Active;
        member.flow = flow;
        member.biased = unbiased >= UNBIASED;
        let node = member.node;
        self.passive.put_on(&node);
        self.passive.remove(&node);
        let lost = self.lost.remove(&node);
        counts.found_again += u64::from(again || lost);
        if self.since.is_none() {
            self.since = Some(now);
            self.tick_at = self.tick_at.min(now + crate::limits::TICK / 4);
        }
        acts.push(Act::Up(link));
    }

    /// Lets a neighbour go, if that node is one.
    pub(super) fn leave_node(
        &mut self,
        now: Duration,
        node: Node,
        counts: &mut Counts,
        acts: &mut Vec<Act>,
    ) {
        if let Some(link) = self.link_to(node) {
            self.leave(now, link, Why::Replaced, None, counts, acts);
        }
    }

    fn link_to(&self, node: Node) -> Option<u32> {
        self.active().find(|(_, member)| member.node == node).map(|(link, _)| link)
    }

    pub(super) fn leave(
        &mut self,
        now: Duration,
        link: u32,
        why: Why,
        instead: Option<Node>,
        counts: &mut Counts,
        acts: &mut Vec<Act>,
    ) {
        let Some(member) = self.links.get_mut(&link) else { return };
        member.phase = Phase::Over;
        member.since = now;
        let node = member.node;
        acts.push(Act::Say(link, Wire::Leave { why, instead }));
        acts.push(Act::Down(link, false));
        let end = End::LetGo(why);
        end.count(counts);
        self.ended(now, node, end);
    }

    /// What follows when a node is no neighbour any more.
    pub(super) fn ended(&mut self, now: Duration, node: Node, end: End) {
        match end {
            End::Crashed => return self.lost.add(now, node),
            End::Closed => self.meet(Entry { node, age: 1 }),
            End::Left(_) | End::LetGo(_) => self.meet(Entry { node, age: 0 }),
        }
        // Nor is who takes a neighbour and lets it go at once asked at once.
        if !matches!(end, End::LetGo(_)) {
            self.passive.put_off(now, &node);
        }
    }

    /// The other end let this node go, and leaves it to close the link.
    pub(super) fn left(
        &mut self,
        now: Duration,
        link: u32,
        (why, instead): (Why, Option<Node>),
        counts: &mut Counts,
        acts: &mut Vec<Act>,
    ) {
        let Some(member) = self.links.remove(&link) else { return };
        let end = End::Left(why);
        if member.phase == Phase::Active {
            end.count(counts);
            acts.push(Act::Down(link, false));
        }
        acts.push(Act::Disconnect(link));
        self.ended(now, member.node, end);
        if let Some(node) = instead {
            self.meet(Entry { node, age: 0 });
            if self.count() < self.wanted() {
                self.open(now, node, Want::Low, acts);
            }
        }
    }

    /// Too many neighbours: pairs of them are introduced to each other.
    pub(super) fn shed(&mut self, _now: Duration, acts: &mut Vec<Act>) {
        let wanted = self.wanted();
        let count = self.count();
        if count <= wanted.max(ACTIVE) {
            return;
        }
        let mut active: Vec<(u32, Node, bool)> =
            self.active().map(|(link, member)| (link, member.node, member.useful)).collect();
        self.chance.shuffle(&mut active);
        let (mut active, others): (Vec<_>, Vec<_>) =
            active.into_iter().partition(|(.., useful)| *useful);
        active.extend(others);
        if count == wanted + 1 && self.chance.below(SHED_ONE_IN) > 0 {
            return; // One more than wanted does no harm: no hurry.
        }
        // Some have too many as well, and agree to part; others are introduced to each other.
        let surplus = active.split_off(wanted);
        for (link, ..) in &surplus[..surplus.len().div_ceil(2)] {
            acts.push(Act::Say(*link, Wire::Shed));
        }
        for pair in surplus.chunks_exact(2).take(SHED_AT_ONCE) {
            acts.push(Act::Say(pair[0].0, Wire::Introduce { node: pair[1].1 }));
        }
    }
}
