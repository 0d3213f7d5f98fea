//! When and how a row was measured.

use std::process::Command;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::machine::allowed_processors;
use crate::ours::repository;

/// What is kept with a row's figures.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// When it was done: RFC 3339, in UTC.
    pub at: String,
    /// The repository's commit, with `+` if its files were changed since; none outside git.
    pub commit: Option<String>,
    /// Processors that it was allowed to use, as a list: `0-3,6`.
    pub processors: String,
    /// With less of everything.
    pub quick: bool,
}

impl Stamp {
    /// Now, here.
    pub fn now(quick: bool) -> anyhow::Result<Self> {
        let now = OffsetDateTime::now_utc().replace_nanosecond(0)?;
        let processors = allowed_processors()?;
        Ok(Self { at: now.format(&Rfc3339)?, commit: commit(), processors, quick })
    }
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(repository()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
        output.status.success().then_some(said)
    };
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.is_empty();
    Some(if changed { commit + "+" } else { commit })
}
