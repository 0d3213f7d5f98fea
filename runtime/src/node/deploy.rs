//! From a component's name to a living actor: found here or fetched from a peer, checked, compiled
//! once, started with its grants.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::{Node, STARTED, lock};
use crate::actor::{Actor, Spawner, Spec};
use crate::address::NodeId;
use crate::config::grant::Grant;
use crate::config::{ActorConfig, Component};
use crate::device::DeviceError;
use crate::limits::Full;
use crate::net::PeerState;
use crate::reason::Reason;
use crate::router::blobs::fetch;
use crate::store::Cid;
use crate::store::blobs::{BlobError, parse_cid};
use crate::store::state::{Commit, StateError};
use crate::wasm::turn::Budget;
use crate::wasm::{Code, ComponentError, World};

/// Why a component is not run, or an actor not started.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// A name that is taken.
    #[error("an actor named {0} is running: stop it first, or give another name with --as")]
    NameTaken(String),
    /// Nobody by that name.
    #[error("no actor named {0} runs here: `edge-host ls actors` shows who does")]
    NoActor(String),
    /// Nobody has it.
    #[error("no blob {0} here or at any connected peer: `edge-host add FILE` it to one of them")]
    Missing(Cid),
    /// The blob is unsound.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A component's file can't be read.
    #[error("component {path}: {why}: build it with `edge-host build`, or name the file it made")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// It is too large for a component.
    #[error(
        "{cid} has {bytes} bytes, over the limit of {limit} for a component: raise \
        component-bytes under [limits]"
    )]
    TooLarge {
        /// Its name.
        cid: Cid,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: u64,
    },
    /// Its bytes are not run.
    #[error("component {cid} {why}")]
    Component {
        /// Its name.
        cid: Cid,
        /// Why.
        why: ComponentError,
    },
    /// It crashed too often here.
    #[error(
        "component {0} is in quarantine on this node, it crashed too often: mend it, or wait a \
        minute"
    )]
    Quarantined(Cid),
    /// A device can't be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A grant names something that isn't there.
    #[error("grant {name}: {why}")]
    Grant {
        /// Its name.
        name: String,
        /// Why, and what to write.
        why: String,
    },
    /// As many actors live here as the memory plan allows.
    #[error(transparent)]
    NodeFull(#[from] Full),
    /// The state store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The native-code cache can't be written.
    #[error(
        "native code can't be kept: {0}: free disk space or check the data folder's permissions"
    )]
    Cache(std::io::Error),
    /// New code that can't take the old one's place.
    #[error("{0}")]
    NotSwapped(String),
    /// The node stops.
    #[error("the node is stopping")]
    Stopping,
}

/// Where a component came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was here.
    Here,
    /// A peer had it.
    Peer(NodeId),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here => f.write_str("held here"),
            Self::Peer(node) => write!(f, "fetched from peer {node}"),
        }
    }
}

impl Node {
    /// Starts an actor, once `first` is durable; says where its component came from.
    pub(super) async fn deploy(
        self: &Arc<Self>,
        name: &str,
        config: &ActorConfig,
        first: Commit,
    ) -> Result<(Arc<Actor>, Origin), DeployError> {
        // Before anything is fetched for nothing; and once more below, for that takes its time.
        self.may_start(name)?;
        let expected = self.expect_again(name, config)?;
        let deployed = self.make_and_spawn(name, config, first).await;
        if expected && deployed.is_err() {
            self.give_up(name, Reason::NoActor)?;
        }
        deployed
    }

    /// Letters of those that knew an actor of this name before wait while it is made. False: they
    /// do already, or nobody can know it.
    fn expect_again(&self, name: &str, config: &ActorConfig) -> Result<bool, DeployError> {
        let id = self.known_id(name)?.filter(|id| self.router.find(*id).is_none());
        id.iter().for_each(|id| self.scheduler.expect(*id, self.mailbox_of(config)));
        Ok(id.is_some())
    }

    async fn make_and_spawn(
        self: &Arc<Self>,
        name: &str,
        config: &ActorConfig,
        first: Commit,
    ) -> Result<(Arc<Actor>, Origin), DeployError> {
        let (code, origin) = self.code(&config.component).await?;
        let mut children = BTreeMap::new();
        for component in components_of_children(config) {
            let (code, _) = self.code(component).await?;
            children.insert(component.clone(), code);
        }
        let _one_at_a_time = self.deploying.lock().await;
        let (name, config) = (String::from(name), config.clone());
        let spawn = move |node: &Self| node.spawn(&name, &config, code, &children, first);
        let actor = self.aside(spawn).await??;
        actor.journal().write(format!("{} ({origin})", actor.spec.code.cid));
        Ok((actor, origin))
    }

    /// Does what may wait for a disk or a device: no connection waits for that.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, DeployError> {
        let node = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&node)).await;
        done.map_err(|_| DeployError::Stopping)
    }

    fn spawn(
        &self,
        name: &str,
        config: &ActorConfig,
        code: Arc<Code>,
        children: &BTreeMap<Component, Arc<Code>>,
        first: Commit,
    ) -> Result<Arc<Actor>, DeployError> {
        self.may_start(name)?;
        let id = self.id_of(name)?;
        let mut spec = self.spec(config, code);
        self.grant(id, name, &mut spec, config, children)?;
        let durable = self.state.commit(first);
        durable.inspect_err(|_| self.scheduler.release_devices(name, &spec))?;
        Ok(self.scheduler.spawn(id, Spawner::Manifest(name.into()), Arc::new(spec)))
    }

    fn may_start(&self, name: &str) -> Result<(), DeployError> {
        if self.scheduler.named(name).is_some() {
            return Err(DeployError::NameTaken(name.into()));
        }
        Ok(self.scheduler.room_for_one()?)
    }

    /// As [`keeping`], at once.
    pub(super) async fn keep_started(
        self: &Arc<Self>,
        name: &str,
        config: Option<&ActorConfig>,
    ) -> Result<(), DeployError> {
        let commit = keeping(name, config);
        Ok(self.aside(|node| node.state.commit(commit)).await??)
    }

    /// What an administrator started under this name.
    pub(super) fn started(&self, name: &str) -> Option<ActorConfig> {
        let record = self.state.record(STARTED, name.as_bytes()).ok()??;
        serde_ipld_dagcbor::from_slice(&record).ok()
    }

    /// Puts other code in an actor's place.
    pub(super) async fn swap(
        self: &Arc<Self>,
        name: &str,
        component: &Component,
    ) -> Result<(Cid, Origin), DeployError> {
        let named = || {
            let actor = self.scheduler.named(name);
            actor.ok_or_else(|| DeployError::NoActor(name.into()))
        };
        named()?;
        let (code, origin) = self.code(component).await?;
        let _one_at_a_time = self.deploying.lock().await;
        let (actor, cid) = (named()?, code.cid);
        match self.scheduler.swap(&actor, code).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(DeployError::NotSwapped(why)),
            Err(_) => return Err(DeployError::Stopping),
        }
        if let Some(config) = self.started(name) {
            let component = Component::Cid(cid.to_string());
            self.keep_started(name, Some(&ActorConfig { component, ..config })).await?;
        }
        Ok((cid, origin))
    }

    /// A component's code, from wherever it is to be had.
    async fn code(
        self: &Arc<Self>,
        component: &Component,
    ) -> Result<(Arc<Code>, Origin), DeployError> {
        let cid = match component {
            Component::Path(path) => {
                let path = path.clone();
                self.aside(|node| node.take_in(path)).await??
            }
            Component::Cid(text) => parse_cid(text)?,
        };
        let one = {
            let mut making = lock(&self.making);
            making.retain(|_, others| Arc::strong_count(others) > 1);
            making.entry(cid).or_default().clone()
        };
        let _one_at_a_time = one.lock().await;
        if self.scheduler.quarantined(&cid) {
            return Err(DeployError::Quarantined(cid));
        }
        if let Some(code) = lock(&self.codes).get(&cid).and_then(std::sync::Weak::upgrade) {
            return Ok((code, Origin::Here));
        }
        let held = self.aside(move |node| node.make_held(cid)).await??;
        let (code, origin) = match held {
            Some(code) => (code, Origin::Here),
            None => {
                let peer = self.fetch(&cid).await?;
                let fetched = self.aside(move |node| node.make_held(cid)).await??;
                (fetched.ok_or(DeployError::Missing(cid))?, Origin::Peer(peer))
            }
        };
        let mut codes = lock(&self.codes);
        codes.retain(|_, code| code.strong_count() > 0);
        codes.insert(cid, Arc::downgrade(&code));
        Ok((code, origin))
    }

    /// A component's file becomes a blob.
    fn take_in(&self, path: PathBuf) -> Result<Cid, DeployError> {
        let bytes = std::fs::read(&path).map_err(|why| DeployError::File { path, why })?;
        Ok(self.blobs.put(&bytes)?)
    }

    /// The code of a component whose blob is here.
    fn make_held(&self, cid: Cid) -> Result<Option<Arc<Code>>, DeployError> {
        let Some(bytes) = self.blobs.read(&cid)? else { return Ok(None) };
        self.make_code(cid, &bytes).map(Some)
    }

    fn make_code(&self, cid: Cid, bytes: &[u8]) -> Result<Arc<Code>, DeployError> {
        let limit = self.limits.component_bytes;
        if bytes.len() as u64 > limit {
            return Err(DeployError::TooLarge { cid, bytes: bytes.len(), limit });
        }
        let refused = |why| DeployError::Component { cid, why };
        World::of(bytes).map_err(refused)?;
        let fingerprint = self.engine.fingerprint();
        let native = match self.native.find(&cid, fingerprint) {
            Some(native) => native,
            None => {
                // One compiler at a time is what a small machine has room for.
                let _one_at_a_time = lock(&self.compiling);
                let began = std::time::Instant::now();
                let memory = self.plan.machine.memory;
                let code = self.compiler.compile(&self.engine, bytes, memory).map_err(refused)?;
                tracing::info!("compiled {cid} in {} ms", began.elapsed().as_millis());
                self.native.put(&cid, fingerprint, &code).map_err(DeployError::Cache)?
            }
        };
        self.engine.load(cid, bytes, &native).map(Arc::new).map_err(refused)
    }

    /// Gets a blob from a peer; says from which.
    async fn fetch(&self, cid: &Cid) -> Result<NodeId, DeployError> {
        for peer in self.net.peers() {
            if peer.state != PeerState::Up {
                continue;
            }
            match fetch(&self.net, &self.blobs, peer.id, cid).await {
                Ok(()) => {
                    tracing::info!("fetched {cid} from peer {}", peer.id);
                    return Ok(peer.id);
                }
                Err(why) => tracing::warn!("{cid} not from peer {}: {why}", peer.id),
            }
        }
        Err(DeployError::Missing(*cid))
    }

    /// An actor that waits for its component will not come.
    pub(super) fn give_up(&self, name: &str, reason: Reason) -> Result<(), StateError> {
        self.scheduler.give_up(self.id_of(name)?, reason);
        Ok(())
    }

    /// Letters that an actor's mailbox has room for.
    pub(super) fn mailbox_of(&self, config: &ActorConfig) -> usize {
        config.mailbox.unwrap_or(self.limits.mailbox)
    }

    pub(super) fn spec(&self, config: &ActorConfig, code: Arc<Code>) -> Spec {
        let limits = &self.limits;
        let memory = config.memory.and_then(|bytes| usize::try_from(bytes).ok());
        let budget = Budget {
            memory: memory.unwrap_or(limits.memory_bytes),
            turn: config.turn.unwrap_or(limits.turn()),
            storage: config.storage.unwrap_or(limits.storage_bytes),
            node: limits.clone(),
        };
        Spec {
            code,
            grants: Vec::new(),
            children: BTreeMap::new(),
            links: None,
            subscriptions: Vec::new(),
            mailbox: self.mailbox_of(config),
            budget,
            restart: config.restart,
        }
    }
}

/// Keeps an administrator's actor over restarts of the node, or forgets it.
pub(super) fn keeping(name: &str, config: Option<&ActorConfig>) -> Commit {
    let value = config.and_then(|config| serde_ipld_dagcbor::to_vec(config).ok());
    let mut commit = Commit::default();
    commit.record(STARTED, name.as_bytes(), value);
    commit
}

/// What an actor's children run, and theirs.
fn components_of_children(config: &ActorConfig) -> BTreeSet<&Component> {
    let mut components = BTreeSet::new();
    let mut parents = vec![config];
    while let Some(parent) = parents.pop() {
        for grant in parent.grants.values() {
            if let Grant::Child(child) = grant {
                components.insert(&child.actor.component);
                parents.push(&child.actor);
            }
        }
    }
    components
}
