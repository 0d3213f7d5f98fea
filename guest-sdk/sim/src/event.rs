//! What lies in the queue: things that will happen, and what travels between actors.

use crate::network::Pair;
use crate::tally::Mark;
use crate::{ActorKey, Class, Edge, LinkEvent, Message, Reason, Thing};

/// A happening at a time.
pub(crate) enum Event {
    /// A node starts.
    Boot { node: usize, life: u64 },
    /// An actor's first turn.
    Start { actor: ActorKey, life: u64 },
    /// Something reaches an actor's node. What belongs to one life of the node ends with it.
    Arrive { parcel: Parcel, life: Option<u64> },
    /// Two nodes notice that their connection is gone.
    Broken { pair: Pair, number: u64 },
    /// Two nodes can be connected again.
    Reachable { pair: Pair },
    /// A node goes on.
    Resume { node: usize },
    /// The last byte of what a node sends is on its line. `again`: for the second time.
    Sent { parcel: Box<Parcel>, life: u64, again: bool },
}

/// Cargo on its way from one actor to another.
#[derive(Clone)]
pub(crate) struct Parcel {
    pub from: ActorKey,
    pub to: ActorKey,
    pub cargo: Cargo,
}

#[derive(Clone)]
pub(crate) enum Cargo {
    Letter { body: Vec<u8>, carried: Vec<Thing>, reply: Option<Thing>, token: u64 },
    Publication { body: Vec<u8> },
    Reading { sensor: String, value: f64 },
    Settle { ask: u64, outcome: Result<(Vec<u8>, Vec<Thing>), Reason> },
    Failed { token: u64, reason: Reason },
    Watch { token: u64 },
    Gone { token: u64, reason: Reason },
    Hello { link: u32 },
    Welcome { link: u32 },
    Data { link: u32, class: Class, body: Vec<u8>, mark: Mark },
    Bye { link: u32 },
    Timer { key: u64, generation: u64 },
    Link(LinkEvent),
    Edge { pin: String, edge: Edge },
    Expired { pin: String },
}

/// What an actor is about to be given: a message, and who waits for its answer.
pub(crate) struct Due {
    pub message: Message,
    pub asker: Option<Thing>,
}

impl Cargo {
    /// Before what of its node it goes on the line: lower before higher. Opening and closing a link
    /// goes with its control, as what is queued on a link that is closed is let go.
    pub fn class(&self) -> Class {
        match self {
            Self::Data { class, .. } => *class,
            Self::Hello { .. } | Self::Welcome { .. } | Self::Bye { .. } => Class::Control,
            _ => Class::Command,
        }
    }

    /// Bytes on the wire, about.
    pub fn bytes(&self) -> usize {
        const HEADER: usize = 48;
        HEADER
            + match self {
                Self::Letter { body, .. }
                | Self::Publication { body }
                | Self::Data { body, .. } => body.len(),
                _ => 0,
            }
    }
}
