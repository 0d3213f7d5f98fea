//! Counts what goes over links, without knowing the protocol: bodies are found in frames by a mark.

use std::collections::BTreeMap;

/// A round's messages are numbered from here on; what bears another number is of an earlier round.
const MAGIC: [u8; 4] = [0xed, 0x6e, 0x90, 0x55];

/// The shortest body that can be found again.
pub const LEAST_BODY: usize = 8;

/// Which message a frame carries, and over how many links it has come then. 0: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    number: u32,
    hop: u16,
    from: u32,
}

/// Frames of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// How many were sent.
    pub messages: u64,
    /// Their bytes, as the protocol made them.
    pub bytes: u64,
}

/// How one round went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// Deliveries that were to be: of each message to each node that was up all the while.
    pub expected: u64,
    /// Those that were.
    pub delivered: u64,
    /// Frames with a body that arrived.
    pub payloads: u64,
    /// Deliveries of what had been delivered on that node already: none, if the protocol is right.
    pub twice: u64,
    /// Links that the last first arrival had come over.
    pub ldh: u16,
    /// Nanoseconds to the last delivery.
    pub ldt: u64,
    /// Nanoseconds to each delivery.
    pub delays: Vec<u64>,
    /// What was sent, by kind.
    pub sent: BTreeMap<&'static str, Frames>,
    /// Links that came up.
    pub links: u64,
    /// Ends of links that heard that the connection is broken.
    pub broken: u64,
}

impl Told {
    /// Redundant payloads per delivery.
    pub fn rmr(&self) -> f64 {
        if self.delivered == 0 { 0.0 } else { self.payloads as f64 / self.delivered as f64 - 1.0 }
    }

    /// All that was sent.
    pub fn all(&self) -> Frames {
        self.sent.values().fold(Frames::default(), |sum, frames| Frames {
            messages: sum.messages + frames.messages,
            bytes: sum.bytes + frames.bytes,
        })
    }
}

/// The counts of a simulation.
pub struct Tally {
    kind: fn(&[u8]) -> &'static str,
    length: usize,
    /// The number of the round's first message.
    first: u32,
    began: u64,
    messages: Vec<Message>,
    told: Told,
}

struct Message {
    sender: usize,
    /// Over how many links it came to each node; `NOT` before it has.
    hops: Vec<u16>,
    /// From whom it came to each node first; `NOBODY` before it has.
    from: Vec<u32>,
    /// Nodes that it is still to be delivered to.
    waits: Vec<bool>,
}

const NOT: u16 = u16::MAX;
const NOBODY: u32 = u32::MAX;

impl Tally {
    /// Counts by the kinds that a protocol's frames are of.
    pub fn new(kind: fn(&[u8]) -> &'static str) -> Self {
        let (messages, told) = (Vec::new(), Told::default());
        Self { kind, length: 0, first: 1, began: 0, messages, told }
    }

    /// Begins a round: each of the senders publishes one body of this length, which is given back.
    /// `up` tells which nodes are to have it.
    pub(crate) fn begin(
        &mut self,
        now: u64,
        senders: &[usize],
        up: &[bool],
        length: usize,
    ) -> Vec<Vec<u8>> {
        self.length = length.max(LEAST_BODY);
        self.first += self.messages.len() as u32;
        self.messages.clear();
        self.began = now;
        let mut bodies = Vec::new();
        for (number, &sender) in (self.first..).zip(senders) {
            let mut hops = vec![NOT; up.len()];
            hops[sender] = 0;
            let mut waits = up.to_vec();
            waits[sender] = false;
            self.told.expected += waits.iter().filter(|waits| **waits).count() as u64;
            let from = vec![NOBODY; up.len()];
            self.messages.push(Message { sender, hops, from, waits });
            let mut body = vec![0x5a; self.length];
            body[..4].copy_from_slice(&MAGIC);
            body[4..8].copy_from_slice(&number.to_le_bytes());
            bodies.push(body);
        }
        bodies
    }

    /// Whether all of the round's messages are everywhere.
    pub(crate) fn done(&self) -> bool {
        self.told.delivered >= self.told.expected
    }

    /// A node is gone: nothing is expected of it any more.
    pub(crate) fn gone(&mut self, node: usize) {
        for message in &mut self.messages {
            if message.waits.get_mut(node).is_some_and(std::mem::take) {
                self.told.expected -= 1;
            }
        }
    }

    /// Ends the round.
    pub(crate) fn finish(&mut self) -> Told {
        std::mem::take(&mut self.told)
    }

    /// The nodes that have not had a message of the round.
    pub(crate) fn missing(&self) -> Vec<(usize, usize)> {
        let of = |message: &Message| {
            let nodes = message.waits.iter().enumerate().filter(|(_, waits)| **waits);
            nodes.map(|(node, _)| (message.sender, node)).collect::<Vec<_>>()
        };
        self.messages.iter().flat_map(of).collect()
    }

    /// The way of the last round's first message: from whom to whom it came first.
    pub(crate) fn tree(&self) -> Vec<(usize, usize)> {
        let from = self.messages.first().map(|message| message.from.iter().enumerate());
        let known = from.into_iter().flatten().filter(|(_, from)| **from != NOBODY);
        known.map(|(node, from)| (*from as usize, node)).collect()
    }

    pub(crate) fn sent(&mut self, from: usize, frame: &[u8]) -> Mark {
        let frames = self.told.sent.entry((self.kind)(frame)).or_default();
        frames.messages += 1;
        frames.bytes += frame.len() as u64;
        let Some(number) = self.number(frame) else {
            return Mark::default();
        };
        let hop = self.message(number).and_then(|message| message.hops.get(from)).copied();
        Mark { number, hop: hop.unwrap_or(NOT).saturating_add(1), from: from as u32 }
    }

    pub(crate) fn received(&mut self, to: usize, mark: Mark) {
        // One of an earlier round is redundant too.
        self.told.payloads += u64::from(mark.number != 0);
        let Some(message) = self.message(mark.number) else {
            return;
        };
        if let Some(hops) = message.hops.get_mut(to).filter(|hops| **hops == NOT) {
            *hops = mark.hop;
            message.from[to] = mark.from;
        }
    }

    pub(crate) fn delivered(&mut self, now: u64, node: usize, body: &[u8]) {
        let Some(number) = self.number(body) else {
            return;
        };
        let Some(message) = self.message(number) else {
            return;
        };
        let hops = message.hops.get(node).copied().unwrap_or(0);
        match message.waits.get_mut(node) {
            Some(waits) if *waits => *waits = false,
            _ => return self.told.twice += 1,
        }
        self.told.delivered += 1;
        self.told.ldh = self.told.ldh.max(hops);
        self.told.ldt = now - self.began;
        self.told.delays.push(now - self.began);
    }

    pub(crate) fn link_up(&mut self) {
        self.told.links += 1;
    }

    pub(crate) fn link_broken(&mut self) {
        self.told.broken += 1;
    }

    fn message(&mut self, number: u32) -> Option<&mut Message> {
        self.messages.get_mut(number.checked_sub(self.first)? as usize)
    }

    /// The number of the message whose body is in these bytes: at their end, as a rule.
    fn number(&self, bytes: &[u8]) -> Option<u32> {
        let at = bytes.len().checked_sub(self.length)?;
        if self.length == 0 {
            return None;
        }
        let at = if bytes[at..].starts_with(&MAGIC) {
            at
        } else {
            // A later one may begin within the last bytes before `at`.
            let before = &bytes[..at + MAGIC.len() - 1];
            before.windows(MAGIC.len()).position(|window| window == MAGIC)?
        };
        let number = bytes.get(at + 4..at + 8)?;
        Some(u32::from_le_bytes(number.try_into().ok()?))
    }
}
