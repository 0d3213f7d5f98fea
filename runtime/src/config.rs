//! The manifest, `node.toml`: what a node is, its limits, its actors and who may touch what.
//!
//! Text becomes types here and is not checked again: an unknown key, a grant of no known form or
//! a pin granted twice is an error of one line with its place in the file and what to write.

mod document;
pub mod grant;
mod read;
pub mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::NodeId;
use crate::limits::Limits;
use grant::Grant;

/// Where a node listens if its manifest does not say.
pub const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 4433);

/// A manifest that was read.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The node itself.
    pub node: NodeConfig,
    /// The node's limits: the defaults, and over them the `[limits]` table.
    pub limits: Limits,
    /// The actors by name.
    pub actors: BTreeMap<String, ActorConfig>,
}

/// The `[node]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// Where the node listens for its peers.
    pub listen: SocketAddr,
    /// Identity, blobs, cache and state.
    pub data: PathBuf,
    /// The nodes that are known, each at most once.
    pub peers: Vec<Peer>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub id: NodeId,
    /// Where it can be reached, as `host:port`; without it this node waits to be called.
    pub at: Option<String>,
}

/// What a manifest says of one actor: code, grants, budgets, restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorConfig {
    /// Its code.
    pub component: Component,
    /// What it is given, by the name under which it asks for it.
    pub grants: BTreeMap<String, Grant>,
    /// Letters waiting in its mailbox; else the node's limit. At least 1.
    pub mailbox: Option<usize>,
    /// Bytes of linear memory; else the node's limit.
    pub memory: Option<u64>,
    /// Longest time of one activation; else the node's limit.
    pub turn: Option<Duration>,
    /// Durable bytes; else the node's limit.
    pub storage: Option<u64>,
    /// What happens when it ends or fails.
    pub restart: Restart,
}

/// Where an actor's code comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Component {
    /// A component by its CID (CIDv1, raw, sha2-256, base 32), as text.
    Cid(String),
    /// A file on this machine, while developing.
    Path(PathBuf),
}

/// When an actor is started again: at most `max` times within `within`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// After which ends.
    pub when: When,
    /// Restarts allowed within the window.
    pub max: u32,
    /// The window.
    pub within: Duration,
}

/// After which ends an actor is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// After every end but one that was asked for.
    Always,
    /// After a failure.
    Failed,
    /// Never.
    Never,
}

/// Why a manifest or a grant was not accepted: one line with the place, what, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The manifest, if it was read from a file.
    pub file: Option<PathBuf>,
    /// The line, counted from 1, if the text has lines.
    pub line: Option<usize>,
    /// What is wrong and what to write.
    pub what: String,
}

impl Manifest {
    /// Reads a manifest's file. Relative paths in it start from its folder.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let fail = |line, what| ConfigError { file: Some(path.into()), line, what };
        let text = std::fs::read_to_string(path)
            .map_err(|why| fail(None, format!("cannot be read ({why}): name a manifest")))?;
        let absolute = std::path::absolute(path).map_err(|why| fail(None, why.to_string()))?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        Self::parse(&text, folder, default_data())
            .map_err(|ConfigError { line, what, .. }| fail(line, what))
    }

    /// Reads a manifest's text. Relative paths start from `folder`; `data` is the node's data
    /// folder if the text names none.
    pub fn parse(text: &str, folder: &Path, data: Option<PathBuf>) -> Result<Self, ConfigError> {
        read::manifest(text, folder, data)
    }
}

/// Whether an actor can have this name; if not, one line says what to write.
pub fn check_name(name: &str) -> Result<(), String> {
    grant::check_name(name)
}

/// A node's data folder where nothing else is said, if the environment tells: `EDGE_HOST_DATA`,
/// else the user's.
pub fn default_data() -> Option<PathBuf> {
    if let Some(data) = std::env::var_os("EDGE_HOST_DATA").filter(|data| !data.is_empty()) {
        return std::path::absolute(data).ok();
    }
    let folder = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")))?;
    Some(base.join("edge-host"))
}

impl Default for Restart {
    fn default() -> Self {
        Self { when: When::Failed, max: 5, within: Duration::from_secs(60) }
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cid(cid) => f.write_str(cid),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl std::error::Error for ConfigError {}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{}:{line}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.what)
    }
}

#[cfg(test)]
mod tests;
