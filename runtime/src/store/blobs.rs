//! Blobs: plain files named by their CID.
//!
//! A blob is on disk under its name only when all of its bytes are there and were checked. What
//! arrives in pieces gathers in an [`Incoming`], which survives a broken connection.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use cid::Cid;
use multihash::Multihash;
use sha2::{Digest, Sha256};

use super::{OpenError, write_whole};

/// Multicodec of raw bytes.
const RAW: u64 = 0x55;
/// Multihash code of sha2-256.
const SHA2_256: u64 = 0x12;

/// A node's blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    dir: PathBuf,
    max_bytes: u64,
}

/// Why a blob can't be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not a CID.
    #[error(
        "{0:?} is not a CID (like bafkrei…): copy it whole from `edge-host build` or `edge-host \
        ls blobs`"
    )]
    Malformed(String),
    /// A CID of another kind.
    #[error(
        "{0} is not a CIDv1 of raw bytes by sha2-256: edge-host names all blobs so; `edge-host \
        add FILE` prints it"
    )]
    OtherKind(Cid),
    /// The bytes are others than the name says.
    #[error("the bytes given for {want} hash to {got}: refused")]
    WrongBytes {
        /// The name.
        want: Cid,
        /// What they are.
        got: Cid,
    },
    /// Too large.
    #[error(
        "a blob of {bytes} bytes is over the limit of {limit}: raise blob-bytes under [limits] if \
        it is wanted"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// What the node takes.
        limit: u64,
    },
    /// The file system refused.
    #[error("blob {path}: {error}: free disk space or check the folder's permissions")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The name of these bytes.
pub fn cid_of(bytes: &[u8]) -> Cid {
    name(Sha256::digest(bytes).as_slice())
}

fn name(digest: &[u8]) -> Cid {
    let hash = Multihash::wrap(SHA2_256, digest).expect("a sha2-256 digest has 32 bytes");
    Cid::new_v1(RAW, hash)
}

/// Reads a CID as people write it.
pub fn parse_cid(text: &str) -> Result<Cid, BlobError> {
    let cid = Cid::try_from(text).map_err(|_| BlobError::Malformed(text.into()))?;
    let hash = cid.hash();
    if cid.codec() != RAW || hash.code() != SHA2_256 || hash.size() != 32 {
        return Err(BlobError::OtherKind(cid));
    }
    Ok(cid)
}

impl Blobs {
    /// Opens the folder `blobs` of a data directory; a blob may have up to `max_bytes`.
    pub fn open(data: &Path, max_bytes: u64) -> Result<Self, OpenError> {
        let dir = data.join("blobs");
        let parts = dir.join("parts");
        std::fs::create_dir_all(&parts).map_err(OpenError::io(&parts))?;
        Ok(Self { dir, max_bytes })
    }

    /// Keeps bytes and gives their name.
    pub fn put(&self, bytes: &[u8]) -> Result<Cid, BlobError> {
        self.fits(bytes.len() as u64)?;
        let cid = cid_of(bytes);
        let path = self.path(&cid);
        if !path.exists() {
            write_whole(&path, bytes).map_err(|error| BlobError::Io { path, error })?;
        }
        Ok(cid)
    }

    /// The bytes of a blob, checked against its name; `None` if it isn't here. One that has rotted
    /// on disk is removed, and counts as not here.
    pub fn read(&self, cid: &Cid) -> Result<Option<Vec<u8>>, BlobError> {
        let path = self.path(cid);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BlobError::Io { path, error }),
        };
        if cid_of(&bytes) != *cid {
            tracing::warn!("blob {cid} has rotted on disk: removed, to be fetched again");
            std::fs::remove_file(&path).map_err(|error| BlobError::Io { path, error })?;
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// The file of a blob, if it is here, and its size.
    pub fn file(&self, cid: &Cid) -> Option<(PathBuf, u64)> {
        let path = self.path(cid);
        let size = path.metadata().ok()?.len();
        Some((path, size))
    }

    /// All blobs here with their sizes, by name.
    pub fn list(&self) -> Result<Vec<(Cid, u64)>, BlobError> {
        let io = |error| BlobError::Io { path: self.dir.clone(), error };
        let mut blobs = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name();
            let Some(cid) = name.to_str().and_then(|name| Cid::try_from(name).ok()) else {
                continue;
            };
            blobs.push((cid, entry.metadata().map_err(io)?.len()));
        }
        blobs.sort();
        Ok(blobs)
    }

    /// Begins, or goes on with, a blob that arrives in pieces.
    pub fn incoming(&self, cid: &Cid) -> Result<Incoming<'_>, BlobError> {
        let path = self.dir.join("parts").join(cid.to_string());
        let io = |error| BlobError::Io { path: path.clone(), error };
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io)?;
        let have = file.seek(io::SeekFrom::End(0)).map_err(io)?;
        Ok(Incoming { blobs: self, cid: *cid, path: path.clone(), file, have })
    }

    fn fits(&self, bytes: u64) -> Result<(), BlobError> {
        if bytes > self.max_bytes {
            return Err(BlobError::TooLarge { bytes, limit: self.max_bytes });
        }
        Ok(())
    }

    fn path(&self, cid: &Cid) -> PathBuf {
        self.dir.join(cid.to_string())
    }
}

/// A blob that arrives in pieces. Dropped before its end, it keeps what has come for the next try.
#[derive(Debug)]
pub struct Incoming<'a> {
    blobs: &'a Blobs,
    cid: Cid,
    path: PathBuf,
    file: File,
    have: u64,
}

impl Incoming<'_> {
    /// Which blob it will be.
    pub fn cid(&self) -> Cid {
        self.cid
    }

    /// How many bytes are here: where to go on.
    pub fn have(&self) -> u64 {
        self.have
    }

    /// Adds the next piece.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), BlobError> {
        self.blobs.fits(self.have + piece.len() as u64)?;
        self.file
            .write_all(piece)
            .map_err(|error| BlobError::Io { path: self.path.clone(), error })?;
        self.have += piece.len() as u64;
        Ok(())
    }

    /// Checks the whole against its name and keeps it; wrong bytes are thrown away.
    pub fn finish(mut self) -> Result<(), BlobError> {
        let got =
            self.digest().map_err(|error| BlobError::Io { path: self.path.clone(), error })?;
        if got != self.cid {
            self.discard()?;
            return Err(BlobError::WrongBytes { want: self.cid, got });
        }
        let target = self.blobs.path(&self.cid);
        let moved = self.file.sync_data().and_then(|()| {
            std::fs::rename(&self.path, &target)?;
            File::open(&self.blobs.dir)?.sync_all()
        });
        moved.map_err(|error| BlobError::Io { path: target, error })
    }

    /// Throws away what has come.
    pub fn discard(&self) -> Result<(), BlobError> {
        std::fs::remove_file(&self.path)
            .map_err(|error| BlobError::Io { path: self.path.clone(), error })
    }

    fn digest(&mut self) -> io::Result<Cid> {
        self.file.rewind()?;
        let mut sha = Sha256::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = self.file.read(&mut buffer)?;
            if read == 0 {
                return Ok(name(sha.finalize().as_slice()));
            }
            sha.update(&buffer[..read]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs() -> (tempfile::TempDir, Blobs) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path(), 1 << 20).unwrap();
        (dir, blobs)
    }

    #[test]
    fn a_blob_is_read_back_by_its_name() {
        let (_dir, blobs) = blobs();
        let cid = blobs.put(b"hello").unwrap();
        assert!(cid.to_string().starts_with("bafk"));
        assert_eq!(parse_cid(&cid.to_string()).unwrap(), cid);
        assert_eq!(blobs.read(&cid).unwrap().unwrap(), b"hello");
        assert_eq!(blobs.list().unwrap(), [(cid, 5)]);
    }

    #[test]
    fn a_rotted_blob_counts_as_missing() {
        let (_dir, blobs) = blobs();
        let cid = blobs.put(b"hello").unwrap();
        std::fs::write(blobs.path(&cid), b"hellO").unwrap();
        assert_eq!(blobs.read(&cid).unwrap(), None);
    }

    #[test]
    fn a_broken_transfer_goes_on_where_it_stopped() {
        let (_dir, blobs) = blobs();
        let cid = cid_of(b"hello world");
        blobs.incoming(&cid).unwrap().push(b"hello ").unwrap();
        let mut second = blobs.incoming(&cid).unwrap();
        assert_eq!(second.have(), 6);
        second.push(b"world").unwrap();
        second.finish().unwrap();
        assert_eq!(blobs.read(&cid).unwrap().unwrap(), b"hello world");
    }

    #[test]
    fn wrong_bytes_are_refused_and_thrown_away() {
        let (_dir, blobs) = blobs();
        let cid = cid_of(b"hello");
        let mut incoming = blobs.incoming(&cid).unwrap();
        incoming.push(b"jello").unwrap();
        let error = incoming.finish().unwrap_err();
        assert!(matches!(error, BlobError::WrongBytes { .. }), "{error}");
        assert_eq!(blobs.incoming(&cid).unwrap().have(), 0);
        assert_eq!(blobs.read(&cid).unwrap(), None);
    }

    #[test]
    fn malformed_and_foreign_names_are_refused() {
        assert!(matches!(parse_cid("bafk"), Err(BlobError::Malformed(_))));
        let dag_cbor = Cid::new_v1(0x71, *cid_of(b"x").hash()).to_string();
        assert!(matches!(parse_cid(&dag_cbor), Err(BlobError::OtherKind(_))));
    }

    #[test]
    fn a_blob_over_the_limit_is_refused() {
        let (_dir, blobs) = blobs();
        let error = blobs.put(&vec![0; (1 << 20) + 1]).unwrap_err();
        assert!(matches!(error, BlobError::TooLarge { .. }), "{error}");
    }
}
