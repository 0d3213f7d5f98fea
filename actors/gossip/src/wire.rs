//! What neighbours say to each other: DAG-CBOR with an explicit version.
//!
//! A frame is the array `[version, message]`. Bytes from a neighbour become a [`Wire`] here or an
//! [`Unreadable`]; nothing behind this edge checks them again.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::limits::{BODY_BYTES, FRAME_BYTES, GAPS, STREAMS, WINDOW};

/// The version that this code speaks.
pub const VERSION: u8 = 1;

/// One incarnation of one publishing node: sequence numbers count within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stream {
    /// The node that publishes: a number it drew once and keeps.
    pub origin: u64,
    /// Drawn at each start, so that a node that forgot how far it had counted is not mistaken.
    pub epoch: u64,
}

/// A message's name, the same on every node: two equal bodies are two messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Id {
    /// Who said it.
    pub stream: Stream,
    /// Counts from 1.
    pub seq: u64,
}

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Its name.
    pub id: Id,
    /// Milliseconds since it was published, as far as the nodes that held it know.
    pub age: u32,
    /// The topic's id.
    #[serde(with = "serde_bytes")]
    pub topic: [u8; 16],
    /// What was published.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// What a node has seen of one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The stream.
    pub stream: Stream,
    /// The newest sequence number seen.
    pub top: u64,
    /// Gaps below it, the newest first: how far the gap's newest number is from `top`, and its
    /// length.
    pub gaps: Vec<(u16, u16)>,
}

/// One message between neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wire {
    /// A message, new or repaired.
    Post(Post),
    /// What the sender has seen: send it what it lacks.
    Digest(Vec<Held>),
    /// There was more to send in answer to a digest: send another.
    More,
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
        serde_ipld_dagcbor::to_vec(&(VERSION, self))
            .expect("integers, bytes and arrays of them always encode")
    }

    /// The message in a frame.
    ///
    /// # Errors
    /// Whatever is not a message of this version within its limits.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        if frame.len() > FRAME_BYTES {
            return Err(Unreadable::Oversized);
        }
        match serde_ipld_dagcbor::from_slice::<(u8, Wire)>(frame) {
            Ok((VERSION, wire)) => wire.within_limits(),
            Ok((version, _)) => Err(Unreadable::Version(version)),
            Err(_) => match serde_ipld_dagcbor::from_slice::<(u8, IgnoredAny)>(frame) {
                Ok((version, _)) if version != VERSION => Err(Unreadable::Version(version)),
                _ => Err(Unreadable::Garbage),
            },
        }
    }

    fn within_limits(self) -> Result<Self, Unreadable> {
        match &self {
            Wire::Post(post) if post.id.seq == 0 => Err(Unreadable::Garbage),
            Wire::Post(post) if post.body.len() > BODY_BYTES => Err(Unreadable::Oversized),
            Wire::Digest(held) if held.len() > STREAMS => Err(Unreadable::Oversized),
            Wire::Digest(held) if held.iter().map(|held| held.gaps.len()).sum::<usize>() > GAPS => {
                Err(Unreadable::Oversized)
            }
            _ => Ok(self),
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
        distance < WINDOW
            && self.gaps.iter().any(|&(first, length)| {
                (u64::from(first)..u64::from(first) + u64::from(length)).contains(&distance)
            })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn post() -> Wire {
        let id = Id { stream: Stream { origin: 7, epoch: 9 }, seq: 3 };
        Wire::Post(Post { id, age: 12, topic: [5; 16], body: b"21.5".to_vec() })
    }

    fn digest() -> Wire {
        let stream = Stream { origin: 1, epoch: 2 };
        Wire::Digest(vec![Held { stream, top: 9, gaps: vec![(1, 1), (4, 2)] }])
    }

    #[test]
    fn every_message_survives_its_frame() {
        for wire in [post(), digest(), Wire::More] {
            assert_eq!(Wire::decode(&wire.encode()), Ok(wire));
        }
    }

    #[test]
    fn an_independent_decoder_reads_a_frame() {
        for wire in [post(), digest(), Wire::More] {
            let (version, read): (u8, Wire) = serde_cbor::from_slice(&wire.encode()).unwrap();
            assert_eq!((version, read), (VERSION, wire));
        }
    }

    #[test]
    fn another_version_is_told_from_garbage() {
        let newer = serde_ipld_dagcbor::to_vec(&(2, "what is this")).unwrap();
        assert_eq!(Wire::decode(&newer), Err(Unreadable::Version(2)));
        assert_eq!(Wire::decode(b"\x82\x01"), Err(Unreadable::Garbage));
        assert_eq!(Wire::decode(&vec![0; FRAME_BYTES + 1]), Err(Unreadable::Oversized));
    }

    #[test]
    fn the_largest_body_fits_a_frame() {
        let Wire::Post(post) = post() else { unreachable!() };
        let largest = Wire::Post(Post { body: vec![1; BODY_BYTES], ..post });
        assert!(largest.encode().len() <= FRAME_BYTES);
        assert_eq!(Wire::decode(&largest.encode()), Ok(largest));
    }

    #[test]
    fn a_digest_names_exactly_what_is_lacked() {
        let stream = Stream { origin: 1, epoch: 2 };
        let held = Held { stream, top: 9, gaps: vec![(1, 1), (4, 2)] };
        let lacked: Vec<u64> = (1..12).filter(|&seq| held.lacks(seq)).collect();
        assert_eq!(lacked, [4, 5, 8, 10, 11]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Wire::decode(&bytes);
        }

        #[test]
        fn a_damaged_frame_is_read_or_refused(at in 0usize..40, bit in 0u8..8, cut in 0usize..60) {
            for wire in [post(), digest(), Wire::More] {
                let mut frame = wire.encode();
                frame.truncate(cut.max(1));
                let at = at % frame.len();
                frame[at] ^= 1 << bit;
                let _ = Wire::decode(&frame);
            }
        }
    }
}
