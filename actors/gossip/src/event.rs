//! What goes into the protocol and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::saved::saved;
use crate::wire::Id;

/// A node's id.
pub type Node = [u8; 32];

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A node can be reached: its id.
    Reachable(Node),
    /// A link to a node is up.
    Up(u32, Node),
    /// A link is down, or did not come up. `true`: its node's protocol closed it or is not there,
    /// though the node is; it is tried again after a while. `false`: a `Reachable` will come.
    Down(u32, Node, bool),
    /// Bytes came on a link.
    Data(u32, Vec<u8>),
    /// A link's smoothed round-trip time.
    Rtt(u32, Duration),
    /// A link whose queue was full has room again.
    Writable(u32),
    /// An [`Output::Transmit`] was not taken: all of it.
    Refused(u32, What, Arc<[u8]>),
    /// Someone on this node published on a topic.
    Published([u8; 16], Vec<u8>),
    /// The time has come that [`crate::Core::wake`] gave.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask for a link to a node.
    Connect(Node),
    /// Close a link.
    Disconnect(u32),
    /// Send a frame on a link; if it is not taken, say [`Input::Refused`] with the same.
    Transmit(u32, What, Arc<[u8]>),
    /// Give a body to this node's subscribers of a topic.
    Deliver([u8; 16], Vec<u8>),
}

/// What a frame holds: which class it goes in, and what to do if it can't go now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A new message.
    News(Id),
    /// A message that the neighbour's digest lacked.
    Repair(Id),
    /// Anything else: small, and each time new.
    Control,
}

/// What has happened so far, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Bodies published on this node and sent out.
    pub published: u64,
    /// Bodies of other nodes given to this node's subscribers.
    pub delivered: u64,
    /// Messages that were known already.
    pub duplicates: u64,
    /// Messages asked for, because they were announced and did not come.
    pub asked: u64,
    /// Messages sent because they were asked for.
    pub repaired: u64,
    /// Frames that a full queue did not take.
    pub refused: u64,
    /// Messages no longer remembered for a neighbour with a full queue; its digest asks for them.
    pub deferred: u64,
    /// Neighbours lost because their node went away: they are looked for.
    pub lost: u64,
    /// Neighbours whose node is there, but closed the link without a word: not tried for a while.
    pub closed: u64,
    /// Neighbours that were let go of, at either end, because of another in their place, ...
    pub replaced: u64,
    /// ... because both had more than they want, ...
    pub surplus: u64,
    /// ... because a nearer one was found, ...
    pub farther: u64,
    /// ... or because one has no room, which no node of this version says.
    pub full: u64,
    /// Nodes that came back after they had been lost.
    pub found_again: u64,
    /// Times that this node stood still and so waits longer for others.
    pub stalls: u64,
    /// Ignored: not a message.
    pub garbage: u64,
    /// Ignored: of another version of the protocol.
    pub other_version: u64,
    /// Ignored: past a limit of size, published here or received.
    pub oversized: u64,
    /// Ignored: past its lifetime, or too far behind to tell from a duplicate.
    pub stale: u64,
    /// Ignored: in this node's own name, but not said by it.
    pub forged: u64,
    /// Ignored: of a new stream, when all places for streams were taken.
    pub crowded: u64,
    /// Ignored: far from all other messages of its stream, when some such had just come.
    pub ahead: u64,
    /// Ignored: more from one neighbour than it may ask for in a second.
    pub hasty: u64,
}

saved!(Counts {
    published,
    delivered,
    duplicates,
    asked,
    repaired,
    refused,
    deferred,
    lost,
    closed,
    replaced,
    surplus,
    farther,
    full,
    found_again,
    stalls,
    garbage,
    other_version,
    oversized,
    stale,
    forged,
    crowded,
    ahead,
    hasty,
});
