//! The network of a node: encrypted connections with its peers, and with the command line.
//!
//! All of it runs on one thread at a time, see [`Net::run`]. What arrives goes up over one bounded
//! channel of [`Event`]s: while that is full nothing more is read. What goes out is queued without
//! waiting, from any thread, up to a limit.

pub mod admin;
mod arrivals;
pub mod blobs;
pub mod client;
mod control;
mod dial;
mod endpoint;
mod frames;
pub mod identity;
mod lanes;
mod letter;
mod links;
mod peer;
mod reactor;
mod session;
mod streams;
#[cfg(test)]
mod tests;
pub mod tls;
pub mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::address::{ActorId, NodeId};
use crate::limits::Limits;
use crate::reason::Reason;
use admin::{AdminBody, AdminReply};
pub use arrivals::Outcome;
use blobs::{BlobSource, FetchError, Sink};
use endpoint::Shared;
use identity::Identity;
pub use lanes::{Sender, Settled};
pub use peer::{PeerConfig, PeerInfo, PeerState};
use reactor::Reactor;
pub use session::Receipt;
use session::Session;
use wire::Letter;

/// What a network is made from.
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// This node's key.
    pub identity: Identity,
    /// The key by which the command line may speak to this node.
    pub admin: Option<NodeId>,
    /// The peers at the start.
    pub peers: Vec<PeerConfig>,
    /// The limits.
    pub limits: Limits,
    /// The blobs of this node.
    pub blobs: BlobSource,
}

/// What arrives.
#[derive(Debug)]
pub enum Event {
    /// A peer is connected. Between this and `PeerDown` come all the events of the connection.
    PeerUp {
        /// The peer.
        node: NodeId,
        /// Where it is.
        remote: SocketAddr,
        /// The round-trip time so far; [`Net::rtt`] gives it at any time.
        rtt: Duration,
    },
    /// A peer is not connected any more. The fate of all letters to it was told before, and all
    /// links with it are closed; monitors at it are lost.
    PeerDown {
        /// The peer.
        node: NodeId,
        /// For people, one line.
        why: String,
        /// `stopped`: one of the two nodes stops; `refused`: the protocol was broken, or it is no
        /// peer any more; `unreachable`: the connection broke.
        reason: Reason,
    },
    /// Letters came, in this order. They are to be settled.
    Letters {
        /// The node they came from.
        from: NodeId,
        /// The letters.
        letters: Vec<Letter>,
        /// Tells the sender what became of them.
        receipt: Receipt,
    },
    /// What became of letters that were sent.
    Settled(Settled),
    /// A peer wants to know when an actor is gone: to be answered by [`Net::down`], once.
    Monitor {
        /// The peer.
        from: NodeId,
        /// The actor.
        actor: ActorId,
        /// For the answer; the peer's own, so two peers may give the same.
        token: u64,
    },
    /// A monitored actor is gone.
    Down {
        /// The node where it was.
        from: NodeId,
        /// The one given to [`Net::monitor`].
        token: u64,
        /// Why.
        reason: Reason,
    },
    /// A question asked there was handled, and no answer will come.
    Unanswered {
        /// The node that says so.
        from: NodeId,
        /// The question's reply address.
        reply: ActorId,
        /// Why.
        reason: Reason,
    },
    /// A link is open; either side may have asked for it. Whoever does not want it closes it.
    LinkOpened {
        /// The peer.
        node: NodeId,
        /// The link's name.
        name: String,
    },
    /// A link is closed by the peer, or with the connection, or was not opened at all.
    LinkClosed {
        /// The peer.
        node: NodeId,
        /// The link's name.
        name: String,
        /// The one that the peer gave; `unreachable` if the connection broke.
        reason: Reason,
    },
    /// Bytes on a link; in order within their class.
    LinkData {
        /// The peer.
        node: NodeId,
        /// The link's name.
        name: String,
        /// From 0, the most urgent.
        class: u8,
        /// What was sent.
        body: Vec<u8>,
    },
    /// A link that was full has room again.
    LinkWritable {
        /// The peer.
        node: NodeId,
        /// The link's name.
        name: String,
    },
    /// The command line asks for something.
    Admin {
        /// What.
        request: Vec<u8>,
        /// What it sends along.
        body: AdminBody,
        /// The way back.
        reply: AdminReply,
    },
}

/// Why something was not even queued.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unsent {
    /// The node is not connected, or the link not open.
    #[error("not connected")]
    Unreachable,
    /// As much is queued or unsettled as may be: try again when something was settled.
    #[error("the queue is full")]
    Full,
    /// Larger than a letter, a frame or a name may be.
    #[error("too large")]
    TooLarge,
}

impl From<Unsent> for Reason {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Unreachable => Self::Unreachable,
            Unsent::Full => Self::MailboxFull,
            Unsent::TooLarge => Self::Refused,
        }
    }
}

/// Why the network did not start, or did not take a peer.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be had.
    #[error("cannot listen on {listen}: {why}; give another address as `listen` in node.toml")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// Why.
        why: std::io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start the network's thread: {0}")]
    Thread(std::io::Error),
    /// TLS does not start.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// More peers than may be.
    #[error("more than {most} peers: raise `peers` under [limits] in node.toml")]
    TooManyPeers {
        /// The limit.
        most: usize,
    },
    /// This node's own id among its peers.
    #[error("this node's own id is among its `peers`: remove it from node.toml")]
    OwnId,
}

/// The network of a node. Clones are the same network. Dropping it does not close it.
#[derive(Clone)]
pub struct Net {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Net {
    /// Binds the address, starts the thread, and dials the peers that have an address.
    pub fn listen(config: Config) -> Result<(Self, mpsc::Receiver<Event>), ListenError> {
        let endpoint::Running { shared, events, thread } = endpoint::listen(config)?;
        Ok((Self { shared, thread: Arc::new(Mutex::new(Some(thread))) }, events))
    }

    /// This node's id.
    pub fn id(&self) -> NodeId {
        self.shared.id
    }

    /// The address it listens on, with the port that it got.
    pub fn local(&self) -> SocketAddr {
        self.shared.local
    }

    /// Runs a task with the network, on whichever thread runs it: it must never block.
    pub fn spawn<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.shared.runtime.spawn(task)
    }

    /// Takes a peer in (or gives one a new address: its connection is made anew).
    pub fn add_peer(&self, peer: PeerConfig) -> Result<(), ListenError> {
        self.shared.add(peer)
    }

    /// Lets a peer go: its connection is closed, its key opens nothing any more.
    pub fn remove_peer(&self, node: NodeId) {
        self.shared.remove(node);
    }

    /// All peers and how things stand with them, in the order of their ids.
    pub fn peers(&self) -> Vec<PeerInfo> {
        let mut peers: Vec<_> = read(&self.shared.peers).values().map(|peer| peer.info()).collect();
        peers.sort_by_key(|peer| peer.id);
        peers
    }

    /// The smoothed round-trip time to a connected peer.
    pub fn rtt(&self, node: NodeId) -> Option<Duration> {
        self.session(node).ok().map(|session| session.connection.rtt())
    }

    /// Queues letters, which leave with the next [`Net::flush`], each with its key. Those of one
    /// `pair` (a hash of sender and receiver) arrive in order. Once one is queued,
    /// [`Event::Settled`] with this sender and its key comes in any case. The error says how many
    /// were queued before one that is not; those after it were not looked at.
    pub fn queue(
        &self,
        node: NodeId,
        pair: u64,
        sender: &impl Sender,
        letters: impl Iterator<Item = (Letter, u128)>,
    ) -> Result<(), (usize, Unsent)> {
        self.session(node).map_err(|unsent| (0, unsent))?.send(pair, sender, letters)
    }

    /// Has the letters queued so far leave: on this thread, if no other runs the network.
    pub fn flush(&self) {
        self.shared.flush();
    }

    /// Runs the network on this thread until `leave`, which is asked whenever the waker that it is
    /// given was woken; what is queued leaves first. False if another thread runs it, or it ends.
    pub fn run(&self, leave: impl FnMut(&Waker) -> bool) -> bool {
        match self.shared.reactor.shift() {
            Some(shift) => {
                shift.run(|| self.shared.tell(), leave);
                true
            }
            None => {
                self.flush();
                false
            }
        }
    }

    /// Asks to be told ([`Event::Down`]) when an actor is gone for good. `PeerDown` ends it.
    pub fn monitor(&self, node: NodeId, actor: ActorId, token: u64) -> Result<(), Unsent> {
        self.session(node)?.monitor(actor, token)
    }

    /// Answers an [`Event::Monitor`].
    pub fn down(&self, node: NodeId, token: u64, reason: Reason) -> Result<(), Unsent> {
        self.session(node)?.down(token, reason)
    }

    /// Tells the node where a question came from that no answer will come, and why.
    pub fn unanswered(&self, node: NodeId, reply: ActorId, reason: Reason) -> Result<(), Unsent> {
        self.session(node)?.unanswered(reply, reason)
    }

    /// Bytes that an open link takes now in one class, the frame's own included. While that is less
    /// than the largest frame, [`Event::LinkWritable`] comes when there is room again.
    pub fn link_room(&self, node: NodeId, name: &str, class: u8) -> Result<usize, Unsent> {
        links::room(&self.session(node)?, name, class)
    }

    /// Asks for a link; [`Event::LinkOpened`] or [`Event::LinkClosed`] comes. Asking for one that
    /// is there does nothing.
    pub fn link_open(&self, node: NodeId, name: &str) -> Result<(), Unsent> {
        links::open(&self.session(node)?, name)
    }

    /// Closes a link; the peer gets [`Event::LinkClosed`] with this reason, this node gets nothing.
    /// What is still queued on it is let go.
    pub fn link_close(&self, node: NodeId, name: &str, reason: Reason) {
        if let Ok(session) = self.session(node) {
            links::close(&session, name, reason);
        }
    }

    /// Queues bytes on an open link. Earlier classes (0 is the first, 3 the last) leave first.
    /// After `Full`, [`Event::LinkWritable`] comes.
    pub fn link_send(
        &self,
        node: NodeId,
        name: &str,
        class: u8,
        body: &[u8],
    ) -> Result<(), Unsent> {
        links::send(&self.session(node)?, name, class, body)
    }

    /// Fetches a blob from a peer, from `offset` on, into `sink`; gives its whole size. The bytes
    /// are not checked: that is the caller's job, before anything uses them. To be run by
    /// [`Net::spawn`].
    pub async fn fetch(
        &self,
        node: NodeId,
        cid: &str,
        offset: u64,
        sink: Sink<'_>,
    ) -> Result<u64, FetchError> {
        let session = self.session(node).map_err(|_| FetchError::Unreachable)?;
        blobs::fetch(&session, cid, offset, sink).await
    }

    /// Stops: waits a moment for letters to be settled, tells the peers, ends the thread. Takes
    /// seconds at most. Called by what runs in the network it only starts all this.
    pub fn close(&self) {
        self.shared.reactor.end();
        let thread = lock(&self.thread).take_if(|_| !Reactor::is_here());
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the network's thread had panicked");
        }
    }

    fn session(&self, node: NodeId) -> Result<Arc<Session>, Unsent> {
        self.shared.peer(node).and_then(|peer| peer.session()).ok_or(Unsent::Unreachable)
    }
}

/// Locks hold plain data that no panic leaves half-changed, so poison means nothing here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
