//! Who are this node's neighbours: HyParView, as a pure machine.
//!
//! After Leitão, Pereira and Rodrigues (HyParView, DSN 2007; X-BOT, SRDS 2009), with these
//! differences: a neighbour is one only when both ends have said so; nobody is ever pushed out to
//! make room, but a node with too many neighbours introduces them to each other and lets those two
//! go (so a join costs no storm); each end of a neighbourhood has its reason; neighbours that were
//! lost are looked for again, slowly.

mod grow;
mod member;
mod nearer;
mod physarum;
mod rule;
mod views;
mod walks;

use std::collections::VecDeque;
use std::time::Duration;

use crate::chance::Chance;
use crate::event::{Counts, Node};
use crate::few::Few;
use crate::limits::{
    ACTIVE, CONTACTS, CROWD, LINKS, MESH, OPTIMISE, PATIENCE, PEERS, SETTLED, SHUFFLE, TICK, WALKS,
};
use crate::saved::saved;
use crate::wire::{Entry, Want, Why, Wire};
use member::{End, Member, Phase};
use physarum::Conductivity;
pub use rule::Rule;
use views::{Lost, Passive};

/// The membership part of a node.
#[derive(Debug)]
pub struct Membership {
    origin: u64,
    /// This node's id, as others call it.
    me: Option<Node>,
    /// Whom it gives up for another.
    rule: Rule,
    links: Few<u32, Member>,
    /// Nodes that a link was asked for to, what for, and when.
    opening: Few<Node, (Want, Duration)>,
    passive: Passive,
    contacts: Few<Node, ()>,
    lost: Lost,
    /// Shuffles on their way, and where they came from.
    tokens: VecDeque<(u64, u32)>,
    /// When the node first had a neighbour: until then all is urgent.
    since: Option<Duration>,
    shuffle_at: Duration,
    optimise_at: Duration,
    tick_at: Duration,
    chance: Chance,
}

saved!(Membership {
    origin,
    me,
    rule,
    links,
    opening,
    passive,
    contacts,
    lost,
    tokens,
    since,
    shuffle_at,
    optimise_at,
    tick_at,
    chance,
});

/// What the membership asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// Open a link.
    Connect(Node),
    /// Close one.
    Disconnect(u32),
    /// Say something.
    Say(u32, Wire),
    /// There is a new neighbour.
    Up(u32),
    /// A neighbour is none any more. `true`: without a word.
    Down(u32, bool),
}

impl Membership {
    /// A node that knows nobody.
    pub fn new(origin: u64, seed: u64) -> Self {
        Self {
            origin,
            me: None,
            rule: Rule::default(),
            links: Few::default(),
            opening: Few::default(),
            passive: Passive::default(),
            contacts: Few::default(),
            lost: Lost::default(),
            tokens: VecDeque::new(),
            since: None,
            shuffle_at: Duration::ZERO,
            optimise_at: Duration::ZERO,
            tick_at: Duration::ZERO,
            chance: Chance::new(seed),
        }
    }

    /// The neighbours.
    pub fn active(&self) -> impl Iterator<Item = (u32, &Member)> {
        let active = self.links.iter().filter(|(_, member)| member.phase == Phase::Active);
        active.map(|(link, member)| (*link, member))
    }

    /// Whether the node at the other end of a link is a neighbour.
    pub fn is_active(&self, link: u32) -> bool {
        self.links.get(&link).is_some_and(|member| member.phase == Phase::Active)
    }

    /// By what neighbours are chosen from now on.
    pub fn choose_by(&mut self, rule: Rule) {
        self.rule = rule;
    }

    /// By what neighbours are chosen.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Notes which links messages go over, and with how many each was the first since last time.
    pub fn mark(&mut self, now: Duration, mut traffic: impl FnMut(u32) -> (bool, u32)) {
        for (link, member) in self.links.iter_mut() {
            let (useful, firsts) = traffic(*link);
            member.useful = useful;
            if firsts > 0 {
                member.flow.grow(now, firsts);
            }
        }
    }

    /// Whether messages are still taken from the other end of a link: what a neighbour sent before
    /// it heard that it is none any more counts.
    pub fn listens(&self, link: u32) -> bool {
        let phase = self.links.get(&link).map(|member| member.phase);
        matches!(phase, Some(Phase::Active | Phase::Over))
    }

    /// How many links are up, neighbours' or not.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// When [`tick`](Self::tick) is due.
    pub fn wake(&self) -> Duration {
        self.tick_at
    }

    /// The host says that a node can be reached.
    pub fn reachable(&mut self, now: Duration, node: Node) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.contacts.len() < CONTACTS {
            self.contacts.insert(node, ());
        }
        self.meet(Entry { node, age: 0 });
        self.passive.put_on(&node);
        if self.lost.remove(&node) {
            self.open(now, node, Want::Again, &mut acts);
        }
        self.fill(now, &mut acts);
        acts
    }

    /// A link is up.
    pub fn up(&mut self, now: Duration, link: u32, node: Node) -> Vec<Act> {
        let mut acts = Vec::new();
        if self.links.len() >= LINKS && !self.links.contains_key(&link) {
            // No room even to listen; but others to try.
            self.meet(Entry { node, age: 0 });
            let (origin, peers) = (self.origin, self.some_peers(0, PEERS));
            let no = Wire::Welcome { accepted: false, origin, you: node, peers };
            return vec![Act::Say(link, no), Act::Disconnect(link)];
        }
        let mut asked = self.opening.remove(&node);
        // Up once more: both ends had opened it. What was said before may be lost.
        match self.links.get(&link).map(|member| (member.node, member.phase)) {
            Some((known, Phase::Active)) if known == node => return acts,
            Some((known, Phase::Asked(want))) if known == node => asked = Some((want, now)),
            _ => {}
        }
        if asked.is_some_and(|(want, _)| self.comes_late(link, want)) {
            return vec![Act::Disconnect(link)];
        }
        let phase = asked.map_or(Phase::Opened, |(want, _)| Phase::Asked(want));
        let member = Member {
            node,
            origin: 0,
            phase,
            since: now,
            rtt: None,
            biased: false,
            useful: false,
            flow: Conductivity::default(),
            walks: 0,
        };
        self.links.insert(link, member);
        if let Some((want, _)) = asked {
            acts.push(Act::Say(link, Wire::Hello { want, origin: self.origin, you: node }));
        }
        acts
    }

    /// A link is down, or did not come up. `there`: the node is, but closed it.
    pub fn down(
        &mut self,
        now: Duration,
        link: u32,
        node: Node,
        there: bool,
        counts: &mut Counts,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        let asked = self.opening.remove(&node);
        let member = self.links.remove(&link);
        match member.map(|member| member.phase) {
            Some(Phase::Active) => {
                acts.push(Act::Down(link, true));
                let end = if there { End::Closed } else { End::Crashed };
                end.count(counts);
                self.ended(now, node, end);
            }
            // It did not even answer: its protocol is not there, or has no room for a link.
            Some(Phase::Asked(_) | Phase::Offered(_)) => self.passive.put_off(now, &node),
            None if asked.is_some() && there => self.passive.put_off(now, &node),
            None if asked.is_some() => self.passive.gone(now, &node),
            Some(Phase::Opened | Phase::Over) | None => {}
        }
        self.fill(now, &mut acts);
        acts
    }

    /// A link's round-trip time was measured.
    pub fn rtt(&mut self, link: u32, rtt: Duration) {
        if let Some(member) = self.links.get_mut(&link) {
            member.rtt = Some(rtt);
        }
    }

    /// A link's round-trip time, if it is known.
    pub fn rtt_of(&self, link: u32) -> Option<Duration> {
        self.links.get(&link)?.rtt
    }

    /// A neighbour, or one to be, says something.
    pub fn hear(&mut self, now: Duration, link: u32, wire: Wire, counts: &mut Counts) -> Vec<Act> {
        let mut acts = Vec::new();
        let Some(member) = self.links.get_mut(&link) else {
            return acts;
        };
        let active = member.phase == Phase::Active;
        if matches!(wire, Wire::Walk { .. } | Wire::Shuffle { .. } | Wire::Introduce { .. }) {
            member.walks += 1;
            if member.walks > WALKS {
                counts.hasty += 1;
                return acts;
            }
        }
        match wire {
            Wire::Hello { want, origin, you } => {
                self.hello(now, link, (want, origin, you), counts, &mut acts);
            }
            Wire::Welcome { accepted, origin, you, peers } => {
                member.origin = origin;
                self.me.get_or_insert(you);
                self.meet_all(&peers);
                self.welcome(now, link, accepted, counts, &mut acts);
            }
            Wire::Walk { node, left } if active => self.walk(now, link, node, left, &mut acts),
            Wire::Shuffle { token, left, peers } if active => {
                self.shuffle(link, (token, left), peers, &mut acts);
            }
            Wire::Shuffled { token, peers } => self.shuffled(token, peers, &mut acts),
            Wire::Leave { why, instead } => {
                self.left(now, link, (why, instead), counts, &mut acts);
            }
            Wire::Introduce { node } if active => {
                let want = Want::Instead(member.node);
                self.open(now, node, want, &mut acts);
            }
            Wire::Shed if active && !member.useful && self.count() > self.wanted() => {
                self.leave(now, link, Why::Surplus, None, counts, &mut acts);
            }
            Wire::Nearer { rtt_us, old } => {
                let rtt = Duration::from_micros(rtt_us.into());
                self.nearer(now, link, (rtt, old), counts, &mut acts);
            }
            // Not now, or not from one who is no neighbour.
            _ => {}
        }
        self.fill(now, &mut acts);
        acts
    }

    /// The pulse. `patience` is how much longer than usual this node waits for others.
    pub fn tick(&mut self, now: Duration, patience: u32) -> Vec<Act> {
        let mut acts = Vec::new();
        let young = self.since.is_some_and(|since| now < since + TICK * 3);
        self.tick_at = now + if young { TICK / 4 } else { TICK };
        let late = |since: Duration| since + PATIENCE * (1 + patience) <= now;
        for member in self.links.values_mut() {
            member.walks = 0;
        }
        let idle = |member: &Member| member.phase != Phase::Active && late(member.since);
        let over: Vec<u32> =
            self.links.iter().filter(|(_, member)| idle(member)).map(|(link, _)| *link).collect();
        for link in over {
            if let Some(member) = self.links.remove(&link) {
                self.passive.put_off(now, &member.node);
            }
            acts.push(Act::Disconnect(link));
        }
        let given_up: Vec<Node> =
            self.opening.iter().filter(|(_, (_, at))| late(*at)).map(|(node, _)| *node).collect();
        for node in given_up {
            self.opening.remove(&node);
            self.passive.gone(now, &node);
        }
        self.shed(now, &mut acts);
        if now >= self.shuffle_at && self.count() > 0 {
            self.shuffle_at = now + self.settling(now, SHUFFLE);
            self.begin_shuffle(&mut acts);
        }
        let settled = self.since.is_some_and(|since| now >= since + SETTLED);
        if settled && now >= self.optimise_at && self.count() >= ACTIVE {
            self.optimise_at = now + self.settling(now, OPTIMISE);
            self.look_nearer(now, &mut acts);
        }
        if let Some(node) = self.lost.due(now, &mut self.chance)
            && !self.knows_link(&node)
        {
            self.open(now, node, Want::Again, &mut acts);
        }
        if self.count() == 0 {
            let chance = &mut self.chance;
            let contacts: Vec<Node> = self.contacts.keys().copied().collect();
            if let Some(contact) = chance.pick(&contacts) {
                self.meet(Entry { node: contact, age: 0 });
            }
        }
        self.fill(now, &mut acts);
        acts
    }

    /// How many neighbours there are.
    pub fn count(&self) -> usize {
        self.active().count()
    }

    /// How many this node wants.
    fn wanted(&self) -> usize {
        let open = self.links.values().map(|member| &member.node);
        let others = open.filter(|node| !self.passive.contains(node)).count();
        let known = self.passive.len() + others;
        if known <= MESH { known } else { ACTIVE }
    }

    /// A time that is short while the node is new.
    fn settling(&mut self, now: Duration, time: Duration) -> Duration {
        let age = now.saturating_sub(self.since.unwrap_or(now));
        let time = if age < time {
            time / 10
        } else if age < time * 6 {
            time / 4
        } else {
            time
        };
        self.chance.about(time)
    }

    fn knows_link(&self, node: &Node) -> bool {
        self.opening.contains_key(node) || self.links.values().any(|member| member.node == *node)
    }

    /// Whether there is room for one who wants this.
    fn has_room(&self, want: Want) -> bool {
        let count = self.count();
        match want {
            Want::Join | Want::High | Want::Again => count < CROWD,
            // Both ends let a neighbour go for it.
            Want::Instead(_) => count <= self.wanted() + 1,
            Want::Low | Want::Offer => count <= self.wanted(),
            Want::Probe => false,
        }
    }
}
