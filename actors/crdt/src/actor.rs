//! The actor that keeps a [`Document`] on one node the same as on all others.

use std::collections::BTreeMap;
use std::time::Duration;

use guest_sdk::{Actor, Context, Reason, Result, Topic};
use serde::{Deserialize, Serialize};

use crate::limits::{ANSWER_BYTES, ANSWER_WITHIN, DIGEST_EVERY, PAGE};
use crate::{Delta, Digest, Document, Entry, Exchange, Merged, Refusal, Replica, Value, store};

/// A document that is replicated over the topic granted as `replicas`.
///
/// Every change is durable in its turn and published as a [`Delta`]; what is lost on the way is
/// mended by [`Digest`]s, so replicas converge as long as letters get through now and then.
#[derive(Debug, Serialize, Deserialize)]
pub struct Crdt {
    topic: Topic,
    replica: Replica,
    document: Document,
    exchange: Exchange,
    /// An answer to digests is on its way: its timer is armed.
    due: bool,
    counts: Counts,
}

/// What the actor takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// Give a key a value. Answered, as are all changes, with `Done` or `Refused`.
    Set {
        /// The key.
        key: String,
        /// Its value.
        value: Value,
    },
    /// Put an item into a key's set.
    Add {
        /// The key.
        key: String,
        /// The item.
        item: Value,
    },
    /// Take an item out of a key's set.
    Remove {
        /// The key.
        key: String,
        /// The item.
        item: Value,
    },
    /// Count on a key's counter, or back.
    Increment {
        /// The key.
        key: String,
        /// How far.
        by: i64,
    },
    /// Take away a key with all that is known about it.
    Clear {
        /// The key.
        key: String,
    },
    /// What is known about a key? Answered with `Entry`.
    Get {
        /// The key.
        key: String,
    },
    /// What is known about the keys after this one, in order? Answered with `Page`.
    All {
        /// The key; none for the first page.
        #[serde(default)]
        after: String,
    },
    /// How are you? Answered with `Status`.
    Status,
    /// From another replica: what has changed there, or is lacking here.
    Delta(Delta),
    /// From another replica: what it has seen.
    Digest(Digest),
    /// It is time to publish a digest.
    Tell,
    /// It is time to answer the digests of others.
    Mend,
}

/// What the actor answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The change is made here, and on its way to the others.
    Done,
    /// The change is not made, or the answer not given, and why.
    Refused(String),
    /// What is known about the key, if anything.
    Entry(Option<Entry>),
    /// Some keys with what is known about them.
    Page {
        /// By key.
        entries: BTreeMap<String, Entry>,
        /// Keys among them that are too large for an answer: ask for each alone.
        omitted: Vec<String>,
        /// Ask again with `All` after this key; none: that was all.
        next: Option<String>,
    },
    /// How the replica is doing.
    Status(Status),
}

/// How a replica is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Its number, the first part of its dots.
    pub replica: Replica,
    /// Facts it holds.
    pub facts: usize,
    /// What they cost in bytes.
    pub bytes: usize,
    /// What it has seen.
    pub digest: Digest,
    /// What has happened so far.
    pub counts: Counts,
}

/// What has happened since the actor started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Changes made here.
    pub changes: u64,
    /// Deltas of others that said something new.
    pub news: u64,
    /// Deltas of others that said nothing new.
    pub repeats: u64,
    /// Letters sent because another lacked something.
    pub mended: u64,
    /// Facts of others that there was no room for.
    pub refused: u64,
    /// Letters that were not delivered.
    pub undelivered: u64,
}

impl Actor for Crdt {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        let topic = cx.topic("replicas")?;
        let (replica, document) = store::load(cx)?;
        // Soon: it may have slept while others changed things.
        let soon = chance(cx, Duration::from_secs(1));
        cx.after(soon, Message::Tell);
        let (exchange, counts) = (Exchange::default(), Counts::default());
        Ok(Self { topic, replica, document, exchange, due: false, counts })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        let (document, replica) = (&self.document, self.replica);
        match message {
            Message::Set { key, value } => {
                let delta = document.set(replica, &key, value, cx.stamp());
                self.change(delta, cx)
            }
            Message::Add { key, item } => self.change(document.add(replica, &key, item), cx),
            Message::Remove { key, item } => self.change(Ok(document.remove(&key, &item)), cx),
            Message::Increment { key, by } => {
                self.change(document.increment(replica, &key, by), cx)
            }
            Message::Clear { key } => self.change(Ok(document.clear(&key)), cx),
            Message::Get { key } => answer(self.get(&key), cx),
            Message::All { after } => answer(self.page(&after), cx),
            Message::Status => answer(Answer::Status(self.status()), cx),
            Message::Delta(delta) => self.hear_delta(delta, cx),
            Message::Digest(digest) => {
                if self.exchange.heard_digest(document, &digest) && !self.due {
                    self.due = true;
                    let wait = chance(cx, ANSWER_WITHIN);
                    cx.after(wait, Message::Mend);
                }
                Ok(())
            }
            Message::Tell => {
                cx.publish(self.topic, Message::Digest(document.digest()));
                let wait = DIGEST_EVERY * 3 / 4 + chance(cx, DIGEST_EVERY / 2);
                cx.after(wait, Message::Tell);
                Ok(())
            }
            Message::Mend => {
                self.mend(cx);
                Ok(())
            }
        }
    }

    /// What is lost is mended by digests, so it is only counted.
    fn undelivered(&mut self, _: u64, _: Reason, _: &mut Context<Self>) -> Result {
        self.counts.undelivered += 1;
        Ok(())
    }
}

impl Crdt {
    /// The document as it is here and now.
    pub fn document(&self) -> &Document {
        &self.document
    }

    fn change(&mut self, delta: Result<Delta, Refusal>, cx: &mut Context<Self>) -> Result {
        let delta = match delta {
            Ok(delta) => delta,
            Err(refusal) => {
                cx.log(refusal.to_string());
                return answer(Answer::Refused(refusal.to_string()), cx);
            }
        };
        if delta != Delta::default() {
            self.counts.changes += 1;
            self.take(delta.clone(), cx)?;
            self.exchange.heard_delta(&self.document, &delta);
            cx.publish(self.topic, Message::Delta(delta));
        }
        answer(Answer::Done, cx)
    }

    fn hear_delta(&mut self, delta: Delta, cx: &mut Context<Self>) -> Result {
        let merged = self.take(delta.clone(), cx)?;
        self.exchange.heard_delta(&self.document, &delta);
        let counts = &mut self.counts;
        *(if merged.seen { &mut counts.news } else { &mut counts.repeats }) += 1;
        if merged.refused > 0 && counts.refused == 0 {
            cx.log(format!("{}: what others add stays missing here", Refusal::Full));
        }
        counts.refused += merged.refused as u64;
        Ok(())
    }

    fn take(&mut self, delta: Delta, cx: &mut Context<Self>) -> Result<Merged> {
        let merged = self.document.take(delta);
        store::save(&self.document, &merged, cx)?;
        Ok(merged)
    }

    fn mend(&mut self, cx: &mut Context<Self>) {
        self.due = false;
        let said = self.exchange.answer(&self.document);
        for delta in said.deltas {
            self.counts.mended += 1;
            cx.publish(self.topic, Message::Delta(delta));
        }
        if let Some(digest) = said.digest {
            cx.publish(self.topic, Message::Digest(digest));
        }
    }

    fn get(&self, key: &str) -> Answer {
        let entry = self.document.entry(key);
        match encoded(&entry) {
            0..=ANSWER_BYTES => Answer::Entry(entry),
            bytes => Answer::Refused(format!(
                "what is known about the key takes {bytes} bytes, and an answer holds \
                 {ANSWER_BYTES}: use more keys"
            )),
        }
    }

    fn page(&self, after: &str) -> Answer {
        let (mut entries, mut omitted, mut bytes) = (BTreeMap::new(), Vec::new(), 0);
        let mut last = None;
        for (place, key) in self.document.keys_after(after).enumerate() {
            let Some(entry) = self.document.entry(key) else {
                continue;
            };
            let cost = key.len() + encoded(&entry);
            if place >= PAGE || (bytes + cost > ANSWER_BYTES && cost <= ANSWER_BYTES) {
                return Answer::Page { entries, omitted, next: last };
            }
            last = Some(key.to_owned());
            if cost > ANSWER_BYTES {
                omitted.push(key.to_owned());
            } else {
                bytes += cost;
                entries.insert(key.to_owned(), entry);
            }
        }
        Answer::Page { entries, omitted, next: None }
    }

    fn status(&self) -> Status {
        let (facts, bytes) = self.document.size();
        let (digest, counts) = (self.document.digest(), self.counts.clone());
        Status { replica: self.replica, facts, bytes, digest, counts }
    }
}

fn answer(answer: Answer, cx: &mut Context<Crdt>) -> Result {
    cx.reply(answer);
    Ok(())
}

fn encoded(value: &impl Serialize) -> usize {
    serde_ipld_dagcbor::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}

/// Some time below `end`.
fn chance(cx: &mut Context<Crdt>, end: Duration) -> Duration {
    let end = (end.as_millis() as u64).max(1);
    Duration::from_millis(cx.random_u64() % end)
}
