//! Every limit of a node in one place: its name, its size, and why.
//!
//! `node.toml` overrides them for a node under `[limits]`, and the sizes that concern one actor
//! (mailbox, memory, turn, storage) for that actor.

use std::time::Duration;

use serde::Deserialize;

/// The limits of one node. [`Limits::default`] fits a small Pi.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Letters waiting in one mailbox. More would hide a slow actor rather than help it.
    pub mailbox: usize,
    /// Bytes of one letter's body. Larger payloads travel as blobs.
    pub letter_bytes: usize,
    /// Bytes of one publication that protocols carry (gossip takes 255 KiB). A larger one is kept
    /// as a blob, and they carry its name.
    pub carried_bytes: usize,
    /// Bytes of such blobs that are kept for peers to fetch; the oldest make room.
    pub publications_bytes: u64,
    /// Addresses carried by one letter.
    pub carried: usize,
    /// Places in one actor's table of handles.
    pub handles: usize,
    /// Effects of one turn: a loop that only sends must end somewhere. An activation may have as
    /// many times more as it has turns.
    pub effects: usize,
    /// Messages taken in one activation, so that neighbours get their turn.
    pub batch: usize,
    /// Armed timers of one actor.
    pub timers: usize,
    /// Actors that one actor may watch at once.
    pub monitors: usize,
    /// Linear memory of one actor, in bytes.
    pub memory_bytes: usize,
    /// Longest time of one turn, in milliseconds, before it is aborted as `over-budget`. An
    /// activation may take as many times longer as it has turns; an actor whose last one went past
    /// its slice has one turn in each.
    pub turn_ms: u64,
    /// Turns past their slice that go on beside the workers; one more cuts off the longest.
    pub long_turns: usize,
    /// Turns that wait beside the workers for memory to grow to; one more holds its worker up.
    pub waiting_turns: usize,
    /// An actor that had nothing to do for so long is parked, in milliseconds: saved, and its
    /// instance dropped until its next message. 0 parks after every activation.
    pub park_ms: u64,
    /// Durable bytes (keys and values) of one actor.
    pub storage_bytes: u64,
    /// Longest durable key, in bytes.
    pub key_bytes: usize,
    /// Longest durable value, in bytes.
    pub value_bytes: usize,
    /// Most entries and bytes that one `range` gives.
    pub range_entries: usize,
    /// Bytes that one `range` gives, about.
    pub range_bytes: usize,
    /// Bytes of one actor's saved state.
    pub save_bytes: usize,
    /// Longest time that an actor may take to be saved, in milliseconds: one thread parks them all,
    /// and whoever waits for memory waits for it.
    pub save_ms: u64,
    /// Lines kept of one actor's log.
    pub log_lines: usize,
    /// Bytes of one log line; the rest is cut and marked.
    pub log_line_bytes: usize,
    /// Letters set aside for one actor before the oldest is let go (with a log line).
    pub set_aside: usize,
    /// Times that a message may crash its actor before it is set aside.
    pub message_crashes: u32,
    /// Longest wait before the first restart in a window, in milliseconds; doubled for each more.
    pub restart_ms: u64,
    /// Longest wait before any restart, in milliseconds.
    pub restart_longest_ms: u64,
    /// Incarnations of one component that may fail within `quarantine_ms` on this node before its
    /// CID is quarantined.
    pub quarantine_crashes: usize,
    /// The window for `quarantine_crashes`, in milliseconds.
    pub quarantine_ms: u64,
    /// Actors on one node, live or parked, before the memory plan lowers it.
    pub actors: usize,
    /// Actors with an instance at once, before the memory plan lowers it: past it those that rest
    /// for longest are parked. With more than address space can guard (25,000 on x86-64)
    /// their memories are packed, and each access to them is checked: see `wasm::Layout`.
    pub live: usize,
    /// Bytes of one component.
    pub component_bytes: u64,
    /// Bytes of one blob.
    pub blob_bytes: u64,
    /// Connected peers.
    pub peers: usize,
    /// Handshakes in progress: a stranger costs one of these and no more.
    pub handshakes: usize,
    /// Bytes of one frame between nodes; a little above `letter_bytes`.
    pub frame_bytes: usize,
    /// Letters sent to one peer and not yet settled.
    pub in_flight: usize,
    /// Bytes queued to one peer.
    pub peer_queue_bytes: usize,
    /// Links between this node and one peer.
    pub links: usize,
    /// Pins held on this node.
    pub pins: usize,
    /// Devices on buses held on this node.
    pub bus_devices: usize,
    /// Sensors sampled on this node.
    pub sensors: usize,
    /// Edges and expired leases on their way from the device thread. A full queue keeps the latest
    /// edge of each pin, and counts the others as dropped.
    pub device_events: usize,
    /// Edges of one line that the kernel keeps until they are read (its default is 16).
    pub line_edges: u32,
    /// Bytes of a recorded trace or a script: it is held in memory.
    pub trace_bytes: u64,
    /// Bytes of one bus transfer, written and read together.
    pub transfer_bytes: usize,
    /// Bytes queued on one link, for each class.
    pub link_queue_bytes: usize,
    /// Connected command lines.
    pub admins: usize,
    /// Events of the network that wait for the node: while there are so many, nothing is read.
    pub events: usize,
    /// Longest wait for a peer's first answer to anything, in milliseconds.
    pub peer_patience_ms: u64,
    /// A connection without a sign of life for so long is broken, in milliseconds.
    pub idle_ms: u64,
}

/// How many actors a node may have, live or parked, and what it is that holds no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// So many.
    pub actors: usize,
    /// Bytes of each, and of all with what they have saved.
    pub each: u64,
    /// See `each`.
    pub bytes: u64,
    /// What holds no more than so many.
    pub what: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// No more actors may be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{alive} actors live on this node, and {what} holds no more: {remedy}")]
pub struct Full {
    alive: usize,
    what: &'static str,
    remedy: &'static str,
}

impl Room {
    /// Whether one more fits beside so many that live, with so many bytes of saved state.
    pub fn holds(&self, alive: usize, saved: u64) -> Result<(), Full> {
        let Self { actors, each, bytes, what, remedy } = *self;
        if alive >= actors {
            return Err(Full { alive, what, remedy });
        }
        if saved > 0 && (alive as u64 + 1) * each + saved > bytes {
            let what = "memory, half of it for what parked actors have saved,";
            return Err(Full { alive, what, remedy: "stop some, or give the node more memory" });
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            mailbox: 64,
            letter_bytes: 256 << 10,
            carried_bytes: 128 << 10,
            publications_bytes: 16 << 20,
            carried: 16,
            handles: 4096,
            effects: 4096,
            batch: 64,
            timers: 64,
            monitors: 1024,
            memory_bytes: 16 << 20,
            turn_ms: 1000,
            long_turns: 8,
            waiting_turns: 64,
            park_ms: 60_000,
            storage_bytes: 4 << 20,
            key_bytes: 512,
            value_bytes: 256 << 10,
            range_entries: 1024,
            range_bytes: 1 << 20,
            save_bytes: 4 << 20,
            save_ms: 5_000,
            log_lines: 500,
            log_line_bytes: 1024,
            set_aside: 32,
            message_crashes: 3,
            restart_ms: 100,
            restart_longest_ms: 10_000,
            quarantine_crashes: 20,
            quarantine_ms: 60_000,
            actors: 1_000_000,
            live: 16_384,
            component_bytes: 16 << 20,
            blob_bytes: 64 << 20,
            peers: 64,
            handshakes: 16,
            frame_bytes: (256 << 10) + (8 << 10),
            in_flight: 4096,
            peer_queue_bytes: 4 << 20,
            links: 16,
            pins: 64,
            bus_devices: 64,
            sensors: 64,
            device_events: 1024,
            line_edges: 256,
            trace_bytes: 4 << 20,
            transfer_bytes: 4096,
            link_queue_bytes: 512 << 10,
            admins: 8,
            events: 1024,
            peer_patience_ms: 5_000,
            idle_ms: 10_000,
        }
    }
}

impl Limits {
    /// Longest time of one turn.
    pub fn turn(&self) -> Duration {
        Duration::from_millis(self.turn_ms)
    }

    /// Longest time to be saved.
    pub fn save(&self) -> Duration {
        Duration::from_millis(self.save_ms)
    }

    /// Longest wait for a peer's first answer to anything.
    pub fn peer_patience(&self) -> Duration {
        Duration::from_millis(self.peer_patience_ms)
    }

    /// How long a silent connection is thought alive.
    pub fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}
