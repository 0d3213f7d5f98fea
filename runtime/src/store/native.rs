//! Native code, compiled on this node and kept by CID and engine.
//!
//! Never loaded from a peer. Each file has its sha2-256 beside it, so that a truncated or rotted
//! one is seen before it is mapped, and compiled again.

use std::io;
use std::path::{Path, PathBuf};

use cid::Cid;
use sha2::{Digest, Sha256};

use super::{OpenError, write_whole};
use crate::address::hex;

/// The cache of one data directory.
#[derive(Clone, Debug)]
pub struct NativeCode {
    dir: PathBuf,
}

impl NativeCode {
    /// Opens the folder `native` of a data directory.
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        let dir = data.join("native");
        std::fs::create_dir_all(&dir).map_err(OpenError::io(&dir))?;
        Ok(Self { dir })
    }

    /// The file with a component's code for the engine of this fingerprint, if it is here and
    /// whole.
    pub fn find(&self, cid: &Cid, fingerprint: u64) -> Option<PathBuf> {
        let path = self.path(cid, fingerprint);
        let code = std::fs::read(&path).ok()?;
        let sum = std::fs::read_to_string(path.with_extension("sum")).unwrap_or_default();
        if sum == hex(&Sha256::digest(&code)) {
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
        assert_eq!(native.find(&cid, 8), None);
        std::fs::write(&path, b"machine").unwrap();
        assert_eq!(native.find(&cid, 7), None);
    }
}
