//! What an actor is.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Context, Error, Pin, Reason, Result, codec};

/// An actor: state, and what it does about each message.
///
/// A turn is one call of one of these functions. All that it asks of its context leaves when it
/// gives `Ok`, and none of it if it gives an error or panics; then the actor is dropped and `start`
/// makes a new one. It serialises so that the host can park it and swap its code.
pub trait Actor: Serialize + DeserializeOwned + Sized + 'static {
    /// What it takes in letters, and arms its timers with.
    type Message: Serialize + DeserializeOwned;

    /// The first turn.
    fn start(cx: &mut Context<Self>) -> Result<Self>;

    /// A letter, or a timer's message. A letter that is no `Message` does not get here: it is
    /// logged, and a question hears `no-answer`.
    fn handle(&mut self, message: Self::Message, cx: &mut Context<Self>) -> Result;

    /// What came of an `ask`. One call for each, whatever happens.
    fn answered(
        &mut self,
        token: u64,
        outcome: Result<Answer, Reason>,
        cx: &mut Context<Self>,
    ) -> Result {
        match outcome {
            Ok(_) => cx.log(format!("answer {token} came, and nothing is done about it")),
            Err(reason) => cx.log(format!("question {token} has no answer: {reason}")),
        }
        Ok(())
    }

    /// A letter that could not be delivered; `token` is `send`'s. A refused one comes back in its
    /// own turn.
    fn undelivered(&mut self, token: u64, reason: Reason, cx: &mut Context<Self>) -> Result {
        cx.log(format!("letter {token} was not delivered: {reason}"));
        Ok(())
    }

    /// A monitored or spawned actor is gone for good; `token` is `monitor`'s or `spawn`'s.
    fn down(&mut self, token: u64, reason: Reason, cx: &mut Context<Self>) -> Result {
        cx.log(format!("actor {token} is gone: {reason}"));
        Ok(())
    }

    /// A change on an input pin.
    fn edge(&mut self, edge: Edge, cx: &mut Context<Self>) -> Result {
        // Not with `{:?}`: its code would be in every component.
        cx.log(format!("nothing is done about an edge on pin {}", edge.pin.0));
        Ok(())
    }

    /// A pin's lease ran out: the host has driven it to its safe level.
    fn expired(&mut self, pin: Pin, cx: &mut Context<Self>) -> Result {
        cx.log(format!("the lease of {pin:?} ran out: set it more often, or grant a longer one"));
        Ok(())
    }

    /// For protocols: something about a link, or a publication on this node.
    fn link(&mut self, event: LinkEvent, cx: &mut Context<Self>) -> Result {
        let _ = event;
        cx.log("nothing is done about a link's event");
        Ok(())
    }
}

/// The answer to a question; it lasts as long as the turn.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) carried: &'a [u32],
}

impl<'a> Answer<'a> {
    /// The answer as the type that the asker expects. An answer is outside input: a wrong one is an
    /// error to handle, or to end the turn with.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        codec::decode_letter(self.body, self.carried)
    }

    /// Its bytes.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}

/// A change on an input pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The pin.
    pub pin: Pin,
    /// The new level: true is high.
    pub level: bool,
    /// When, on the turn clock.
    pub at: Duration,
    /// Counts edges of this pin since it was opened, those lost included.
    pub sequence: u64,
    /// Edges that were lost just before this one.
    pub dropped: u64,
}

/// What a protocol hears of its links and of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A node can be reached: `connect` opens a link to it.
    Reachable(NodeId),
    /// A link is up.
    Up {
        /// The link's number, not used again while the node runs.
        link: u32,
        /// The node at the other end.
        node: NodeId,
    },
    /// A link is down, or did not come up.
    Down {
        /// The link's number.
        link: u32,
        /// The node that was at the other end.
        node: NodeId,
        /// `Stopped`: closed by the other end; `Unreachable`: the connection broke.
        reason: Reason,
    },
    /// Bytes from the other end.
    Data {
        /// The link's number.
        link: u32,
        /// What the neighbour sent.
        body: Vec<u8>,
    },
    /// A new smoothed round-trip time.
    Rtt {
        /// The link's number.
        link: u32,
        /// The time.
        rtt: Duration,
    },
    /// A link whose queue was full has room again.
    Writable(u32),
    /// An actor on this node published on a topic.
    Published {
        /// The topic.
        topic: TopicId,
        /// Opaque to host and protocol.
        body: Vec<u8>,
    },
}

/// How a link's bytes are queued against others; earlier classes leave first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Membership and repair.
    Control,
    /// Orders to act.
    Command,
    /// State that merges.
    State,
    /// The rest.
    Bulk,
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident, $bytes:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(#[serde(with = "serde_bytes")] pub [u8; $bytes]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(f, "{}({a:02x}{b:02x}{c:02x}{d:02x}…)", stringify!($name))
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = Error;

            fn try_from(bytes: &[u8]) -> Result<Self> {
                let id = bytes.try_into().map_err(|_| {
                    Error::new(format_args!("{} bytes are no {}", bytes.len(), stringify!($name)))
                })?;
                Ok(Self(id))
            }
        }
    };
}

id! {
    /// A node's id: its Ed25519 public key.
    NodeId, 32
}

id! {
    /// A topic's id, as protocols see topics.
    TopicId, 16
}
