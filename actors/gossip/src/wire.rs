//! What neighbours say to each other: frames of bytes with an explicit version.
//!
//! A frame is its version, its kind, and what the kind says, in numbers of LEB128 and plain bytes.
//! Bytes from a neighbour become a [`Wire`] here or an [`Unreadable`]; nothing behind this edge
//! checks their form again. Bytes after what a kind says are ignored: a later minor version may add
//! some.

mod frame;

use crate::codec::{Reader, Writer};
use crate::event::Node;
use crate::limits::{BODY_BYTES, FRAME_BYTES};
use crate::saved::saved;

pub use frame::kind;

/// The version that this code speaks, as each frame begins.
pub const VERSION: u8 = 2;

/// Its minor version, which no frame tells: each says nothing that the one before can't read, and
/// reads all that the one before says. 2.1 brought side trees, 2.2 twice as many of them. Whoever
/// makes another one records what this one says and reads first, as `tests/interop.rs` tells.
pub const MINOR: u8 = 2;

/// One incarnation of one publishing node: sequence numbers count within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    /// The node that publishes: a number it drew once and keeps.
    pub origin: u64,
    /// Drawn at each start, so that a node that forgot how far it had counted is not mistaken.
    pub epoch: u64,
}

saved!(Stream { origin, epoch });

/// A message's name, the same on every node: two equal bodies are two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Who said it.
    pub stream: Stream,
    /// Counts from 1.
    pub seq: u64,
}

saved!(Id { stream, seq });

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Its name.
    pub id: Id,
    /// Milliseconds since it was published, as far as the nodes that held it know.
    pub age: u32,
    /// Links that it has come over.
    pub hop: u8,
    /// The side tree that it goes along; none: the main one.
    pub tree: Option<u8>,
    /// The topic's id.
    pub topic: [u8; 16],
    /// What was published.
    pub body: Vec<u8>,
}

saved!(Post { id, age, hop, tree, topic, body });

/// What a node has seen of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The stream.
    pub stream: Stream,
    /// The newest sequence number seen.
    pub top: u64,
    /// Gaps below it, the newest first: how far the gap's newest number is from `top`, and its
    /// length.
    pub gaps: Vec<(u16, u16)>,
}

/// A node that another tells of, and how many shuffles ago it was heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub node: Node,
    /// Shuffles since it was known to be there.
    pub age: u8,
}

saved!(Entry { node, age });

/// What the one who opens a link wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// To join: it knows nobody else.
    Join,
    /// A neighbour, urgently: it has none or hardly any.
    High,
    /// A neighbour, if there is room.
    Low,
    /// To be neighbours again, after the two had lost each other.
    Again,
    /// To be neighbours in place of this node, which introduced them and lets both go.
    Instead(Node),
    /// To be its neighbour: a walk brought its name.
    Offer,
    /// To measure the round trip.
    Probe,
}

/// Why a neighbour is let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It agreed, or has another neighbour in this one's place.
    Replaced,
    /// Both have more than they want.
    Surplus,
    /// A nearer one was found.
    Farther,
    /// It has no room. It is read, but not said: who has no room says so before two are neighbours.
    Full,
}

/// Where a beacon is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// Counts the roots that took the place of another.
    pub term: u32,
    /// The origin of the node at the root of the tree.
    pub root: u64,
    /// Counts the root's beacons.
    pub seq: u32,
    /// Links from the root to the sender.
    pub hops: u8,
}

saved!(Beacon { term, root, seq, hops });

/// How a node stands in a side tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Which tree.
    pub tree: u8,
    /// Counts what the tree's root, or who took its place, has said.
    pub seq: u32,
    /// The origin of the node at its root.
    pub root: u64,
    /// Microseconds from the root to the sender; [`Side::GONE`]: there is no such tree any more.
    pub far: u32,
    /// Microseconds of the shortest round trip to a neighbour on that way.
    pub near: u32,
}

saved!(Side { tree, seq, root, far, near });

/// One message between neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are said in the variant's line")]
pub enum Wire {
    /// First on a new link, by whom opened it: what it wants, its origin, the receiver's id.
    Hello { want: Want, origin: u64, you: Node },
    /// The answer: whether they are neighbours now; some nodes to try besides.
    Welcome { accepted: bool, origin: u64, you: Node, peers: Vec<Entry> },
    /// A node has joined: whoever has room takes it.
    Walk { node: Node, left: u8 },
    /// Some nodes that the one who drew `token` knows; an answer goes back the same way.
    Shuffle { token: u64, left: u8, peers: Vec<Entry> },
    /// The answer to a shuffle.
    Shuffled { token: u64, peers: Vec<Entry> },
    /// The sender and the receiver are no longer neighbours; the receiver might try `instead`.
    Leave { why: Why, instead: Option<Node> },
    /// Be this node's neighbour in my place.
    Introduce { node: Node },
    /// Let me go if you have more neighbours than you want.
    Shed,
    /// Be my neighbour, as we are only `rtt_us` apart: I let `old` go.
    Nearer { rtt_us: u32, old: Node },
    /// A message.
    Post(Post),
    /// These messages are to be had here.
    Have(Vec<Id>),
    /// Send these messages.
    Get(Vec<Id>),
    /// What the sender has seen, in the order of streams: tell it what else is to be had.
    Digest(Vec<Held>),
    /// There was more to tell in answer to a digest: send another.
    More,
    /// Forms the tree.
    Beacon(Beacon),
    /// Send messages to me at once (I am below you in the tree), or only tell me of them.
    Attach(bool),
    /// The longest way down the tree from here, and how many nodes are there, this one included.
    Depth { us: u32, nodes: u32 },
    /// Be the root of the tree in my place: you are nearer to its middle.
    Root,
    /// The side trees, a bit for each, whose messages the sender wants at once; and how it stands
    /// in some of them.
    Sides { follow: u32, sides: Vec<Side> },
    /// There is no way to the root of this side tree left since this number: say the next one.
    Renew { tree: u8, seq: u32 },
}

/// Why bytes from a neighbour are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Longer than a frame, or a part longer than its limit.
    Oversized,
    /// Another version of the protocol.
    Version(u8),
    /// Not a message at all.
    Garbage,
}

impl Wire {
    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.byte(VERSION);
        frame::write(self, &mut writer);
        writer.0
    }

    /// The message in a frame.
    ///
    /// # Errors
    /// Whatever is not a message of this version within its limits.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        if frame.len() > FRAME_BYTES {
            return Err(Unreadable::Oversized);
        }
        let mut reader = Reader(frame);
        match reader.byte() {
            Some(VERSION) => {}
            Some(version) => return Err(Unreadable::Version(version)),
            None => return Err(Unreadable::Garbage),
        }
        match frame::read(&mut reader).ok_or(Unreadable::Garbage)? {
            Wire::Post(post) if post.id.seq == 0 => Err(Unreadable::Garbage),
            Wire::Post(post) if post.body.len() > BODY_BYTES => Err(Unreadable::Oversized),
            wire => frame::within_limits(wire).ok_or(Unreadable::Oversized),
        }
    }
}

impl Held {
    /// Whether the one who sent this lacks a message of the stream. What is too far behind to be
    /// told apart it does not want.
    pub fn lacks(&self, seq: u64) -> bool {
        let Some(distance) = self.top.checked_sub(seq) else {
            return true;
        };
        distance < crate::limits::WINDOW
            && self.gaps.iter().any(|&(first, length)| {
                (u64::from(first)..u64::from(first) + u64::from(length)).contains(&distance)
            })
    }
}

#[cfg(test)]
mod tests;
