//! What goes in and out of a turn, as bytes: the same shapes as in `wit/actor.wit`.

/// What an actor holds, as a place in its own table.
pub type Handle = u32;

/// Why something did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No actor answers to that address.
    NoActor,
    /// The actor was stopped.
    Stopped,
    /// The actor trapped, or returned an error.
    Trapped,
    /// The actor went past its budget of time, memory or storage.
    OverBudget,
    /// The receiver's mailbox is full.
    MailboxFull,
    /// The other side does not take it.
    Refused,
    /// No connection to the node where the actor was last seen.
    Unreachable,
    /// No answer yet at the deadline.
    Deadline,
    /// The link broke after sending: it may have been handled, or not.
    Unknown,
    /// The actor handled the question and let its reply address die.
    NoAnswer,
}

/// Why an effect or a read is not taken. The turn goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The handle is not held, is stale, or is of another kind.
    BadHandle,
    /// No room left in the actor's own mailbox for the notice of a failure.
    MailboxFull,
    /// A limit was reached.
    OverLimit,
    /// The actor's storage quota would be passed.
    OverQuota,
    /// The world or the grant does not allow it.
    Denied,
}

/// When a turn takes place, and its only source of chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Now {
    /// Nanoseconds since the node started.
    pub monotonic: u64,
    /// Nanoseconds since 1970, if the node knows the time.
    pub wall: Option<u64>,
    /// The turn's seed.
    pub seed: u64,
}

/// An addressed message, as its receiver sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Letter {
    /// Opaque here.
    pub body: Vec<u8>,
    /// The addresses it carries, in the receiver's table.
    pub carried: Vec<Handle>,
    /// Where an answer goes, if one is wanted.
    pub reply: Option<Handle>,
}

/// Something about an earlier effect, named by the token given with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notice {
    /// The token given to the effect.
    pub token: u64,
    /// What happened.
    pub reason: Reason,
}

/// A change on an input pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    /// The pin.
    pub pin: Handle,
    /// The new level: true is high.
    pub level: bool,
    /// Nanoseconds on the turn clock.
    pub at: u64,
    /// Counts edges of this pin, those lost included.
    pub sequence: u64,
    /// Edges lost just before this one.
    pub dropped: u64,
}

/// The last published reading of a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Reading {
    /// In the unit that the sensor's grant names.
    pub value: f64,
    /// Nanoseconds on the turn clock when it was taken.
    pub at: u64,
}

/// A protocol channel between the same system actor on two nodes, and the local end of topics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the WIT says it, field by field")]
pub enum LinkEvent {
    /// A node can be reached: its id of 32 bytes.
    Reachable(Vec<u8>),
    /// A link is up.
    Up { link: u32, node: Vec<u8> },
    /// A link is down, and why.
    Down { link: u32, node: Vec<u8>, reason: Reason },
    /// Bytes from the other end.
    Data { link: u32, body: Vec<u8> },
    /// A new smoothed round-trip time, in nanoseconds.
    Rtt { link: u32, rtt: u64 },
    /// A link whose queue was full has room again.
    Writable(u32),
    /// An actor on this node published on a topic (its id of 16 bytes).
    Published { topic: Vec<u8>, body: Vec<u8> },
}

/// All that can reach an actor: one of these is one turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the WIT says it, field by field")]
pub enum Message {
    /// From another actor, or published on a topic.
    Letter(Letter),
    /// What came of an `ask`.
    Answer { token: u64, outcome: Result<Letter, Reason> },
    /// A `send` that failed.
    Undelivered(Notice),
    /// A timer fired: the body it was armed with.
    Timer(Vec<u8>),
    /// A monitored or spawned actor is gone for good.
    Down(Notice),
    /// A change on an input pin.
    Edge(Edge),
    /// A pin's lease ran out.
    Expired(Handle),
    /// For protocols.
    Link(LinkEvent),
}

/// What a grant gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Granted {
    /// An actor's address.
    Address(Handle),
    /// A topic's address.
    Topic(Handle),
    /// A pin.
    Pin(Handle),
    /// A sensor.
    Sensor(Handle),
    /// One device on a bus.
    Bus(Handle),
    /// The right to spawn children of one component.
    Child(Handle),
}

/// The kinds of [`Granted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An actor's address.
    Address,
    /// A topic's address.
    Topic,
    /// A pin.
    Pin,
    /// A sensor.
    Sensor,
    /// One device on a bus.
    Bus,
    /// The right to spawn children of one component.
    Child,
}

/// How a link's bytes are queued against others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Membership and repair.
    Control,
    /// Orders to act.
    Command,
    /// State that merges.
    State,
    /// The rest.
    Bulk,
}

/// What a turn asks of the world. Fields are as in the functions of the WIT's `effects` and
/// `links`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the WIT says it, function by function")]
pub enum Effect {
    Send { to: Handle, body: Vec<u8>, carried: Vec<Handle>, token: u64 },
    Ask { to: Handle, body: Vec<u8>, carried: Vec<Handle>, token: u64, deadline: u64 },
    Keep { address: Handle },
    Release { address: Handle },
    Arm { key: u64, body: Vec<u8>, after: u64, every: u64 },
    Disarm { key: u64 },
    Put { key: Vec<u8>, value: Vec<u8> },
    Delete { key: Vec<u8> },
    Drive { pin: Handle, high: bool },
    Spawn { child: Handle, grants: Vec<(String, Handle)>, token: u64 },
    Stop { actor: Handle },
    Monitor { actor: Handle, token: u64 },
    Log { line: String },
    Connect { node: Vec<u8> },
    Disconnect { link: u32 },
    Transmit { link: u32, class: Class, body: Vec<u8> },
    Deliver { topic: Vec<u8>, body: Vec<u8> },
}

/// Why a bus transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BusError {
    /// The handle is not a granted device.
    Denied,
    /// No device acknowledged.
    NoAcknowledge,
    /// Lost arbitration.
    ArbitrationLoss,
    /// The bus is stuck, or the driver gave an error.
    Bus,
    /// The transfer did not end in time.
    Timeout,
    /// More bytes than one transfer may have.
    Overrun,
}
