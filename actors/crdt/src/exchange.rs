//! Anti-entropy: what others lack and what is lacking here, until it is time to say so.
//!
//! Deltas are only the fast path. Every replica publishes its digest now and then; one that sees
//! that another lacks something waits a little by chance, and then publishes what no other replica
//! has published meanwhile. So whatever was lost arrives in the end, and mostly once.

use serde::{Deserialize, Serialize};

use crate::limits::{LETTER_BYTES, LETTERS};
use crate::{Delta, Digest, Document, Dots};

/// What a replica has heard, and has not answered yet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Exchange {
    asker: Option<Asker>,
    /// What others have seen.
    offered: Dots,
    /// Another has seen the same, and has other facts of it left.
    differs: bool,
}

/// Those who lack something.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asker {
    /// What all of them have.
    seen: Dots,
    /// Whether they may not know what is gone. A removal leaves no trace in what they have seen,
    /// so that is told whenever something is.
    gone: bool,
}

/// What there is to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What others lack, a letter each.
    pub deltas: Vec<Delta>,
    /// Where something is lacking here, or there is more to send.
    pub digest: Option<Digest>,
}

impl Exchange {
    /// Another replica told what it has seen. Gives whether there will be something to answer:
    /// then [`Exchange::answer`] is due within [`crate::limits::ANSWER_WITHIN`].
    pub fn heard_digest(&mut self, document: &Document, theirs: &Digest) -> bool {
        let ours = document.digest();
        let differs = ours.seen == theirs.seen && ours.print != theirs.print;
        if differs || !ours.seen.minus(&theirs.seen).is_empty() {
            let everyone = Asker { seen: theirs.seen.clone(), gone: true };
            let asker = self.asker.get_or_insert(everyone);
            asker.seen = asker.seen.intersection(&theirs.seen);
            asker.gone = true;
        }
        self.offered.union(&theirs.seen.minus(&ours.seen));
        self.differs |= differs;
        self.asker.is_some() || self.differs || !self.offered.is_empty()
    }

    /// A delta was published, here or elsewhere: it need not be said again.
    pub fn heard_delta(&mut self, document: &Document, delta: &Delta) {
        let Some(asker) = &mut self.asker else { return };
        asker.seen.union(&delta.facts.iter().map(|(dot, _)| *dot).collect());
        if !delta.gone.is_empty() && document.gone().minus(&delta.gone).is_empty() {
            asker.gone = false;
        }
    }

    /// What is still to be said; after that all is answered.
    pub fn answer(&mut self, document: &Document) -> Said {
        let heard = std::mem::take(self);
        let mut said = Said::default();
        let mut ask = heard.differs || !heard.offered.minus(document.seen()).is_empty();
        if let Some(asker) = heard.asker {
            let gone = document.gone();
            if asker.gone && !gone.is_empty() {
                said.deltas.push(Delta { facts: Vec::new(), gone });
            }
            ask |= !add_facts(document, &asker.seen, &mut said.deltas);
        }
        said.digest = ask.then(|| document.digest());
        said
    }
}

/// Adds letters with the facts beyond `seen`; gives whether that was all of them.
fn add_facts(document: &Document, seen: &Dots, letters: &mut Vec<Delta>) -> bool {
    let (mut letter, mut bytes) = (Delta::default(), 0);
    for (dot, fact) in document.facts_beyond(seen) {
        let cost = fact.cost().unwrap_or(0);
        if bytes + cost > LETTER_BYTES && bytes > 0 {
            letters.push(std::mem::take(&mut letter));
            bytes = 0;
            if letters.len() >= LETTERS {
                return false;
            }
        }
        bytes += cost;
        letter.facts.push((dot, fact.clone()));
    }
    if !letter.facts.is_empty() {
        letters.push(letter);
    }
    true
}
