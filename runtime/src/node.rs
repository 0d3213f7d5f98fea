//! A node: wires the parts, and is all of them for as long as it runs.

pub mod admin;
mod deploy;
mod events;
mod grants;
pub mod plan;
mod serve;
mod sweep;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::{Deserialize, Serialize};

use crate::actor::{Parts, Scheduler};
use crate::address::{ActorId, Address, NodeId};
use crate::clock::Clock;
use crate::config::{ActorConfig, Manifest};
use crate::device::{BusError, BusId, DeviceError, Devices, PinId, SensorId};
use crate::limits::Limits;
use crate::mailbox::{Inlet, Question};
use crate::net::identity::{ADMIN_KEY, Identity, IdentityError, NODE_KEY};
use crate::net::{ListenError, Net, PeerConfig};
use crate::router::Router;
use crate::router::large::Large;
use crate::store::blobs::Blobs;
use crate::store::native::NativeCode;
use crate::store::state::{Commit, State, StateError};
use crate::store::{Cid, Lock, OpenError};
use crate::wasm::compile::Compiler;
use crate::wasm::turn::Reads;
use crate::wasm::{Code, ComponentError, Engine};

pub use deploy::DeployError;
use plan::{Machine, Plan};

/// Where a running node tells the command line where it is: a file of its data directory.
pub const WHERE: &str = "node.json";
/// The kind of the store's records that keep actors' ids by name.
const IDS: &str = "id";
/// The kind of the store's records that keep the actors started by an administrator.
const STARTED: &str = "started";

/// What [`WHERE`] holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whereabouts {
    /// The node's id.
    pub id: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its process.
    pub pid: u32,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory can't be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The keys can't be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The network can't be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The devices can't be had.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The engine can't be had.
    #[error(transparent)]
    Engine(#[from] ComponentError),
    /// The state store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The system gives no thread.
    #[error("can't start a worker thread: {0}: raise the limit on processes (ulimit -u) or memory")]
    Thread(std::io::Error),
    /// An actor of the manifest can't be started.
    #[error("actor {name}: {why}")]
    Actor {
        /// Its name.
        name: String,
        /// Why.
        why: DeployError,
    },
}

/// An actor that starts once its component is to be had.
#[derive(Clone)]
struct Waiting {
    config: ActorConfig,
    /// What is missing: the component, or that of a child.
    cid: Cid,
}

/// A running node.
pub struct Node {
    /// Who it is.
    pub id: NodeId,
    /// Its network.
    pub net: Net,
    /// Its actors.
    pub scheduler: Arc<Scheduler>,
    plan: Plan,
    data: PathBuf,
    limits: Arc<Limits>,
    blobs: Blobs,
    native: NativeCode,
    state: State,
    devices: Arc<Devices>,
    router: Arc<Router>,
    engine: Engine,
    compiler: Compiler,
    codes: Mutex<BTreeMap<Cid, Weak<Code>>>,
    /// Holds back all but one that wants a component's code, so that it is fetched and compiled
    /// once; whoever wants another one does not wait.
    making: Mutex<BTreeMap<Cid, Arc<tokio::sync::Mutex<()>>>>,
    /// Held while a component is compiled.
    compiling: Mutex<()>,
    /// Holds back all but one that changes who runs under which name.
    deploying: tokio::sync::Mutex<()>,
    /// Actors whose component isn't to be had yet.
    waiting: Mutex<BTreeMap<String, Waiting>>,
    _lock: Lock,
}

impl Node {
    /// Starts a node from its manifest.
    pub fn start(manifest: Manifest, compiler: Compiler) -> Result<Arc<Self>, StartError> {
        let Manifest { node: config, mut limits, actors } = manifest;
        let plan = Plan::new(Machine::this(), &limits);
        tracing::info!("memory plan: {plan}");
        limits.live = plan.live;
        let data = config.data;
        let lock = Lock::take(&data)?;
        let identity = Identity::open(&data, NODE_KEY)?;
        let admin = Identity::open(&data, ADMIN_KEY)?;
        let blobs = Blobs::open(&data, limits.blob_bytes)?;
        let large = Arc::new(Large::open(&data, &limits)?);
        let native = NativeCode::open(&data)?;
        let state = State::open(&data)?;
        let clock = Clock::default();
        let (devices, device_events) = Devices::open(&limits, clock.origin())?;
        let devices = Arc::new(devices);
        let engine = Engine::new(plan.layout)?;
        engine.keep_memories(plan.live);
        engine.bound_memories(plan.bytes);
        let id = identity.id();
        let router = Arc::new(Router::new(id, clock.clone()));
        let (net, events) = Net::listen(crate::net::Config {
            listen: config.listen,
            identity,
            admin: Some(admin.id()),
            peers: config.peers.into_iter().map(peer).collect(),
            limits: limits.clone(),
            blobs: blob_source([blobs.clone(), large.blobs()]),
        })?;
        router.connect(net.clone(), devices.clone(), large);
        let limits = Arc::new(limits);
        let reads =
            Reader { state: state.clone(), devices: devices.clone(), router: router.clone() };
        let scheduler = Scheduler::start(Parts {
            engine: engine.clone(),
            router: router.clone(),
            state: state.clone(),
            devices: devices.clone(),
            reads: Arc::new(reads),
            clock,
            limits: limits.clone(),
            room: plan.room,
            workers: plan.machine.cores,
        })
        .map_err(StartError::Thread)?;
        let node = Arc::new(Self {
            id,
            net,
            scheduler,
            plan,
            data,
            limits,
            blobs,
            native,
            state,
            devices,
            router,
            engine,
            compiler,
            codes: Mutex::default(),
            making: Mutex::default(),
            compiling: Mutex::default(),
            deploying: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            _lock: lock,
        });
        node.listen_to(events, device_events);
        // Whoever finds the node finds its actors, too.
        let begun = node.begin(actors).and_then(|()| Ok(node.tell_where()?));
        begun.inspect_err(|_| drop(node.stop())).map(|()| node)
    }

    /// Stops the node: no more letters from outside, mailboxes emptied or reported, pins safe.
    /// Gives the messages that were still waiting, by actor.
    pub fn stop(&self) -> Vec<(String, usize)> {
        self.net.close();
        self.drain();
        let left = self.scheduler.close();
        self.devices.close();
        // Another node may have been started here meanwhile only if this file was already replaced.
        let _ = std::fs::remove_file(self.data.join(WHERE));
        left
    }

    /// Drives all pins to their safe level, for the last time: whatever still runs is too late.
    pub fn stop_pins(&self) {
        self.devices.close();
    }

    /// The id of an actor that has had this name.
    fn known_id(&self, name: &str) -> Result<Option<ActorId>, StateError> {
        let known = self.state.record(IDS, name.as_bytes())?;
        Ok(known.and_then(|bytes| bytes.try_into().ok()).map(ActorId))
    }

    /// The id that an actor of this name has and keeps.
    fn id_of(&self, name: &str) -> Result<ActorId, StateError> {
        if let Some(id) = self.known_id(name)? {
            return Ok(id);
        }
        let id = ActorId::random();
        let mut commit = Commit::default();
        commit.record(IDS, name.as_bytes(), Some(id.0.to_vec()));
        self.state.commit(commit)?;
        Ok(id)
    }

    /// Starts the manifest's actors, then those that an administrator started earlier. One whose
    /// component isn't to be had yet waits for a peer that has it.
    fn begin(self: &Arc<Self>, actors: BTreeMap<String, ActorConfig>) -> Result<(), StartError> {
        self.sweep()?;
        let mut all = BTreeMap::new();
        for (name, value) in self.state.records(STARTED)? {
            let name = String::from_utf8_lossy(&name).into_owned();
            match serde_ipld_dagcbor::from_slice(&value) {
                Ok(config) => drop(all.insert(name, config)),
                Err(error) => {
                    tracing::warn!("actor {name} was started by another version: {error}")
                }
            }
        }
        all.extend(actors);
        // They know each other, and other nodes them, before the last of them is compiled.
        for (name, config) in &all {
            self.scheduler.expect(self.id_of(name)?, self.mailbox_of(config));
        }
        for (name, config) in all {
            let node = self.clone();
            let (done, deployed) = std::sync::mpsc::sync_channel(1);
            let (spawned_name, spawned) = (name.clone(), config.clone());
            self.net.spawn(async move {
                let deployed = node.deploy(&spawned_name, &spawned, Commit::default()).await;
                // `begin` waits for it.
                let _ = done.send(deployed.map(drop));
            });
            match deployed.recv() {
                Ok(Ok(())) => {}
                Ok(Err(DeployError::Missing(cid))) => {
                    tracing::warn!("actor {name} waits for a peer that has {cid}");
                    lock(&self.waiting).insert(name, Waiting { config, cid });
                }
                Ok(Err(why)) => return Err(StartError::Actor { name, why }),
                Err(_) => return Err(StartError::Actor { name, why: DeployError::Stopping }),
            }
        }
        Ok(())
    }

    fn tell_where(&self) -> Result<(), OpenError> {
        let path = self.data.join(WHERE);
        let listen = self.net.local();
        let whereabouts = Whereabouts { id: self.id.to_string(), listen, pid: std::process::id() };
        let text = serde_json::to_vec(&whereabouts).map_err(std::io::Error::from);
        text.and_then(|text| crate::store::write_whole(&path, &text)).map_err(OpenError::io(&path))
    }

    /// Waits until all mailboxes are empty, but no longer than a peer would be waited for.
    fn drain(&self) {
        let until = std::time::Instant::now() + self.limits.peer_patience();
        while self.scheduler.is_busy() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

fn peer(peer: crate::config::Peer) -> PeerConfig {
    PeerConfig { id: peer.id, at: peer.at }
}

fn blob_source(places: [Blobs; 2]) -> crate::net::blobs::BlobSource {
    Arc::new(move |name| {
        let cid = crate::store::blobs::parse_cid(name).ok()?;
        places.iter().find_map(|blobs| blobs.file(&cid).map(|(path, _)| path))
    })
}

/// The folder of a node's data, from its manifest or the user's default.
pub fn whereabouts(data: &Path) -> Option<Whereabouts> {
    let text = std::fs::read(data.join(WHERE)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// What turns read.
struct Reader {
    state: State,
    devices: Arc<Devices>,
    router: Arc<Router>,
}

impl Reads for Reader {
    fn me(&self) -> NodeId {
        self.router.me()
    }

    fn value(&self, actor: ActorId, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.state.value(actor, key).map_err(|error| error.to_string())
    }

    fn values(
        &self,
        actor: ActorId,
        first: &[u8],
        end: &[u8],
        take: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), String> {
        self.state.values(actor, first, end, take).map_err(|error| error.to_string())
    }

    fn last(&self, sensor: u64) -> Option<(f64, std::time::Duration)> {
        let reading = self.devices.last(SensorId(sensor))?;
        Some((reading.value, reading.at))
    }

    fn level(&self, pin: u64) -> Option<bool> {
        self.devices.level(PinId(pin))
    }

    fn is_output(&self, pin: u64) -> bool {
        self.devices.is_output(PinId(pin))
    }

    fn transfer(&self, bus: u64, write: &[u8], read: usize) -> Result<Vec<u8>, BusError> {
        self.devices.transfer(BusId(bus), write, read)
    }

    fn room(&self, actor: ActorId, link: u32, class: u8) -> usize {
        self.router.link_room(actor, link, class)
    }

    fn find(&self, actor: ActorId) -> Option<Inlet> {
        self.router.find(actor)
    }

    fn make_known(&self, question: &Question) -> Address {
        self.router.make_known(question)
    }

    fn overran(&self, ticks: u64) -> bool {
        crate::actor::overran(ticks)
    }

    fn lacks_memory(&self, only_grown: bool) {
        crate::actor::lacks_memory(only_grown);
    }

    fn waits_for_memory(&self) -> bool {
        crate::actor::waits_for_memory()
    }
}

/// A lock whose holder panicked still guards sound data: each change under it is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
