//! What a backend is: lines and sensors of any kind behind two traits.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One open line of any backend.
pub(super) trait Line: Send {
    /// Drives an output.
    fn drive(&mut self, _high: bool) -> Result<(), String> {
        Err("it is an input".into())
    }

    /// The level at `now`.
    fn level(&mut self, now: Duration) -> Result<bool, String>;

    /// Takes the edges up to `now` that were asked for, the oldest first.
    fn changes(&mut self, _now: Duration, _found: &mut Vec<Change>) -> Result<(), String> {
        Ok(())
    }

    /// When the next edge comes, if that is known.
    fn next(&self) -> Option<Duration> {
        None
    }

    /// A file that becomes readable when edges come.
    fn ready(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// An edge of a line, and how many were lost just before it.
pub(super) struct Change {
    pub level: bool,
    pub at: Duration,
    pub missed: u64,
}

/// One open sensor of any backend. It may block for as long as its hardware takes.
pub(super) trait Probe: Send {
    /// A reading at `now`; none if there is nothing new.
    fn read(&mut self, now: Duration) -> Result<Option<f64>, String>;
}

/// The folders in a folder of `/sys`, each with what it is called in one of its files.
pub(super) fn listed(folder: &Path, file: &str) -> Vec<(PathBuf, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| {
        let name = std::fs::read_to_string(entry.path().join(file)).ok()?;
        Some((entry.path(), name.trim().to_string()))
    });
    let mut found = named.collect::<Vec<_>>();
    found.sort_unstable();
    found
}
