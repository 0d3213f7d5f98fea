//! Topics, and the links between protocols that carry them.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::event::{Cargo, Event, Parcel};
use crate::network::Pair;
use crate::simulation::{Actor, Simulation};
use crate::tally::Mark;
use crate::{ActorKey, Class, LinkEvent, Message, Reason, Thing, World};

/// A link between the same protocol on two nodes.
pub(crate) struct Link {
    /// Who connected, and the other.
    pub ends: [ActorKey; 2],
    /// Which of them would miss it.
    pub knows: [bool; 2],
}

impl Link {
    /// A node has forgotten everything. (The other end is told when it takes the connection for
    /// broken.)
    fn forget(&mut self, node: usize) {
        for (end, knows) in self.ends.iter().zip(&mut self.knows) {
            *knows &= end.node != node;
        }
    }

    fn other(&self, end: ActorKey) -> ActorKey {
        if self.ends[0] == end { self.ends[1] } else { self.ends[0] }
    }
}

/// What the name of a sensor begins with that is a topic.
pub(crate) const SENSED: &str = "topic:";

/// All links; found by number, and by either end.
#[derive(Default)]
pub(crate) struct Links {
    by_number: BTreeMap<u32, Link>,
    by_end: BTreeMap<(ActorKey, ActorKey), u32>,
    next: u32,
}

impl Links {
    /// The number of a new link between two ends; `None` if there is one.
    fn open(&mut self, from: ActorKey, to: ActorKey) -> Option<u32> {
        if self.by_end.contains_key(&(from, to)) {
            return None;
        }
        let number = self.number();
        self.by_number.insert(number, Link { ends: [from, to], knows: [true, false] });
        self.by_end.insert((from, to), number);
        self.by_end.insert((to, from), number);
        Some(number)
    }

    fn number(&mut self) -> u32 {
        self.next += 1;
        self.next - 1
    }

    pub fn remove(&mut self, number: u32) -> Option<Link> {
        let link = self.by_number.remove(&number)?;
        self.unlist(number, link.ends);
        Some(link)
    }

    /// One end is done with a link; the other does not know yet, but either may open another.
    fn close(&mut self, number: u32) {
        if let Some(ends) = self.by_number.get(&number).map(|link| link.ends) {
            self.unlist(number, ends);
        }
    }

    fn unlist(&mut self, number: u32, [a, b]: [ActorKey; 2]) {
        for ends in [(a, b), (b, a)] {
            if self.by_end.get(&ends) == Some(&number) {
                self.by_end.remove(&ends);
            }
        }
    }

    pub fn get(&self, number: u32) -> Option<&Link> {
        self.by_number.get(&number)
    }

    /// The numbers of all links of one actor.
    fn of(&self, key: ActorKey) -> Vec<u32> {
        let least = ActorKey::default();
        let most = ActorKey { node: usize::MAX, number: u64::MAX };
        self.by_end.range((key, least)..=(key, most)).map(|(_, number)| *number).collect()
    }

    /// The numbers of all links between two nodes.
    fn between(&self, a: usize, b: usize) -> Vec<u32> {
        let key = |node, number| ActorKey { node, number };
        let within = (key(a, 0), ActorKey::default())..=(key(a, u64::MAX), key(usize::MAX, 0));
        let of_a = self.by_end.range(within);
        of_a.filter(|((_, other), _)| other.node == b).map(|(_, number)| *number).collect()
    }

    /// A node has forgotten everything.
    pub fn forget(&mut self, node: usize) {
        let least = ActorKey { node, number: 0 };
        let most = ActorKey { node, number: u64::MAX };
        let end = ActorKey { node: usize::MAX, number: 0 };
        let numbers = self.by_end.range((least, ActorKey::default())..=(most, end));
        for number in numbers.map(|(_, number)| *number).collect::<Vec<_>>() {
            if let Some(link) = self.by_number.get_mut(&number) {
                link.forget(node);
            }
        }
    }

    /// The neighbours' nodes of a node.
    pub fn neighbours(&self, node: usize) -> impl Iterator<Item = usize> {
        let least = ActorKey { node, number: 0 };
        let most = ActorKey { node, number: u64::MAX };
        let end = ActorKey { node: usize::MAX, number: 0 };
        let links = self.by_end.range((least, ActorKey::default())..=(most, end));
        links
            .filter(|(_, number)| self.by_number.get(number).is_some_and(|l| l.knows == [true; 2]))
            .map(|((_, other), _)| other.node)
    }
}

/// Bytes that a link's queue of each class takes before it is full.
const ROOM: usize = 256 << 10;

impl Simulation {
    /// The protocols of a node.
    pub(crate) fn protocols(&self, node: usize) -> Vec<ActorKey> {
        let protocol = |(_, actor): &(&ActorKey, &Actor)| actor.role.world == World::Protocol;
        self.of(node).filter(protocol).map(|(key, _)| *key).collect()
    }

    /// A publication: other subscribers on the node have it at once; other nodes' by the node's
    /// protocols, or without any straight over the network.
    pub(crate) fn publish(&mut self, from: ActorKey, topic: &str, body: Vec<u8>) {
        let protocols = self.protocols(from.node);
        let bare = protocols.is_empty();
        let others = self.actors.iter().filter(|(key, _)| bare && key.node != from.node);
        let all = self.of(from.node).chain(others);
        let named = |name: &String| name == topic;
        let to = self.takers(from, all, |actor| actor.desk.open, named, &body);
        for (to, cargo) in to {
            for at in self.roads.datagram(from, to, self.now, &mut self.chance) {
                if !self.connected(from.node, to.node) {
                    break;
                }
                let parcel = Parcel { from, to, cargo: cargo.clone() };
                self.schedule(at, Event::Arrive { parcel, life: None });
            }
        }
        for protocol in protocols {
            let (topic, body) = (topic_id(topic).to_vec(), body.clone());
            self.local(protocol, Cargo::Link(LinkEvent::Published { topic, body }), 1);
        }
    }

    /// Gives a body to the node's subscribers of a topic.
    pub(crate) fn deliver(&mut self, from: ActorKey, topic: &[u8], body: Vec<u8>) {
        if let Some(tally) = &mut self.tally {
            tally.delivered(self.now, from.node, &body);
        }
        if self.of(from.node).nth(1).is_none() {
            return; // The protocol is alone on its node.
        }
        let named = |name: &String| topic_id(name).as_slice() == topic;
        for (to, cargo) in self.takers(from, self.of(from.node), |_| false, named, &body) {
            self.local(to, cargo, 1);
        }
    }

    /// Who of these takes a publication: as a letter those who subscribe, to this topic or to any,
    /// as a reading those who hold the topic as a sensor.
    fn takers<'a>(
        &self,
        from: ActorKey,
        of: impl Iterator<Item = (&'a ActorKey, &'a Actor)>,
        any: impl Fn(&Actor) -> bool,
        named: impl Fn(&String) -> bool,
        body: &[u8],
    ) -> Vec<(ActorKey, Cargo)> {
        let mut takers = Vec::new();
        for (key, actor) in of.filter(|(key, _)| **key != from) {
            if any(actor) || actor.desk.topics().any(&named) {
                takers.push((*key, Cargo::Publication { body: body.to_vec() }));
            }
            for topic in actor.desk.sensed_topics().filter(|topic| named(topic)) {
                let sensor = format!("{SENSED}{topic}");
                let read = (self.read)(body);
                takers.extend(read.map(|value| (*key, Cargo::Reading { sensor, value })));
            }
        }
        takers
    }

    pub(crate) fn connect(&mut self, from: ActorKey, id: &[u8]) {
        let Some(name) = self.actors.get(&from).map(|actor| &actor.role.name) else {
            return;
        };
        let there = self.of_id(id).filter(|node| *node != from.node);
        let Some(to) = there.and_then(|node| self.named(node, name)) else {
            return self.open_in_vain(from, id, there);
        };
        if let Some(link) = self.links.open(from, to) {
            self.travel(from, to, Cargo::Hello { link });
        }
    }

    /// Nobody there answers to the name. As between nodes: the other node takes the link, finds
    /// that nobody wants it, and closes it.
    fn open_in_vain(&mut self, from: ActorKey, id: &[u8], there: Option<usize>) {
        let (link, node) = (self.links.number(), id.to_vec());
        let wait = there.map_or(0, |there| self.roads.rtt(from.node, there));
        if there.is_some_and(|there| self.connected(from.node, there)) {
            self.local(from, Cargo::Link(LinkEvent::Up { link, node: node.clone() }), wait);
        }
        let down = LinkEvent::Down { link, node, reason: Reason::NoActor };
        self.local(from, Cargo::Link(down), wait + 1);
    }

    pub(crate) fn disconnect(&mut self, from: ActorKey, number: u32) {
        if let Some(to) = self.links.get(number).map(|link| link.other(from)) {
            self.links.close(number);
            self.travel(from, to, Cargo::Bye { link: number });
        }
    }

    pub(crate) fn transmit(&mut self, from: ActorKey, number: u32, class: Class, body: Vec<u8>) {
        if let Some(to) = self.links.get(number).map(|link| link.other(from)) {
            let mark = match &mut self.tally {
                Some(tally) => tally.sent(from.node, &body),
                None => Mark::default(),
            };
            self.travel(from, to, Cargo::Data { link: number, class, body, mark });
        }
    }

    /// What cargo of a link means at its other end.
    pub(crate) fn on_link(
        &mut self,
        from: ActorKey,
        to: ActorKey,
        cargo: Cargo,
    ) -> Option<Message> {
        let node = self.nodes[from.node].id.to_vec();
        let event = match cargo {
            Cargo::Hello { link } if self.links.get(link).is_some() => {
                self.travel(to, from, Cargo::Welcome { link });
                self.up(link, from, to)
            }
            Cargo::Welcome { link } if self.links.get(link).is_some() => self.up(link, from, to),
            Cargo::Data { link, class, body, mark } => {
                self.give_room(link, from, class, body.len());
                self.actors.get(&to)?.desk.links.get(&link)?;
                if let Some(tally) = &mut self.tally {
                    tally.received(to.node, mark);
                }
                LinkEvent::Data { link, body }
            }
            Cargo::Bye { link } => {
                self.links.remove(link)?;
                self.actors.get_mut(&to)?.desk.links.remove(&link);
                LinkEvent::Down { link, node, reason: Reason::Stopped }
            }
            _ => return None,
        };
        Some(Message::Link(event))
    }

    /// An incarnation ends, and its links with it.
    pub(crate) fn drop_links(&mut self, key: ActorKey) {
        for number in self.links.of(key) {
            self.disconnect(key, number);
        }
        if let Some(actor) = self.actors.get_mut(&key) {
            actor.desk.links.clear();
        }
    }

    /// A connection is broken, and the links over it with it.
    pub(crate) fn break_links(&mut self, broken: Pair) {
        for number in self.links.between(broken.0, broken.1) {
            self.break_link(number);
        }
    }

    /// Both ends that know of a link hear that it is broken.
    pub(crate) fn break_link(&mut self, number: u32) {
        let Some(link) = self.links.remove(number) else {
            return;
        };
        for (end, knows) in link.ends.into_iter().zip(link.knows) {
            let node = self.nodes[link.other(end).node].id.to_vec();
            let Some(actor) = self.actors.get_mut(&end).filter(|_| knows) else {
                continue;
            };
            let open = actor.desk.links.remove(&number).is_some();
            if let Some(tally) = self.tally.as_mut().filter(|_| open) {
                tally.link_broken();
            }
            if open || end == link.ends[0] {
                let down = LinkEvent::Down { link: number, node, reason: Reason::Unreachable };
                self.local(end, Cargo::Link(down), 0);
            }
        }
    }

    fn up(&mut self, link: u32, from: ActorKey, to: ActorKey) -> LinkEvent {
        let rtt = self.roads.rtt(from.node, to.node);
        if let Some(actor) = self.actors.get_mut(&to) {
            actor.desk.links.insert(link, ROOM);
        }
        if let Some(tally) = &mut self.tally {
            tally.link_up();
        }
        if let Some(link) = self.links.by_number.get_mut(&link) {
            link.knows = [true, true];
        }
        self.local(to, Cargo::Link(LinkEvent::Rtt { link, rtt }), 1);
        LinkEvent::Up { link, node: self.nodes[from.node].id.to_vec() }
    }

    /// Bytes have left a queue. A queue that was more than half full tells so when it no longer is.
    pub(crate) fn give_room(&mut self, link: u32, sender: ActorKey, class: Class, bytes: usize) {
        let Some(actor) = self.actors.get_mut(&sender) else {
            return;
        };
        let before = actor.desk.queued(link, class);
        let after = actor.desk.sent(link, class, bytes);
        let open = actor.desk.links.contains_key(&link);
        if open && before > ROOM / 2 && after <= ROOM / 2 {
            self.local(sender, Cargo::Link(LinkEvent::Writable(link)), 1);
        }
    }
}

/// As the host makes it: the first 16 bytes of sha2-256 of `topic:` and the name.
fn topic_id(name: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(b"topic:").chain_update(name).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

/// What the grants of this actor make it subscribe to.
impl crate::Desk {
    fn topics(&self) -> impl Iterator<Item = &String> {
        self.grants.values().filter_map(|thing| match thing {
            Thing::Topic(name) => Some(name),
            _ => None,
        })
    }

    /// The topics that its sensors are.
    fn sensed_topics(&self) -> impl Iterator<Item = String> {
        self.grants.values().filter_map(|thing| match thing {
            Thing::Sensor(name) => name.strip_prefix(SENSED).map(str::to_owned),
            _ => None,
        })
    }
}
