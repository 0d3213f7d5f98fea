//! A peer that this node was told of: whether it is connected, and what it did so far.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::lock;
use super::session::{Code, Session};
use crate::address::NodeId;
use crate::reason::Reason;

/// A peer to connect with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its key.
    pub id: NodeId,
    /// Where to dial it, `host:port`. Without, this node waits to be dialled.
    pub at: Option<String>,
}

/// How things stand with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// Connected.
    Up,
    /// Not connected; it is dialled again and again.
    Dialling,
    /// Not connected; it must dial this node, which knows no address of it.
    Waiting,
}

/// One line of `ls peers`.
#[derive(Clone, Debug)]
pub struct PeerInfo {
    /// Its id.
    pub id: NodeId,
    /// The configured address.
    pub at: Option<String>,
    /// Whether it is connected.
    pub state: PeerState,
    /// Where it is, while connected.
    pub remote: Option<SocketAddr>,
    /// Smoothed round-trip time, while connected (RFC 9002, section 5.3).
    pub rtt: Option<Duration>,
    /// Letters taken in since this node started.
    pub letters_in: u64,
    /// Letters queued to it since this node started.
    pub letters_out: u64,
    /// Letters queued or sent to it, and not settled.
    pub in_flight: usize,
    /// UDP bytes from it since this node started.
    pub bytes_in: u64,
    /// UDP bytes to it since this node started.
    pub bytes_out: u64,
    /// Why it was last not reached, or lost; one line.
    pub last_error: Option<String>,
}

/// What the node keeps about a peer.
pub struct Peer {
    pub(super) id: NodeId,
    pub(super) at: Option<String>,
    session: watch::Sender<Slot>,
    /// Whether an attempt to dial it is under way.
    attempting: watch::Sender<bool>,
    dialler: Mutex<Option<AbortHandle>>,
    letters_in: AtomicU64,
    letters_out: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    last_error: Mutex<Option<String>>,
}

enum Slot {
    Empty,
    Taken(Arc<Session>),
    /// It is no peer any more.
    Removed,
}

/// There is a connection that stays in place of the new one.
#[derive(Debug)]
pub struct Superfluous;

impl Peer {
    /// A peer that is not connected.
    pub fn new(config: PeerConfig) -> Arc<Self> {
        Arc::new(Self {
            id: config.id,
            at: config.at,
            session: watch::Sender::new(Slot::Empty),
            attempting: watch::Sender::new(false),
            dialler: Mutex::default(),
            letters_in: AtomicU64::new(0),
            letters_out: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            last_error: Mutex::default(),
        })
    }

    /// The session, if it is connected.
    pub fn session(&self) -> Option<Arc<Session>> {
        self.session.borrow().session().cloned()
    }

    /// Makes this session the one with the peer, unless the present one stays. Gives the one it
    /// replaces, which is to be ended before it starts.
    pub fn admit(&self, new: &Arc<Session>) -> Result<Option<Arc<Session>>, Superfluous> {
        let mut outcome = Err(Superfluous);
        self.session.send_if_modified(|slot| {
            let old = match slot {
                Slot::Removed => return false,
                Slot::Empty => None,
                Slot::Taken(old) if !gives_way(old, new) => return false,
                Slot::Taken(old) => Some(old.clone()),
            };
            *slot = Slot::Taken(new.clone());
            outcome = Ok(old);
            true
        });
        outcome
    }

    /// A session has ended.
    pub fn leave(&self, session: &Session) {
        let stats = session.connection.stats();
        self.bytes_in.fetch_add(stats.udp_rx.bytes, Ordering::Relaxed);
        self.bytes_out.fetch_add(stats.udp_tx.bytes, Ordering::Relaxed);
        self.session.send_if_modified(|slot| {
            let mine = slot.session().is_some_and(|current| std::ptr::eq(&**current, session));
            if mine {
                *slot = Slot::Empty;
            }
            mine
        });
    }

    /// It is no peer any more: its connection is closed and it is not dialled again.
    pub fn remove(&self) {
        if let Some(dialler) = lock(&self.dialler).take() {
            dialler.abort();
        }
        if let Slot::Taken(session) = self.session.send_replace(Slot::Removed) {
            session.fail(Code::Refused, "no longer a peer", Reason::Refused);
        }
    }

    /// Waits until there is a session.
    pub async fn until_up(&self) {
        // The sender is in `self`: it cannot be gone. So below.
        let _ = self.session.subscribe().wait_for(|slot| slot.session().is_some()).await;
    }

    /// Waits until there is none.
    pub async fn until_down(&self) {
        let _ = self.session.subscribe().wait_for(|slot| slot.session().is_none()).await;
    }

    /// Waits until no attempt to dial it is under way.
    pub async fn until_settled(&self) {
        let _ = self.attempting.subscribe().wait_for(|attempting| !attempting).await;
    }

    /// Notes that an attempt to dial it begins, or is over.
    pub fn attempt(&self, begins: bool) {
        self.attempting.send_replace(begins);
    }

    /// The task that dials it.
    pub fn dialled_by(&self, task: AbortHandle) {
        *lock(&self.dialler) = Some(task);
    }

    /// Logs why it is not connected, and remembers it. The same reason again is not logged again.
    pub fn note(&self, why: &str) {
        if self.remember(why) {
            tracing::warn!("peer {}: {why}", self.id);
        }
    }

    /// Remembers why it is not connected; tells whether that is new.
    pub fn remember(&self, why: &str) -> bool {
        let mut last = lock(&self.last_error);
        let new = last.as_deref() != Some(why);
        *last = Some(why.to_owned());
        new
    }

    /// Counts letters in.
    pub fn count_in(&self, letters: u64) {
        self.letters_in.fetch_add(letters, Ordering::Relaxed);
    }

    /// Counts letters out.
    pub fn count_out(&self, letters: usize) {
        self.letters_out.fetch_add(letters as u64, Ordering::Relaxed);
    }

    /// How things stand.
    pub fn info(&self) -> PeerInfo {
        let session = self.session();
        let stats = session.as_ref().map(|session| session.connection.stats());
        let bytes_in = stats.map_or(0, |stats| stats.udp_rx.bytes);
        let bytes_out = stats.map_or(0, |stats| stats.udp_tx.bytes);
        PeerInfo {
            id: self.id,
            at: self.at.clone(),
            state: match (&session, &self.at) {
                (Some(_), _) => PeerState::Up,
                (None, Some(_)) => PeerState::Dialling,
                (None, None) => PeerState::Waiting,
            },
            remote: session.as_ref().map(|session| session.connection.remote_address()),
            rtt: session.as_ref().map(|session| session.connection.rtt()),
            letters_in: self.letters_in.load(Ordering::Relaxed),
            letters_out: self.letters_out.load(Ordering::Relaxed),
            in_flight: session.as_ref().map_or(0, |session| session.outgoing.in_flight()),
            bytes_in: bytes_in + self.bytes_in.load(Ordering::Relaxed),
            bytes_out: bytes_out + self.bytes_out.load(Ordering::Relaxed),
            last_error: lock(&self.last_error).clone(),
        }
    }
}

impl Slot {
    fn session(&self) -> Option<&Arc<Session>> {
        match self {
            Self::Taken(session) => Some(session),
            Self::Empty | Self::Removed => None,
        }
    }
}

fn gives_way(old: &Session, new: &Session) -> bool {
    let dead = old.connection.close_reason().is_some();
    dead || newer_stays((old.dialler, old.incarnation), (new.dialler, new.incarnation))
}

/// Which of two connections with one peer stays, each given by (who dialled, the peer's
/// incarnation): both nodes must come to the same answer without a word. A restarted peer knows
/// only its new connection. Who dials twice has lost the first. If each dialled the other, the
/// smaller node's connection stays.
fn newer_stays(old: (NodeId, u64), new: (NodeId, u64)) -> bool {
    old.1 != new.1 || new.0 <= old.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_nodes_keep_the_same_connection() {
        let (small, large) = (NodeId([1; 32]), NodeId([2; 32]));
        assert!(newer_stays((large, 5), (small, 5)));
        assert!(!newer_stays((small, 5), (large, 5)));
        assert!(newer_stays((small, 5), (small, 5)), "who dials again has lost the first");
        assert!(newer_stays((small, 5), (large, 6)), "a restarted peer knows only the new one");
    }
}
