//! What documents are made of, and what they tell each other.

use guest_sdk::Stamp;
use serde::{Deserialize, Serialize};

use crate::limits::{DOCUMENT_BYTES, FACT_OVERHEAD, FACTS, KEY_BYTES, VALUE_BYTES};
use crate::{Dot, Dots, Value};

/// One thing that a replica said, and that nothing has taken the place of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is about.
    #[serde(rename = "k")]
    pub key: String,
    /// What it says.
    #[serde(rename = "c")]
    pub content: Content,
}

/// What a fact says about its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// The key has this value. Between values that were written without knowing of each other, the
    /// latest stamp decides.
    #[serde(rename = "v")]
    Value(Value, Stamp),
    /// The key's set has this item.
    #[serde(rename = "i")]
    Item(Value),
    /// The replica that says this has counted so far on the key's counter.
    #[serde(rename = "n")]
    Count(i64),
}

/// What one document can tell another: facts, and dots of facts that are gone.
///
/// Deltas may be lost, doubled, reordered and split in any way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delta {
    /// Facts that are there.
    pub facts: Vec<(Dot, Fact)>,
    /// Facts that are not there any more.
    pub gone: Dots,
}

/// What a replica has seen, and a fingerprint of what of that is still there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// What it has seen.
    pub seen: Dots,
    /// Equal for equal sets of dots, and different for different ones but by a chance of 2^-64.
    pub print: u64,
}

/// What is known about a key. Values, sets and counters do not get in each other's way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its value, if it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The items of its set, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Value>,
    /// Its counter, if anyone counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
}

/// Why a document does not take something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The key is longer than its limit.
    #[error("the key is longer than {KEY_BYTES} bytes: shorten it")]
    Key,
    /// The value is larger than its limit, or has a number that is none.
    #[error(
        "the value is larger than {VALUE_BYTES} bytes or not finite: put a blob's CID in its place"
    )]
    Value,
    /// No room.
    #[error("the document is full ({FACTS} facts, {DOCUMENT_BYTES} bytes): remove something first")]
    Full,
    /// The replica has used up its dots.
    #[error("this replica has used up its 2^63 changes: start a new one")]
    UsedUp,
}

/// What a merge changed, for those who keep the facts elsewhere too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Facts that are new.
    pub added: Vec<Dot>,
    /// Facts that are gone.
    pub removed: Vec<Dot>,
    /// Whether more was seen than before, also where no fact changed.
    pub seen: bool,
    /// Facts that there was no room for; they stay missing.
    pub refused: usize,
}

impl Fact {
    /// What the fact costs in bytes.
    ///
    /// # Errors
    /// The key or the value is past its limit.
    pub fn cost(&self) -> Result<usize, Refusal> {
        if self.key.len() > KEY_BYTES {
            return Err(Refusal::Key);
        }
        let content = serde_ipld_dagcbor::to_vec(&self.content).map_err(|_| Refusal::Value)?;
        if content.len() > VALUE_BYTES {
            return Err(Refusal::Value);
        }
        Ok(FACT_OVERHEAD + 2 * self.key.len() + content.len())
    }
}

/// The fingerprint of a set of dots, whatever their order.
pub(crate) fn print<'a>(dots: impl Iterator<Item = &'a Dot>) -> u64 {
    dots.fold(0, |print, dot| print ^ mix(dot.0 ^ mix(dot.1)))
}

/// One step of SplitMix64.
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
