//! One real node: in this process, or a process of its own. Both are spoken to as people do, over
//! the admin protocol.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::run::ENDS_WITH;
use crate::cli::{json, remote};
use crate::config::Manifest;
use crate::limits::Limits;
use crate::net::client::Client;
use crate::net::identity::{ADMIN_KEY, Identity, NODE_KEY};
use crate::node::admin::{Answer, Request};
use crate::node::{Node, whereabouts};
use crate::reason::Reason;
use crate::wasm::compile::Compiler;

/// How long a node may take to start: it may have to compile what it runs, on a busy machine.
const START: Duration = Duration::from_secs(120);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// Where a node runs, and how it is found.
pub struct Place {
    folder: PathBuf,
    /// The node's id.
    pub id: String,
    /// Where it listens; 0 while it never has.
    pub port: Arc<AtomicU16>,
    /// Its port while it is down: the system would give it to whoever asks for any.
    held: Option<UdpSocket>,
    life: Life,
    /// What speaks to it, for as long as it lives.
    pub voice: Arc<Voice>,
}

enum Life {
    None,
    Here(Arc<Node>),
    Process(Child),
}

/// Speaks to a node as its administrator.
pub struct Voice {
    data: PathBuf,
    client: tokio::sync::Mutex<Option<Arc<Client>>>,
}

impl Place {
    /// A node that is to run in this folder; makes its key.
    pub fn new(folder: PathBuf) -> anyhow::Result<Self> {
        let data = folder.join("data");
        let id = Identity::open(&data, NODE_KEY)?.id().to_string();
        let voice = Voice::new(data);
        Ok(Self { folder, id, port: Arc::default(), held: None, life: Life::None, voice })
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        !matches!(self.life, Life::None)
    }

    /// Where native code is kept.
    pub fn native(&self) -> PathBuf {
        self.folder.join("data/native")
    }

    /// Starts it with the rest of a manifest, and returns when it can be spoken to.
    pub fn start(&mut self, peers: &str, rest: &str, processes: bool) -> anyhow::Result<()> {
        let port = self.port.load(Ordering::SeqCst);
        let text = format!(
            "[node]\nlisten = \"127.0.0.1:{port}\"\ndata = \"data\"\npeers = [{peers}]\n\n{rest}"
        );
        let program = std::env::current_exe()?;
        self.held = None;
        self.life = if processes {
            Life::Process(self.spawn(&program, &text)?)
        } else {
            let manifest = Manifest::parse(&text, &self.folder, None)?;
            Life::Here(Node::start(manifest, Compiler::Child(program))?)
        };
        let here = whereabouts(&self.folder.join("data")).context("it does not say where it is")?;
        self.port.store(here.listen.port(), Ordering::SeqCst);
        self.voice = Voice::new(self.folder.join("data"));
        Ok(())
    }

    fn spawn(&self, program: &Path, manifest: &str) -> anyhow::Result<Child> {
        let (file, log) = (self.folder.join("node.toml"), self.folder.join("log"));
        std::fs::write(&file, manifest)?;
        let mut command = Command::new(program);
        command.arg("run").arg(&file).env("EDGE_HOST_LOG", "warn");
        command.env(ENDS_WITH, std::process::id().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log)?);
        let mut child = command.spawn().context("can't start edge-host")?;
        let (began, data) = (Instant::now(), self.folder.join("data"));
        while whereabouts(&data).is_none_or(|here| here.pid != child.id()) {
            let ended = child.try_wait()?;
            if ended.is_some() || began.elapsed() > START {
                // It is of no use any more.
                let _ = child.kill().and_then(|()| child.wait());
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("a node did not start: {}", said.lines().last().unwrap_or("it said nothing"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(child)
    }

    /// kill -9. A node in this process can't be killed so.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        match std::mem::replace(&mut self.life, Life::None) {
            Life::Process(mut child) => {
                child.kill()?;
                child.wait()?;
                let at = (Ipv4Addr::LOCALHOST, self.port.load(Ordering::SeqCst));
                // Without it the node most likely finds its port free all the same.
                self.held = UdpSocket::bind(at).ok();
            }
            Life::Here(node) => {
                self.life = Life::Here(node);
                bail!("a node of this process can't crash alone");
            }
            Life::None => {}
        }
        Ok(())
    }

    /// Stops it as it should be stopped.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        match std::mem::replace(&mut self.life, Life::None) {
            Life::Process(mut child) => {
                signal(child.id(), Signal::TERM)?;
                child.wait()?;
            }
            Life::Here(node) => drop(node.stop()),
            Life::None => {}
        }
        Ok(())
    }

    /// The id of its process, if that is its own.
    pub fn pid(&self) -> anyhow::Result<u32> {
        match &self.life {
            Life::Process(child) => Ok(child.id()),
            Life::Here(_) => bail!("a node of this process can't stand still alone"),
            Life::None => bail!("it is not up"),
        }
    }

    /// Takes its durable state away; its key and its components stay.
    pub fn wipe(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.folder.join("data/state")).context("can't take a node's state")
    }
}

/// Stops all at once: each waits a moment for its peers.
pub fn stop_all(places: &mut [Place]) {
    std::thread::scope(|scope| {
        for place in places {
            // One that doesn't stop is killed when it is dropped.
            scope.spawn(|| drop(place.stop()));
        }
    });
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Life::Process(child) = &mut self.life {
            // It may have ended already.
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

/// Sends a process a signal.
pub fn signal(pid: u32, signal: Signal) -> anyhow::Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid)?).context("it has no process")?;
    Ok(kill_process(pid, signal)?)
}

impl Voice {
    fn new(data: PathBuf) -> Arc<Self> {
        Arc::new(Self { data, client: tokio::sync::Mutex::default() })
    }

    /// Asks an actor; `None`: it gives no answer, as is its way.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        actor: &str,
        message: &Value,
        deadline: Duration,
    ) -> anyhow::Result<Option<T>> {
        let deadline_ms = u64::try_from(deadline.as_millis())?;
        let body = json::to_cbor(&message.to_string())?;
        match self.request(&Request::Send { name: actor.into(), body, deadline_ms }).await? {
            Answer::Answered(body) => Ok(Some(serde_ipld_dagcbor::from_slice(&body)?)),
            Answer::Unanswered(Reason::NoAnswer) => Ok(None),
            Answer::Unanswered(reason) => bail!("{actor} gave no answer: {reason}"),
            other => bail!("{actor} gave no answer, but {other:?}"),
        }
    }

    /// Asks the node itself.
    pub async fn request(&self, request: &Request) -> anyhow::Result<Answer> {
        let client = self.client().await?;
        let asked = async {
            let mut response = client.request(&remote::written(request)?, None).await?;
            let frame = response.next().await?.context("the node gave no answer")?;
            remote::read(&frame)
        };
        match asked.await {
            Ok(Answer::Failed(why)) => bail!(why),
            Ok(answer) => Ok(answer),
            Err(why) => {
                // The next one tries anew, over a connection of its own.
                *self.client.lock().await = None;
                Err(why)
            }
        }
    }

    async fn client(&self) -> anyhow::Result<Arc<Client>> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let here = whereabouts(&self.data).context("no node is here")?;
        let key = Identity::read(&self.data.join(ADMIN_KEY))?;
        let (at, id) = (here.listen.to_string(), here.id.parse()?);
        let made = Arc::new(Client::connect(&at, id, &key, Limits::default()).await?);
        *client = Some(made.clone());
        Ok(made)
    }
}
