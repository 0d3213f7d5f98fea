//! Every limit of the protocol in one place: its name, its size, and why.

use std::time::Duration;

/// Neighbours that a node wants: HyParView's active view, log10(10,000) + 1.
pub const ACTIVE: usize = 5;

/// Up to so many nodes in all each is everyone's neighbour: up to this many others.
pub const MESH: usize = 7;

/// Neighbours that a node takes from those who have none: it introduces them to each other later.
pub const CROWD: usize = 48;

/// Nodes known besides the neighbours: HyParView's passive view, six times the active one.
pub const PASSIVE: usize = 30;

/// Names that made room for others there, kept for when most nodes are gone: of a hundred names
/// five are left after a crash of 95 %, of [`PASSIVE`] often none.
pub const FORMER: usize = 64;

/// Nodes that the host said can be reached, kept to begin again from.
pub const CONTACTS: usize = 64;

/// Steps of a walk that brings a new node's name to others, ...
pub const WALK: u8 = 6;

/// ... and the step at which it is noted on the way.
pub const WALK_NOTE: u8 = 3;

/// Walks and shuffles of one neighbour passed on in a second.
pub const WALKS: u32 = 256;

/// Nodes in one list that neighbours give each other: three neighbours, four others, and itself.
pub const PEERS: usize = 8;

/// Between two shuffles, once the node is settled; it begins with a tenth of that.
pub const SHUFFLE: Duration = Duration::from_secs(10);

/// Shuffles on their way whose answer finds back through this node.
pub const TOKENS: usize = 64;

/// Neighbours that are not chosen for being near: they keep the overlay in one piece.
pub const UNBIASED: usize = 2;

/// A node that has had neighbours for so long begins to look for nearer ones.
pub const SETTLED: Duration = Duration::from_secs(10);

/// Between two looks for a nearer neighbour, once the node is settled.
pub const OPTIMISE: Duration = Duration::from_secs(4);

/// Neighbours that were lost and are tried again.
pub const LOST: usize = 16;

/// Between two tries to find a lost neighbour again, on average, ...
pub const PROBE: Duration = Duration::from_secs(3);

/// ... and how many tries may be saved up.
pub const PROBES: u32 = 2;

/// After this, a lost neighbour is forgotten.
pub const FORGET: Duration = Duration::from_secs(1800);

/// A node that has not answered within this is given up for now.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// A node that was asked for a link for so long keeps no other from being tried, after a loss: the
/// delay that RFC 8305, section 5, recommends.
pub const SILENT: Duration = Duration::from_millis(250);

/// After a neighbour was lost, others are found in its place within this.
pub const CATCH_UP: Duration = Duration::from_secs(10);

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

/// Names in one list of messages.
pub const HAVE: usize = 512;

/// Messages asked for that one neighbour has not sent yet.
pub const ASKED: usize = 64;

/// Messages announced that have not come, in all.
pub const MISSING: usize = 4096;

/// Neighbours remembered to have announced one of them.
pub const ANNOUNCERS: usize = 4;

/// Names of messages wait so long for others, if one has just gone to the same neighbour.
pub const LAZY: Duration = Duration::from_millis(20);

/// A message that was announced is asked for after this at the least, ...
pub const AWAIT_LEAST: Duration = Duration::from_millis(40);

/// ... or after this, of a neighbour that is far nearer than others, ...
pub const AWAIT_NEAR: Duration = Duration::from_micros(4500);

/// ... at the most, ...
pub const AWAIT_MOST: Duration = Duration::from_secs(2);

/// ... and while nothing has been measured.
pub const AWAIT_FIRST: Duration = Duration::from_millis(500);

/// Between two beacons of the tree's root, once it is settled; it begins with a fiftieth of that.
pub const BEACON: Duration = Duration::from_secs(10);

/// Without a beacon for so long, the root is taken for gone.
pub const ROOTLESS: Duration = Duration::from_secs(35);

/// Side trees at the most, as each costs a frame to each neighbour now and then, and a bit in each
/// of those: one for each part of the world, and for those nodes that have nobody near.
pub const SIDES: usize = 32;

/// Side trees told of in one frame. Nodes of 2.1 had no more, and take no more.
pub const SIDES_TOLD: usize = 16;

/// A network of fewer nodes than this needs no side trees.
pub const SIDE_NODES: u32 = 50;

/// A node farther than this from the roots of all side trees may become the root of one more.
pub const SIDE_REACH: Duration = Duration::from_millis(8);

/// Between two waves along a side tree, once it is settled; the first come sooner.
pub const SIDE_WAVE: Duration = Duration::from_secs(60);

/// Duplicates from a neighbour outside the tree before it is told that it is.
pub const PRUNE_AFTER: u32 = 2;

/// Streams (one incarnation of one origin each) that duplicates are told apart in. When all are in
/// use, that of the greediest neighbour that was silent for longest makes room for what is new.
pub const STREAMS: usize = 4096;

/// Sequence numbers below a stream's newest that are told apart. What is further behind is given
/// up.
pub const WINDOW: u64 = 1024;

/// Parts of a stream that are told apart, each a window far from the others: what its origin says,
/// what it had said before this node was away for long, and what another says in its name.
pub const PARTS: usize = 3;

/// A part that was silent for so long makes room for another.
pub const PART_QUIET: Duration = Duration::from_secs(5);

/// Gaps listed in one digest, over all streams; the rest is listed when these are filled.
pub const GAPS: usize = 4096;

/// Bytes of the bodies that one neighbour is sent again between two ticks, so that repair leaves
/// room for news.
pub const REPAIR_BYTES: usize = 1 << 20;

/// Digests of one neighbour answered between two ticks: an answer costs far more than a digest.
pub const DIGESTS: u32 = 16;

/// Messages remembered for a neighbour whose queue is full. What is beyond its next digest asks
/// for.
pub const PENDING: usize = 256;

/// The pulse of the protocol: expiry, late digests, another try for full queues.
pub const TICK: Duration = Duration::from_secs(1);

/// Between two digests to one neighbour; each is moved by up to a quarter, so that they spread.
pub const DIGEST_EVERY: Duration = Duration::from_secs(60);

/// Least time between two digests to one neighbour.
pub const DIGEST_GAP: Duration = Duration::from_millis(100);

/// Nodes remembered whose protocol is not there; as many as a node may have peers.
pub const ABSENT: usize = 64;

/// First wait before such a node is tried again; each is twice the one before, ...
pub const AGAIN_FIRST: Duration = Duration::from_secs(2);

/// ... up to this one.
pub const AGAIN_LAST: Duration = Duration::from_secs(60);
