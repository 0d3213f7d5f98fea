//! What left the turns of an actor on the bench.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sim::{Desk, Effect, Thing};

use super::{Bench, ME};
use crate::{NodeId, Result, TopicId, codec};

/// A letter or a question that left.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// To whom.
    pub to: Receiver,
    /// The token given with it.
    pub token: u64,
    /// Whether it is a question, and its deadline.
    pub deadline: Option<Duration>,
    body: Vec<u8>,
    carried: Vec<u32>,
}

/// Where something was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// The actor itself, or a child of its own.
    Itself,
    /// An actor made by [`Bench::address`], by its name.
    Actor(String),
    /// Whoever asked, by the number that [`Bench::ask`] gave.
    Asker(u64),
    /// The subscribers of a topic.
    Topic(String),
}

/// What left the actor's turns.
#[derive(Default)]
pub(super) struct Seen {
    sent: Vec<Sent>,
    timers: BTreeMap<u64, (Vec<u8>, u64, u64)>,
    transmitted: Vec<(u32, Vec<u8>)>,
    connects: Vec<NodeId>,
    delivered: Vec<(TopicId, Vec<u8>)>,
    lines: Vec<String>,
    pub edges: u64,
}

impl Bench {
    /// All letters, questions and publications so far, in order; the list is empty afterwards.
    pub fn sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.seen.sent)
    }

    /// The messages published on a topic so far, in order; they are taken off the list.
    pub fn published<T: DeserializeOwned>(&mut self, topic: &str) -> Result<Vec<T>> {
        let to = Receiver::Topic(topic.to_owned());
        let all = std::mem::take(&mut self.seen.sent);
        let (these, others) = all.into_iter().partition(|sent: &Sent| sent.to == to);
        self.seen.sent = others;
        these.iter().map(Sent::decode).collect()
    }

    /// The timers that are armed: message, first delay and period (zero: once).
    pub fn timers<T: DeserializeOwned>(&self) -> Result<Vec<(T, Duration, Duration)>> {
        let timer = |(body, after, every): &(Vec<u8>, u64, u64)| {
            let times = (Duration::from_nanos(*after), Duration::from_nanos(*every));
            Ok((codec::decode(body)?, times.0, times.1))
        };
        self.seen.timers.values().map(timer).collect()
    }

    /// What was transmitted on links so far: link and bytes; the list is empty afterwards.
    pub fn transmitted(&mut self) -> Vec<(u32, Vec<u8>)> {
        std::mem::take(&mut self.seen.transmitted)
    }

    /// The nodes to which links were asked for so far; the list is empty afterwards.
    pub fn connects(&mut self) -> Vec<NodeId> {
        std::mem::take(&mut self.seen.connects)
    }

    /// What was given to the node's own subscribers so far; the list is empty afterwards.
    pub fn delivered(&mut self) -> Vec<(TopicId, Vec<u8>)> {
        std::mem::take(&mut self.seen.delivered)
    }

    /// The log so far.
    pub fn log(&self) -> &[String] {
        &self.seen.lines
    }

    /// The durable value under a key.
    pub fn stored<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>> {
        self.desk.get(key.as_ref()).map(|value| codec::decode(&value)).transpose()
    }
}

impl Sent {
    /// What was sent.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        codec::decode_letter(&self.body, &self.carried)
    }
}

impl Seen {
    pub(super) fn note(&mut self, effect: &Effect, desk: &Desk, names: &[String]) {
        match effect {
            Effect::Send { to, body, carried, token } => {
                self.letter(receiver(desk, *to, names), body, carried, *token, None);
            }
            Effect::Ask { to, body, carried, token, deadline } => {
                let deadline = Some(Duration::from_nanos(*deadline));
                self.letter(receiver(desk, *to, names), body, carried, *token, deadline);
            }
            Effect::Arm { key, body, after, every } => {
                self.timers.insert(*key, (body.clone(), *after, *every));
            }
            Effect::Disarm { key } => drop(self.timers.remove(key)),
            Effect::Log { line } => self.lines.push(line.clone()),
            Effect::Connect { node } => self.connects.extend(NodeId::try_from(&node[..])),
            Effect::Transmit { link, body, .. } => self.transmitted.push((*link, body.clone())),
            Effect::Deliver { topic, body } => {
                let topic = TopicId::try_from(&topic[..]);
                self.delivered.extend(topic.map(|topic| (topic, body.clone())));
            }
            _ => {}
        }
    }

    fn letter(
        &mut self,
        to: Receiver,
        body: &[u8],
        carried: &[u32],
        token: u64,
        deadline: Option<Duration>,
    ) {
        let (body, carried) = (body.to_vec(), carried.to_vec());
        self.sent.push(Sent { to, token, deadline, body, carried });
    }
}

fn receiver(desk: &Desk, to: u32, names: &[String]) -> Receiver {
    match desk.named(to) {
        Some(Thing::Reply(_, asked)) => Receiver::Asker(*asked),
        Some(Thing::Topic(name)) => Receiver::Topic(name.clone()),
        Some(Thing::Actor(key)) if key.node != ME.node => {
            Receiver::Actor(names.get(key.number as usize).cloned().unwrap_or_default())
        }
        _ => Receiver::Itself,
    }
}
