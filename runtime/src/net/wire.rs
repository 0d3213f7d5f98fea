//! What two nodes say to each other, as bytes.
//!
//! A stream is a row of frames: a length (u32, big-endian) and so many bytes of DAG-CBOR. The
//! first frame of a stream is its [`Opening`]; on each side's first unidirectional stream it is
//! a [`Hello`], and the preamble stands before it. All that comes in is checked against the limits
//! before memory is taken for it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::letter;
use crate::address::{ActorId, Address};
use crate::limits::Limits;
use crate::reason::Reason;

/// The version of all that is said between nodes. No two versions can speak with each other yet.
pub const VERSION: u32 = 0;

/// Ordered lanes for letters, in each direction. A pair of actors keeps to one of them.
pub const LANES: usize = 16;

/// Classes of a link's data; class 0 leaves first.
pub const CLASSES: usize = 4;

/// Bytes of a frame's length.
pub const LENGTH: usize = 4;

/// Bytes of [`preamble`].
pub const PREAMBLE: usize = 8;

/// Bytes of a name on the wire: a link's, a blob's.
pub const NAME: usize = 256;

const MAGIC: [u8; 4] = *b"edge";

/// A letter on its way to an actor on the other node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    /// Who shall get it.
    pub to: ActorId,
    /// Opaque to the host.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
    /// The addresses that it carries.
    pub carried: Vec<Address>,
    /// Where an answer goes, if one is wanted.
    pub reply: Option<Box<Address>>,
}

/// The first frame from each side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// A random number drawn when the node started: a peer that was restarted is not mistaken
    /// for the one that was there before.
    pub incarnation: u64,
}

/// What a stream is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Opening {
    /// Unidirectional: [`Letter`]s follow.
    Lane {
        /// Below [`LANES`].
        lane: u8,
    },
    /// Bidirectional: a link of this name is wanted; [`LinkNews`] follow both ways. The stream's
    /// id is the link's instance, and its end is the link's.
    Link {
        /// The link's name, at most [`NAME`] bytes.
        name: String,
        /// All instances below this one that the other side has asked for were seen: tells asking
        /// again, after a link was closed, from asking at the same time.
        seen: u64,
    },
    /// Unidirectional: bodies of a link's class follow, each a byte string.
    LinkData {
        /// The instance.
        link: u64,
        /// Below [`CLASSES`].
        class: u8,
    },
    /// Bidirectional: a blob is wanted. [`BlobNews`] follows, then its bytes from `offset`.
    Blob {
        /// Its name, at most [`NAME`] bytes.
        cid: String,
        /// The first byte wanted.
        offset: u64,
    },
}

/// What follows [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Control {
    /// What became of letters.
    Settled {
        /// On which lane.
        lane: u8,
        /// All letters of the lane before this one (the first is 0) are settled, ...
        next: u64,
        /// ... and all were taken but these.
        failed: Vec<(u64, Reason)>,
    },
    /// Tell me when this actor is gone for good.
    Monitor {
        /// The actor.
        watch: ActorId,
        /// Comes back in [`Control::Down`].
        token: u64,
    },
    /// A question of the other node's was handled, and no answer will come.
    Unanswered {
        /// Its reply address.
        reply: ActorId,
        /// Why.
        reason: Reason,
    },
    /// An actor that the other node monitored is gone for good.
    Down {
        /// The monitor's.
        token: u64,
        /// Why.
        reason: Reason,
    },
}

/// What happens to a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LinkNews {
    /// Yes: it is open.
    Open,
    /// No: both sides asked at once, and the asking of the one who says this counts.
    Crossed,
    /// No, or no more.
    Close {
        /// Why.
        reason: Reason,
    },
}

/// The answer to a wish for a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum BlobNews {
    /// It is here, and so many bytes long as a whole.
    Have {
        /// Bytes, those before the offset included.
        size: u64,
    },
    /// It is not here.
    Missing,
}

/// What a peer did that it must not do, or that ended its stream.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    /// Something too large.
    #[error("{what} of {size} is over the limit of {limit} ({name} in limits)")]
    OverLimit {
        /// What it is, with its unit.
        what: &'static str,
        /// How large it would be.
        size: usize,
        /// How large it may be.
        limit: usize,
        /// The limit's name in `node.toml`.
        name: &'static str,
    },
    /// Not what should stand there.
    #[error("{0}")]
    Garbage(String),
    /// The stream ended, but the frame had not.
    #[error("a stream that stopped in the middle of a frame")]
    Cut,
    /// The stream was given up by the other side.
    #[error("a stream that was given up (code {0})")]
    Reset(u64),
    /// Another version.
    #[error(
        "it speaks version {theirs} of the node protocol and this node speaks version {ours}: \
         run the same release of edge-host on both"
    )]
    Version {
        /// The peer's.
        theirs: u32,
        /// This node's.
        ours: u32,
    },
    /// It did not come in time.
    #[error("no {0} in time")]
    Late(&'static str),
    /// The connection is gone; it knows why.
    #[error("the connection is gone")]
    Lost,
}

/// A frame: the length, and the value in DAG-CBOR.
pub fn frame<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![0; LENGTH];
    serde_ipld_dagcbor::to_writer(&mut bytes, value).expect("the wire's own types have a form");
    seal(bytes)
}

/// A frame around bytes that are no DAG-CBOR (the admin protocol's).
pub fn raw_frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH + body.len());
    bytes.extend([0; LENGTH]);
    bytes.extend(body);
    seal(bytes)
}

/// The value in a frame's bytes (the length is off already). `what` is for the error.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, WireError> {
    serde_ipld_dagcbor::from_slice(bytes)
        .map_err(|why| WireError::Garbage(format!("a frame that is no {what}: {why}")))
}

/// What stands before the first frame of all: it will mean the same in every version.
pub fn preamble() -> [u8; PREAMBLE] {
    let mut bytes = [0; PREAMBLE];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..].copy_from_slice(&VERSION.to_be_bytes());
    bytes
}

/// Checks the other side's preamble.
pub fn check_preamble(bytes: [u8; PREAMBLE]) -> Result<(), WireError> {
    let [m0, m1, m2, m3, version @ ..] = bytes;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(WireError::Garbage("a first stream that does not start with `edge`".into()));
    }
    match u32::from_be_bytes(version) {
        VERSION => Ok(()),
        theirs => Err(WireError::Version { theirs, ours: VERSION }),
    }
}

/// An error if there is too much of something.
pub fn within(
    what: &'static str,
    size: usize,
    limit: usize,
    name: &'static str,
) -> Result<(), WireError> {
    match size <= limit {
        true => Ok(()),
        false => Err(WireError::OverLimit { what, size, limit, name }),
    }
}

impl Letter {
    /// Reads a letter and checks it against the limits.
    pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Self, WireError> {
        let letter: Self = match letter::read(bytes) {
            Some(letter) => letter,
            None => decode("letter", bytes)?,
        };
        letter.check(limits)?;
        Ok(letter)
    }

    /// Whether it keeps to the limits.
    pub fn check(&self, limits: &Limits) -> Result<(), WireError> {
        within("a letter's body (bytes)", self.body.len(), limits.letter_bytes, "letter-bytes")?;
        within("a letter's addresses", self.carried.len(), limits.carried, "carried")
    }
}

impl Opening {
    /// Reads the first frame of a stream.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let opening = decode("opening", bytes)?;
        match &opening {
            Self::Lane { lane } if usize::from(*lane) >= LANES => {
                Err(WireError::Garbage(format!("lane {lane} of {LANES}")))
            }
            Self::LinkData { class, .. } if usize::from(*class) >= CLASSES => {
                Err(WireError::Garbage(format!("class {class} of {CLASSES}")))
            }
            Self::Link { name: text, .. } | Self::Blob { cid: text, .. } if text.len() > NAME => {
                Err(WireError::Garbage(format!("a name of {} bytes, over {NAME}", text.len())))
            }
            _ => Ok(opening),
        }
    }
}

/// Fills in the length. Whoever makes a frame has checked it against `frame_bytes`, far below u32.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len() - LENGTH).expect("frames are far below 4 GiB");
    bytes[..LENGTH].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::address::NodeId;

    /// What one library writes, both read back.
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
        let bytes = frame(&value);
        assert_eq!(bytes[..LENGTH], u32::to_be_bytes((bytes.len() - LENGTH) as u32));
        assert_eq!(decode::<T>("test", &bytes[LENGTH..]).unwrap(), value);
        assert_eq!(serde_cbor::from_slice::<T>(&bytes[LENGTH..]).unwrap(), value);
    }

    fn letter(size: usize) -> Letter {
        let address = Address::new(ActorId([5; 16]), NodeId([6; 32]));
        let (carried, reply) = (vec![address.clone(); 3], Some(Box::new(address)));
        Letter { to: ActorId([4; 16]), body: vec![1; size], carried, reply }
    }

    #[test]
    fn an_independent_decoder_reads_every_frame() {
        check(letter(100));
        check(Hello { incarnation: u64::MAX });
        check(Opening::Lane { lane: 3 });
        check(Opening::Link { name: "gossip".into(), seen: 5 });
        check(Opening::LinkData { link: 1 << 40, class: 2 });
        check(Opening::Blob { cid: "bafk".into(), offset: 7 });
        let failed = Reason::ALL.iter().map(|reason| (u64::MAX, *reason)).collect();
        check(Control::Settled { lane: 15, next: 9, failed });
        check(Control::Monitor { watch: ActorId([1; 16]), token: 3 });
        check(Control::Down { token: 3, reason: Reason::Trapped });
        check(Control::Unanswered { reply: ActorId([1; 16]), reason: Reason::NoAnswer });
        check(LinkNews::Open);
        check(LinkNews::Crossed);
        check(LinkNews::Close { reason: Reason::Stopped });
        check(BlobNews::Have { size: 1 << 33 });
        check(BlobNews::Missing);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        #[derive(Serialize)]
        struct More {
            incarnation: u64,
            more: u8,
        }
        let bytes = frame(&More { incarnation: 1, more: 2 });
        assert!(decode::<Hello>("hello", &bytes[LENGTH..]).is_err());
        let mut trailing = frame(&Hello { incarnation: 1 });
        trailing.push(0);
        assert!(decode::<Hello>("hello", &trailing[LENGTH..]).is_err());
        let lane = frame(&Opening::Lane { lane: 16 });
        assert!(Opening::decode(&lane[LENGTH..]).is_err());
        let name = frame(&Opening::Link { name: "x".repeat(NAME + 1), seen: 0 });
        assert!(Opening::decode(&name[LENGTH..]).is_err());
    }

    #[test]
    fn a_letter_over_a_limit_is_refused_with_the_limits_name() {
        let limits = Limits { letter_bytes: 10, ..Limits::default() };
        let error = Letter::decode(&frame(&letter(11))[LENGTH..], &limits).unwrap_err();
        assert!(error.to_string().contains("letter-bytes"), "{error}");
        assert_eq!(Letter::decode(&frame(&letter(10))[LENGTH..], &limits), Ok(letter(10)));
    }

    #[test]
    fn another_version_is_named_with_ours() {
        assert_eq!(check_preamble(preamble()), Ok(()));
        let error = check_preamble(*b"edge\0\0\0\x07").unwrap_err().to_string();
        assert!(error.contains("version 7") && error.contains("version 0"), "{error}");
        assert!(check_preamble(*b"GET / HT").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in vec(any::<u8>(), 0..400)) {
            let _ = Letter::decode(&bytes, &Limits::default());
            let _ = Opening::decode(&bytes);
            let _ = decode::<Control>("control", &bytes);
            let _ = decode::<LinkNews>("link", &bytes);
        }

        #[test]
        fn no_damage_makes_the_decoder_panic(
            at in 0usize..400,
            to in any::<u8>(),
            cut in 0usize..400,
        ) {
            let mut bytes = frame(&letter(50)).split_off(LENGTH);
            let (at, cut) = (at % bytes.len(), cut % bytes.len());
            bytes[at] = to;
            let _ = Letter::decode(&bytes, &Limits::default());
            prop_assert!(Letter::decode(&bytes[..cut], &Limits::default()).is_err());
        }
    }
}
