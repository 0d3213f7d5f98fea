//! Where the demo plays: a folder, three nodes in it, and the relays between them.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, test_kill_process_group};
use serde_json::Value;

use super::command::{self, Interrupt};
use super::words::{aligned, quoted, seconds, shortened};
use crate::process::Process;
use crate::relay::Relay;
use crate::{PATIENCE, guests};

/// The nodes, by their place in [`NAMES`].
pub(super) const ATTIC: usize = 0;
pub(super) const CELLAR: usize = 1;
pub(super) const SHED: usize = 2;
pub(super) const ALL: [usize; 3] = [ATTIC, CELLAR, SHED];
pub(super) const NAMES: [&str; 3] = ["attic", "cellar", "shed"];

/// Between two looks at what is waited for: each look is a command.
const LOOK: Duration = Duration::from_millis(50);
/// Lines of a node's log that are shown when something failed.
const TAIL: usize = 12;

pub(super) struct Stage {
    // Nodes end before their folder goes.
    nodes: Vec<Process>,
    relays: Vec<Between>,
    /// Real names, and how commands show them.
    names: Vec<(String, String)>,
    ids: Vec<String>,
    program: PathBuf,
    folder: tempfile::TempDir,
    pub interrupt: Interrupt,
}

/// The way from one node to another.
struct Between {
    from: usize,
    to: usize,
    relay: Relay,
}

impl Stage {
    pub fn open() -> anyhow::Result<Self> {
        let interrupt = Interrupt::listen()?;
        let folder = tempfile::Builder::new().prefix("edge-host-demo.").tempdir()?;
        let program = guests::edge_host()?;
        let rooms = guests::repository().join("examples/two-rooms");
        for file in ["san-francisco.csv", "seattle.csv"] {
            std::fs::copy(rooms.join(file), folder.path().join(file)).context(file)?;
        }
        let repository = guests::repository().display().to_string();
        println!("Three edge-host nodes on this machine. What follows is what a person would");
        println!(
            "type in a shell, and what comes back; long names are shortened with … where they come"
        );
        println!("back. `make demo KEEP=1` leaves the nodes up to be tried.\n");
        println!("$ REPO={repository}");
        println!("$ PATH=$PATH:{}", program.parent().unwrap_or(Path::new("/")).display());
        println!("$ cd {}", folder.path().display());
        let names = vec![(repository, "$REPO".into())];
        let (nodes, relays, ids) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { nodes, relays, names, ids, program, folder, interrupt })
    }

    /// Begins a step.
    pub fn title(&self, title: &str) {
        println!("\n── {title} {}", "─".repeat(76_usize.saturating_sub(title.chars().count())));
    }

    /// Says something about what happens.
    pub fn say(&self, text: impl AsRef<str>) {
        println!("  {}", self.readable(text.as_ref()));
    }

    /// From now on commands show a name in place of what it stands for.
    pub fn call(&mut self, real: &str, shown: &str) {
        self.names.push((real.into(), shown.into()));
    }

    /// The folder that commands are run in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the program, for people's PATH.
    pub fn programs(&self) -> &Path {
        self.program.parent().unwrap_or(Path::new("/"))
    }

    /// What a shell would be given to do the same.
    pub fn line(&self, arguments: &[&str]) -> String {
        let words = std::iter::once("edge-host").chain(arguments.iter().copied());
        let mut line = words.map(quoted).collect::<Vec<_>>().join(" ");
        for (real, shown) in &self.names {
            line = line.replace(real, shown);
        }
        line
    }

    /// Types a command and shows what comes back; gives its result.
    pub fn run(&self, arguments: &[&str], about: Option<&str>) -> anyhow::Result<String> {
        println!("$ {}", self.line(arguments));
        let (out, err) = self.quiet(arguments, about)?;
        let said = out.lines().chain(err.lines().filter(|_| about.is_none()));
        let said: Vec<String> = said.map(|line| self.readable(line)).collect();
        let table = arguments.first() == Some(&"ls");
        for line in if table { aligned(&said) } else { said } {
            println!("  {line}");
        }
        Ok(out)
    }

    /// As [`Stage::run`], to a node.
    pub fn tell(&self, node: usize, arguments: &[&str]) -> anyhow::Result<String> {
        let data = format!("{}/data", NAMES[node]);
        self.run(&[arguments, &["--data", &data]].concat(), None)
    }

    /// As [`Stage::tell`] for a command that gives a CID: it is kept in a variable.
    pub fn keep(&mut self, node: usize, arguments: &[&str], name: &str) -> anyhow::Result<String> {
        let data = format!("{}/data", NAMES[node]);
        let arguments = [arguments, &["--data", &data]].concat();
        println!("$ {name}=$({})", self.line(&arguments));
        let cid = self.quiet(&arguments, None)?.0.trim().to_string();
        self.call(&cid, &format!("${name}"));
        Ok(cid)
    }

    /// As [`Stage::tell`], with nothing shown: for looking again and again. Its result as JSON.
    pub fn ask(&self, node: usize, arguments: &[&str]) -> anyhow::Result<Value> {
        let data = format!("{}/data", NAMES[node]);
        let (out, _) = self.quiet(&[arguments, &["--data", &data]].concat(), None)?;
        serde_json::from_str(&out).with_context(|| format!("not JSON: {out}"))
    }

    /// As [`Stage::keep`] for a node's id, which is shown.
    pub fn id(&mut self, node: usize) -> anyhow::Result<()> {
        let (name, data) = (NAMES[node].to_uppercase(), format!("{}/data", NAMES[node]));
        let arguments = ["id", "--data", &data];
        println!("$ {name}=$({})", self.line(&arguments));
        let id = self.quiet(&arguments, None)?.0.trim().to_string();
        println!("  {id}");
        self.ids.push(id);
        Ok(())
    }

    /// A node's id.
    pub fn id_of(&self, node: usize) -> anyhow::Result<&str> {
        Ok(self.ids.get(node).context("its id is not known yet")?)
    }

    /// Waits for something to become true; gives it and how long that took.
    pub fn until<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<(T, Duration)> {
        let began = Instant::now();
        loop {
            self.interrupt.check()?;
            let seen = look();
            if let Ok(Some(found)) = seen {
                return Ok((found, began.elapsed()));
            }
            if began.elapsed() > PATIENCE {
                let why = seen.err().map(|why| format!(": {why:#}")).unwrap_or_default();
                bail!("waited {} in vain: {what}{why}", seconds(PATIENCE));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Makes the ways between all nodes; gives where each node reaches each other.
    pub fn lay(&mut self) -> anyhow::Result<()> {
        for from in ALL {
            for to in ALL.into_iter().filter(|to| *to != from) {
                self.relays.push(Between { from, to, relay: Relay::open()? });
            }
        }
        Ok(())
    }

    /// The relay between two nodes, in the direction in which it is dialled.
    pub fn way(&self, from: usize, to: usize) -> anyhow::Result<&Relay> {
        let between = self.relays.iter().find(|between| (between.from, between.to) == (from, to));
        Ok(&between.context("there is no such way")?.relay)
    }

    /// Drops everything from and to a node, or no longer.
    pub fn cut(&self, node: usize, cut: bool) {
        for between in &self.relays {
            if between.from == node || between.to == node {
                between.relay.cut(cut);
            }
        }
    }

    /// Starts the next node with this manifest.
    pub fn start(&mut self, manifest: &str) -> anyhow::Result<()> {
        let node = self.nodes.len();
        println!("$ edge-host run {}/node.toml &", NAMES[node]);
        let mut command = Command::new(&self.program);
        // Ctrl-C in a terminal is for the demo, which then stops its nodes.
        command.process_group(0);
        let process = Process::spawn(&self.folder().join(NAMES[node]), manifest, command)?;
        let process = process.listening()?;
        let address = process.address()?;
        self.nodes.push(process);
        for from in ALL.into_iter().filter(|from| *from != node) {
            self.way(from, node)?.lead_to(address);
        }
        Ok(())
    }

    /// What a failure looks like from the nodes.
    pub fn explain(&self, why: &anyhow::Error) {
        println!("\nNot observed: {why:#}");
        if self.interrupt.came() {
            return;
        }
        for (node, process) in self.nodes.iter().enumerate() {
            println!("\nThe end of the log of {}:", NAMES[node]);
            let log = process.log();
            let lines: Vec<&str> = log.lines().collect();
            for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
                println!("  {}", self.readable(line));
            }
        }
    }

    /// Stops all nodes as Ctrl-C does, looks whether anything is left of them, and clears up.
    pub fn close(mut self) -> anyhow::Result<String> {
        let count = self.nodes.len();
        if count > 0 {
            self.title("The end");
            println!("$ kill -INT %1 %2 %3");
        }
        for (node, process) in self.nodes.iter_mut().enumerate() {
            let status = process.interrupt()?;
            if !status.success() {
                bail!("{} ended with {status}", NAMES[node]);
            }
            let log = process.log();
            let last = log.lines().last().unwrap_or_default();
            println!("  {}: {}", NAMES[node], last.split("INFO ").last().unwrap_or(last));
        }
        for process in &self.nodes {
            let group = Pid::from_raw(i32::try_from(process.pid())?).context("no process")?;
            let gone = || test_kill_process_group(group).is_err().then_some(());
            crate::wait_for("all that a node started has ended", gone)?;
        }
        let path = self.folder.path().to_path_buf();
        drop(self.nodes);
        self.folder.close()?;
        if path.exists() {
            bail!("{} is still there", path.display());
        }
        Ok(format!("{count} nodes ended with status 0, folder removed"))
    }

    /// A text with nodes by their names, and CIDs shortened.
    fn readable(&self, text: &str) -> String {
        let mut text = text.to_string();
        text = shortened(&text);
        for (id, name) in self.ids.iter().zip(NAMES) {
            text = text.replace(id, &format!("{}… ({name})", &id[..8]));
        }
        text
    }

    /// Runs a command; gives what it prints.
    fn quiet(&self, arguments: &[&str], about: Option<&str>) -> anyhow::Result<(String, String)> {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.folder()).env_remove("EDGE_HOST_DATA");
        let (status, printed) = command::run(command, about, &self.interrupt)?;
        if !status.success() {
            bail!("`{}` failed: {}", self.line(arguments), printed.err.trim());
        }
        Ok((printed.out, printed.err))
    }
}
