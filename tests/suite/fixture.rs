//! What the tests of one node share: its actors' components, and a node to send steps to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use anyhow::{Context, bail};
use edge_host::actor::Status;
use edge_host::limits::Limits;
use edge_host::net::client::Client;
use edge_host::net::identity::{ADMIN_KEY, Identity};
use edge_host::node::admin::{Answer, AsideRow, List, PinRow, Request};
use edge_host::node::whereabouts;
use serde_json::Value;
use tempfile::TempDir;
use tests::guests::{self, Guest};
use tests::process::Process;
use tests::wait_for;

/// Where this run's components are.
static COMPONENTS: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// The crates that tests of one node run, from the repository's folder.
const CRATES: [&str; 6] = [
    "tests/guests/probe",
    "tests/guests/driver",
    "actors/crdt",
    "actors/gossip",
    "actors/sensor",
    "examples/thermostat",
];

/// An actor's entry that says what it is: it may fail often.
pub const PROBE: &str = "component = \"$probe\"\nrestart = { max = 1000 }\n";

/// The same component with one module more that does nothing: no longer plain, it goes through
/// wasmtime's component layer.
pub fn layered(component: &[u8]) -> Vec<u8> {
    let module = b"\x01\x08\x00asm\x01\x00\x00\x00";
    // An instance of the fourth module: three are wit-component's.
    let instance = b"\x02\x04\x01\x00\x03\x00";
    [component, module, instance].concat()
}

/// A component by its crate's name, built once in a run.
pub fn guest(name: &str) -> &'static Guest {
    static BUILT: [OnceLock<Guest>; CRATES.len()] = [const { OnceLock::new() }; CRATES.len()];
    let at = CRATES.iter().position(|path| path.ends_with(&format!("/{name}"))).unwrap();
    BUILT[at].get_or_init(|| {
        let source = guests::repository().join(CRATES[at]);
        guests::build(&source, COMPONENTS.path()).unwrap()
    })
}

/// A manifest of actors for a node on loopback; `$probe` and `$driver` stand for components.
pub fn manifest(actors: &str) -> String {
    let mut text = format!("[node]\nlisten = \"127.0.0.1:0\"\ndata = \"data\"\n{actors}");
    for path in CRATES {
        let name = path.rsplit('/').next().unwrap_or_default();
        let place = format!("\"${name}\"");
        if text.contains(&place) {
            text = text.replace(&place, &format!("{:?}", guest(name).file));
        }
    }
    text
}

/// Puts native code into a data folder, so that not every node compiles what it runs.
fn warm(folder: &Path) {
    static NATIVE: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = COMPONENTS.path().join("warm");
        let actors = "[actor.a]\ncomponent = \"$probe\"\n";
        Process::start(&folder, &manifest(actors)).unwrap().interrupt().unwrap();
        folder.join("data/native")
    });
    let native = folder.join("data/native");
    if native.exists() {
        return;
    }
    std::fs::create_dir_all(&native).unwrap();
    for file in std::fs::read_dir(&*NATIVE).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), native.join(file.file_name())).unwrap();
    }
}

/// A running node with a folder of its own, and a connection to it.
pub struct Lab {
    pub node: Process,
    client: Option<Client>,
    runtime: tokio::runtime::Handle,
    _gone: tokio::sync::oneshot::Sender<()>,
    hung_up: tokio::sync::watch::Sender<bool>,
    pub folder: TempDir,
    manifest: String,
}

impl Lab {
    /// A node with these actors; `$probe` and `$driver` stand for components.
    pub fn new(actors: &str) -> Self {
        Self::with_files(actors, &[])
    }

    /// As [`Lab::new`], with files in the node's folder.
    pub fn with_files(actors: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        warm(folder.path());
        let manifest = manifest(actors);
        let node = Process::start(folder.path(), &manifest).unwrap();
        Self::over(node, folder, manifest)
    }

    /// A node started by a command of the caller's in a prepared folder.
    pub fn started_by(command: Command, folder: TempDir, actors: &str) -> Self {
        warm(folder.path());
        let manifest = manifest(actors);
        let node = Process::spawn(folder.path(), &manifest, command).unwrap();
        node.says("listens on").unwrap();
        Self::over(node, folder, manifest)
    }

    fn over(node: Process, folder: TempDir, manifest: String) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        // Runs between requests too, or the connection would be thought dead.
        let (gone, wait) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || drop(runtime.block_on(wait)));
        let hung_up = tokio::sync::watch::Sender::new(false);
        let (client, runtime, _gone) = (None, handle, gone);
        let mut lab = Self { node, client, runtime, _gone, hung_up, folder, manifest };
        lab.connect().unwrap();
        lab
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        let data = self.folder.path().join("data");
        let there = whereabouts(&data).context("no node is here")?;
        let key = Identity::read(&data.join(ADMIN_KEY))?;
        let (at, id) = (there.listen.to_string(), there.id.parse()?);
        let client = self.runtime.block_on(Client::connect(&at, id, &key, Limits::default()))?;
        self.client = Some(client);
        self.hung_up.send_replace(false);
        Ok(())
    }

    /// Ends all requests that wait, with an error: nobody will answer.
    pub fn hang_up(&self) {
        self.hung_up.send_replace(true);
    }

    /// kill -9, and up again on the same data.
    pub fn kill_and_restart(&mut self) {
        self.node.kill().unwrap();
        self.restart();
    }

    /// Up again on the same data, after its end.
    pub fn restart(&mut self) {
        self.node = Process::start(self.folder.path(), &self.manifest).unwrap();
        self.connect().unwrap();
    }

    /// Asks the node something as an administrator.
    pub fn request(&self, request: &Request) -> anyhow::Result<Vec<Answer>> {
        let bytes = serde_ipld_dagcbor::to_vec(request)?;
        let client = self.client.as_ref().context("not connected")?;
        let mut hung_up = self.hung_up.subscribe();
        let asked = async {
            let mut response = client.request(&bytes, None).await?;
            let mut answers = Vec::new();
            while let Some(frame) = response.next().await? {
                match serde_ipld_dagcbor::from_slice(&frame)? {
                    Answer::Failed(why) => bail!(why),
                    answer => answers.push(answer),
                }
            }
            Ok(answers)
        };
        self.runtime.block_on(async {
            tokio::select! {
                answers = asked => answers,
                _ = hung_up.wait_for(|hung_up| *hung_up) => bail!("hung up"),
            }
        })
    }

    /// Has a probe do steps; gives what it says. An error names the reason why there's no answer.
    pub fn tell(&self, name: &str, steps: Value) -> anyhow::Result<Vec<String>> {
        let body = serde_ipld_dagcbor::to_vec(&steps)?;
        let send = Request::Send { name: name.into(), body, deadline_ms: 60_000 };
        match self.request(&send)?.pop() {
            Some(Answer::Answered(body)) => Ok(serde_ipld_dagcbor::from_slice(&body)?),
            Some(Answer::Unanswered(reason)) => bail!(reason.to_string()),
            other => bail!("{other:?}"),
        }
    }

    /// As [`Lab::tell`], where the node may die of it: that is an error, too.
    pub fn tell_while_it_lives(&self, name: &str, steps: Value) -> anyhow::Result<Vec<String>> {
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| self.tell(name, steps));
            while !asked.is_finished() {
                if self.node.has_ended()? {
                    self.hang_up();
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            asked.join().unwrap()
        })
    }

    /// As [`Lab::tell`], for steps that go well.
    pub fn say(&self, name: &str, steps: Value) -> Vec<String> {
        self.tell(name, steps).unwrap_or_else(|error| panic!("{error}\n{}", self.log(name)))
    }

    /// As [`Lab::tell`], for steps without an answer: gives the reason.
    pub fn fails(&self, name: &str, steps: Value) -> String {
        self.tell(name, steps).unwrap_err().to_string()
    }

    /// Waits until what a probe says is as wanted.
    pub fn until(&self, name: &str, steps: Value, wanted: impl Fn(&[String]) -> bool) {
        let mut last = None;
        let looked = wait_for("the probe says what is wanted", || {
            let said = self.tell(name, steps.clone()).map_err(|error| error.to_string());
            let found = said.as_ref().is_ok_and(|said| wanted(said));
            last = Some(said);
            found.then_some(())
        });
        looked.unwrap_or_else(|error| panic!("{error}: {last:?}\n{}", self.log(name)));
    }

    /// Waits until a probe has heard this.
    pub fn hears(&self, name: &str, what: &str) {
        self.until(name, serde_json::json!(["Heard"]), |heard| heard.iter().any(|one| one == what));
    }

    /// All actors of the node.
    pub fn actors(&self) -> Vec<Status> {
        match self.request(&Request::List(List::Actors)).unwrap().pop() {
            Some(Answer::Actors(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    /// An actor's row.
    pub fn actor(&self, name: &str) -> Status {
        let rows = self.actors();
        rows.into_iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no {name}"))
    }

    /// Waits until an actor's row is as wanted, and gives it.
    pub fn becomes(&self, name: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let looked = wait_for("the actor becomes what is wanted", || {
            Some(self.actor(name)).filter(|row| wanted(row))
        });
        looked.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.actor(name), self.log(name)))
    }

    /// An actor's log, line by line.
    pub fn log(&self, name: &str) -> String {
        let log = Request::Log { name: name.into(), follow: false };
        let lines = self.request(&log).unwrap().into_iter().flat_map(|answer| match answer {
            Answer::Lines(lines) => lines,
            other => panic!("{other:?}"),
        });
        lines.map(|line| format!("{}\n", line.text)).collect()
    }

    /// Waits for a line in an actor's log.
    pub fn logs(&self, name: &str, text: &str) {
        let looked = wait_for(text, || self.log(name).contains(text).then_some(()));
        looked.unwrap_or_else(|error| panic!("{error}\n{}", self.log(name)));
    }

    /// The messages set aside.
    pub fn aside(&self) -> Vec<AsideRow> {
        match self.request(&Request::List(List::Aside)).unwrap().pop() {
            Some(Answer::Aside(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    /// The row of a pin that has this in its text.
    pub fn pin(&self, text: &str) -> PinRow {
        match self.request(&Request::List(List::Pins)).unwrap().pop() {
            Some(Answer::Pins(rows)) => {
                rows.into_iter().find(|row| row.pin.contains(text)).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    /// Waits until a pin has this level.
    pub fn pin_becomes(&self, text: &str, level: &str) {
        let look = || (self.pin(text).level.as_deref() == Some(level)).then_some(());
        wait_for(&format!("{text} is {level}"), look).unwrap();
    }
}

/// Runs `edge-host run` on a manifest that is refused; gives what it says, which is one line.
pub fn refused(folder: &Path, manifest: &str) -> String {
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join("node.toml");
    std::fs::write(&path, manifest).unwrap();
    let output = Command::new(guests::edge_host().unwrap()).arg("run").arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    error_line(&String::from_utf8_lossy(&output.stderr))
}

/// The one line of a command's error, after the log if there is one.
pub fn error_line(said: &str) -> String {
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("edge-host: ")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(said.trim_end().ends_with(lines[0]), "more follows: {said}");
    lines[0].into()
}
