//! Every limit of a document in one place: its name, its size, and why.

use std::time::Duration;

/// Bytes of one key. The node's own limit for stored keys is 512.
pub const KEY_BYTES: usize = 256;

/// Bytes of one value or item, encoded: small enough that several fit a letter.
pub const VALUE_BYTES: usize = 32 << 10;

/// How deep a value may be nested: reading one takes stack.
pub const VALUE_DEPTH: usize = 32;

/// Facts (values, items, counts of one replica) in a document.
pub const FACTS: usize = 4096;

/// Bytes of all facts, encoded: half of an actor's 4 MiB of storage, and of what `save` may give.
pub const DOCUMENT_BYTES: usize = 2 << 20;

/// What a fact costs besides its encoded bytes, about.
pub const FACT_OVERHEAD: usize = 64;

/// Runs of dots that a document remembers as seen: one for each replica, and more while something
/// is missing, at worst one for each fact. All of them encoded fit a stored value and a letter.
pub const RUNS: usize = 8192;

/// Bytes of facts in one letter of a repair, about. A letter holds 256 KiB, a fact up to 32 KiB.
pub const LETTER_BYTES: usize = 64 << 10;

/// Letters published in answer to one digest; the rest follows the next one. Mailboxes hold 64.
pub const LETTERS: usize = 4;

/// Bytes of the entries in one answer; a letter holds 256 KiB.
pub const ANSWER_BYTES: usize = 200 << 10;

/// Entries in one answer to `All`.
pub const PAGE: usize = 256;

/// Between two digests; each is moved by up to a quarter, so that replicas spread.
pub const DIGEST_EVERY: Duration = Duration::from_secs(10);

/// Longest wait before a digest is answered. Each replica waits by chance, and says then only what
/// no other has said meanwhile.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(400);
