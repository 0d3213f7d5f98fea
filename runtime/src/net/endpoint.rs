//! The node's UDP socket, and the thread that serves it.
//!
//! A runtime of its own on one thread: handing packets between threads doubles the round trip.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quinn::{
    AckFrequencyConfig, Endpoint, EndpointConfig, IdleTimeout, Incoming, MtuDiscoveryConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Semaphore, mpsc};

use super::identity::Identity;
use super::peer::{Peer, PeerConfig};
use super::reactor::Reactor;
use super::session::{Code, Session};
use super::tls::{self, ADMIN_ALPN, Allowed, NODE_ALPN};
use super::wire::{CLASSES, LANES};
use super::{BlobSource, Config, Event, ListenError, admin, dial, lock, read, write};
use crate::address::{IdHash, NodeId};
use crate::limits::Limits;
use crate::reason::Reason;

/// Blobs and admin requests served at once over one connection, beside its links.
const REQUESTS: usize = 16;

/// How long a stopping node waits for its last letters to be settled.
const FAREWELL: Duration = Duration::from_millis(1000);

/// How long it then stays to tell its peers again that it goes, should they not have heard.
const GOODBYE: Duration = Duration::from_millis(300);

/// Threads for what blocks: name lookups, and reading blobs from disk.
const BLOCKING: usize = 8;

/// Bytes of the largest packet, where the path takes it (loopback, jumbo frames): fewer packets for
/// as many bytes. Quinn hands ten to the kernel at once, which takes 64 KiB.
const LARGEST_PACKET: u16 = 6500;

/// So many packets may come before they are acknowledged, ...
const ACK_AFTER: VarInt = VarInt::from_u32(9);

/// ... or so long after the first of them: acknowledging each other packet, as QUIC does if it is
/// not asked, costs a third of a large transfer.
const ACK_WITHIN: Duration = Duration::from_millis(2);

/// What all parts of the network share.
pub struct Shared {
    pub(super) id: NodeId,
    pub(super) identity: Identity,
    pub(super) limits: Limits,
    /// Drawn at the start, for hellos.
    pub(super) incarnation: u64,
    pub(super) local: SocketAddr,
    pub(super) endpoint: Endpoint,
    pub(super) transport: Arc<TransportConfig>,
    pub(super) runtime: Handle,
    pub(super) allowed: Arc<Allowed>,
    pub(super) peers: RwLock<HashMap<NodeId, Arc<Peer>, IdHash>>,
    pub(super) blobs: BlobSource,
    pub(super) admins: Arc<Semaphore>,
    pub(super) reactor: Reactor,
    /// Sessions with something to be written of which nobody was told.
    untold: Mutex<Vec<Arc<Session>>>,
    any_untold: AtomicBool,
    seats: Mutex<Seats>,
    events: mpsc::Sender<Event>,
}

/// Handshakes in progress.
#[derive(Default)]
struct Seats {
    taken: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// One handshake in progress.
pub struct Seat {
    shared: Arc<Shared>,
    ip: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.shared.seats);
        seats.taken -= 1;
        if let Some(count) = seats.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                seats.by_ip.remove(&self.ip);
            }
        }
    }
}

impl Shared {
    /// Hands an event up, and waits while there is no room. A node that no longer listens is
    /// about to stop.
    pub async fn emit(&self, event: Event) {
        let _ = self.events.send(event).await;
    }

    /// Remembers a session that has something to be written.
    pub fn untold(&self, session: Arc<Session>) {
        lock(&self.untold).push(session);
        self.any_untold.store(true, Ordering::Release);
    }

    /// Has the letters queued so far written.
    pub fn flush(&self) {
        if self.any_untold.load(Ordering::Acquire) {
            self.reactor.pass(|| self.tell());
        }
    }

    /// As [`Shared::flush`]; what runs in the network lets others go on first.
    pub fn flush_soon(&self) {
        match Reactor::is_here() {
            true => self.reactor.wake(),
            false => self.flush(),
        }
    }

    /// Tells those who write that there is something.
    pub fn tell(&self) {
        if self.any_untold.swap(false, Ordering::AcqRel) {
            lock(&self.untold).drain(..).for_each(|session| session.tell());
        }
    }

    /// The peer of this id, if it is one.
    pub fn peer(&self, id: NodeId) -> Option<Arc<Peer>> {
        read(&self.peers).get(&id).cloned()
    }

    /// Handshakes in progress.
    pub fn handshakes(&self) -> usize {
        lock(&self.seats).taken
    }

    /// Lets a peer in, and dials it if it has an address. One that is there already gives way.
    pub fn add(self: &Arc<Self>, config: PeerConfig) -> Result<(), ListenError> {
        if config.id == self.id {
            return Err(ListenError::OwnId);
        }
        let most = self.limits.peers;
        let peer = Peer::new(config);
        let mut peers = write(&self.peers);
        if peers.len() >= most && !peers.contains_key(&peer.id) {
            return Err(ListenError::TooManyPeers { most });
        }
        let old = peers.insert(peer.id, peer.clone());
        drop(peers);
        if let Some(old) = old {
            old.remove();
        }
        self.allowed.insert(peer.id);
        if let Some(at) = peer.at.clone() {
            let task = self.runtime.spawn(dial::keep(self.clone(), peer.clone(), at));
            peer.dialled_by(task.abort_handle());
        }
        Ok(())
    }

    /// Lets a peer in no more, and closes its connection.
    pub fn remove(&self, id: NodeId) {
        self.allowed.remove(id);
        let peer = write(&self.peers).remove(&id);
        if let Some(peer) = peer {
            peer.remove();
        }
    }

    /// Takes one of the few places for handshakes; one source gets at most half of them, so that
    /// it alone cannot keep all others out.
    fn seat(self: &Arc<Self>, ip: IpAddr) -> Option<Seat> {
        let most = self.limits.handshakes;
        let mut seats = lock(&self.seats);
        let here = seats.by_ip.get(&ip).copied().unwrap_or(0);
        if seats.taken >= most || here >= most.div_ceil(2) {
            return None;
        }
        seats.taken += 1;
        seats.by_ip.insert(ip, here + 1);
        Some(Seat { shared: self.clone(), ip })
    }
}

/// A network that runs.
pub struct Running {
    pub(super) shared: Arc<Shared>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) thread: JoinHandle<()>,
}

/// Binds the socket and starts the thread. It ends with the reactor.
pub fn listen(config: Config) -> Result<Running, ListenError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING)
        .build()
        .map_err(ListenError::Thread)?;
    let (shared, events) = bind(config.listen, config, runtime)?;
    let here = shared.clone();
    let accepting = shared.runtime.spawn(accept(shared.clone()));
    let thread = thread::Builder::new()
        .name("net".into())
        .spawn(move || {
            let farewell = farewell(here.clone(), accepting);
            here.reactor.stand_in(|| here.tell(), farewell, GOODBYE);
        })
        .map_err(ListenError::Thread)?;
    Ok(Running { shared, events, thread })
}

fn bind(
    listen: SocketAddr,
    config: Config,
    runtime: Runtime,
) -> Result<(Arc<Shared>, mpsc::Receiver<Event>), ListenError> {
    let failed = |why| ListenError::Bind { listen, why };
    let limits = config.limits;
    let transport = Arc::new(transport(&limits));
    let allowed = Arc::new(Allowed::new(config.admin));
    let crypto = tls::server(&config.identity, allowed.clone())
        .map_err(|why| ListenError::Tls(why.to_string()))?;
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    // A connection attempt waits here only until the accept loop sees it.
    server
        .transport_config(transport.clone())
        .max_incoming(limits.handshakes.max(1))
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(1 << 20);
    let handle = runtime.handle().clone();
    let _inside = handle.enter();
    let socket = UdpSocket::bind(listen).map_err(failed)?;
    let endpoint =
        Endpoint::new(sockets(), Some(server), socket, Arc::new(TokioRuntime)).map_err(failed)?;
    let mut incarnation = [0; 8];
    SystemRandom::new()
        .fill(&mut incarnation)
        .map_err(|_| ListenError::Tls("no random bytes from the system".into()))?;
    let (events, receiver) = mpsc::channel(limits.events.max(1));
    let shared = Arc::new(Shared {
        id: config.identity.id(),
        identity: config.identity,
        incarnation: u64::from_be_bytes(incarnation),
        local: endpoint.local_addr().map_err(failed)?,
        endpoint,
        transport,
        runtime: handle.clone(),
        allowed,
        peers: RwLock::default(),
        blobs: config.blobs,
        admins: Arc::new(Semaphore::new(limits.admins.min(Semaphore::MAX_PERMITS))),
        reactor: Reactor::new(runtime),
        untold: Mutex::default(),
        any_untold: AtomicBool::new(false),
        seats: Mutex::default(),
        events,
        limits,
    });
    config.peers.into_iter().try_for_each(|peer| shared.add(peer))?;
    Ok((shared, receiver))
}

/// How quinn shall behave, for nodes and for the command line. Quinn takes memory for every stream
/// that it permits, so the numbers are exact.
pub fn transport(limits: &Limits) -> TransportConfig {
    let number = |count: usize| VarInt::from_u32(u32::try_from(count).unwrap_or(u32::MAX));
    let mut transport = TransportConfig::default();
    // Beyond what QUIC can say, any time is for ever.
    let idle = IdleTimeout::try_from(limits.idle()).unwrap_or(VarInt::MAX.into());
    transport
        .max_idle_timeout(Some(idle))
        // Peers are mostly near: a lost first packet is sent again after 0.3 s, not after 1.
        .initial_rtt(Duration::from_millis(100))
        .keep_alive_interval(Some(limits.idle() / 4))
        .max_concurrent_uni_streams(number(1 + LANES + CLASSES * limits.links))
        .max_concurrent_bidi_streams(number(limits.links + REQUESTS))
        // What all lanes together may hold unread is less than what the connection may: a lane
        // that is not read takes nothing from the others.
        .stream_receive_window(number(limits.peer_queue_bytes / 8))
        .receive_window(number(limits.peer_queue_bytes.saturating_mul(4)))
        .send_window(limits.peer_queue_bytes as u64)
        .datagram_receive_buffer_size(None);
    let mut discovery = MtuDiscoveryConfig::default();
    discovery.upper_bound(LARGEST_PACKET);
    let mut acks = AckFrequencyConfig::default();
    acks.ack_eliciting_threshold(ACK_AFTER).max_ack_delay(Some(ACK_WITHIN));
    transport.mtu_discovery_config(Some(discovery)).ack_frequency_config(Some(acks));
    transport
}

/// How quinn's sockets shall behave, for nodes.
pub fn sockets() -> EndpointConfig {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(LARGEST_PACKET).expect("it is between 1200 and 65527");
    config
}

/// The end: waits a moment for letters to be settled, and tells the peers.
async fn farewell(shared: Arc<Shared>, accepting: tokio::task::JoinHandle<()>) {
    accepting.abort();
    shared.endpoint.set_server_config(None);
    let peers: Vec<_> = read(&shared.peers).values().cloned().collect();
    let sessions: Vec<_> = peers.iter().filter_map(|peer| peer.session()).collect();
    let settled = async {
        for session in &sessions {
            while session.outgoing.in_flight() > 0 && session.connection.close_reason().is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    };
    let _ = tokio::time::timeout(FAREWELL, settled).await;
    for session in &sessions {
        session.fail(Code::Going, "the node stops", Reason::Stopped);
    }
    for peer in peers {
        peer.remove();
    }
    shared.endpoint.close(Code::Going.into(), b"the node stops");
    let told = async {
        for session in &sessions {
            session.over().await;
        }
        shared.endpoint.wait_idle().await;
    };
    let _ = tokio::time::timeout(GOODBYE, told).await;
}

async fn accept(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        if !incoming.remote_address_validated() {
            // Costs the stranger a round trip and this node nothing: no state is kept.
            // It fails for an address that is validated already, which this one is not.
            let _ = incoming.retry();
            continue;
        }
        match shared.seat(incoming.remote_address().ip()) {
            Some(seat) => drop(tokio::spawn(greet(seat, incoming))),
            None => incoming.refuse(),
        }
    }
}

/// Takes a handshake to its end, and the connection to whom it is for.
async fn greet(seat: Seat, incoming: Incoming) {
    let shared = seat.shared.clone();
    let remote = incoming.remote_address();
    let connecting = match incoming.accept() {
        Ok(connecting) => connecting,
        Err(why) => return tracing::debug!(%remote, "no connection: {why}"),
    };
    let patience = shared.limits.peer_patience();
    let connection = match tokio::time::timeout(patience, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(why)) => return tracing::debug!(%remote, "turned away: {why}"),
        Err(_) => return tracing::debug!(%remote, "turned away: no handshake in time"),
    };
    let Some((key, alpn)) = tls::other_side(&connection) else {
        return connection.close(Code::Refused.into(), b"no key");
    };
    if !shared.allowed.fits(key, &alpn) {
        tracing::warn!(%remote, %key, "turned away: this key may not speak this protocol");
        return connection.close(Code::Refused.into(), b"this key may not speak this protocol");
    }
    match alpn.as_slice() {
        NODE_ALPN => dial::answer(shared, key, connection, seat).await,
        ADMIN_ALPN => {
            drop(seat);
            admin::serve(shared, connection).await;
        }
        _ => connection.close(Code::Refused.into(), b"no such protocol"),
    }
}
