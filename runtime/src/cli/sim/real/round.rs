//! A round of messages on real nodes: who published, who is to have it, and who has said so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use sim::Told;
use sim::scenario::Finished;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::place::Voice;
use super::{Answers, EAR, PATIENCE};

/// Longer than any round.
const LONG: Duration = Duration::from_secs(3600);
/// Before a node that could not be asked is asked again.
const AGAIN: Duration = Duration::from_millis(50);

/// The round that is under way, and what is known of each node from earlier ones.
pub struct Round {
    next: u32,
    began: Instant,
    /// Numbers and their senders.
    sent: BTreeMap<u32, usize>,
    /// Nodes that have not said yet that they have all, and what asks them.
    waits: BTreeMap<usize, JoinHandle<()>>,
    told: Told,
    said: Receiver<(usize, Instant, Heard)>,
    say: Sender<(usize, Instant, Heard)>,
    seen: Vec<Seen>,
    stands: BTreeMap<usize, Arc<AtomicBool>>,
}

/// What a node's ear answers.
#[derive(Clone, Debug, Deserialize)]
pub struct Heard {
    missing: Vec<u32>,
    twice: u64,
}

/// What a node's gossip answers; it says more.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    counts: Counts,
}

/// Bodies that came: new ones, and others.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Counts {
    delivered: u64,
    duplicates: u64,
}

/// What a node had counted when it was last asked.
#[derive(Clone, Copy, Default)]
struct Seen {
    twice: u64,
    payloads: u64,
}

impl Round {
    /// No round yet, of so many nodes.
    pub fn new(nodes: usize) -> Self {
        let (say, said) = channel();
        Self {
            next: 1,
            began: Instant::now(),
            sent: BTreeMap::new(),
            waits: BTreeMap::new(),
            told: Told::default(),
            said,
            say,
            seen: vec![Seen::default(); nodes],
            stands: BTreeMap::new(),
        }
    }

    /// Each sender publishes, and each node is asked to say when it has all that others did.
    pub fn begin(
        &mut self,
        senders: &[usize],
        up: BTreeMap<usize, Arc<Voice>>,
        bytes: usize,
        network: &Handle,
    ) -> anyhow::Result<()> {
        self.sent = (self.next..).zip(senders.iter().copied()).collect();
        self.next += senders.len() as u32;
        self.told = Told::default();
        self.began = Instant::now();
        let publish = self.sent.iter().map(|(number, sender)| {
            let message = json!({ "Publish": { "number": number, "bytes": bytes } });
            let voice = up.get(sender).cloned();
            let published = async move {
                let voice = voice.context("a sender is not up")?;
                voice.ask::<()>(EAR, &message, PATIENCE).await
            };
            (*sender, network.spawn(published))
        });
        let publish: Vec<_> = publish.collect();
        for (node, voice) in up {
            let awaited = self.awaited(node);
            if awaited.is_empty() {
                continue;
            }
            self.told.expected += awaited.len() as u64;
            let say = self.say.clone();
            let task = network.spawn(async move {
                let message = json!({ "Await": awaited });
                loop {
                    if let Ok(Some(heard)) = voice.ask::<Heard>(EAR, &message, LONG).await {
                        // Nobody listens any more at the end.
                        let _ = say.send((node, Instant::now(), heard));
                        return;
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            });
            self.waits.insert(node, task);
        }
        for (sender, published) in publish {
            let published = network.block_on(published)?;
            published.with_context(|| format!("node {sender} could not publish"))?;
        }
        Ok(())
    }

    /// Time passes up to `end`, or until all have said that they have all.
    pub fn until(&mut self, end: Instant) {
        while !self.waits.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            let Ok((node, at, heard)) = self.said.recv_timeout(left) else { return };
            self.heard(node, at, &heard);
        }
    }

    fn heard(&mut self, node: usize, at: Instant, heard: &Heard) {
        if self.waits.remove(&node).is_none() {
            return;
        }
        let delay = at.saturating_duration_since(self.began).as_nanos() as u64;
        self.told.delivered += self.awaited(node).len() as u64;
        self.told.ldt = self.told.ldt.max(delay);
        self.told.delays.push(delay);
        self.came_twice(node, heard);
    }

    fn came_twice(&mut self, node: usize, heard: &Heard) {
        self.told.twice += since(&mut self.seen[node].twice, heard.twice);
    }

    /// The numbers that a node is to have: all but its own.
    fn awaited(&self, node: usize) -> Vec<u32> {
        let others = self.sent.iter().filter(|(_, sender)| **sender != node);
        others.map(|(number, _)| *number).collect()
    }

    /// The round's numbers.
    pub fn numbers(&self) -> Vec<u32> {
        self.sent.keys().copied().collect()
    }

    /// The nodes that have not said that they have all, and can be asked what they lack.
    pub fn late(&self) -> Vec<usize> {
        self.waits.keys().copied().filter(|node| !self.paused(*node)).collect()
    }

    /// A node is gone: nothing is expected of it any more.
    pub fn gone(&mut self, node: usize) {
        self.seen[node] = Seen::default();
        if let Some(task) = self.waits.remove(&node) {
            task.abort();
            self.told.expected -= self.awaited(node).len() as u64;
        }
    }

    /// A node stands still for as long as this is true.
    pub fn pause(&mut self, node: usize, stands: Arc<AtomicBool>) {
        self.stands.insert(node, stands);
    }

    /// Whether a node stands still.
    pub fn paused(&self, node: usize) -> bool {
        self.stands.get(&node).is_some_and(|stands| stands.load(Ordering::SeqCst))
    }

    /// Ends the round, with what those lack that were late, and what each node's gossip counted.
    pub fn finish(&mut self, mut late: Answers<Heard>, statuses: Answers<Status>) -> Finished {
        let mut missing = Vec::new();
        for (node, task) in std::mem::take(&mut self.waits) {
            task.abort();
            let awaited = self.awaited(node);
            let lacks: Vec<u32> = match late.remove(&node) {
                Some(Ok(heard)) => {
                    self.came_twice(node, &heard);
                    awaited.iter().copied().filter(|one| heard.missing.contains(one)).collect()
                }
                // It stands still, or says nothing.
                _ => awaited.clone(),
            };
            self.told.delivered += (awaited.len() - lacks.len()) as u64;
            missing.extend(lacks.iter().map(|number| (self.sent[number], node)));
        }
        for (node, status) in statuses {
            if let Ok(Status { counts }) = status {
                let payloads = counts.delivered + counts.duplicates;
                self.told.payloads += since(&mut self.seen[node].payloads, payloads);
            }
        }
        self.sent.clear();
        (std::mem::take(&mut self.told), missing)
    }
}

/// How much a count has grown; one that is lower began anew.
fn since(known: &mut u64, now: u64) -> u64 {
    let before = std::mem::replace(known, now);
    now.checked_sub(before).unwrap_or(now)
}
