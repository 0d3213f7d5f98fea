//! Cuts and crashes: what travels meanwhile waits, comes back with its reason, or is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::{Cargo, Event, Parcel};
use crate::links::SENSED;
use crate::network::{Network, Outage, Pair, nanoseconds, pair};
use crate::simulation::Simulation;
use crate::{ActorKey, LinkEvent, Reason, Thing};

impl Simulation {
    /// Cuts the road between two nodes. What is sent now waits for the end of the cut; after
    /// [`Network::patience`] both ends take the connection for broken.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.trace.note(&("cut", self.now, a, b));
        self.roads.cuts.insert(pair(a, b));
        self.lose(pair(a, b));
    }

    /// Heals one cut.
    pub fn mend(&mut self, a: usize, b: usize) {
        self.trace.note(&("mend", self.now, a, b));
        self.roads.cuts.remove(&pair(a, b));
        self.regain(pair(a, b));
    }

    /// Cuts one direction only. The connection breaks after [`Network::patience`]: what comes the
    /// other way can't be acknowledged.
    pub fn cut_one_way(&mut self, from: usize, to: usize) {
        self.trace.note(&("cut one way", self.now, from, to));
        self.roads.one_way.insert((from, to));
        self.lose(pair(from, to));
    }

    /// Splits the nodes: those of different numbers can't reach each other. Nodes beyond the list
    /// have number 0.
    pub fn split(&mut self, sides: &[u32]) {
        self.trace.note(&("split", self.now, sides));
        self.roads.sides = sides.to_vec();
        for node in 0..self.nodes.len() {
            for other in self.nodes[node].met.clone() {
                if !self.roads.open(node, other) {
                    self.lose(pair(node, other));
                }
            }
        }
    }

    /// Heals all cuts and splits.
    pub fn heal(&mut self) {
        for (a, b) in std::mem::take(&mut self.roads.cuts) {
            self.mend(a, b);
        }
        self.trace.note(&("heal", self.now));
        self.roads.one_way.clear();
        self.roads.sides.clear();
        for pair in self.roads.outages.keys().copied().collect::<Vec<_>>() {
            self.regain(pair);
        }
    }

    /// A node stands still for a while, as a busy or suspended machine does: what reaches it
    /// waits, its timers too. After [`Network::patience`] its connections break.
    pub fn pause(&mut self, node: usize, time: Duration) {
        self.trace.note(&("pause", self.now, node, time));
        if !self.nodes[node].up || self.nodes[node].paused.is_some() {
            return;
        }
        self.nodes[node].paused = Some(Vec::new());
        self.schedule(self.now + nanoseconds(time), Event::Resume { node });
        if time > self.roads.usual.patience {
            for other in self.nodes[node].met.clone() {
                self.lose(pair(node, other));
            }
        }
    }

    /// A node goes on.
    pub(crate) fn resume(&mut self, node: usize) {
        for event in self.nodes[node].paused.take().unwrap_or_default() {
            self.happen(event);
        }
        for other in self.nodes[node].met.clone() {
            self.regain(pair(node, other));
        }
    }

    /// What became of cargo that vanished on its way: only a link's bytes do, where the network
    /// says so.
    fn lost(&mut self, parcel: Parcel) {
        if let Cargo::Data { link, class, body, .. } = parcel.cargo {
            self.give_room(link, parcel.from, class, body.len());
        }
    }

    /// Switches a node off, as if its plug were pulled: durable values stay, all else is gone.
    pub fn crash(&mut self, node: usize) {
        self.trace.note(&("crash", self.now, node));
        self.nodes[node].up = false;
        self.nodes[node].life += 1;
        self.nodes[node].sensors.retain(|name, _| !name.starts_with(SENSED));
        for key in self.on(node) {
            let Some(actor) = self.actors.get_mut(&key) else {
                continue;
            };
            if actor.parent.is_some() {
                // Its parent's next incarnation spawns it again if it wants to.
                self.actors.remove(&key);
                continue;
            }
            actor.running = false;
            actor.machine = (actor.role.component)();
            actor.timers.clear();
            actor.asks.clear();
            actor.watchers.clear();
            actor.waiting.clear();
            actor.desk.forget();
        }
        self.nodes[node].paused = None;
        self.roads.lines.remove(&node);
        self.links.forget(node);
        for other in self.nodes[node].met.clone() {
            self.lose(pair(node, other));
        }
    }

    /// Switches a node on again.
    pub fn restart(&mut self, node: usize) {
        self.trace.note(&("restart", self.now, node));
        if self.nodes[node].up {
            return;
        }
        let life = self.nodes[node].life;
        self.schedule(self.now, Event::Boot { node, life });
    }

    /// Changes the network for all roads that have none of their own.
    pub fn network(&mut self, network: Network) {
        self.roads.usual = network;
    }

    /// A node is up: it meets its peers.
    pub(crate) fn booted(&mut self, node: usize) {
        for other in self.may_meet(node) {
            let pair = pair(node, other);
            if let Some(outage) = self.roads.outages.get(&pair) {
                // The other end can't take a new process for the old one.
                if self.nodes[node].life > 0 {
                    self.broken(pair, outage.number);
                }
                self.regain(pair);
            } else if self.nodes[other].up {
                self.schedule_reachable(pair);
            }
        }
    }

    /// Whether what one node sends can reach another now.
    pub(crate) fn connected(&self, from: usize, to: usize) -> bool {
        from == to
            || (self.nodes[from].up
                && self.nodes[to].up
                && self.roads.open(from, to)
                && !self.roads.outages.get(&pair(from, to)).is_some_and(|o| o.stops(from)))
    }

    /// The nodes that a node has met, may tell of itself, or may be told of.
    fn may_meet(&self, node: usize) -> BTreeSet<usize> {
        let mut others = self.nodes[node].met.clone();
        match &self.nodes[node].peers {
            Some(peers) => others.extend(peers),
            None => others.extend(0..self.nodes.len()),
        }
        let all = self.nodes.iter().enumerate();
        let knows =
            |peers: &Option<Vec<usize>>| peers.as_ref().is_none_or(|peers| peers.contains(&node));
        others.extend(all.filter(|(_, other)| knows(&other.peers)).map(|(index, _)| index));
        others.remove(&node);
        others
    }

    /// Sends cargo on its way.
    pub(crate) fn travel(&mut self, from: ActorKey, to: ActorKey, cargo: Cargo) {
        let parcel = Parcel { from, to, cargo };
        if from.node != to.node && to.node < self.nodes.len() {
            self.nodes[from.node].met.insert(to.node);
            self.nodes[to.node].met.insert(from.node);
            let outage = self.roads.outages.get(&pair(from.node, to.node));
            if !self.roads.open(from.node, to.node) || outage.is_some_and(|o| o.stops(from.node)) {
                return self.hold(parcel);
            }
        }
        let vanish = self.roads.usual.vanish;
        if vanish > 0.0
            && from.node != to.node
            && self.chance.happens(vanish)
            && let Cargo::Data { .. } = parcel.cargo
        {
            return self.lost(parcel);
        }
        if from.node != to.node && self.bandwidth(&parcel) > 0 {
            return self.wait_for_line(parcel);
        }
        self.leave_node(parcel);
    }

    /// A parcel is on the road.
    pub(crate) fn leave_node(&mut self, parcel: Parcel) {
        let at = self.roads.transport(parcel.from, parcel.to, self.now, &mut self.chance);
        self.schedule(at, Event::Arrive { parcel, life: None });
    }

    /// Keeps a parcel until the outage that it met ends, or sends it back if that has gone on too
    /// long.
    pub(crate) fn hold(&mut self, parcel: Parcel) {
        let pair = pair(parcel.from.node, parcel.to.node);
        // A node that has not booted yet is an outage too.
        if !self.roads.outages.contains_key(&pair) {
            self.lose(pair);
        }
        match self.roads.outages.get_mut(&pair) {
            Some(outage) if !outage.broken => outage.held.push(parcel),
            _ => self.bounce(parcel, Reason::Unreachable),
        }
    }

    /// Tells a parcel's sender why it could not be given.
    pub(crate) fn bounce(&mut self, parcel: Parcel, reason: Reason) {
        let Parcel { from, to, cargo } = parcel;
        let notice = match cargo {
            Cargo::Letter { reply: Some(Thing::Reply(asker, ask)), .. } => {
                let cargo = Cargo::Settle { ask, outcome: Err(reason) };
                return self.back(from, to, asker, cargo, reason);
            }
            Cargo::Letter { token, .. } => Cargo::Failed { token, reason },
            Cargo::Watch { token } => Cargo::Gone { token, reason },
            Cargo::Hello { link } => {
                self.links.remove(link);
                let node = self.nodes[to.node].id.to_vec();
                // Whether it came to be known there or not: the connection is gone, and it with it.
                let reason = if reason == Reason::Unknown { Reason::Unreachable } else { reason };
                Cargo::Link(LinkEvent::Down { link, node, reason })
            }
            Cargo::Bye { link } => return self.break_link(link),
            // Nobody waits for the rest.
            _ => return,
        };
        self.back(from, to, from, notice, reason);
    }

    /// Two nodes notice that their connection is gone.
    pub(crate) fn broken(&mut self, pair: Pair, number: u64) {
        let Some(outage) = self.roads.outages.get_mut(&pair) else {
            return;
        };
        if outage.number != number || outage.broken {
            return;
        }
        outage.broken = true;
        for parcel in std::mem::take(&mut outage.held) {
            self.bounce(parcel, Reason::Unknown);
        }
        self.break_links(pair);
        for (here, there) in [pair, (pair.1, pair.0)] {
            for key in self.on(here) {
                let Some(actor) = self.actors.get(&key) else {
                    continue;
                };
                let asked = actor.asks.iter().filter(|(_, ask)| ask.node == there);
                for ask in asked.map(|(ask, _)| *ask).collect::<Vec<_>>() {
                    self.local(key, Cargo::Settle { ask, outcome: Err(Reason::Unknown) }, 0);
                }
            }
        }
    }

    /// By the sender's own node if that is where the failure shows, else over the network.
    fn back(
        &mut self,
        from: ActorKey,
        to: ActorKey,
        receiver: ActorKey,
        cargo: Cargo,
        why: Reason,
    ) {
        let here = matches!(why, Reason::Unreachable | Reason::Unknown);
        if here || from.node == to.node && receiver.node == to.node {
            self.local(receiver, cargo, 1);
        } else {
            self.travel(to, receiver, cargo);
        }
    }

    fn lose(&mut self, pair: Pair) {
        if self.roads.outages.contains_key(&pair) {
            return;
        }
        self.next_outage += 1;
        let number = self.next_outage;
        let up = self.nodes[pair.0].up && self.nodes[pair.1].up;
        let only = if up { self.roads.cut_one_way(pair) } else { None };
        self.roads.outages.insert(pair, Outage { number, only, ..Outage::default() });
        let patience = nanoseconds(self.roads.of(pair).patience);
        self.schedule(self.now + patience, Event::Broken { pair, number });
    }

    fn regain(&mut self, pair: Pair) {
        let up = self.nodes[pair.0].up && self.nodes[pair.1].up;
        if !up || !self.roads.open(pair.0, pair.1) || !self.roads.open(pair.1, pair.0) {
            return;
        }
        let Some(outage) = self.roads.outages.remove(&pair) else {
            return;
        };
        for Parcel { from, to, cargo } in outage.held {
            self.travel(from, to, cargo);
        }
        if outage.broken || self.nodes[pair.0].life + self.nodes[pair.1].life == 0 {
            self.schedule_reachable(pair);
        }
    }

    fn schedule_reachable(&mut self, pair: Pair) {
        if !self.knows(pair.0, pair.1) && !self.knows(pair.1, pair.0) {
            return;
        }
        let soon = self.chance.below(nanoseconds(Duration::from_millis(50)));
        self.schedule(self.now + soon, Event::Reachable { pair });
    }
}
