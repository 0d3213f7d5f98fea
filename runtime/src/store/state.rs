//! The node's one embedded store: actors' durable values, and the node's own records.
//!
//! A [`Commit`] is one transaction: all of it is on disk when [`State::commit`] returns, or none of
//! it. Each has a number, kept with it: after a failure it tells whether the last one counts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::OpenError;
use crate::address::ActorId;

/// Block cache of the store, in bytes: small, for a Pi's sake.
const CACHE_BYTES: u64 = 2 << 20;
/// Memtable of each keyspace, in bytes.
const MEMTABLE_BYTES: u64 = 2 << 20;

/// The kind of the record that says which commit was the last.
const LAST: &str = "commit";
/// A disk that takes so many bytes is thought to have room again.
const ROOM_BYTES: usize = 256 << 10;

/// The store of one node. Cheap to clone.
///
/// The embedded store gives up for good when a write fails, on a full disk say. It is opened again
/// at the next commit that finds room; until then what was committed can still be read.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    /// `None` if it was closed to be opened again, and that failed.
    open: RwLock<Option<Tables>>,
    /// One commit at a time.
    commits: Mutex<Commits>,
}

struct Tables {
    db: Database,
    values: Keyspace,
    records: Keyspace,
}

struct Commits {
    /// The number of the last commit, whatever came of it.
    number: u64,
    doubt: Option<Doubt>,
}

/// A commit that failed, of which the disk may hold all.
struct Doubt {
    number: u64,
    /// What its writes replaced.
    before: Vec<Write>,
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
        let open = || {
            let store = Tables::open(&dir)?;
            let commits = Commits { number: store.last_commit()?, doubt: None };
            Ok((store, commits))
        };
        let (store, commits) =
            open().map_err(|error| OpenError::State { dir: dir.clone(), error })?;
        let (open, commits) = (RwLock::new(Some(store)), Mutex::new(commits));
        Ok(Self { shared: Arc::new(Shared { dir, open, commits }) })
    }

    /// Writes all of a commit in one transaction; it is durable when this returns. On an error none
    /// of it is kept.
    pub fn commit(&self, commit: Commit) -> Result<(), StateError> {
        if commit.is_empty() {
            return Ok(());
        }
        let mut commits = self.shared.commits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(doubt) = &commits.doubt {
            commits.number = self.open_again(doubt)?;
            commits.doubt = None;
        }
        commits.number += 1;
        let number = commits.number;
        self.read(|store| {
            store.commit(&commit.writes, number).inspect_err(|_| {
                let before = commit.writes.iter().filter_map(|write| store.before(write).ok());
                commits.doubt = Some(Doubt { number, before: before.collect() });
            })
        })
    }

    /// An actor's value.
    pub fn value(&self, actor: ActorId, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let value = self.read(|store| store.values.get(value_key(actor, key)))?;
        Ok(value.map(|value| value.to_vec()))
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
        self.read(|store| {
            for entry in store.values.range(from..) {
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
        })
    }

    /// All actors that have values.
    pub fn owners(&self) -> Result<Vec<ActorId>, StateError> {
        self.read(|store| {
            let (mut owners, mut from) = (Vec::new(), Some([0; 16]));
            while let Some(first) = from {
                let Some(entry) = store.values.range(first..).next() else { break };
                let (key, _) = entry.into_inner()?;
                let owner = key.first_chunk().copied();
                owners.extend(owner.map(ActorId));
                // Past all keys of this one.
                let next = owner.and_then(|owner| u128::from_be_bytes(owner).checked_add(1));
                from = next.map(u128::to_be_bytes);
            }
            Ok(owners)
        })
    }

    /// One of the node's records.
    pub fn record(&self, kind: &str, name: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let value = self.read(|store| store.records.get(record_key(kind, name)))?;
        Ok(value.map(|value| value.to_vec()))
    }

    /// All records of a kind: name and value, in name order.
    pub fn records(&self, kind: &str) -> Result<Vec<Record>, StateError> {
        let prefix = record_key(kind, b"");
        self.read(|store| {
            let records = store.records.prefix(&prefix).map(|entry| {
                let (key, value) = entry.into_inner()?;
                Ok((key[prefix.len()..].to_vec(), value.to_vec()))
            });
            records.collect()
        })
    }

    fn read<T>(&self, read: impl FnOnce(&Tables) -> fjall::Result<T>) -> Result<T, StateError> {
        let open = self.shared.open.read().unwrap_or_else(PoisonError::into_inner);
        Ok(read(open.as_ref().ok_or(fjall::Error::Poisoned)?)?)
    }

    /// Opens the store again after a failed commit, and undoes that one if the disk holds it. Gives
    /// the number of the last commit.
    fn open_again(&self, doubt: &Doubt) -> Result<u64, StateError> {
        let dir = &self.shared.dir;
        has_room(dir).map_err(fjall::Error::from)?;
        let mut open = self.shared.open.write().unwrap_or_else(PoisonError::into_inner);
        // The store writes what it still has in memory, and lets go of its lock.
        *open = None;
        let store = open.insert(Tables::open(dir)?);
        let last = store.last_commit()?;
        if last == doubt.number {
            store.commit(&doubt.before, last + 1)?;
        }
        tracing::info!("the state store is open again");
        Ok(last + 1)
    }
}

impl Tables {
    fn open(dir: &Path) -> fjall::Result<Self> {
        let db = Database::builder(dir).cache_size(CACHE_BYTES).worker_threads(1).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let values = db.keyspace("values", options)?;
        let records = db.keyspace("records", options)?;
        Ok(Self { db, values, records })
    }

    fn commit(&self, writes: &[Write], number: u64) -> fjall::Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        for Write { table, key, value } in writes {
            match value {
                Some(value) => batch.insert(self.table(*table), &key[..], &value[..]),
                None => batch.remove(self.table(*table), &key[..]),
            }
        }
        batch.insert(&self.records, record_key(LAST, b""), number.to_be_bytes());
        batch.commit()
    }

    fn last_commit(&self) -> fjall::Result<u64> {
        let number = self.records.get(record_key(LAST, b""))?;
        let number = number.and_then(|bytes| Some(u64::from_be_bytes(bytes[..].try_into().ok()?)));
        Ok(number.unwrap_or_default())
    }

    /// What undoes a write that has not taken place.
    fn before(&self, write: &Write) -> fjall::Result<Write> {
        let (table, key) = (write.table, write.key.clone());
        let value = self.table(table).get(&key)?.map(|value| value.to_vec());
        Ok(Write { table, key, value })
    }

    fn table(&self, table: Table) -> &Keyspace {
        match table {
            Table::Values => &self.values,
            Table::Records => &self.records,
        }
    }
}

/// Whether the disk takes some bytes.
fn has_room(dir: &Path) -> std::io::Result<()> {
    let path = dir.with_extension("room");
    let tried = std::fs::write(&path, vec![1; ROOM_BYTES])
        .and_then(|()| std::fs::File::open(&path)?.sync_all());
    // It may not have come into being.
    let _ = std::fs::remove_file(&path);
    tried
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

    #[test]
    fn all_that_have_values_are_owners() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        assert_eq!(state.owners().unwrap(), []);
        let all = [[0; 16], [1; 16], [2; 16], [255; 16]].map(ActorId);
        for actor in all {
            put(&state, actor, "", "empty");
            put(&state, actor, "key", "value");
        }
        assert_eq!(state.owners().unwrap(), all);
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

    #[test]
    fn a_failed_commit_that_the_disk_holds_after_all_is_undone() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path()).unwrap();
        put(&state, A, "kept", "old");
        let mut failed = Commit::default();
        failed.value(A, b"kept", Some(b"new".to_vec()));
        failed.value(A, b"made", Some(b"new".to_vec()));
        // What a commit leaves behind whose flush failed, and was made up for at the close.
        let number = 1 + state.shared.commits.lock().unwrap().number;
        let before = state.read(|store| {
            let before = failed.writes.iter().map(|write| store.before(write)).collect();
            store.commit(&failed.writes, number)?;
            before
        });
        let doubt = Doubt { number, before: before.unwrap() };
        *state.shared.commits.lock().unwrap() = Commits { number, doubt: Some(doubt) };
        put(&state, A, "next", "1");
        assert_eq!(keys(&state, A, "", ""), ["kept", "next"]);
        assert_eq!(state.value(A, b"kept").unwrap().unwrap(), b"old");
        drop(state);
        let state = State::open(dir.path()).unwrap();
        assert_eq!(keys(&state, A, "", ""), ["kept", "next"]);
        put(&state, A, "made", "2");
    }
}
