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

    /// A folder for a node, with its key.
    pub fn place(&self) -> anyhow::Result<Place> {
        let folder = tempfile::tempdir()?;
        let native = folder.path().join("data/native");
        copy_all(&self.kept.join("native"), &native)?;
        let mut command = Command::new(self.edge_host());
        command.arg("id").arg("--data").arg(folder.path().join("data"));
        let output = command.output()?;
        let id = String::from_utf8_lossy(&output.stdout).trim().to_string();
        if !output.status.success() {
            bail!("edge-host id: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Place { folder, id })
    }

    /// Starts a node with these actors; `$name` stands for the component of a benchmark's actor.
    pub fn node(&self, manifest: &str) -> anyhow::Result<Node> {
        self.node_at(self.place()?, "", manifest)
    }

    /// As [`Ours::node`], in a place made before, with more lines for the `[node]` table.
    pub fn node_at(&self, place: Place, table: &str, manifest: &str) -> anyhow::Result<Node> {
        let folder = place.folder;
        let head = format!("[node]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n{table}\n");
        let mut text = head + manifest;
        while let Some(at) = text.find('$') {
            let rest = &text[at + 1..];
            let end = rest.find('"').unwrap_or(rest.len());
            let file = self.guest(&rest[..end]);
            text.replace_range(at..at + 1 + end, &file.to_string_lossy());
        }
        std::fs::write(folder.path().join("node.toml"), text)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new(self.edge_host())
            .args(["run", "node.toml"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut node = Node { child, folder, id: place.id, program: self.edge_host() };
        node.wait_until_up()?;
        copy_all(&node.data().join("native"), &self.kept.join("native"))?;
        Ok(node)
    }
}

/// Where a node is to be.
pub struct Place {
    folder: TempDir,
    /// The id it will have.
    pub id: String,
}

/// A running node. Dropped, it is killed.
pub struct Node {
    child: Child,
    folder: TempDir,
    /// Its id.
    pub id: String,
    program: PathBuf,
}

impl Node {
    /// Asks an actor; gives its answer.
    pub fn ask(&self, actor: &str, message: &Value) -> anyhow::Result<Value> {
        self.ask_within(actor, message, 60_000)
    }

    /// As [`Node::ask`], for so many milliseconds.
    pub fn ask_within(&self, actor: &str, message: &Value, ms: u64) -> anyhow::Result<Value> {
        let (message, ms) = (message.to_string(), ms.to_string());
        let said = self.run(&["send", actor, &message, "--deadline", &ms]);
        let answer = said.and_then(|said| Ok(serde_json::from_str(&said)?));
        answer.with_context(|| {
            let log = self.run(&["log", actor]).unwrap_or_default();
            format!(
                "{actor} was told {message}; the end of its log: {}",
                log.lines().last().unwrap_or_default()
            )
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

    /// Where it listens.
    pub fn listens(&self) -> anyhow::Result<String> {
        let text = std::fs::read(self.data().join("node.json"))?;
        let told: Value = serde_json::from_slice(&text)?;
        Ok(told["listen"].as_str().context("node.json names no address")?.into())
    }

    /// The address of an actor, as a grant on another node takes it.
    pub fn address(&self, actor: &str) -> anyhow::Result<String> {
        let rows: Value = serde_json::from_str(&self.run(&["ls", "actors", "--json"])?)?;
        let rows = rows.as_array().context("no list of actors")?;
        let row = rows.iter().find(|row| row["name"] == actor).context("no such actor")?;
        Ok(row["address"].as_str().context("it has no address")?.into())
    }

    /// Waits until its one peer is connected.
    pub fn wait_for_peer(&self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.run(&["ls", "peers", "--json"])?.contains("\"up\"") {
            if Instant::now() > until {
                bail!("the peer was not reached in {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
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
