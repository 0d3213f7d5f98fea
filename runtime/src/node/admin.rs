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

/// Bytes of an answer around its rows, at most.
const AROUND: usize = 64;

/// What a node answers; a log, and a long list, come as several.
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

impl Answer {
    /// The answers that a list is sent as, of so many bytes at most: at least one, with a row at
    /// least if there is any.
    pub fn pieces(self, most: usize) -> Vec<Self> {
        match self {
            Self::Actors(rows) => split(rows, most, Self::Actors),
            Self::Peers(rows) => split(rows, most, Self::Peers),
            Self::Blobs(rows) => split(rows, most, Self::Blobs),
            Self::Pins(rows) => split(rows, most, Self::Pins),
            Self::Aside(rows) => split(rows, most, Self::Aside),
            whole => vec![whole],
        }
    }

    /// Takes up the next piece of the same list; gives back what is none.
    pub fn join(&mut self, next: Self) -> Result<(), Self> {
        match (self, next) {
            (Self::Actors(rows), Self::Actors(more)) => rows.extend(more),
            (Self::Peers(rows), Self::Peers(more)) => rows.extend(more),
            (Self::Blobs(rows), Self::Blobs(more)) => rows.extend(more),
            (Self::Pins(rows), Self::Pins(more)) => rows.extend(more),
            (Self::Aside(rows), Self::Aside(more)) => rows.extend(more),
            (_, other) => return Err(other),
        }
        Ok(())
    }
}

fn split<T: Serialize>(rows: Vec<T>, most: usize, answer: fn(Vec<T>) -> Answer) -> Vec<Answer> {
    let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), AROUND);
    for row in rows {
        let size = serde_ipld_dagcbor::to_vec(&row).map_or(0, |row| row.len());
        if bytes + size > most && !piece.is_empty() {
            pieces.push(answer(std::mem::take(&mut piece)));
            bytes = AROUND;
        }
        piece.push(row);
        bytes += size;
    }
    pieces.push(answer(piece));
    pieces
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
