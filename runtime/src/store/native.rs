//! Native code, compiled on this node and kept by CID and engine.
//!
//! Never loaded from a peer. Each file has its sha2-256 beside it, so that a truncated or rotted
//! one is seen before it is mapped, and compiled again. A process reads each file once for that: as
//! long as the file has not changed since, it is whole.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cid::Cid;
use sha2::{Digest, Sha256};

use super::{OpenError, write_whole};
use crate::address::hex;

/// Files remembered to be whole; when there are more, all are read again.
const REMEMBERED: usize = 1 << 10;

/// The cache of one data directory.
#[derive(Debug)]
pub struct NativeCode {
    dir: PathBuf,
    /// Files that were read and found whole, as they were then.
    whole: Mutex<BTreeMap<PathBuf, Stamp>>,
}

/// What changes with a file's content: inode, bytes, and when either changed (s, ns).
type Stamp = (u64, u64, i64, i64);

fn stamp(file: &Metadata) -> Stamp {
    (file.ino(), file.len(), file.ctime(), file.ctime_nsec())
}

impl NativeCode {
    /// Opens the folder `native` of a data directory.
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        let dir = data.join("native");
        std::fs::create_dir_all(&dir).map_err(OpenError::io(&dir))?;
        Ok(Self { dir, whole: Mutex::default() })
    }

    /// The file with a component's code for the engine of this fingerprint, if it is here and
    /// whole.
    pub fn find(&self, cid: &Cid, fingerprint: u64) -> Option<PathBuf> {
        let path = self.path(cid, fingerprint);
        let now = stamp(&std::fs::metadata(&path).ok()?);
        if self.whole().get(&path) == Some(&now) {
            return Some(path);
        }
        let code = std::fs::read(&path).ok()?;
        let sum = std::fs::read_to_string(path.with_extension("sum")).unwrap_or_default();
        if sum == hex(&Sha256::digest(&code)) {
            let mut whole = self.whole();
            if whole.len() >= REMEMBERED {
                whole.clear();
            }
            whole.insert(path.clone(), now);
            return Some(path);
        }
        tracing::warn!("native code of {cid} is damaged on disk: compiling it again");
        None
    }

    /// Keeps code and gives its file.
    pub fn put(&self, cid: &Cid, fingerprint: u64, code: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(cid, fingerprint);
        write_whole(&path, code)?;
        write_whole(&path.with_extension("sum"), hex(&Sha256::digest(code)).as_bytes())?;
        Ok(path)
    }

    fn whole(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Stamp>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, cid: &Cid, fingerprint: u64) -> PathBuf {
        self.dir.join(format!("{cid}-{fingerprint:016x}.cwasm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::blobs::cid_of;

    #[test]
    fn a_truncated_file_is_not_given() {
        let dir = tempfile::tempdir().unwrap();
        let native = NativeCode::open(dir.path()).unwrap();
        let cid = cid_of(b"component");
        let path = native.put(&cid, 7, b"machine code").unwrap();
        assert_eq!(native.find(&cid, 7), Some(path.clone()));
        assert_eq!(native.find(&cid, 7), Some(path.clone()), "when it is known to be whole");
        assert_eq!(native.find(&cid, 8), None);
        std::fs::write(&path, b"machine").unwrap();
        assert_eq!(native.find(&cid, 7), None);
    }
}
