//! The actor around the [`Core`]: it only passes on.

use std::time::Duration;

use guest_sdk::{Actor, Class, Context, LinkEvent, NodeId, Reason, Result, TopicId};
use serde::{Deserialize, Serialize};

use crate::{Core, Counts, Input, Node, Output, Rule, What};

/// Broadcasts what is published on topics to all nodes that links lead to. World: `protocol`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Gossip {
    core: Core,
    /// When the next tick comes.
    armed: Option<Duration>,
}

/// What the actor takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The protocol's pulse.
    Tick,
    /// How are you? Answered with a [`Status`].
    Status,
    /// By what neighbours are chosen from now on, also after a restart. Answered with the same.
    Choose(Rule),
    /// Who are the neighbours? Answered with their nodes' ids, in hexadecimal digits.
    Neighbours,
}

/// How the broadcast is doing on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Links that are up.
    pub links: usize,
    /// Those of them that lead to neighbours.
    pub neighbours: usize,
    /// Messages kept for those who lack them.
    pub recent: usize,
    /// What they cost in bytes.
    pub recent_bytes: usize,
    /// What has happened so far.
    pub counts: Counts,
}

/// Where the number is kept that stands for this node in the names of its messages.
const ORIGIN: &str = "origin";

/// Where it is kept by what neighbours are chosen, if that was ever said.
const RULE: &str = "rule";

impl Actor for Gossip {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        let origin = match cx.get(ORIGIN)? {
            Some(origin) => origin,
            None => {
                let origin = cx.random_u64();
                cx.put(ORIGIN, origin)?;
                origin
            }
        };
        // Half a number is enough to tell incarnations apart, and half as long on the way.
        let epoch = cx.random_u64() >> 32;
        let mut gossip = Self { core: Core::new(origin, epoch), armed: None };
        gossip.core.choose_by(cx.get(RULE)?.unwrap_or_default());
        gossip.arm(cx);
        Ok(gossip)
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Tick => {
                self.armed = None;
                self.pass(Input::Tick, cx);
            }
            Message::Status => {
                let (recent, recent_bytes) = self.core.recent();
                let (links, counts) = (self.core.links(), self.core.counts().clone());
                let neighbours = self.core.neighbours().len();
                cx.reply(Status { links, neighbours, recent, recent_bytes, counts });
            }
            Message::Choose(rule) => {
                cx.put(RULE, rule)?;
                self.core.choose_by(rule);
                cx.reply(rule);
            }
            Message::Neighbours => {
                let hex = |node: &Node| node.iter().map(|byte| format!("{byte:02x}")).collect();
                let ids: Vec<String> = self.core.neighbour_nodes().map(hex).collect();
                cx.reply(ids);
            }
        }
        Ok(())
    }

    fn link(&mut self, event: LinkEvent, cx: &mut Context<Self>) -> Result {
        let input = match event {
            LinkEvent::Reachable(node) => Input::Reachable(node.0),
            LinkEvent::Up { link, node } => Input::Up(link, node.0),
            LinkEvent::Down { link, node, reason } => {
                Input::Down(link, node.0, reason != Reason::Unreachable)
            }
            LinkEvent::Data { link, body } => Input::Data(link, body),
            LinkEvent::Writable(link) => Input::Writable(link),
            LinkEvent::Published { topic, body } => Input::Published(topic.0, body),
            LinkEvent::Rtt { link, rtt } => Input::Rtt(link, rtt),
        };
        self.pass(input, cx);
        Ok(())
    }
}

impl Gossip {
    /// The protocol's state.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// A tick for when the protocol next has something to do; one that comes earlier does.
    fn arm(&mut self, cx: &mut Context<Self>) {
        let wake = self.core.wake().max(cx.now());
        if self.armed.is_none_or(|armed| wake < armed) {
            self.armed = Some(wake);
            cx.after(wake - cx.now(), Message::Tick);
        }
    }

    fn pass(&mut self, input: Input, cx: &mut Context<Self>) {
        for output in self.core.handle(cx.now(), input) {
            let refused = match output {
                Output::Connect(node) => cx.connect(NodeId(node)).err(),
                Output::Disconnect(link) => cx.disconnect(link).err(),
                Output::Deliver(topic, body) => cx.deliver(TopicId(topic), &body).err(),
                Output::Transmit(link, what, frame) => {
                    if cx.transmit(link, class(what), &frame).is_err() {
                        self.core.handle(cx.now(), Input::Refused(link, what, frame));
                    }
                    None
                }
            };
            if let Some(refusal) = refused {
                cx.log(format!("the host did not take what the protocol asked for: {refusal}"));
            }
        }
        self.arm(cx);
    }
}

fn class(what: What) -> Class {
    match what {
        What::Control => Class::Control,
        What::News(_) => Class::State,
        What::Repair(_) => Class::Bulk,
    }
}
