//! Components built from the actors' source, by the same `edge-host build` that people use.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// A built component.
#[derive(Clone, Debug)]
pub struct Guest {
    /// Its CID.
    pub cid: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its file.
    pub file: PathBuf,
    /// The compiler that made it.
    pub rustc: String,
}

/// The repository's folder.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The `edge-host` program beside this one: cargo builds both.
pub fn edge_host() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(3);
    let found = folders.map(|folder| folder.join("edge-host")).find(|path| path.is_file());
    found.context("no edge-host beside this program: run `make test` or `make demo`")
}

/// Builds the actor crate in a folder; the component is kept in `into`, since another build may
/// replace the one in the cache.
pub fn build(crate_folder: &Path, into: &Path) -> anyhow::Result<Guest> {
    let name = crate_folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = into.join(format!("{name}.wasm"));
    let output = Command::new(edge_host()?)
        .args(["build", "--json"])
        .arg(crate_folder)
        .arg("--output")
        .arg(&file)
        .output()?;
    if !output.status.success() {
        bail!("{name} doesn't build: {}", String::from_utf8_lossy(&output.stderr));
    }
    let built: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(Guest {
        cid: built["cid"].as_str().unwrap_or_default().into(),
        bytes: built["bytes"].as_u64().unwrap_or_default(),
        rustc: built["rustc"].as_str().unwrap_or_default().into(),
        file,
    })
}
