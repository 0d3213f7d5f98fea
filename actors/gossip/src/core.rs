//! The protocol as a machine: what happened goes in, what to do comes out.
//!
//! A flood over links: each message has a name (origin, epoch, number), is passed on to every link
//! but the one it came from, and is known again by its name. That reaches every node of any
//! connected graph at once, if nothing is lost. What is lost (a full queue, a cut, a node that came
//! late) is mended by digests: on link-up and every few seconds each side says what it has seen,
//! and the other sends what is lacking, from what it kept of the last minutes. So arrival never
//! relies on the flood.
//!
//! No I/O, no clock, no randomness: time and seed come in. No bytes from a neighbour make it panic
//! or grow past [`crate::limits`]; they are counted in [`Counts`] and ignored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::absent::Absent;
use crate::event::{Counts, Input, Node, Output, What};
use crate::limits::{BODY_BYTES, DIGESTS, GAPS, LIFETIME, LINKS, REPAIR, REPAIR_BYTES, STREAMS};
use crate::neighbour::Neighbour;
use crate::pairs;
use crate::recent::Recent;
use crate::window::{Sighting, Window};
use crate::wire::{Held, Id, Post, Stream, Unreadable, Wire};

/// One node's part of the protocol.
#[derive(Debug, Serialize, Deserialize)]
pub struct Core {
    own: Stream,
    last: u64,
    #[serde(with = "pairs")]
    streams: BTreeMap<Stream, Seen>,
    recent: Recent,
    #[serde(with = "pairs")]
    links: BTreeMap<u32, Neighbour>,
    /// The link whose full queue was tried again last.
    tried: u32,
    absent: Absent,
    counts: Counts,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    window: Window,
    /// When a message of the stream was last new.
    heard: Duration,
}

impl Core {
    /// A node without links. `origin` stays the same over restarts, `epoch` must not.
    pub fn new(origin: u64, epoch: u64) -> Self {
        Self {
            own: Stream { origin, epoch },
            last: 0,
            streams: BTreeMap::new(),
            recent: Recent::default(),
            links: BTreeMap::new(),
            tried: 0,
            absent: Absent::default(),
            counts: Counts::default(),
        }
    }

    /// Takes in what happened at `now` (time since the node started; it never goes back), and says
    /// what to do, in this order.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Output> {
        match input {
            Input::Reachable(node) => vec![Output::Connect(node)],
            Input::Up(link, node) => self.up(now, link, node),
            Input::Down(link, node, again) => {
                self.links.remove(&link);
                if again {
                    self.absent.note(now, node);
                }
                Vec::new()
            }
            Input::Data(link, frame) => self.data(now, link, &frame),
            Input::Writable(link) => self.drain(now, link),
            Input::Refused(link, what) => {
                self.refused(link, what);
                Vec::new()
            }
            Input::Published(topic, body) => self.published(now, topic, body),
            Input::Tick => self.tick(now),
        }
    }

    /// What has happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many links are up.
    pub fn links(&self) -> usize {
        self.links.len()
    }

    /// How many messages are kept for those who lack them, and what they cost in bytes.
    pub fn recent(&self) -> (usize, usize) {
        (self.recent.len(), self.recent.bytes())
    }

    fn up(&mut self, now: Duration, link: u32, node: Node) -> Vec<Output> {
        self.absent.forget(&node);
        if self.links.len() >= LINKS && !self.links.contains_key(&link) {
            return vec![Output::Disconnect(link)];
        }
        self.links.insert(link, Neighbour::new(now, self.own.epoch ^ u64::from(link)));
        vec![self.digest(now, link)]
    }

    fn data(&mut self, now: Duration, link: u32, frame: &[u8]) -> Vec<Output> {
        match Wire::decode(frame) {
            Ok(Wire::Post(post)) => self.post(now, link, post),
            Ok(Wire::Digest(held)) => self.repair(now, link, &held),
            Ok(Wire::More) => self.more(now, link),
            Err(why) => {
                *match why {
                    Unreadable::Garbage => &mut self.counts.garbage,
                    Unreadable::Version(_) => &mut self.counts.other_version,
                    Unreadable::Oversized => &mut self.counts.oversized,
                } += 1;
                Vec::new()
            }
        }
    }

    fn published(&mut self, now: Duration, topic: [u8; 16], body: Vec<u8>) -> Vec<Output> {
        if body.len() > BODY_BYTES {
            self.counts.oversized += 1;
            return Vec::new();
        }
        // Its own stream has a place besides those of the others.
        let seen = self.streams.entry(self.own).or_default();
        self.last += 1;
        seen.window.see(self.last);
        seen.heard = now;
        self.counts.published += 1;
        self.flood(
            now,
            None,
            Post { id: Id { stream: self.own, seq: self.last }, age: 0, topic, body },
        )
    }

    fn post(&mut self, now: Duration, from: u32, post: Post) -> Vec<Output> {
        if let Some(neighbour) = self.links.get_mut(&from) {
            neighbour.has(post.id);
        }
        if !self.is_new(now, &post) {
            return Vec::new();
        }
        self.counts.delivered += 1;
        if let Some(neighbour) = self.links.get_mut(&from) {
            neighbour.useful = true;
        }
        let mut outputs = vec![Output::Deliver(post.topic, post.body.clone())];
        outputs.extend(self.flood(now, Some(from), post));
        outputs
    }

    /// Whether a message is to be delivered and passed on; if so it is seen from now on.
    fn is_new(&mut self, now: Duration, post: &Post) -> bool {
        let Id { stream, seq } = post.id;
        let ours = stream == self.own;
        let known = self.streams.contains_key(&stream);
        let ignored = if u128::from(post.age) >= LIFETIME.as_millis() {
            &mut self.counts.stale
        } else if ours && seq <= self.last {
            &mut self.counts.duplicates
        } else if ours {
            &mut self.counts.forged
        } else if !known && self.streams.len() >= STREAMS {
            &mut self.counts.crowded
        } else {
            let seen = self.streams.entry(stream).or_default();
            match seen.window.see(seq) {
                Sighting::New => {
                    seen.heard = now;
                    return true;
                }
                Sighting::Seen => &mut self.counts.duplicates,
                Sighting::TooOld => &mut self.counts.stale,
            }
        };
        *ignored += 1;
        false
    }

    fn flood(&mut self, now: Duration, from: Option<u32>, post: Post) -> Vec<Output> {
        let id = post.id;
        let frame: Arc<[u8]> = Wire::Post(post.clone()).encode().into();
        self.recent.keep(now, post);
        let mut outputs = Vec::new();
        for (&link, neighbour) in self.links.iter_mut().filter(|(link, _)| Some(**link) != from) {
            if neighbour.is_behind() {
                self.counts.deferred += u64::from(!neighbour.remember(id));
            } else {
                outputs.push(Output::Transmit(link, What::News(id), frame.clone()));
            }
        }
        outputs
    }

    fn digest(&mut self, now: Duration, link: u32) -> Output {
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.digest_sent(now);
        }
        let mut room = GAPS;
        let held = self.streams.iter().filter(|(_, seen)| seen.heard + LIFETIME > now);
        let held = held.take(STREAMS).map(|(&stream, seen)| {
            let gaps = seen.window.gaps(room);
            room -= gaps.len();
            Held { stream, top: seen.window.top(), gaps }
        });
        Output::Transmit(link, What::Control, Wire::Digest(held.collect()).encode().into())
    }

    fn repair(&mut self, now: Duration, link: u32, held: &[Held]) -> Vec<Output> {
        let Some(neighbour) = self.links.get_mut(&link) else {
            return Vec::new();
        };
        neighbour.digests += 1;
        if neighbour.digests > DIGESTS {
            self.counts.hasty += 1;
            return Vec::new();
        }
        if neighbour.is_behind() {
            return Vec::new(); // What is remembered for it comes first.
        }
        let held: BTreeMap<Stream, &Held> = held.iter().map(|held| (held.stream, held)).collect();
        let lacks = |id: &Id| held.get(&id.stream).is_none_or(|held| held.lacks(id.seq));
        let (mut outputs, mut bytes) = (Vec::new(), 0);
        // Where the last repair ended: what the other does not take must not stand in the way.
        for id in self.recent.ids_after(neighbour.repaired).filter(lacks) {
            if bytes >= REPAIR_BYTES || outputs.len() >= REPAIR {
                outputs.push(Output::Transmit(link, What::Control, Wire::More.encode().into()));
                break;
            }
            let Some(post) = self.recent.get(now, id) else {
                continue;
            };
            bytes += post.body.len();
            neighbour.repaired = Some(id);
            self.counts.repaired += 1;
            let frame = Wire::Post(post).encode().into();
            outputs.push(Output::Transmit(link, What::Repair(id), frame));
        }
        outputs
    }

    fn more(&mut self, now: Duration, link: u32) -> Vec<Output> {
        match self.links.get_mut(&link) {
            // More of what is not taken here would go on for ever.
            Some(neighbour) if !neighbour.useful => Vec::new(),
            Some(neighbour) if neighbour.may_digest(now) => vec![self.digest(now, link)],
            Some(neighbour) => {
                neighbour.digest_due = true;
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn refused(&mut self, link: u32, what: What) {
        self.counts.refused += 1;
        let Some(neighbour) = self.links.get_mut(&link) else {
            return;
        };
        match what {
            What::News(id) | What::Repair(id) => {
                self.counts.deferred += u64::from(!neighbour.remember(id));
            }
            What::Control => neighbour.digest_due = true,
        }
    }

    /// Sends what is remembered for a neighbour; what is refused again comes back by `refused`.
    fn drain(&mut self, now: Duration, link: u32) -> Vec<Output> {
        let Some(neighbour) = self.links.get_mut(&link) else {
            return Vec::new();
        };
        let posts = neighbour.forget().filter_map(|id| self.recent.get(now, id));
        posts
            .map(|post| {
                Output::Transmit(link, What::News(post.id), Wire::Post(post).encode().into())
            })
            .collect()
    }

    fn tick(&mut self, now: Duration) -> Vec<Output> {
        self.recent.expire(now);
        self.streams.retain(|_, seen| seen.heard + LIFETIME * 2 > now);
        let links: Vec<u32> = self.links.keys().copied().collect();
        // One full queue is tried again at each tick, in turn, should its `Writable` have been
        // lost: all at once could be 64 times what is kept.
        let behind = |link: &&u32| self.links.get(link).is_some_and(Neighbour::is_behind);
        let after = links.iter().find(|link| **link > self.tried && behind(link));
        let mut outputs = match after.or_else(|| links.iter().find(behind)) {
            Some(&link) => {
                self.tried = link;
                self.drain(now, link)
            }
            None => Vec::new(),
        };
        outputs.extend(self.absent.due(now).into_iter().map(Output::Connect));
        for link in links {
            let due = self.links.get_mut(&link).is_some_and(|neighbour| neighbour.tick(now));
            if due {
                outputs.push(self.digest(now, link));
            }
        }
        outputs
    }
}
