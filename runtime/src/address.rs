//! Who is who: nodes, actors, topics, and the address by which an actor is reached.
//!
//! An id is never authority over anything but itself: an actor's id is 128 random bits, shown only
//! to those who hold it, and an address is that id with hints where it was last seen.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A node's Ed25519 public key, 32 bytes; as text 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

/// 128 random bits made at spawn, independent of node, name and component.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(pub [u8; 16]);

/// Stands for all subscribers of a topic: the first 16 bytes of sha2-256 of `topic:` and its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

/// How an actor is reached, wherever it lives; the form in which addresses travel between nodes.
///
/// As text `edge:` and the lower-case hexadecimal of its DAG-CBOR: what an administrator copies
/// from one node's `ls` into another's grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The version of this form: 0.
    #[serde(rename = "v")]
    pub version: u8,
    /// The actor.
    pub id: ActorId,
    /// Nodes where it was last seen, the best guess first.
    pub hints: Hints,
    /// Room for signed delegations; empty in version 0.
    #[serde(with = "serde_bytes")]
    pub proof: Box<[u8]>,
}

/// Nodes where an actor was last seen, the best guess first. One is the rule, and is kept without
/// an allocation: addresses are copied with every letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub enum Hints {
    /// Seen on one node.
    One(NodeId),
    /// Seen nowhere, or on several.
    Many(Box<[NodeId]>),
}

impl Hints {
    /// The best guess.
    pub fn first(&self) -> Option<NodeId> {
        self.nodes().first().copied()
    }

    /// All of them.
    pub fn nodes(&self) -> &[NodeId] {
        match self {
            Self::One(node) => std::slice::from_ref(node),
            Self::Many(nodes) => nodes,
        }
    }
}

impl From<Vec<NodeId>> for Hints {
    fn from(nodes: Vec<NodeId>) -> Self {
        match nodes[..] {
            [node] => Self::One(node),
            _ => Self::Many(nodes.into()),
        }
    }
}

impl From<Hints> for Vec<NodeId> {
    fn from(hints: Hints) -> Self {
        match hints {
            Hints::One(node) => vec![node],
            Hints::Many(nodes) => nodes.into(),
        }
    }
}

/// Why a text is not an id or an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// Not hexadecimal, or of another length.
    #[error("{what} {text:?} is not {digits} hexadecimal digits: copy it whole")]
    Id {
        /// What was expected: "node id", "actor id".
        what: &'static str,
        /// What was given.
        text: String,
        /// How many digits it should have.
        digits: usize,
    },
    /// Not an address.
    #[error(
        "{0:?} is not an address (`edge:` and hexadecimal digits): copy it whole from `edge-host \
        ls actors`"
    )]
    Address(String),
}

impl Address {
    /// The address of an actor last seen on a node.
    pub fn new(id: ActorId, seen: NodeId) -> Self {
        Self { version: 0, id, hints: Hints::One(seen), proof: Box::default() }
    }
}

/// Hexadecimal digits, lower case.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
        text
    })
}

/// Bytes from hexadecimal digits; `None` if it is not such a text.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

macro_rules! id {
    ($name:ident, $bytes:literal, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), hex(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let bytes = unhex(text).and_then(|bytes| bytes.try_into().ok());
                let digits = $bytes * 2;
                bytes.map($name).ok_or_else(|| ParseError::Id {
                    what: $what,
                    text: text.into(),
                    digits,
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes = serde_bytes::ByteArray::<$bytes>::deserialize(deserializer)?;
                Ok($name(bytes.into_array()))
            }
        }
    };
}

id!(NodeId, 32, "node id");
id!(ActorId, 16, "actor id");
id!(TopicId, 16, "topic id");

impl ActorId {
    /// A new id, from the system's randomness.
    ///
    /// # Panics
    /// If the system has no randomness to give: nothing on such a machine can be trusted.
    pub fn random() -> Self {
        POOL.with_borrow_mut(|(pool, left)| {
            if *left == 0 {
                getrandom::fill(pool).expect("the system gives randomness");
                *left = POOLED;
            }
            *left -= 1;
            let mut id = [0; 16];
            // What was given is not kept: nobody who reads this memory later learns an id.
            id.swap_with_slice(&mut pool[*left * 16..][..16]);
            Self(id)
        })
    }
}

/// Ids made by one call of the system: a call for each costs more than a spawn.
const POOLED: usize = 64;

thread_local! {
    /// Random bytes, and how many ids are left in them.
    static POOL: RefCell<([u8; POOLED * 16], usize)> =
        const { RefCell::new(([0; POOLED * 16], 0)) };
}

/// Hashes ids by their own bytes, which are random already. For maps whose keys are made on this
/// node, or let in by its people: a stranger who could choose them could make them collide.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 ^= u64::from_ne_bytes(word);
        }
    }

    // The length of the array, the same for all ids.
    fn write_usize(&mut self, _: usize) {}
}

/// What a map by ids made on this node hashes with.
pub type IdHash = BuildHasherDefault<IdHasher>;

impl TopicId {
    /// The topic of this name.
    pub fn named(name: &str) -> Self {
        use sha2::Digest;
        let digest = sha2::Sha256::new().chain_update(b"topic:").chain_update(name).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Self(id)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = serde_ipld_dagcbor::to_vec(self).map_err(|_| fmt::Error)?;
        write!(f, "edge:{}", hex(&bytes))
    }
}

impl FromStr for Address {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.strip_prefix("edge:")
            .and_then(unhex)
            .and_then(|bytes| serde_ipld_dagcbor::from_slice(&bytes).ok())
            .ok_or_else(|| ParseError::Address(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_its_text() {
        let address = Address::new(ActorId([7; 16]), NodeId([9; 32]));
        assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn a_clipped_text_is_refused_with_what_to_do() {
        let text = Address::new(ActorId([7; 16]), NodeId([9; 32])).to_string();
        let error = text[..text.len() - 2].parse::<Address>().unwrap_err().to_string();
        assert!(error.contains("copy it whole"), "{error}");
        assert!("12é4".parse::<NodeId>().is_err());
    }

    #[test]
    fn ids_differ_and_leave_nothing_in_the_pool() {
        let ids: std::collections::BTreeSet<_> =
            (0..3 * POOLED).map(|_| ActorId::random()).collect();
        assert_eq!(ids.len(), 3 * POOLED);
        let given = POOL.with_borrow(|(pool, left)| pool[*left * 16..].to_vec());
        assert!(given.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn an_independent_decoder_reads_an_address() {
        let address = Address::new(ActorId([7; 16]), NodeId([9; 32]));
        let bytes = serde_ipld_dagcbor::to_vec(&address).unwrap();
        assert_eq!(serde_cbor::from_slice::<Address>(&bytes).unwrap(), address);
    }
}
