//! One connection with a peer, from the first hello to the last settlement.

use std::sync::{Arc, Mutex};

use quinn::{Connection, ConnectionError, SendStream, VarInt, WriteError};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::arrivals::{Arrivals, Outcome};
use super::control::ControlQueue;
use super::endpoint::Shared;
use super::frames::Frames;
use super::lanes::{Outgoing, Queued, Sender};
use super::links::Links;
use super::peer::Peer;
use super::tls;
use super::wire::{Control, LANES, Letter, WireError, frame};
use super::{Event, Unsent, letter, lock, streams};
use crate::address::{ActorId, NodeId};
use crate::reason::Reason;

/// Why a connection is closed, as a number; the words go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// This node stops.
    Going = 0,
    /// The other side broke the protocol.
    Protocol = 1,
    /// The other side speaks another version.
    Version = 2,
    /// There is another connection between the two.
    Duplicate = 3,
    /// The key may not do this, or no more.
    Refused = 4,
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        VarInt::from_u32(code as u32)
    }
}

/// A connection over which both sides have said hello.
pub struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Arc<Peer>,
    pub(super) connection: Connection,
    /// Which of the two nodes dialled.
    pub(super) dialler: NodeId,
    /// The peer's, from its hello.
    pub(super) incarnation: u64,
    pub(super) outgoing: Outgoing,
    pub(super) links: Links,
    arrivals: Vec<Mutex<Arrivals>>,
    /// Letters that may still come before some are settled.
    room: Semaphore,
    control: ControlQueue,
    why: Mutex<Option<(String, Reason)>>,
    /// `None` once the session has ended.
    tasks: Mutex<Option<JoinSet<()>>>,
    ended: watch::Sender<bool>,
}

/// Stands for letters that came in together, until they are settled. Of those that it is dropped
/// with, it tells the sender [`Reason::Unknown`].
pub struct Receipt {
    session: Arc<Session>,
    lane: u8,
    /// Not settled: from the first of these numbers to before the second.
    first: u64,
    end: u64,
}

impl Receipt {
    /// Tells the sender what became of its letters, in their order. Never waits; from any thread.
    pub fn settle(mut self, outcomes: impl IntoIterator<Item = Outcome>) {
        self.report(outcomes.into_iter());
    }

    /// Takes the first letter off, to be settled by itself.
    pub fn split(&mut self) -> Self {
        let first = self.first;
        self.first = self.end.min(first + 1);
        Self { session: self.session.clone(), lane: self.lane, first, end: self.first }
    }

    fn report(&mut self, outcomes: impl Iterator<Item = Outcome>) {
        let numbers = std::mem::replace(&mut self.first, self.end)..self.end;
        self.session.room.add_permits((numbers.end - numbers.start) as usize);
        let arrivals = &self.session.arrivals[usize::from(self.lane)];
        let outcomes = outcomes.chain(std::iter::repeat(Err(Reason::Unknown)));
        let mut arrivals = lock(arrivals);
        numbers.zip(outcomes).for_each(|(number, outcome)| arrivals.settle(number, outcome));
        let report = arrivals.may_report();
        drop(arrivals);
        if report && self.session.control.report(self.lane) {
            // An answer that is sent at once takes the report with it.
            self.session.shared.untold(self.session.clone());
            self.session.shared.flush_soon();
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.first < self.end {
            self.report(std::iter::empty());
        }
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { session, lane, first, end } = self;
        write!(f, "Receipt({:?}, lane {lane}, {first}..{end})", session.peer.id)
    }
}

impl Session {
    /// A session that does not run yet.
    pub fn new(
        shared: Arc<Shared>,
        peer: Arc<Peer>,
        connection: Connection,
        dialler: NodeId,
        incarnation: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            outgoing: Outgoing::new(&shared.limits),
            links: Links::default(),
            arrivals: (0..LANES).map(|_| Mutex::default()).collect(),
            room: Semaphore::new(shared.limits.in_flight.min(Semaphore::MAX_PERMITS)),
            control: ControlQueue::new(shared.limits.peer_queue_bytes),
            why: Mutex::default(),
            tasks: Mutex::new(Some(JoinSet::new())),
            ended: watch::Sender::new(false),
            shared,
            peer,
            connection,
            dialler,
            incarnation,
        })
    }

    /// Runs the session to its end. `send` has carried this side's hello (`None`: it could not be
    /// said) and `frames` the other's; `previous` is a session that this one replaces, whose last
    /// events go first.
    pub async fn run(
        self: Arc<Self>,
        send: Option<SendStream>,
        frames: Frames,
        previous: Option<Arc<Self>>,
    ) {
        if let Some(previous) = previous {
            previous.fail(Code::Duplicate, "replaced by a newer connection", Reason::Unknown);
            previous.over().await;
        }
        let up = send.is_some();
        match send {
            Some(send) => self.start(send, frames).await,
            None => self.fail(Code::Protocol, "no hello could be said", Reason::Unreachable),
        }
        let error = self.connection.closed().await;
        self.end(error, up).await;
    }

    /// Runs a task until the session ends. An error closes the connection with its text.
    pub fn spawn<F>(self: &Arc<Self>, task: F)
    where
        F: Future<Output = Result<(), WireError>> + Send + 'static,
    {
        let session = self.clone();
        if let Some(tasks) = lock(&self.tasks).as_mut() {
            while tasks.try_join_next().is_some() {}
            let task = async move {
                match task.await {
                    Ok(()) | Err(WireError::Lost) => {}
                    Err(why) => session.fail(Code::Protocol, &why.to_string(), Reason::Refused),
                }
            };
            tasks.spawn_on(task, &self.shared.runtime);
        }
    }

    /// Closes the connection; the first reason given is the one that `PeerDown` tells.
    pub fn fail(&self, code: Code, why: &str, reason: Reason) {
        lock(&self.why).get_or_insert_with(|| (why.to_owned(), reason));
        self.connection.close(code.into(), why.as_bytes());
    }

    /// Waits until the session's last event is out.
    pub async fn over(&self) {
        // The sender is in `self`: it cannot be gone.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Hands an event up, and waits while there is no room.
    pub async fn emit(&self, event: Event) {
        self.shared.emit(event).await;
    }

    /// Queues letters of one pair, as [`Net::queue`](super::Net::queue) does.
    pub fn send(
        self: &Arc<Self>,
        pair: u64,
        sender: &impl Sender,
        letters: impl Iterator<Item = (Letter, u128)>,
    ) -> Result<(), (usize, Unsent)> {
        let limits = &self.shared.limits;
        let sized = letters.map(|(letter, key)| {
            letter.check(limits).map_err(|_| Unsent::TooLarge)?;
            let size = letter::frame_len(&letter);
            if size > limits.frame_bytes {
                return Err(Unsent::TooLarge);
            }
            Ok((letter, size, key))
        });
        let Queued { count, refused, news } = self.outgoing.push(pair, sender, sized);
        if news {
            self.shared.untold(self.clone());
        }
        self.peer.count_out(count);
        refused.map_or(Ok(()), |unsent| Err((count, unsent)))
    }

    /// Has what is queued written: letters, and reports of those that came.
    pub fn tell(&self) {
        self.outgoing.tell();
        self.control.tell();
    }

    /// Queues a monitor.
    pub fn monitor(&self, watch: ActorId, token: u64) -> Result<(), Unsent> {
        self.control.push(frame(&Control::Monitor { watch, token }))
    }

    /// Queues the answer to a monitor.
    pub fn down(&self, token: u64, reason: Reason) -> Result<(), Unsent> {
        self.control.push(frame(&Control::Down { token, reason }))
    }

    /// Counts letters in; waits while too many are not settled.
    pub async fn arrival(self: &Arc<Self>, lane: u8, count: u32) -> Result<Receipt, WireError> {
        // The semaphore is never closed; the permits come back with the settlement.
        let permits = self.room.acquire_many(count).await.map_err(|_| WireError::Lost)?;
        permits.forget();
        let first = lock(&self.arrivals[usize::from(lane)]).arrive(count as usize);
        self.peer.count_in(u64::from(count));
        let end = first + u64::from(count);
        Ok(Receipt { session: self.clone(), lane, first, end })
    }

    /// Waits for what the control stream has to say; false when there is no more.
    pub async fn take_control(&self, buffer: &mut Vec<u8>) -> bool {
        self.control.take(&self.arrivals, buffer).await
    }

    async fn start(self: &Arc<Self>, send: SendStream, frames: Frames) {
        let (node, remote) = (self.peer.id, self.connection.remote_address());
        self.emit(Event::PeerUp { node, remote, rtt: self.connection.rtt() }).await;
        streams::start(self, send, frames);
    }

    /// Queues word that a question stays without an answer.
    pub fn unanswered(&self, reply: ActorId, reason: Reason) -> Result<(), Unsent> {
        self.control.push(frame(&Control::Unanswered { reply, reason }))
    }

    async fn end(&self, error: ConnectionError, up: bool) {
        self.outgoing.close();
        self.control.close();
        let tasks = lock(&self.tasks).take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
        for settled in self.outgoing.lose() {
            self.emit(Event::Settled(settled)).await;
        }
        let node = self.peer.id;
        for name in self.links.lose() {
            let reason = Reason::Unreachable;
            self.emit(Event::LinkClosed { node, name, reason }).await;
        }
        let told = lock(&self.why).take();
        let (why, reason) = match (&error, told) {
            (ConnectionError::LocallyClosed, Some(told)) => told,
            _ => explain(&error, self.shared.limits.idle_ms),
        };
        if up {
            // Whoever is told of it logs it.
            self.peer.remember(&why);
            self.emit(Event::PeerDown { node, why, reason }).await;
        } else {
            self.peer.note(&why);
        }
        self.peer.leave(self);
        self.ended.send_replace(true);
    }
}

/// What a connection's end means, for people and for programs.
pub fn explain(error: &ConnectionError, idle_ms: u64) -> (String, Reason) {
    /// TLS alert 49, `access_denied` (RFC 8446, 6.2), as a QUIC error (RFC 9001, 4.8).
    const ACCESS_DENIED: u64 = 0x100 + 49;
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let said: String = String::from_utf8_lossy(&close.reason)
                .chars()
                .filter(|letter| !letter.is_control())
                .take(300)
                .collect();
            match close.error_code == Code::Going.into() {
                true => (format!("it stopped: {said}"), Reason::Stopped),
                false => (format!("it closed the connection: {said}"), Reason::Refused),
            }
        }
        ConnectionError::ConnectionClosed(close)
            if u64::from(close.error_code) == ACCESS_DENIED =>
        {
            let why = "it does not know this node's key: add this node's id to its `peers`";
            (why.into(), Reason::Refused)
        }
        ConnectionError::TimedOut => {
            (format!("no sign of life for {idle_ms} ms"), Reason::Unreachable)
        }
        ConnectionError::Reset => ("it was restarted".into(), Reason::Unreachable),
        ConnectionError::LocallyClosed => ("this node closed it".into(), Reason::Stopped),
        ConnectionError::TransportError(error) => match error.reason.find(tls::ANOTHER_NODE) {
            Some(at) => (error.reason[at..].into(), Reason::Refused),
            None => (error.to_string(), Reason::Unreachable),
        },
        other => (other.to_string(), Reason::Unreachable),
    }
}

impl From<WriteError> for WireError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stopped(code) => Self::Reset(code.into_inner()),
            _ => Self::Lost,
        }
    }
}

impl From<ConnectionError> for WireError {
    fn from(_: ConnectionError) -> Self {
        Self::Lost
    }
}
