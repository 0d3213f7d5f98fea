//! Every limit of the protocol in one place: its name, its size, and why.

use std::time::Duration;

/// Links that are served. A node has at most 64 peers; more links than that are closed.
pub const LINKS: usize = 64;

/// Bytes of one body. A letter between nodes holds 256 KiB; the rest is for the envelope.
pub const BODY_BYTES: usize = 255 << 10;

/// Bytes of one frame that is looked at.
pub const FRAME_BYTES: usize = 256 << 10;

/// How long a message is passed on after it was published. Also the longest partition after which
/// both sides still learn all of what the other said, if it fitted the buffer.
pub const LIFETIME: Duration = Duration::from_secs(300);

/// Messages kept for those who lack them.
pub const RECENT: usize = 2048;

/// Bytes of the bodies kept for those who lack them: an eighth of an actor's 16 MiB.
pub const RECENT_BYTES: usize = 2 << 20;

/// What a kept message costs besides its body, about.
pub const RECENT_OVERHEAD: usize = 128;

/// Streams (one incarnation of one origin each) that duplicates are told apart in. When all are in
/// use, messages of new ones are ignored until one has been silent for twice [`LIFETIME`]: letting
/// go of one earlier would let its messages be delivered twice.
pub const STREAMS: usize = 512;

/// Sequence numbers below a stream's newest that are told apart. What is further behind is given
/// up.
pub const WINDOW: u64 = 1024;

/// Gaps listed in one digest, over all streams; the rest is listed when these are filled.
pub const GAPS: usize = 4096;

/// Bytes of the bodies sent to one neighbour in answer to one digest, so that repair leaves room
/// for news.
pub const REPAIR_BYTES: usize = 64 << 10;

/// Messages sent to one neighbour in answer to one digest: a turn's effects are limited.
pub const REPAIR: usize = 64;

/// Digests of one neighbour answered between two ticks: an answer costs far more than a digest.
pub const DIGESTS: u32 = 16;

/// Messages remembered for a neighbour whose queue is full. What is beyond its next digest asks
/// for.
pub const PENDING: usize = 256;

/// The pulse of the protocol: expiry, late digests, another try for full queues.
pub const TICK: Duration = Duration::from_secs(1);

/// Between two digests to one neighbour; each is moved by up to a quarter, so that they spread.
pub const DIGEST_EVERY: Duration = Duration::from_secs(5);

/// Least time between two digests to one neighbour.
pub const DIGEST_GAP: Duration = Duration::from_millis(100);

/// Nodes remembered whose protocol is not there; as many as a node may have peers.
pub const ABSENT: usize = 64;

/// First wait before such a node is tried again; each is twice the one before, ...
pub const AGAIN_FIRST: Duration = Duration::from_secs(2);

/// ... up to this one.
pub const AGAIN_LAST: Duration = Duration::from_secs(60);
