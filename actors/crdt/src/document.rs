//! A document: a map from keys to values, sets and counters, as one set of facts with dots.
//!
//! Every change is a new fact with a dot of its own, and takes the place of facts it has seen. So
//! one rule of merging serves all types, nothing removed leaves a tombstone, and what a replica has
//! seen (its dots) is an exact digest: whatever is not in it, is missing there.

use std::collections::{BTreeMap, BTreeSet};

use guest_sdk::Stamp;
use serde::{Deserialize, Serialize};

use crate::fact::{Content, Delta, Digest, Entry, Fact, Merged, Refusal, print};
use crate::limits::{DOCUMENT_BYTES, FACTS, RUNS};
use crate::{Dot, Dots, Merge, Replica, Value, pairs};

/// The facts, and all dots that were ever seen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct Document {
    facts: BTreeMap<Dot, Fact>,
    keys: BTreeMap<String, BTreeSet<Dot>>,
    seen: Dots,
    bytes: usize,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    #[serde(with = "pairs")]
    facts: BTreeMap<Dot, Fact>,
    seen: Dots,
}

/// Changes. Each gives the delta that makes it so: merge it here, and send it to the others.
impl Document {
    /// Gives a key a value.
    ///
    /// # Errors
    /// The [`Refusal`] says which limit is in the way.
    pub fn set(
        &self,
        replica: Replica,
        key: &str,
        value: Value,
        stamp: Stamp,
    ) -> Result<Delta, Refusal> {
        let is_value = |_: &Dot, content: &Content| matches!(content, Content::Value(..));
        self.change(replica, key, Content::Value(value, stamp), is_value)
    }

    /// Puts an item into a key's set.
    ///
    /// # Errors
    /// The [`Refusal`] says which limit is in the way.
    pub fn add(&self, replica: Replica, key: &str, item: Value) -> Result<Delta, Refusal> {
        let same = Content::Item(item.clone());
        self.change(replica, key, Content::Item(item), move |_, content| *content == same)
    }

    /// Counts on, or back, on a key's counter.
    ///
    /// # Errors
    /// The [`Refusal`] says which limit is in the way.
    pub fn increment(&self, replica: Replica, key: &str, by: i64) -> Result<Delta, Refusal> {
        let before = self.counted(key).remove(&replica).unwrap_or(0);
        let is_own =
            |dot: &Dot, content: &Content| dot.0 == replica && matches!(content, Content::Count(_));
        self.change(replica, key, Content::Count(before.saturating_add(by)), is_own)
    }

    /// Takes an item out of a key's set, as far as it is seen here.
    pub fn remove(&self, key: &str, item: &Value) -> Delta {
        self.without(key, |content| matches!(content, Content::Item(other) if other == item))
    }

    /// Takes away a key with its value, its set and its counter, as far as they are seen here.
    pub fn clear(&self, key: &str) -> Delta {
        self.without(key, |_| true)
    }

    fn change(
        &self,
        replica: Replica,
        key: &str,
        content: Content,
        replaces: impl Fn(&Dot, &Content) -> bool,
    ) -> Result<Delta, Refusal> {
        let dot = self.seen.next(replica).ok_or(Refusal::UsedUp)?;
        let fact = Fact { key: key.into(), content };
        let cost = fact.cost()?;
        let before = self.about(key).filter(|(dot, fact)| replaces(dot, &fact.content));
        let (gone, freed) = before.fold((Vec::new(), 0), |(mut gone, freed), (dot, fact)| {
            gone.push(*dot);
            (gone, freed + fact.cost().unwrap_or(0))
        });
        let facts = self.facts.len() + 1 - gone.len();
        let full = facts > FACTS || self.bytes + cost - freed > DOCUMENT_BYTES;
        if full || self.seen.runs() >= RUNS {
            return Err(Refusal::Full);
        }
        Ok(Delta { facts: vec![(dot, fact)], gone: gone.into_iter().collect() })
    }

    fn without(&self, key: &str, drops: impl Fn(&Content) -> bool) -> Delta {
        let gone = self.about(key).filter(|(_, fact)| drops(&fact.content));
        Delta { facts: Vec::new(), gone: gone.map(|(dot, _)| *dot).collect() }
    }
}

/// Reading.
impl Document {
    /// The document that held these facts and had seen these dots.
    pub fn restore(facts: impl IntoIterator<Item = (Dot, Fact)>, seen: Dots) -> Self {
        let mut document = Self::default();
        for (dot, fact) in facts {
            document.keep_fact(dot, fact);
        }
        document.seen.union(&seen);
        document
    }

    /// What is known about a key, if anything.
    pub fn entry(&self, key: &str) -> Option<Entry> {
        self.keys.get(key)?;
        let mut entry = Entry::default();
        let (mut latest, mut items) = (None, BTreeSet::new());
        for (dot, fact) in self.about(key) {
            match &fact.content {
                Content::Value(value, stamp) => latest = latest.max(Some((stamp, dot, value))),
                Content::Item(item) => drop(items.insert(item)),
                Content::Count(_) => {}
            }
        }
        entry.value = latest.map(|(_, _, value)| value.clone());
        entry.items = items.into_iter().cloned().collect();
        entry.count = self.counted(key).into_values().reduce(i64::saturating_add);
        Some(entry)
    }

    /// The keys after this one, in order.
    pub fn keys_after(&self, key: &str) -> impl Iterator<Item = &str> {
        let range = (std::ops::Bound::Excluded(key), std::ops::Bound::Unbounded);
        self.keys.range::<str, _>(range).map(|(key, _)| key.as_str())
    }

    /// One fact, if it is there.
    pub fn fact(&self, dot: Dot) -> Option<&Fact> {
        self.facts.get(&dot)
    }

    /// All dots that were ever seen.
    pub fn seen(&self) -> &Dots {
        &self.seen
    }

    /// What to tell others, so that they see what is missing here.
    pub fn digest(&self) -> Digest {
        Digest { seen: self.seen.clone(), print: print(self.facts.keys()) }
    }

    /// The facts whose dots are not among these.
    pub fn facts_beyond(&self, seen: &Dots) -> impl Iterator<Item = (Dot, &Fact)> {
        self.facts.iter().filter(|(dot, _)| !seen.contains(**dot)).map(|(dot, fact)| (*dot, fact))
    }

    /// The dots that were seen and are not there any more.
    pub fn gone(&self) -> Dots {
        self.seen.minus(&self.facts.keys().copied().collect())
    }

    /// How many facts there are, and what they cost in bytes.
    pub fn size(&self) -> (usize, usize) {
        (self.facts.len(), self.bytes)
    }

    fn about(&self, key: &str) -> impl Iterator<Item = (&Dot, &Fact)> {
        let dots = self.keys.get(key).into_iter().flatten();
        dots.filter_map(|dot| self.facts.get_key_value(dot))
    }

    /// How far each replica has counted. Where an older count of a replica is still there, because
    /// only half of a change arrived, its newest holds.
    fn counted(&self, key: &str) -> BTreeMap<Replica, i64> {
        let counts = self.about(key).filter_map(|(dot, fact)| match fact.content {
            Content::Count(count) => Some((dot.0, count)),
            _ => None,
        });
        counts.collect() // In the order of dots: the newest of a replica comes last.
    }
}

/// Merging.
impl Document {
    /// Takes in what another document told.
    pub fn take(&mut self, delta: Delta) -> Merged {
        let mut merged = Merged::default();
        let mut seen = self.seen.clone();
        seen.union(&delta.gone);
        if seen.runs() > RUNS {
            merged.refused = delta.facts.len().max(1);
            return merged;
        }
        merged.seen = seen != self.seen;
        self.seen = seen;
        if !delta.gone.is_empty() {
            let gone = self.facts.keys().filter(|dot| delta.gone.contains(**dot));
            merged.removed = gone.copied().collect();
        }
        for dot in &merged.removed {
            self.drop_fact(*dot);
        }
        for (dot, fact) in delta.facts {
            if self.seen.contains(dot) {
                continue;
            }
            if self.keep_fact(dot, fact) {
                self.seen.insert(dot);
                merged.added.push(dot);
            } else {
                merged.refused += 1;
            }
        }
        merged.seen |= !merged.added.is_empty();
        merged
    }

    fn keep_fact(&mut self, dot: Dot, fact: Fact) -> bool {
        let Ok(cost) = fact.cost() else { return false };
        let full = self.facts.len() >= FACTS || self.bytes + cost > DOCUMENT_BYTES;
        if full || self.seen.runs() >= RUNS {
            return false;
        }
        self.bytes += cost;
        self.keys.entry(fact.key.clone()).or_default().insert(dot);
        self.facts.insert(dot, fact);
        true
    }

    fn drop_fact(&mut self, dot: Dot) {
        let Some(fact) = self.facts.remove(&dot) else {
            return;
        };
        self.bytes -= fact.cost().unwrap_or(0);
        if let Some(dots) = self.keys.get_mut(&fact.key) {
            dots.remove(&dot);
            if dots.is_empty() {
                self.keys.remove(&fact.key);
            }
        }
    }
}

impl Merge for Document {
    fn merge(&mut self, other: Self) {
        let gone = other.gone();
        self.take(Delta { facts: other.facts.into_iter().collect(), gone });
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.facts == other.facts && self.seen == other.seen
    }
}

impl From<Document> for Saved {
    fn from(document: Document) -> Self {
        Self { facts: document.facts, seen: document.seen }
    }
}

impl From<Saved> for Document {
    fn from(saved: Saved) -> Self {
        Self::restore(saved.facts, saved.seen)
    }
}

#[cfg(test)]
mod tests;
