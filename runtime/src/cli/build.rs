//! `edge-host build`: an actor crate becomes a component with a reproducible name.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use anyhow::{Context, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::address::hex;
use crate::store::blobs::cid_of;

/// In a workspace's folder: held by the build under way there.
const LOCK: &str = "lock";
/// Workspaces whose builds are kept.
const WORKSPACES: usize = 8;

/// Tells this program, called by cargo as a wrapper, the folders whose names are to be taken out.
const REMAP: &str = "EDGE_HOST_REMAP";
/// What a caller's environment may have that would change the component's name.
const CALLERS_OWN: [&str; 5] = [
    "RUSTFLAGS",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WORKSPACE_WRAPPER",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];
const TARGET: &str = "wasm32-unknown-unknown";
/// A guest's own stack, in bytes: what serde needs with room to spare. An actor touches little more
/// than the 1.5 kB at its top, which share their page with its first data: a small one takes two
/// pages of 4 KiB for all it has.
const STACK_BYTES: usize = (64 << 10) + 1536;
/// Memory that a guest starts with, in bytes: the SDK's allocator fills it before it asks for more.
const MEMORY_BYTES: usize = 256 << 10;

pub(super) fn build(path: &Path, output: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let built = component(path, output)?;
    if json {
        let row = serde_json::json!({
            "cid": built.cid, "bytes": built.bytes, "file": built.file, "rustc": built.rustc,
        });
        println!("{row}");
    } else {
        eprintln!("{} with {}", built.file.display(), built.rustc);
        println!("{} {} bytes", built.cid, built.bytes);
    }
    Ok(())
}

/// The bytes of an actor crate's component.
pub(super) fn component_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let built = component(path, None)?;
    Ok(std::fs::read(built.file)?)
}

struct Built {
    cid: String,
    bytes: usize,
    file: PathBuf,
    rustc: String,
}

fn component(path: &Path, output: Option<&Path>) -> anyhow::Result<Built> {
    let source = path
        .canonicalize()
        .with_context(|| format!("{}: name the folder of an actor crate", path.display()))?;
    let manifest = source.join("Cargo.toml");
    if !manifest.is_file() {
        bail!("{} has no Cargo.toml: name the folder of an actor crate", path.display());
    }
    let rustc = Rustc::find(&source)?;
    let sources = Sources::of(&source, &manifest)?;
    let (target, _lock) = target(&cache()?.join("guests"), &sources.root)?;
    let module = compile(&source, &manifest, &target, &sources, &rustc)?;
    let bytes =
        std::fs::read(&module).with_context(|| format!("can't read {}", module.display()))?;
    let component = encode(&bytes)?;
    let name = module.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let file = match output {
        Some(output) => output.to_path_buf(),
        None => target.join(format!("{name}.component.wasm")),
    };
    std::fs::write(&file, &component).with_context(|| format!("can't write {}", file.display()))?;
    let cid = cid_of(&component).to_string();
    Ok(Built { cid, bytes: component.len(), file, rustc: rustc.version })
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let actor = |error| {
        anyhow::anyhow!("not an actor ({error:#}): write `guest_sdk::main!(YourActor);` in main.rs")
    };
    let component = crate::wasm::encode(module).map_err(actor)?;
    crate::wasm::World::of(&component).map_err(|why| anyhow::anyhow!("the component {why}"))?;
    Ok(component)
}

/// Runs cargo; gives the file of the actor's module.
fn compile(
    source: &Path,
    manifest: &Path,
    target: &Path,
    sources: &Sources,
    rustc: &Rustc,
) -> anyhow::Result<PathBuf> {
    let mut cargo = Command::new(cargo());
    cargo.args([
        "build",
        "--release",
        "--bins",
        "--target",
        TARGET,
        "--message-format=json-render-diagnostics",
    ]);
    cargo.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(target);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags().join("\x1f"));
    cargo.env("RUSTC_WRAPPER", std::env::current_exe()?);
    cargo.env(REMAP, &sources.remap);
    let profile = [
        ("OPT_LEVEL", "3"),
        ("LTO", "fat"),
        ("CODEGEN_UNITS", "1"),
        ("PANIC", "abort"),
        ("STRIP", "symbols"),
        ("DEBUG", "false"),
    ];
    for (key, value) in profile {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
    }
    for key in CALLERS_OWN {
        cargo.env_remove(key);
    }
    if let Some(path) = &rustc.path {
        cargo.env("RUSTC", path);
    }
    let output = cargo
        .current_dir(source)
        .stderr(Stdio::inherit())
        .output()
        .context("can't run cargo: install it with rustup")?;
    if !output.status.success() {
        bail!("{} doesn't compile: see above", source.display());
    }
    module_of(&output.stdout, source, manifest)
}

/// The one program's file among what cargo says that it made.
fn module_of(said: &[u8], source: &Path, manifest: &Path) -> anyhow::Result<PathBuf> {
    let own = manifest.to_string_lossy();
    let said = String::from_utf8_lossy(said);
    let modules: Vec<PathBuf> = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| {
            message["reason"] == "compiler-artifact" && message["manifest_path"] == own.as_ref()
        })
        .filter_map(|message| {
            let files = message["filenames"].as_array()?;
            let names = files.iter().filter_map(Value::as_str);
            names.map(PathBuf::from).find(|file| file.extension().is_some_and(|end| end == "wasm"))
        })
        .collect();
    match modules.as_slice() {
        [module] => Ok(module.clone()),
        [] => bail!(
            "{} makes no program: it needs a src/main.rs with `guest_sdk::main!(YourActor);`",
            source.display()
        ),
        _ => bail!("{} makes several programs: an actor crate has one", source.display()),
    }
}

/// Flags that make a small guest. They name no folder of the sources, so that the result doesn't
/// either; that goes through [`wrap`].
fn flags() -> Vec<String> {
    let home = folder_of("CARGO_HOME").or_else(|| Some(folder_of("HOME")?.join(".cargo")));
    let mut flags = vec![
        format!("-Clink-arg=-zstack-size={STACK_BYTES}"),
        format!("-Clink-arg=--initial-memory={MEMORY_BYTES}"),
    ];
    flags.extend(home.map(|home| format!("--remap-path-prefix={}=/cargo", home.display())));
    flags
}

/// The sources that are compiled from this machine.
struct Sources {
    /// The workspace's folder.
    root: PathBuf,
    /// Each folder with what it is called in the result: the workspace, and local dependencies
    /// outside it.
    remap: String,
}

impl Sources {
    fn of(source: &Path, manifest: &Path) -> anyhow::Result<Self> {
        let output = Command::new(cargo())
            .args(["metadata", "--format-version=1", "--filter-platform", TARGET])
            .arg("--manifest-path")
            .arg(manifest)
            .current_dir(source)
            .stderr(Stdio::inherit())
            .output()
            .context("can't run cargo: install it with rustup")?;
        if !output.status.success() {
            bail!("{}: cargo can't make sense of it: see above", manifest.display());
        }
        let said: Value =
            serde_json::from_slice(&output.stdout).context("can't read cargo's answer")?;
        let root = said["workspace_root"].as_str().unwrap_or_default();
        let mut remap = format!("{root}=/src");
        for package in said["packages"].as_array().into_iter().flatten() {
            let (Some(name), Some(manifest)) =
                (package["name"].as_str(), package["manifest_path"].as_str())
            else {
                continue;
            };
            let folder = Path::new(manifest).parent().unwrap_or(Path::new(""));
            if package["source"].is_null() && !folder.starts_with(root) {
                remap.push_str(&format!("\n{}=/{name}", folder.display()));
            }
        }
        Ok(Self { root: root.into(), remap })
    }
}

/// The folder for builds of a workspace. Two workspaces can't share one: cargo knows a package by
/// its place in the workspace and a stale build by the times of files, so that of two clones the
/// one with older files would be given the other's code. Folders not used for long make room.
fn target(folder: &Path, root: &Path) -> anyhow::Result<(PathBuf, File)> {
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let own = folder.join(&hex(&digest)[..16]);
    let lock = lock_of(&own).with_context(|| format!("can't use {}", own.display()))?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another build to end");
        lock.lock().context("can't wait for another build")?;
    }
    // The time of its last use, for the others.
    lock.set_modified(SystemTime::now())?;
    let used = |path: &Path| path.join(LOCK).metadata().and_then(|lock| lock.modified()).ok();
    let others = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let others = others.map(|entry| entry.path()).filter(|path| *path != own);
    let mut others: Vec<_> = others.map(|path| (used(&path), path)).collect();
    others.sort();
    for (_, old) in others.iter().rev().skip(WORKSPACES - 1) {
        if lock_of(old).is_ok_and(|lock| lock.try_lock().is_ok()) {
            // What can't be removed costs room and harms nobody.
            let _ = std::fs::remove_dir_all(old);
        }
    }
    Ok((own, lock))
}

fn lock_of(target: &Path) -> std::io::Result<File> {
    std::fs::create_dir_all(target)?;
    OpenOptions::new().create(true).truncate(false).write(true).open(target.join(LOCK))
}

/// This program as cargo's RUSTC_WRAPPER: calls the compiler, with the folders' names taken out of
/// the result, and a guest linked as a library. As a program it would begin with the standard
/// library's start-up, whose data every actor would hold. `None` if it isn't called as that.
pub(super) fn wrap() -> Option<anyhow::Result<()>> {
    let folders = std::env::var(REMAP).ok()?;
    let mut arguments = std::env::args_os().skip(1);
    let rustc = arguments.next()?;
    let mut arguments: Vec<OsString> = arguments.collect();
    let asks = |argument: &OsString| argument.to_string_lossy().starts_with("--print");
    let guest = arguments.iter().any(|argument| argument == TARGET) && !arguments.iter().any(asks);
    let kind = arguments.iter().position(|argument| argument == "--crate-type").map(|at| at + 1);
    if let Some(kind) = kind.and_then(|at| arguments.get_mut(at))
        && guest
        && kind == "bin"
    {
        *kind = "cdylib".into();
    }
    let mut command = Command::new(rustc);
    command.args(arguments);
    command.args(folders.lines().map(|folder| format!("--remap-path-prefix={folder}")));
    Some(match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => Err(error).context("can't run rustc: install it with rustup"),
    })
}

pub(super) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A folder that the environment names.
fn folder_of(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The compiler of guests.
struct Rustc {
    /// `None`: the one in PATH.
    path: Option<PathBuf>,
    version: String,
}

impl Rustc {
    /// `EDGE_HOST_RUSTC`, else rustup's target, else what `make toolchain` made.
    fn find(source: &Path) -> anyhow::Result<Self> {
        if let Some(path) = std::env::var_os("EDGE_HOST_RUSTC").map(PathBuf::from) {
            return Self::at(Some(path.clone()), source).with_context(|| {
                format!(
                    "EDGE_HOST_RUSTC = {} can't build for {TARGET}: unset it, or name one that can",
                    path.display()
                )
            });
        }
        let made = cache()?.join("toolchain/bin/rustc");
        Self::at(None, source).or_else(|| Self::at(Some(made), source)).with_context(|| {
            format!(
                "no rustc here builds for {TARGET}: run `rustup target add {TARGET}`, or \
                `make toolchain` in edge-host's repository"
            )
        })
    }

    fn at(path: Option<PathBuf>, source: &Path) -> Option<Self> {
        let program = path.clone().unwrap_or_else(|| "rustc".into());
        let said = |arguments: &[&str]| {
            let output =
                Command::new(&program).args(arguments).current_dir(source).output().ok()?;
            let text = String::from_utf8_lossy(&output.stdout).trim().to_string();
            output.status.success().then_some(text)
        };
        let libraries = said(&["--print", "target-libdir", "--target", TARGET])?;
        let has_std = std::fs::read_dir(libraries).ok()?.flatten().any(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("libstd-") && name.ends_with(".rlib")
        });
        let version = said(&["--version"])?;
        has_std.then_some(Self { path, version })
    }
}

/// The folder that builds of one user share.
fn cache() -> anyhow::Result<PathBuf> {
    folder_of("EDGE_HOST_CACHE")
        .or_else(|| Some(folder_of("XDG_CACHE_HOME")?.join("edge-host")))
        .or_else(|| Some(folder_of("HOME")?.join(".cache/edge-host")))
        .context("no cache folder: set HOME or EDGE_HOST_CACHE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builds_of_old_workspaces_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let build = |name: usize| target(folder.path(), Path::new(&name.to_string())).unwrap().0;
        let first = build(0);
        for name in 1..3 * WORKSPACES {
            build(name);
            assert_eq!(build(0), first, "it was just used");
        }
        let kept = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(kept, WORKSPACES);
        assert!(first.join(LOCK).exists());
    }
}
