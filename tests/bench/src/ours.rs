//! Our side: `edge-host` processes as people run them, spoken to by the command line.
//!
//! Nothing here knows `edge-host`'s own API, so it holds however that moves. What an actor took it
//! tells itself, by the turn clock.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for a node to come up: it may have to compile its components.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where things are.
#[derive(Clone, Debug)]
pub struct Ours {
    /// The programs that cargo made: `edge-host`, and the peers written in Rust.
    pub programs: PathBuf,
    /// Components and their native code, kept from run to run.
    pub kept: PathBuf,
}

impl Ours {
    /// Builds the actors of the benchmarks.
    pub fn prepare() -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let programs = own.parent().context("this program lies in no folder")?.to_path_buf();
        let kept = programs.join("bench-kept");
        std::fs::create_dir_all(kept.join("native"))?;
        Ok(Self { programs, kept })
    }

    /// The `edge-host` program.
    pub fn edge_host(&self) -> PathBuf {
        self.programs.join("edge-host")
    }

    /// The component of an actor crate, by its folder from the repository's.
    pub fn component(&self, folder: &str) -> anyhow::Result<PathBuf> {
        let source = repository().join(folder);
        let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = self.kept.join(format!("{name}.wasm"));
        let output = Command::new(self.edge_host())
            .arg("build")
            .arg(&source)
            .arg("--output")
            .arg(&file)
            .output()
            .context("no edge-host beside this program: run `make bench`")?;
        if !output.status.success() {
            bail!("{folder} doesn't build: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(file)
    }

    /// The component of a benchmark's actor, built before.
    pub fn guest(&self, name: &str) -> PathBuf {
        self.kept.join(format!("{name}.wasm"))
    }

    /// Starts a node with these actors; `$name` stands for the component of a benchmark's actor.
    pub fn node(&self, manifest: &str) -> anyhow::Result<Node> {
        let folder = tempfile::tempdir()?;
        let mut text = format!("[node]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n{manifest}");
        while let Some(at) = text.find('$') {
            let rest = &text[at + 1..];
            let end = rest.find('"').unwrap_or(rest.len());
            let file = self.guest(&rest[..end]);
            text.replace_range(at..at + 1 + end, &file.to_string_lossy());
        }
        std::fs::write(folder.path().join("node.toml"), text)?;
        let native = folder.path().join("data/native");
        copy_all(&self.kept.join("native"), &native)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new(self.edge_host())
            .args(["run", "node.toml"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut node = Node { child, folder, program: self.edge_host() };
        node.wait_until_up()?;
        copy_all(&native, &self.kept.join("native"))?;
        Ok(node)
    }
}

/// A running node. Dropped, it is killed.
pub struct Node {
    child: Child,
    folder: TempDir,
    program: PathBuf,
}

impl Node {
    /// Asks an actor; gives its answer.
    pub fn ask(&self, actor: &str, message: &Value) -> anyhow::Result<Value> {
        let said = self.run(&["send", actor, &message.to_string(), "--deadline", "60000"])?;
        serde_json::from_str(&said).with_context(|| {
            let log = self.run(&["log", actor]).unwrap_or_default();
            format!("{actor} answered {said:?}; its log: {log}")
        })
    }

    /// Runs a command on this node; gives what it prints.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data").arg(self.data());
        let output = command.output()?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            bail!("edge-host {}: {}", arguments.join(" "), why.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_up(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.data().join("node.json").exists() {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.folder.path().join("log"))?;
                bail!("the node ended ({status}): {log}");
            }
            if Instant::now() > until {
                bail!("the node did not come up in {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The repository's folder.
pub fn repository() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_path_buf()
}

/// Resident bytes of a process.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in std::fs::read_dir(from)? {
        let file = file?;
        let there = to.join(file.file_name());
        if !there.exists() {
            std::fs::copy(file.path(), there)?;
        }
    }
    Ok(())
}
