//! Who gets which message: Plumtree, as a pure machine.
//!
//! After Leitão, Pereira and Rodrigues (Epidemic Broadcast Trees, SRDS 2007): a message goes at
//! once to the neighbours along a tree, its name to the others, and who has a name but no message
//! asks for it. Some things differ. The tree is formed by small beacons from one root (see
//! [`tree`]), so that no payload is spent on it and a new sender finds it ready, and it is not the
//! only one among many nodes (see [`sides`]). How long to wait for what was announced is measured.
//! And what was seen is compared on every new link, so that arrival never hangs on the tree alone.

mod missing;
mod repair;
mod sides;
mod streams;
mod tree;

use std::sync::Arc;
use std::time::Duration;

use crate::chance::Chance;
use crate::event::{Counts, Output, What};
use crate::few::Few;
use crate::limits::{BODY_BYTES, LAZY, LIFETIME, PRUNE_AFTER};
use crate::neighbour::Neighbour;
use crate::recent::Recent;
use crate::saved::saved;
use crate::window::Sighting;
use crate::wire::{Id, Post, Stream, Wire};
use missing::Missing;
use sides::Sides;
use streams::Streams;
use tree::Tree;

/// The broadcast part of a node.
#[derive(Debug)]
pub struct Broadcast {
    own: Stream,
    last: u64,
    streams: Streams,
    recent: Recent,
    links: Few<u32, Neighbour>,
    tree: Tree,
    sides: Sides,
    missing: Missing,
    /// When names that wait are to be told.
    tell_at: Option<Duration>,
    /// The link whose full queue was tried again last.
    tried: u32,
    second_at: Duration,
    chance: Chance,
}

saved!(Broadcast {
    own,
    last,
    streams,
    recent,
    links,
    tree,
    sides,
    missing,
    tell_at,
    tried,
    second_at,
    chance,
});

/// Milliseconds: older messages are caught up on, and say nothing about the tree.
const YOUNG: u32 = 5000;

impl Broadcast {
    /// A node without neighbours. `origin` stays the same over restarts, `epoch` must not.
    pub fn new(origin: u64, epoch: u64, seed: u64) -> Self {
        Self {
            own: Stream { origin, epoch },
            last: 0,
            streams: Streams::default(),
            recent: Recent::default(),
            links: Few::default(),
            tree: Tree::default(),
            sides: Sides::default(),
            missing: Missing::default(),
            tell_at: None,
            tried: 0,
            second_at: Duration::ZERO,
            chance: Chance::new(seed),
        }
    }

    /// How many messages are kept for those who lack them, and what they cost in bytes.
    pub fn recent(&self) -> (usize, usize) {
        (self.recent.len(), self.recent.bytes())
    }

    /// When [`tick`](Self::tick) is due.
    pub fn wake(&self) -> Duration {
        let own = self
            .tell_at
            .into_iter()
            .chain(self.missing.next())
            .chain(self.tree.wake())
            .chain(self.sides.wake());
        own.fold(self.second_at, Duration::min)
    }

    /// With how many messages a neighbour was the first since this was last asked.
    pub fn firsts(&mut self, link: u32) -> u32 {
        self.links.get_mut(&link).map_or(0, |neighbour| std::mem::take(&mut neighbour.firsts))
    }

    fn first(&mut self, link: u32) {
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.firsts = neighbour.firsts.saturating_add(1);
        }
    }

    /// A new neighbour: `rtt` if it is known.
    pub fn up(&mut self, now: Duration, link: u32, rtt: Option<Duration>, out: &mut Vec<Output>) {
        if self.links.contains_key(&link) {
            return;
        }
        self.links.insert(link, Neighbour::new(now, rtt));
        self.tree_up(now, link, out);
        self.sides_up(link, out);
        out.push(self.digest(now, link));
    }

    /// A link's round-trip time was measured.
    pub fn rtt(&mut self, link: u32, rtt: Duration) {
        if let Some(neighbour) = self.links.get_mut(&link) {
            neighbour.rtt = Some(rtt);
        }
    }

    /// A neighbour is none any more; `lost` without a word.
    pub fn down(&mut self, now: Duration, link: u32, lost: bool, out: &mut Vec<Output>) {
        if self.links.remove(&link).is_some() {
            self.missing.forget(now, link);
            if lost {
                self.missing.catch_up(now);
            }
            self.tree_down(now, link, out);
            self.sides_down(now, link, lost, out);
        }
    }

    /// Someone on this node published.
    pub fn publish(
        &mut self,
        now: Duration,
        topic: [u8; 16],
        body: Vec<u8>,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        if body.len() > BODY_BYTES {
            counts.oversized += 1;
            return;
        }
        self.last += 1;
        counts.published += 1;
        let id = Id { stream: self.own, seq: self.last };
        // Its own stream has a place besides those of the others.
        self.streams.see(now, id, streams::GONE);
        let tree = self.side_from_here();
        self.spread(now, None, Post { id, age: 0, hop: 0, tree, topic, body }, counts, out);
        self.hear_speaker(now, true, out);
    }

    /// A neighbour says something.
    pub fn hear(
        &mut self,
        now: Duration,
        link: u32,
        wire: Wire,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        match wire {
            Wire::Post(post) => self.post(now, link, post, counts, out),
            Wire::Have(ids) => self.announced(now, link, &ids, counts),
            Wire::Get(ids) => self.asked(now, link, &ids, counts, out),
            Wire::Digest(held) => self.compare(link, &held, counts, out),
            Wire::More => self.more(link),
            Wire::Beacon(beacon) => self.beacon(now, link, beacon, counts, out),
            Wire::Attach(on) => self.attach(now, link, on, out),
            Wire::Depth { us, nodes } => {
                self.depth(link, Duration::from_micros(us.into()), nodes, out);
            }
            Wire::Root => self.be_root(now, link, out),
            Wire::Sides { follow, sides } => self.hear_sides(now, link, (follow, sides), counts),
            Wire::Renew { tree, seq } => self.renew(now, link, (tree, seq), counts, out),
            // The membership's.
            _ => {}
        }
    }

    /// The time of [`wake`](Self::wake) has come.
    pub fn tick(&mut self, now: Duration, slow: u32, counts: &mut Counts, out: &mut Vec<Output>) {
        if self.tell_at.is_some_and(|at| at <= now) {
            self.tell(now, out);
        }
        self.ask(now, slow, counts, out);
        self.tree_tick(now, slow, out);
        self.sides_tick(now, out);
        if now >= self.second_at {
            self.second_at = now + crate::limits::TICK;
            self.second(now, out);
            self.sides_second(now);
        }
    }

    fn post(
        &mut self,
        now: Duration,
        from: u32,
        mut post: Post,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let id = post.id;
        post.tree = self.side_known(post.tree);
        let tree = self.takes_at_once(post.tree, from);
        if let Some(neighbour) = self.links.get_mut(&from) {
            neighbour.has(id);
            neighbour.unanswered = 0;
        }
        if let Some(tree) = post.tree {
            self.side_brought(now, tree, from);
        }
        let named = self.missing.awaits(id);
        let asked = self.missing.arrived(now, id, from);
        if let Some(asked) = asked.and_then(|link| self.links.get_mut(&link)) {
            asked.asked = asked.asked.saturating_sub(1);
        }
        if !self.is_new(now, from, &post, counts) {
            return self.duplicate(from, tree, &post, out);
        }
        if asked == Some(from) && post.age < YOUNG {
            match post.tree {
                None => self.graft(now, from, out),
                Some(tree) => self.side_missed(now, tree, from, out),
            }
        }
        counts.delivered += 1;
        if !named {
            self.first(from);
        }
        if let Some(neighbour) = self.links.get_mut(&from) {
            neighbour.useful = true;
            neighbour.duplicates = 0;
        }
        post.hop = post.hop.saturating_add(1);
        out.push(Output::Deliver(post.topic, post.body.clone()));
        self.spread(now, Some(from), post, counts, out);
        self.hear_speaker(now, false, out);
    }

    /// One that nobody asked for, from outside the tree: the neighbour takes this node for one
    /// below it. It is told otherwise when that has happened again. Only the receiver says so, so
    /// that an edge never loses both its directions at once.
    fn duplicate(&mut self, from: u32, tree: bool, post: &Post, out: &mut Vec<Output>) {
        let Some(neighbour) = self.links.get_mut(&from) else { return };
        if tree || post.hop == 0 {
            return;
        }
        neighbour.duplicates += 1;
        if neighbour.duplicates == PRUNE_AFTER {
            neighbour.duplicates = 0;
            let follow = neighbour.followed;
            out.push(control(
                from,
                &match post.tree {
                    None => Wire::Attach(false),
                    Some(_) => Wire::Sides { follow, sides: Vec::new() },
                },
            ));
        }
    }

    /// Whether a message is to be delivered and passed on; if so it is seen from now on.
    fn is_new(&mut self, now: Duration, from: u32, post: &Post, counts: &mut Counts) -> bool {
        let Id { stream, seq } = post.id;
        let ours = stream == self.own;
        let brought = (from, post.age < streams::NEWS);
        let ignored = if u128::from(post.age) >= LIFETIME.as_millis() {
            &mut counts.stale
        } else if ours && seq <= self.last {
            &mut counts.duplicates
        } else if ours {
            &mut counts.forged
        } else if !self.streams.contains(&stream)
            && !self.streams.make_room(now, &self.own, brought, &self.links)
        {
            &mut counts.crowded
        } else {
            match self.streams.see(now, post.id, from) {
                Sighting::New => return true,
                Sighting::Seen => &mut counts.duplicates,
                Sighting::TooOld => &mut counts.stale,
                Sighting::Ahead => &mut counts.ahead,
            }
        };
        *ignored += 1;
        false
    }

    /// Sends a message along the tree and its name elsewhere.
    fn spread(
        &mut self,
        now: Duration,
        from: Option<u32>,
        post: Post,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let (id, tree) = (post.id, post.tree);
        let frame: Arc<[u8]> = Wire::Post(post.clone()).encode().into();
        self.recent.keep(now, post);
        let mut tell = false;
        // Where some ways are far longer than others, one more way into the tree may save much.
        let star = from.is_none() && tree.is_some() && self.is_wide();
        let at_once = |link: &u32| star || self.sends_at_once(tree, *link);
        let eager: Vec<u32> = self.links.keys().copied().filter(at_once).collect();
        for (&link, neighbour) in self.links.iter_mut().filter(|(link, _)| Some(**link) != from) {
            let eager = eager.contains(&link);
            if eager && neighbour.is_behind() {
                counts.deferred += u64::from(!neighbour.remember(id));
            } else if eager {
                out.push(Output::Transmit(link, What::News(id), frame.clone()));
            } else {
                neighbour.lazy.push(id);
                tell = true;
            }
        }
        if tell {
            self.tell(now, out);
        }
    }

    /// Tells names to those whose turn it is; for the others there is a time.
    fn tell(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.tell_at = None;
        for (&link, neighbour) in self.links.iter_mut() {
            if neighbour.lazy.is_empty() {
                continue;
            }
            let at = neighbour.told.map_or(now, |told| told + LAZY);
            if at > now {
                self.tell_at = Some(self.tell_at.map_or(at, |other| other.min(at)));
                continue;
            }
            neighbour.told = Some(now);
            for ids in std::mem::take(&mut neighbour.lazy).chunks(crate::limits::HAVE) {
                out.push(control(link, &Wire::Have(ids.to_vec())));
            }
        }
    }
}

/// A frame that is not a message.
fn control(link: u32, wire: &Wire) -> Output {
    Output::Transmit(link, What::Control, wire.encode().into())
}
