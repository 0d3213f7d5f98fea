//! Sensors that are topics: what an actor publishes is their reading.
//!
//! The last reading of a topic is kept whether or not a sensor reads it yet, for a publisher need
//! not say the same thing twice.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Reading;
use crate::address::TopicId;

/// How a published reading begins in DAG-CBOR: a map of one entry, `Reading`.
const BEGINS: &[u8] = b"\xa1\x67Reading";

/// What a publication says: the one body that the host looks into, since actors in any language
/// have to agree on what a reading is. Whatever else a reading tells is for subscribers.
#[derive(Deserialize)]
enum Publication {
    Reading(Value),
}

#[derive(Deserialize)]
struct Value {
    value: f64,
}

/// The value of a published reading, `{"Reading": {"value": 21.5}}` in DAG-CBOR; none if it is
/// something else.
pub(super) fn value(body: &[u8]) -> Option<f64> {
    if !body.starts_with(BEGINS) {
        return None;
    }
    let Publication::Reading(Value { value }) = serde_ipld_dagcbor::from_slice(body).ok()?;
    Some(value)
}

/// The last readings by topic.
#[derive(Default)]
pub(super) struct Published {
    last: BTreeMap<TopicId, Reading>,
}

impl Published {
    pub fn last(&self, topic: TopicId) -> Option<Reading> {
        self.last.get(&topic).copied()
    }

    /// Keeps at most `most` readings: the oldest goes, of the topics that are not `read` if there
    /// are such.
    pub fn keep(
        &mut self,
        topic: TopicId,
        reading: Reading,
        most: usize,
        read: impl Fn(TopicId) -> bool,
    ) {
        self.last.insert(topic, reading);
        while self.last.len() > most {
            let others = self.last.iter().filter(|(known, _)| **known != topic);
            let oldest = others.min_by_key(|(known, reading)| (read(**known), reading.at));
            let Some(oldest) = oldest.map(|(known, _)| *known) else { return };
            self.last.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(published: serde_json::Value) -> Option<f64> {
        value(&serde_ipld_dagcbor::to_vec(&published).unwrap())
    }

    #[test]
    fn a_reading_is_read_whatever_else_it_says() {
        let reading = serde_json::json!({"Reading": {"value": 18.5, "raw": 19.0, "at": null}});
        assert_eq!(read(reading), Some(18.5));
    }

    #[test]
    fn what_is_no_reading_is_none() {
        assert_eq!(read(serde_json::json!({"Target": 1.0})), None);
        assert_eq!(read(serde_json::json!({"Reading": 1.0})), None);
        assert_eq!(value(&[BEGINS, b"\xff"].concat()), None);
    }

    #[test]
    fn the_oldest_reading_that_nobody_reads_goes_first() {
        let mut published = Published::default();
        let topics = ["a", "b", "c"].map(TopicId::named);
        for (at, topic) in topics.into_iter().enumerate() {
            let at = std::time::Duration::from_secs(at as u64);
            published.keep(topic, Reading { value: 1.0, at }, 2, |topic| topic == topics[0]);
        }
        let kept = topics.map(|topic| published.last(topic).is_some());
        assert_eq!(kept, [true, false, true]);
    }
}
