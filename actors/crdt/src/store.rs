//! The document in the actor's durable values: a fact each, so that a change writes only that.

use guest_sdk::{Context, Result};

use crate::{Crdt, Document, Dot, Dots, Fact, Merged, Replica};

/// The replica's number: drawn once. A store that was lost gets another, so that no dot is used
/// twice.
const REPLICA: &str = "replica";
/// All dots ever seen.
const SEEN: &str = "seen";
/// Facts are under this letter and their dot; the next letter ends them.
const FACT: u8 = b'f';
/// Facts read at a time.
const BATCH: u32 = 256;

/// Reads the document; makes a replica of an empty one where there is none.
pub fn load(cx: &mut Context<Crdt>) -> Result<(Replica, Document)> {
    let replica = match cx.get(REPLICA)? {
        Some(replica) => replica,
        None => {
            let replica = cx.random_u64();
            cx.put(REPLICA, replica)?;
            replica
        }
    };
    let seen: Dots = cx.get(SEEN)?.unwrap_or_default();
    let (mut facts, mut first) = (Vec::new(), vec![FACT]);
    loop {
        let read = cx.range::<(Dot, Fact)>(&first, [FACT + 1], BATCH)?;
        let Some((last, _)) = read.last() else { break };
        first.clone_from(last);
        first.push(0);
        facts.extend(read.into_iter().map(|(_, fact)| fact));
    }
    Ok((replica, Document::restore(facts, seen)))
}

/// Writes what a merge has changed.
pub fn save(document: &Document, merged: &Merged, cx: &mut Context<Crdt>) -> Result {
    for dot in &merged.removed {
        cx.delete(key(*dot))?;
    }
    for dot in &merged.added {
        if let Some(fact) = document.fact(*dot) {
            cx.put(key(*dot), (dot, fact))?;
        }
    }
    if merged.seen {
        cx.put(SEEN, document.seen())?;
    }
    Ok(())
}

fn key(Dot(replica, count): Dot) -> Vec<u8> {
    [&[FACT][..], &replica.to_be_bytes(), &count.to_be_bytes()].concat()
}
