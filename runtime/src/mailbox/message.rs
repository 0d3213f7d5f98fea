//! All that can reach an actor.

use serde::{Deserialize, Serialize};

use super::{Inlet, Question};
use crate::address::{Address, NodeId, TopicId};
use crate::reason::Reason;

/// An addressed message in flight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// Opaque to the host.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// Addresses that it carries.
    pub carried: Vec<Address>,
    /// Where an answer goes. Not kept in a record: nobody waits that long.
    #[serde(skip)]
    pub reply: Option<Reply>,
}

/// Where the answer to a question goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// To an actor on this node.
    Here(Question),
    /// To a reply id: of another node's actor, or of an administrator.
    There(Box<Address>),
}

/// To whom a letter goes. Small, as [`Reply`] and [`Letter`] are: they move from hand to hand.
#[derive(Clone, Debug)]
pub enum To {
    /// An actor of this node.
    Here(Inlet),
    /// An actor, wherever it lives.
    Actor(Box<Address>),
    /// Whoever asked.
    Reply(Reply),
}

/// All that can reach an actor: one of these is one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// From another actor, or published on a topic.
    Letter(Letter),
    /// What came of a question.
    Answer {
        /// The token given with the question.
        token: u64,
        /// The answer, or why there is none.
        outcome: Result<Letter, Reason>,
    },
    /// A letter that failed.
    Undelivered {
        /// The token given with the letter.
        token: u64,
        /// Why.
        reason: Reason,
    },
    /// A timer fired.
    Timer {
        /// The key it was armed under.
        key: u64,
        /// The body it was armed with.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// A monitored or spawned actor is gone for good.
    Down {
        /// The token given with `monitor` or `spawn`.
        token: u64,
        /// Why.
        reason: Reason,
    },
    /// A change on an input pin.
    Edge(Edge),
    /// A pin's lease ran out.
    Expired {
        /// The device's number for the pin.
        pin: u64,
    },
    /// For protocols.
    Link(LinkEvent),
}

/// A change on an input pin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// The device's number for the pin.
    pub pin: u64,
    /// The new level.
    pub level: bool,
    /// Nanoseconds since the node started.
    pub at: u64,
    /// Counts edges since the pin was opened, lost ones included.
    pub sequence: u64,
    /// Edges lost just before this one.
    pub dropped: u64,
}

/// What a protocol hears of its links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LinkEvent {
    /// A node can be reached.
    Reachable(NodeId),
    /// A link is up.
    Up {
        /// Its number on this node.
        link: u32,
        /// The node at the other end.
        node: NodeId,
    },
    /// A link is down.
    Down {
        /// Its number on this node.
        link: u32,
        /// The node that was at the other end.
        node: NodeId,
        /// Why.
        reason: Reason,
    },
    /// Bytes from the other end.
    Data {
        /// The link's number on this node.
        link: u32,
        /// What came.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
    /// A new smoothed round-trip time.
    Rtt {
        /// The link's number on this node.
        link: u32,
        /// Nanoseconds.
        rtt: u64,
    },
    /// A link that was full has room again.
    Writable(u32),
    /// An actor on this node published on a topic.
    Published {
        /// The topic.
        topic: TopicId,
        /// The body.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
    },
}

impl Message {
    /// Where an answer to it goes, if one is wanted.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Letter(letter) | Self::Answer { outcome: Ok(letter), .. } => {
                letter.reply.as_ref()
            }
            _ => None,
        }
    }

    /// Bytes of its body, if it has one.
    pub fn body_len(&self) -> usize {
        match self {
            Self::Letter(letter) | Self::Answer { outcome: Ok(letter), .. } => letter.body.len(),
            Self::Timer { body, .. }
            | Self::Link(LinkEvent::Data { body, .. } | LinkEvent::Published { body, .. }) => {
                body.len()
            }
            _ => 0,
        }
    }
}
