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
    own_folder().parent().map(Path::to_path_buf).unwrap_or_default()
}

/// This package's folder. What the compiler knew may be another checkout's, which shares the build
/// cache: cargo says it again when it runs a program.
fn own_folder() -> PathBuf {
    let said = std::env::var_os("CARGO_MANIFEST_DIR");
    said.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The `edge-host` program beside this one: cargo builds both.
pub fn edge_host() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folders = own.ancestors().skip(1).take(3);
    let found = folders.map(|folder| folder.join("edge-host")).find(|path| path.is_file());
    found.context("no edge-host beside this program: run `make test` or `make demo`")
}

/// An empty folder outside the repository that is the same at every run, so that what a crate in
/// it depends on is not compiled anew each time. It is the caller's while the lock lives.
pub fn kept_folder(name: &str) -> anyhow::Result<(PathBuf, std::fs::File)> {
    let own = own_folder();
    let user = std::fs::metadata(own).map_or(0, |own| std::os::unix::fs::MetadataExt::uid(&own));
    let folders = std::env::temp_dir().join(format!("edge-host-test-crates-{user}"));
    let folder = folders.join(name);
    std::fs::create_dir_all(&folder)?;
    let lock = std::fs::File::create(folders.join(format!("{name}.lock")))?;
    lock.lock()?;
    std::fs::remove_dir_all(&folder)?;
    std::fs::create_dir_all(&folder)?;
    Ok((folder, lock))
}

/// Builds the actor crate in a folder; the component is kept in `into`, since another build may
/// replace the one in the cache.
pub fn build(crate_folder: &Path, into: &Path) -> anyhow::Result<Guest> {
    build_by(Command::new(edge_host()?), crate_folder, into)
}

/// As [`build`], by an `edge-host` with an environment of its own.
pub fn build_by(mut edge_host: Command, crate_folder: &Path, into: &Path) -> anyhow::Result<Guest> {
    let name = crate_folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = into.join(format!("{name}.wasm"));
    let output = edge_host
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
