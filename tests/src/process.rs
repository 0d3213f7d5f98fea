//! A node as people run it: an `edge-host` process with a data folder of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use crate::{guests, wait_for};

/// A running node. Dropped, it is killed.
pub struct Process {
    /// Its folder: `node.toml`, and `data` unless the manifest says otherwise.
    pub folder: PathBuf,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

/// The id of the node that will run in this folder; makes its key.
pub fn id(folder: &Path) -> anyhow::Result<String> {
    let output = edge_host(folder, &["id"])?;
    Ok(output.trim().to_string())
}

/// Runs one command of the command line against the node of a folder; gives what it prints.
pub fn edge_host(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(guests::edge_host()?)
        .args(arguments)
        .env("EDGE_HOST_DATA", folder.join("data"))
        .output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// With `PARK=1` in the environment every actor is parked between every two messages.
pub fn always_parked() -> bool {
    std::env::var_os("PARK").is_some()
}

/// A manifest under which that is so, if it is to be; what it sets of this by itself stays, and its
/// test says why.
fn parked(manifest: &str) -> String {
    let limit = |name: &str, line: &str| match manifest.contains(name) {
        true => String::new(),
        false => format!("{line}\n"),
    };
    if !always_parked() {
        return manifest.into();
    }
    let lines = limit("park-ms", "park-ms = 0") + &limit("batch", "batch = 1");
    match manifest.split_once("[limits]\n") {
        Some((before, after)) => format!("{before}[limits]\n{lines}{after}"),
        None => format!("{manifest}\n[limits]\n{lines}"),
    }
}

impl Process {
    /// Writes the manifest and starts a node with it; returns when it can be spoken to. `data` in
    /// the folder is its data folder.
    pub fn start(folder: &Path, manifest: &str) -> anyhow::Result<Self> {
        Self::spawn(folder, manifest, Command::new(guests::edge_host()?))?.listening()
    }

    /// Waits until it can be spoken to.
    pub fn listening(mut self) -> anyhow::Result<Self> {
        let mut said = 0;
        loop {
            match wait_for("the node listens", || self.listens()) {
                Ok(None) => return Ok(self),
                Ok(Some(status)) => bail!("the node ended with {status}: {}", self.log()),
                Err(why) if self.log().len() == said => return Err(why.context(self.log())),
                // It compiles what it runs: on a busy machine each component takes its time.
                Err(_) => said = self.log().len(),
            }
        }
    }

    /// Something if it can be spoken to, or has ended: then with its status.
    fn listens(&mut self) -> Option<Option<ExitStatus>> {
        let ended = self.child.try_wait().ok().flatten();
        let pid = || -> Option<u64> {
            let text = std::fs::read(self.folder.join("data/node.json")).ok()?;
            serde_json::from_slice::<Value>(&text).ok()?["pid"].as_u64()
        };
        let ready = pid() == Some(u64::from(self.child.id()));
        (ended.is_some() || ready).then_some(ended)
    }

    /// Starts a node by a command of the caller's (a shell that sets limits, say), to which
    /// `run node.toml` is added; does not wait for it.
    pub fn spawn(folder: &Path, manifest: &str, mut command: Command) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("node.toml");
        std::fs::write(&path, parked(manifest))?;
        let mut child = command
            .arg("run")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("can't start edge-host")?;
        let said = Arc::new(Mutex::new(Vec::new()));
        if let Some(stderr) = child.stderr.take() {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            });
        }
        Ok(Self { folder: folder.into(), child, said })
    }

    /// Where it listens.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let text = std::fs::read(self.folder.join("data/node.json"))?;
        let whereabouts: Value = serde_json::from_slice(&text)?;
        Ok(whereabouts["listen"].as_str().unwrap_or_default().parse()?)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs one command of the command line against it; gives what it prints.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        edge_host(&self.folder, arguments)
    }

    /// As [`Process::run`] with `--json`, read.
    pub fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let text = self.run(&[arguments, &["--json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("not JSON: {text}"))
    }

    /// Sends an actor a message and gives its answer, `Null` if it gives none.
    pub fn send(&self, actor: &str, message: &Value) -> anyhow::Result<Value> {
        let text = self.run(&["send", actor, &message.to_string()])?;
        match text.trim() {
            "" => Ok(Value::Null),
            text => Ok(serde_json::from_str(text)?),
        }
    }

    /// Its row of `ls actors`.
    pub fn actor(&self, name: &str) -> anyhow::Result<Value> {
        let rows = self.json(&["ls", "actors"])?;
        let found = rows.as_array().into_iter().flatten().find(|row| row["name"] == name);
        found.cloned().with_context(|| format!("no actor {name} in {rows}"))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Waits for a line of its log.
    pub fn says(&self, text: &str) -> anyhow::Result<()> {
        wait_for(&format!("the node logs {text:?}"), || self.log().contains(text).then_some(()))
            .with_context(|| self.log())
    }

    /// Ctrl-C; waits for its end.
    pub fn interrupt(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal(Signal::INT)?;
        self.ended()
    }

    /// kill -9; waits for its end.
    pub fn kill(&mut self) -> anyhow::Result<ExitStatus> {
        self.child.kill()?;
        self.ended()
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let child = &mut self.child;
        wait_for("the node ends", || child.try_wait().ok().flatten())
    }

    /// Whether it has ended; it is still there to be waited for.
    pub fn has_ended(&self) -> anyhow::Result<bool> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("it has ended")?;
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // Where it is traced, its stops are told, too.
        let ended = waitid(WaitId::Pid(pid), look)?.is_some_and(|it| it.exited() || it.killed());
        Ok(ended)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?).context("it has ended")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
