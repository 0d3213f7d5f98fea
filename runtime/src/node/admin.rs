//! What the command line and a node say to each other: DAG-CBOR over the admin protocol of `net`.

use serde::{Deserialize, Serialize};

use crate::actor::Status;
use crate::config::{ActorConfig, Component};
use crate::journal::Line;
use crate::reason::Reason;

/// What an administrator asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Keep the blob that follows.
    Add,
    /// Start an actor.
    Start {
        /// Its name.
        name: String,
        /// What it is made from.
        config: Box<ActorConfig>,
    },
    /// Stop an actor.
    Stop {
        /// Its name.
        name: String,
    },
    /// Put other code in an actor's place.
    Swap {
        /// Its name.
        name: String,
        /// The code.
        component: Component,
    },
    /// What there is.
    List(List),
    /// Ask an actor.
    Send {
        /// Its name.
        name: String,
        /// The question, DAG-CBOR.
        #[serde(with = "serde_bytes")]
        body: Vec<u8>,
        /// Milliseconds to wait for an answer.
        deadline_ms: u64,
    },
    /// Give a message that was set aside to its actor again.
    SendAgain {
        /// The actor's name.
        name: String,
        /// The message's number.
        number: u64,
    },
    /// An actor's log.
    Log {
        /// Its name.
        name: String,
        /// Go on as it grows.
        follow: bool,
    },
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum List {
    /// Actors.
    Actors,
    /// Peers.
    Peers,
    /// Blobs.
    Blobs,
    /// Pins.
    Pins,
    /// Messages set aside.
    Aside,
}

/// What a node answers; a log comes as several.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// A blob is kept.
    Added {
        /// Its name.
        cid: String,
        /// Its bytes.
        bytes: u64,
    },
    /// An actor lives.
    Started {
        /// Its address.
        address: String,
        /// Its component.
        cid: String,
        /// Where that came from.
        origin: String,
    },
    /// Done.
    Done,
    /// Other code runs.
    Swapped {
        /// Its name.
        cid: String,
        /// Where it came from.
        origin: String,
    },
    /// Actors.
    Actors(Vec<Status>),
    /// Peers.
    Peers(Vec<PeerRow>),
    /// Blobs: name and bytes.
    Blobs(Vec<BlobRow>),
    /// Pins.
    Pins(Vec<PinRow>),
    /// Messages set aside.
    Aside(Vec<AsideRow>),
    /// An actor's answer, DAG-CBOR.
    Answered(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Why there is no answer of the actor.
    Unanswered(Reason),
    /// Lines of a log.
    Lines(Vec<Line>),
    /// It could not be done: one line.
    Failed(String),
}

/// A peer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerRow {
    /// Its id.
    pub id: String,
    /// Where it is configured.
    pub at: Option<String>,
    /// `up`, `dialling` or `down`.
    pub state: String,
    /// Where it is connected.
    pub remote: Option<String>,
    /// Microseconds.
    pub rtt_us: Option<u64>,
    /// Letters from it.
    pub letters_in: u64,
    /// Letters to it.
    pub letters_out: u64,
    /// Bytes from it.
    pub bytes_in: u64,
    /// Bytes to it.
    pub bytes_out: u64,
    /// What last went wrong.
    pub last_error: Option<String>,
}

/// A blob.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlobRow {
    /// Its name.
    pub cid: String,
    /// Its bytes.
    pub bytes: u64,
}

/// A pin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PinRow {
    /// Its line and use, as a grant has it.
    pub pin: String,
    /// Its holder's name.
    pub actor: String,
    /// `high`, `low`, or unknown.
    pub level: Option<String>,
    /// Milliseconds left of its lease.
    pub lease_ms: Option<u64>,
    /// Edges so far.
    pub edges: u64,
}

/// A message set aside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AsideRow {
    /// Its actor.
    pub actor: String,
    /// Its number.
    pub number: u64,
    /// Why its last turn failed.
    pub why: String,
    /// Milliseconds since 1970.
    pub at: u64,
    /// What it is.
    pub message: String,
}
