//! The node's one embedded store: actors' durable values, and the node's own records.
//!
//! A [`Commit`] is one transaction: all of it is on disk when [`State::commit`] returns, or none of
//! it.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::OpenError;
use crate::address::ActorId;

/// Block cache of the store, in bytes: small, for a Pi's sake.
const CACHE_BYTES: u64 = 2 << 20;
/// Memtable of each keyspace, in bytes.
const MEMTABLE_BYTES: u64 = 2 << 20;

/// The store of one node. Cheap to clone.
#[derive(Clone)]
pub struct State {
    db: Database,
    values: Keyspace,
    records: Keyspace,
}

/// One of the node's records: its name within its kind, and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// Writes that belong together.
#[derive(Debug, Default)]
pub struct Commit {
    writes: Vec<Write>,
}

#[derive(Debug)]
struct Write {
    table: Table,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
enum Table {
    Values,
    Records,
}

/// The store did not take, or give, something.
#[derive(Debug, thiserror::Error)]
#[error(
    "the state store failed: {0}: free disk space and check the disk; nothing of this turn was kept"
)]
pub struct StateError(#[from] fjall::Error);

impl Commit {
    /// Sets (`Some`) or deletes (`None`) an actor's value.
    pub fn value(&mut self, actor: ActorId, key: &[u8], value: Option<Vec<u8>>) {
        self.writes.push(Write { table: Table::Values, key: value_key(actor, key), value });
    }

    /// Sets or deletes one of the node's records. Its key is `kind/name`.
    pub fn record(&mut self, kind: &str, name: &[u8], value: Option<Vec<u8>>) {
        self.writes.push(Write { table: Table::Records, key: record_key(kind, name), value });
    }

    /// Adds another commit's writes after this one's.
    pub fn join(&mut self, other: Self) {
        self.writes.extend(other.writes);
    }

    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }
}

impl State {
    /// Opens the folder `state` of a data directory.
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        let dir = data.join("state");
        let open = || -> fjall::Result<Self> {
            let db = Database::builder(&dir).cache_size(CACHE_BYTES).worker_threads(1).open()?;
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            let values = db.keyspace("values", options)?;
            let records = db.keyspace("records", options)?;
            Ok(Self { db, values, records })
        };
        open().map_err(|error| OpenError::State { dir: dir.clone(), error })
    }

    /// Writes all of a commit in one transaction; it is durable when this returns.
    pub fn commit(&self, commit: Commit) -> Result<(), StateError> {
        if commit.is_empty() {
            return Ok(());
        }
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        for write in commit.writes {
            let keyspace = match write.table {
                Table::Values => &self.values,
                Table::Records => &self.records,
            };
            match write.value {
                Some(value) => batch.insert(keyspace, write.key, value),
                None => batch.remove(keyspace, write.key),
            }
        }
        Ok(batch.commit()?)
    }

    /// An actor's value.
    pub fn value(&self, actor: ActorId, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.values.get(value_key(actor, key))?.map(|value| value.to_vec()))
    }

    /// An actor's values in key order, from `first` up to and without `end` (empty: no end). `take`
    /// is given key and value of each, and says whether to go on.
    pub fn values(
        &self,
        actor: ActorId,
        first: &[u8],
        end: &[u8],
        mut take: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let from = value_key(actor, first);
        let upto = value_key(actor, end);
        for entry in self.values.range(from..) {
            let (key, value) = entry.into_inner()?;
            let own = key.starts_with(&actor.0);
            if !own || (!end.is_empty() && key.as_ref() >= upto.as_slice()) {
                return Ok(());
            }
            if !take(&key[actor.0.len()..], &value) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One of the node's records.
    pub fn record(&self, kind: &str, name: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.records.get(record_key(kind, name))?.map(|value| value.to_vec()))
    }

    /// All records of a kind: name and value, in name order.
    pub fn records(&self, kind: &str) -> Result<Vec<Record>, StateError> {
        let prefix = record_key(kind, b"");
        let mut records = Vec::new();
        for entry in self.records.prefix(&prefix) {
            let (key, value) = entry.into_inner()?;
            records.push((key[prefix.len()..].to_vec(), value.to_vec()));
        }
        Ok(records)
    }
}

fn value_key(actor: ActorId, key: &[u8]) -> Vec<u8> {
    [&actor.0[..], key].concat()
}

fn record_key(kind: &str, name: &[u8]) -> Vec<u8> {
    [kind.as_bytes(), b"/", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ActorId = ActorId([1; 16]);
    const B: ActorId = ActorId([2; 16]);

    fn put(state: &State, actor: ActorId, key: &str, value: &str) {
        let mut commit = Commit::default();
        commit.value(actor, key.as_bytes(), Some(value.into()));
        state.commit(commit).unwrap();
    }

    fn keys(state: &State, actor: ActorId, first: &str, end: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let take = |key: &[u8], _: &[u8]| {
            keys.push(String::from_utf8(key.to_vec()).unwrap());
            true
        };
        state.values(actor, first.as_bytes(), end.as_bytes(), take).unwrap();
        keys
    }

    #[test]
    fn a_range_stays_within_its_actor() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        for key in ["a", "b", "c"] {
            put(&state, A, key, "1");
            put(&state, B, key, "2");
        }
        assert_eq!(keys(&state, A, "", ""), ["a", "b", "c"]);
        assert_eq!(keys(&state, A, "b", "c"), ["b"]);
        assert_eq!(keys(&state, B, "c", ""), ["c"]);
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        let mut commit = Commit::default();
        commit.value(A, b"key", Some(b"value".to_vec()));
        commit.record("actor", b"lamp", Some(b"spec".to_vec()));
        state.commit(commit).unwrap();
        drop(state);
        let state = State::open(dir.path()).unwrap();
        assert_eq!(state.value(A, b"key").unwrap().unwrap(), b"value");
        assert_eq!(state.records("actor").unwrap(), [(b"lamp".to_vec(), b"spec".to_vec())]);
    }
}
