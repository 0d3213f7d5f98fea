//! What a node keeps on disk: blobs by their hash, native code by hash and engine, and one embedded
//! store for durable state. The home of `cid`, `multihash` and `fjall`.
//!
//! One process owns a data directory: [`Lock`] is taken before anything else in it is touched.

pub mod blobs;
pub mod native;
pub mod state;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The names of blobs. CIDv1, raw codec, sha2-256: also an OCI digest and an IPFS block id.
pub use cid::Cid;

/// Why a data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns it.
    #[error(
        "{dir} is in use by another edge-host: stop that one, or give this one its own `data` \
        folder"
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
    },
    /// The file system refused.
    #[error("can't use {path}: {error}: check that it exists and that this user may write there")]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The embedded store is damaged or of another version.
    #[error(
        "the state store in {dir} can't be opened: {error}: restore it, or move the folder away \
        to begin anew"
    )]
    State {
        /// The store's directory.
        dir: PathBuf,
        /// What the store said.
        error: fjall::Error,
    },
}

impl OpenError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::Io { path, error }
    }
}

/// Ownership of a data directory, for as long as it lives; the system lets go of it if the process
/// dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Makes the directory (0700) if it is not there and takes ownership of it.
    pub fn take(dir: &Path) -> Result<Self, OpenError> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(OpenError::io(dir))?;
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(OpenError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.into() }),
            Err(TryLockError::Error(error)) => Err(OpenError::Io { path, error }),
        }
    }
}

/// Writes a file whole or not at all: temporary file, fdatasync, rename, directory fsync.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = dir.join(format!(".{name}.{}", std::process::id()));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()
    });
    if written.is_err() {
        // What is left of it is of no use; the write's own error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let error = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains("in use by another edge-host"), "{error}");
        drop(first);
        Lock::take(dir.path()).unwrap();
    }
}
