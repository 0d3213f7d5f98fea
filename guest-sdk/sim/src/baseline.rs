//! Broadcasts to compare with: flooding with a time to live, plain eager push, hubs and leaves.
//!
//! Each runs on a graph that is given once and never mended, as its protocol has no membership of
//! its own.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::network::Chance;
use crate::{Class, Component, Desk, Effect, LinkEvent, Machine, Message, Now};

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Each message goes to all neighbours but the one it came from, so many times: Gnutella 0.4.
    Flood {
        /// Hops after which it is dropped.
        hops: u8,
    },
    /// Each message goes to so many of the neighbours, drawn each time: epidemic push.
    Push {
        /// How many.
        fanout: usize,
    },
    /// Every so-manieth node is a hub; hubs flood among themselves and serve their leaves:
    /// Gnutella2.
    Hubs {
        /// Nodes for each hub.
        each: usize,
    },
}

/// Neighbours that a node connects to; as many connect to it on average, and a half.
const NEIGHBOURS: usize = 3;
/// Hubs of a leaf.
const HUBS: usize = 2;
/// Hops after which a hub's flood ends for certain.
const MOST_HOPS: u8 = 32;

impl Baseline {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Baseline::Flood { .. } => "flooding with a time to live",
            Baseline::Push { .. } => "plain eager push",
            Baseline::Hubs { .. } => "hubs and leaves",
        }
    }

    /// The nodes that a node connects to when it boots.
    pub(crate) fn peers(self, node: usize, chance: &mut Chance) -> Vec<usize> {
        let Baseline::Hubs { each } = self else {
            return some(NEIGHBOURS, node, chance);
        };
        let each = each.max(1);
        let hubs = |count: usize, chance: &mut Chance| {
            let drawn = some(count, node.div_ceil(each), chance);
            drawn.into_iter().map(|hub| hub * each).collect()
        };
        if node.is_multiple_of(each) { hubs(NEIGHBOURS, chance) } else { hubs(HUBS, chance) }
    }

    /// Its nodes' component.
    pub fn component(self) -> Component {
        Rc::new(move || {
            let (links, seen) = (BTreeSet::new(), BTreeSet::new());
            Box::new(Node { kind: self, hub: false, links, seen, published: 0 })
        })
    }

    /// What its frames are.
    pub fn kind(_: &[u8]) -> &'static str {
        "post"
    }
}

/// Different ones below `end`.
fn some(count: usize, end: usize, chance: &mut Chance) -> Vec<usize> {
    let mut drawn = BTreeSet::new();
    while drawn.len() < count.min(end) {
        drawn.insert(chance.below(end as u64) as usize);
    }
    drawn.into_iter().collect()
}

struct Node {
    kind: Baseline,
    hub: bool,
    links: BTreeSet<u32>,
    seen: BTreeSet<u64>,
    published: u64,
}

/// Before a body: hops, the message's number, the topic.
const HEADER: usize = 1 + 8 + 16;

impl Machine for Node {
    fn start(&mut self, _: Now, desk: &mut Desk) -> Result<(), String> {
        self.hub = match self.kind {
            Baseline::Hubs { each } => desk.me.node.is_multiple_of(each.max(1)),
            _ => true,
        };
        Ok(())
    }

    fn turn(&mut self, now: Now, message: Message, desk: &mut Desk) -> Result<(), String> {
        let Message::Link(event) = message else { return Ok(()) };
        match event {
            LinkEvent::Reachable(node) => ask(desk, Effect::Connect { node }),
            LinkEvent::Up { link, .. } => {
                self.links.insert(link);
            }
            LinkEvent::Down { link, .. } => {
                self.links.remove(&link);
            }
            LinkEvent::Published { topic, body } => {
                self.published += 1;
                let number = now.seed ^ self.published;
                self.seen.insert(number);
                let mut frame = vec![0];
                frame.extend(number.to_le_bytes());
                frame.extend(&topic);
                frame.extend(&body);
                self.pass(now, None, frame, desk);
            }
            LinkEvent::Data { link, body } => self.data(now, link, body, desk),
            LinkEvent::Rtt { .. } | LinkEvent::Writable(_) => {}
        }
        Ok(())
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        Err("a baseline has nothing to save".into())
    }

    fn restore(&mut self, _: Now, _: &[u8], _: &mut Desk) -> Result<(), String> {
        Err("a baseline has nothing to restore".into())
    }
}

impl Node {
    fn data(&mut self, now: Now, link: u32, mut frame: Vec<u8>, desk: &mut Desk) {
        let Some((header, body)) = frame.split_at_checked(HEADER) else { return };
        let number = header[1..9].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        if !self.seen.insert(number) {
            return;
        }
        ask(desk, Effect::Deliver { topic: header[9..].to_vec(), body: body.to_vec() });
        frame[0] += 1;
        let most = if let Baseline::Flood { hops } = self.kind { hops } else { MOST_HOPS };
        if self.hub && frame[0] < most {
            self.pass(now, Some(link), frame, desk);
        }
    }

    fn pass(&mut self, now: Now, from: Option<u32>, frame: Vec<u8>, desk: &mut Desk) {
        let mut to: Vec<u32> =
            self.links.iter().copied().filter(|link| Some(*link) != from).collect();
        if let Baseline::Push { fanout } = self.kind {
            let mut chance = Chance::new(now.seed);
            while to.len() > fanout {
                to.swap_remove(chance.below(to.len() as u64) as usize);
            }
        }
        for link in to {
            ask(desk, Effect::Transmit { link, class: Class::State, body: frame.clone() });
        }
    }
}

/// What is refused is lost: these protocols mend nothing.
fn ask(desk: &mut Desk, effect: Effect) {
    let _ = desk.apply(effect);
}
