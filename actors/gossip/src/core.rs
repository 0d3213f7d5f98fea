//! The protocol as a machine: what happened goes in, what to do comes out.
//!
//! [`Membership`] decides who the neighbours are, [`Broadcast`] what they are sent. No I/O, no
//! clock, no randomness: time and seed come in. No bytes from a neighbour make it panic or grow
//! past [`crate::limits`]; they are counted in [`Counts`] and ignored.

use std::time::Duration;

use crate::broadcast::Broadcast;
use crate::event::{Counts, Input, Node, Output, What};
use crate::few::Few;
use crate::limits::TICK;
use crate::membership::{Act, Membership, Rule};
use crate::saved::saved;
use crate::wire::{Unreadable, Wire};

/// One node's part of the protocol.
#[derive(Debug)]
pub struct Core {
    members: Membership,
    broadcast: Broadcast,
    /// How much longer than usual this node waits for others: Lifeguard's local health (Dadgar,
    /// Phillips, Currey, 2017). It rises when the node itself is late, and falls when it is not.
    slow: u32,
    due: Duration,
    /// Control frames that a link did not take, in their order; all later ones wait behind them.
    unsent: Few<u32, Vec<Vec<u8>>>,
    /// When they are tried again.
    again_at: Option<Duration>,
    counts: Counts,
}

saved!(Core { members, broadcast, slow, due, unsent, again_at, counts });

/// Control frames that wait for one link.
const UNSENT: usize = 64;
/// Kinds of frames that need not be said again.
const MENDED: [&str; 6] = ["have", "get", "digest", "more", "shuffle", "shuffled"];
/// Should no word come that there is room, it is tried again after this.
const AGAIN: Duration = Duration::from_millis(50);
/// A node that is later than this at its own tick is slow.
const LATE: Duration = Duration::from_millis(500);
/// It never waits longer than so many times.
const SLOWEST: u32 = 7;

impl Core {
    /// A node without links. `origin` stays the same over restarts, `epoch` must not.
    pub fn new(origin: u64, epoch: u64) -> Self {
        Self {
            members: Membership::new(origin, origin ^ epoch),
            broadcast: Broadcast::new(origin, epoch, origin.rotate_left(32) ^ epoch),
            slow: 0,
            due: Duration::ZERO,
            unsent: Few::default(),
            again_at: None,
            counts: Counts::default(),
        }
    }

    /// Takes in what happened at `now` (time since the node started; it never goes back), and says
    /// what to do, in this order. [`wake`](Self::wake) may be another afterwards.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Reachable(node) => {
                let acts = self.members.reachable(now, node);
                self.perform(now, acts, &mut out);
            }
            Input::Up(link, node) => {
                let acts = self.members.up(now, link, node);
                self.perform(now, acts, &mut out);
            }
            Input::Down(link, node, there) => {
                self.unsent.remove(&link);
                let acts = self.members.down(now, link, node, there, &mut self.counts);
                self.perform(now, acts, &mut out);
            }
            Input::Data(link, frame) => self.data(now, link, &frame, &mut out),
            Input::Rtt(link, rtt) => {
                self.members.rtt(link, rtt);
                self.broadcast.rtt(link, rtt);
            }
            Input::Writable(link) => {
                self.send_again(link, &mut out);
                self.broadcast.drain(now, link, &mut out);
            }
            Input::Refused(link, What::Control, frame) => {
                self.put_off(now, link, &frame);
            }
            Input::Refused(link, what, _) => {
                self.broadcast.refused(link, what, &mut self.counts);
            }
            Input::Published(topic, body) => {
                self.broadcast.publish(now, topic, body, &mut self.counts, &mut out);
            }
            Input::Tick => self.tick(now, &mut out),
        }
        if !self.unsent.is_empty() {
            self.wait_in_line(now, &mut out);
        }
        out
    }

    /// When [`Input::Tick`] is due. Earlier or later does no harm.
    pub fn wake(&self) -> Duration {
        let wake = self.members.wake().min(self.broadcast.wake());
        self.again_at.map_or(wake, |again| again.min(wake))
    }

    /// What has happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many links are up.
    pub fn links(&self) -> usize {
        self.members.links()
    }

    /// The links to neighbours.
    pub fn neighbours(&self) -> Vec<u32> {
        self.members.active().map(|(link, _)| link).collect()
    }

    /// The nodes that they lead to.
    pub fn neighbour_nodes(&self) -> impl Iterator<Item = &Node> {
        self.members.active().map(|(_, member)| &member.node)
    }

    /// How many messages are kept for those who lack them, and what they cost in bytes.
    pub fn recent(&self) -> (usize, usize) {
        self.broadcast.recent()
    }

    /// By what neighbours are chosen from now on.
    pub fn choose_by(&mut self, rule: Rule) {
        self.members.choose_by(rule);
    }

    /// By what neighbours are chosen.
    pub fn rule(&self) -> Rule {
        self.members.rule()
    }

    fn mark(&mut self, now: Duration) {
        let broadcast = &mut self.broadcast;
        self.members.mark(now, |link| (broadcast.in_tree(link), broadcast.firsts(link)));
    }

    fn data(&mut self, now: Duration, link: u32, frame: &[u8], out: &mut Vec<Output>) {
        let wire = match Wire::decode(frame) {
            Ok(wire) => wire,
            Err(why) => {
                *match why {
                    Unreadable::Garbage => &mut self.counts.garbage,
                    Unreadable::Version(_) => &mut self.counts.other_version,
                    Unreadable::Oversized => &mut self.counts.oversized,
                } += 1;
                return;
            }
        };
        match wire {
            Wire::Post(_) if !self.members.listens(link) => {}
            Wire::Post(_)
            | Wire::Have(_)
            | Wire::Get(_)
            | Wire::Digest(_)
            | Wire::More
            | Wire::Beacon(_)
            | Wire::Attach(_)
            | Wire::Depth { .. }
            | Wire::Root
            | Wire::Sides { .. }
            | Wire::Renew { .. } => self.broadcast.hear(now, link, wire, &mut self.counts, out),
            _ => {
                self.mark(now);
                let acts = self.members.hear(now, link, wire, &mut self.counts);
                self.perform(now, acts, out);
            }
        }
    }

    /// Control frames that were not taken wait for room; past a limit the neighbour's digest mends
    /// what can be mended.
    fn put_off(&mut self, now: Duration, link: u32, frame: &[u8]) {
        // What names messages may be longer than what room there is, and a digest mends it.
        let mended = MENDED.contains(&crate::wire::kind(frame));
        let waiting = self.unsent.get(&link).map_or(0, Vec::len);
        if mended || waiting >= UNSENT {
            return self.broadcast.refused(link, What::Control, &mut self.counts);
        }
        self.unsent.or_default(link).push(frame.to_vec());
        self.again_at.get_or_insert(now + AGAIN);
    }

    fn send_again(&mut self, link: u32, out: &mut Vec<Output>) {
        for frame in self.unsent.remove(&link).unwrap_or_default() {
            out.push(Output::Transmit(link, What::Control, frame.into()));
        }
    }

    /// What is said on a link where something waits, waits behind it.
    fn wait_in_line(&mut self, now: Duration, out: &mut Vec<Output>) {
        let mut behind = Vec::new();
        out.retain(|output| match output {
            Output::Transmit(link, What::Control, frame) if self.unsent.contains_key(link) => {
                behind.push((*link, frame.clone()));
                false
            }
            _ => true,
        });
        for (link, frame) in behind {
            self.put_off(now, link, &frame);
        }
    }

    fn tick(&mut self, now: Duration, out: &mut Vec<Output>) {
        if self.due > Duration::ZERO && now > self.due + LATE {
            self.counts.stalls += 1;
            let steps = (now - self.due).as_millis() / TICK.as_millis() + 1;
            self.slow = (self.slow + steps.min(SLOWEST.into()) as u32).min(SLOWEST);
        } else if now >= self.members.wake() {
            self.slow = self.slow.saturating_sub(1);
        }
        if now >= self.members.wake() {
            self.mark(now);
            let acts = self.members.tick(now, self.slow);
            self.perform(now, acts, out);
        }
        self.broadcast.tick(now, self.slow, &mut self.counts, out);
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            for link in self.unsent.keys().copied().collect::<Vec<_>>() {
                self.send_again(link, out);
            }
        }
        self.due = self.wake();
    }

    fn perform(&mut self, now: Duration, acts: Vec<Act>, out: &mut Vec<Output>) {
        for act in acts {
            match act {
                Act::Connect(node) => out.push(Output::Connect(node)),
                Act::Disconnect(link) => {
                    // Its last words go first; what was not taken is not said any more.
                    self.unsent.remove(&link);
                    out.push(Output::Disconnect(link));
                }
                Act::Say(link, wire) => {
                    out.push(Output::Transmit(link, What::Control, wire.encode().into()));
                }
                Act::Up(link) => self.broadcast.up(now, link, self.members.rtt_of(link), out),
                Act::Down(link, lost) => self.broadcast.down(now, link, lost, out),
            }
        }
    }
}
