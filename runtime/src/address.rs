//! Who is who: nodes, actors, topics, and the address by which an actor is reached.
//!
//! An id is never authority over anything but itself: an actor's id is 128 random bits, shown only
//! to those who hold it, and an address is that id with hints where it was last seen.

use std::fmt;
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
    pub hints: Vec<NodeId>,
    /// Room for signed delegations; empty in version 0.
    #[serde(with = "serde_bytes")]
    pub proof: Vec<u8>,
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
        Self { version: 0, id, hints: vec![seen], proof: Vec::new() }
    }
}

/// Hexadecimal digits, lower case.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
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
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the system gives randomness");
        Self(id)
    }
}

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
    fn an_independent_decoder_reads_an_address() {
        let address = Address::new(ActorId([7; 16]), NodeId([9; 32]));
        let bytes = serde_ipld_dagcbor::to_vec(&address).unwrap();
        assert_eq!(serde_cbor::from_slice::<Address>(&bytes).unwrap(), address);
    }
}
