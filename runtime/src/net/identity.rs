//! A node's Ed25519 key, and that of its administrator: made once, kept in a file only the owner
//! can read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::address::{NodeId, hex};

/// The file of a node's own key in its data directory.
pub const NODE_KEY: &str = "identity.key";

/// The file of the key by which the command line speaks to a node.
pub const ADMIN_KEY: &str = "admin.key";

/// A key file is 83 bytes (PKCS#8, RFC 8410 with RFC 5958); no more than this is read.
const LONGEST: u64 = 1024;

/// A private Ed25519 key. Its public half is the [`NodeId`]; the private half never leaves the
/// process but to its file.
pub struct Identity {
    id: NodeId,
    pkcs8: Vec<u8>,
}

/// Why a key could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system said no.
    #[error("cannot {what} {path}: {why}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// Others than the owner may read the key, or replace it.
    #[error("{path} is open to others than its owner (mode {mode:03o}): run `chmod {want} {path}`")]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be, for chmod.
        want: &'static str,
    },
    /// Not a key.
    #[error(
        "{path} is not an Ed25519 key in PKCS#8: restore it from a backup, or remove it \
         to get a new identity"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("no random bytes from the system, so no key can be made: try again later")]
    Random,
}

impl Identity {
    /// A key that is in no file: for tests and for one-off clients.
    pub fn generate() -> Result<Self, IdentityError> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| IdentityError::Random)?;
        Self::parse(pkcs8.as_ref()).ok_or(IdentityError::Random)
    }

    /// The key in `directory/name` ([`NODE_KEY`] or [`ADMIN_KEY`]), made if there is none, the
    /// directory too (mode 0700). A file appears whole (mode 0600) or not at all; of two processes
    /// that make one at once both get the same.
    pub fn open(directory: &Path, name: &str) -> Result<Self, IdentityError> {
        let path = directory.join(name);
        match Self::read(&path) {
            Err(IdentityError::Io { why, .. }) if why.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|why| failed("create", directory, why))?;
        check_mode(directory, 0o022, "700")?;
        Self::generate()?.store(directory, &path)?;
        Self::read(&path)
    }

    /// The key in a file that must be there.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let file = File::open(path).map_err(|why| failed("open", path, why))?;
        check_mode(path, 0o077, "600")?;
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes).map_err(|why| failed("read", path, why))?;
        Self::parse(&bytes).ok_or_else(|| IdentityError::Corrupt { path: path.into() })
    }

    /// The public key.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The private key in PKCS#8, for TLS.
    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    fn parse(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        let id = NodeId(pair.public_key().as_ref().try_into().ok()?);
        Some(Self { id, pkcs8: pkcs8.to_vec() })
    }

    /// Written beside its place, then linked to it: a link, unlike a rename, never replaces a key
    /// that another process has made meanwhile.
    fn store(&self, directory: &Path, path: &Path) -> Result<(), IdentityError> {
        let mut suffix = [0; 8];
        SystemRandom::new().fill(&mut suffix).map_err(|_| IdentityError::Random)?;
        let draft = path.with_extension(hex(&suffix));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| file.write_all(&self.pkcs8).and_then(|()| file.sync_all()));
        let placed = written.and_then(|()| match fs::hard_link(&draft, path) {
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
        let removed = fs::remove_file(&draft);
        placed.map_err(|why| failed("write", path, why))?;
        removed.map_err(|why| failed("remove", &draft, why))?;
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|why| failed("sync", directory, why))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Identity").field(&self.id).finish()
    }
}

fn check_mode(path: &Path, forbidden: u32, want: &'static str) -> Result<(), IdentityError> {
    let metadata = fs::metadata(path).map_err(|why| failed("look at", path, why))?;
    let mode = metadata.permissions().mode() & 0o777;
    match mode & forbidden {
        0 => Ok(()),
        _ => Err(IdentityError::Open { path: path.into(), mode, want }),
    }
}

fn failed(what: &'static str, path: &Path, why: io::Error) -> IdentityError {
    IdentityError::Io { what, path: path.into(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let first = Identity::open(&data, NODE_KEY).unwrap();
        let again = Identity::open(&data, NODE_KEY).unwrap();
        let admin = Identity::open(&data, ADMIN_KEY).unwrap();
        assert_eq!(first.id(), again.id());
        assert_ne!(first.id(), admin.id());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&data), 0o700);
        assert_eq!(mode(&data.join(NODE_KEY)), 0o600);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 2, "no drafts are left");
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        Identity::open(directory.path(), NODE_KEY).unwrap();
        let path = directory.path().join(NODE_KEY);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = Identity::open(directory.path(), NODE_KEY).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_corrupt_key_is_named_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        Identity::open(directory.path(), NODE_KEY).unwrap();
        let path = directory.path().join(NODE_KEY);
        let good = fs::read(&path).unwrap();
        for bad in [&b""[..], b"garbage", &good[..good.len() - 1]] {
            fs::write(&path, bad).unwrap();
            let error = Identity::open(directory.path(), NODE_KEY).unwrap_err();
            assert!(matches!(error, IdentityError::Corrupt { .. }), "{error}");
            assert_eq!(fs::read(&path).unwrap(), bad);
        }
    }

    #[test]
    fn processes_that_make_a_key_at_once_get_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Identity::open(directory.path(), NODE_KEY).unwrap().id();
        let ids = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
    }
}
