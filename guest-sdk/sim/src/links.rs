//! Topics, and the links between protocols that carry them.

use sha2::{Digest, Sha256};

use crate::event::{Cargo, Event, Parcel};
use crate::network::{Pair, nanoseconds, pair};
use crate::simulation::{Actor, Simulation};
use crate::{ActorKey, LinkEvent, Message, Reason, Thing, World};

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
    pub fn forget(&mut self, node: usize) {
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
/// Bytes that a link's queue takes before it is full.
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
        let Some(name) = self.actors.get(&from).map(|actor| actor.role.name.clone()) else {
            return;
        };
        let node = self.nodes.iter().position(|node| node.id == id);
        let to = node.and_then(|node| self.named(node, &name)).filter(|to| *to != from);
        let link = self.next_link;
        let Some(to) = to else {
            self.next_link += 1;
            let down = LinkEvent::Down { link, node: id.to_vec(), reason: Reason::NoActor };
            return self.local(from, Cargo::Link(down), 1);
        };
        let ends = [from, to];
        if self.links.values().any(|link| link.ends == ends || link.ends == [to, from]) {
            return;
        }
        self.next_link += 1;
        self.links.insert(link, Link { ends, knows: [true, false] });
        self.travel(from, to, Cargo::Hello { link });
    }

    pub(crate) fn disconnect(&mut self, from: ActorKey, number: u32) {
        if let Some(link) = self.links.remove(&number) {
            self.travel(from, link.other(from), Cargo::Bye { link: number });
        }
    }

    pub(crate) fn transmit(&mut self, from: ActorKey, number: u32, body: Vec<u8>) {
        if let Some(to) = self.links.get(&number).map(|link| link.other(from)) {
            self.travel(from, to, Cargo::Data { link: number, body });
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
            Cargo::Hello { link } if self.links.contains_key(&link) => {
                self.travel(to, from, Cargo::Welcome { link });
                self.up(link, from, to)
            }
            Cargo::Welcome { link } if self.links.contains_key(&link) => self.up(link, from, to),
            Cargo::Data { link, body } => {
                self.give_room(link, from, body.len());
                self.actors.get(&to)?.desk.links.get(&link)?;
                LinkEvent::Data { link, body }
            }
            Cargo::Bye { link } => {
                self.actors.get_mut(&to)?.desk.links.remove(&link)?;
                LinkEvent::Down { link, node, reason: Reason::Stopped }
            }
            _ => return None,
        };
        Some(Message::Link(event))
    }

    /// An incarnation ends, and its links with it.
    pub(crate) fn drop_links(&mut self, key: ActorKey) {
        let own = self.links.iter().filter(|(_, link)| link.ends.contains(&key));
        for number in own.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.disconnect(key, number);
        }
        if let Some(actor) = self.actors.get_mut(&key) {
            actor.desk.links.clear();
        }
    }

    /// A connection is broken, and the links over it with it.
    pub(crate) fn break_links(&mut self, broken: Pair) {
        let over = |link: &Link| pair(link.ends[0].node, link.ends[1].node) == broken;
        let numbers: Vec<_> =
            self.links.iter().filter(|(_, link)| over(link)).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(link) = self.links.remove(&number) else {
                continue;
            };
            for (end, knows) in link.ends.into_iter().zip(link.knows) {
                let node = self.nodes[link.other(end).node].id.to_vec();
                let Some(actor) = self.actors.get_mut(&end).filter(|_| knows) else {
                    continue;
                };
                actor.desk.links.remove(&number);
                let down = LinkEvent::Down { link: number, node, reason: Reason::Unreachable };
                self.local(end, Cargo::Link(down), 0);
            }
        }
    }

    fn up(&mut self, link: u32, from: ActorKey, to: ActorKey) -> LinkEvent {
        let delay = self.roads.of(pair(from.node, to.node)).delay;
        let rtt = nanoseconds(delay.0).saturating_add(nanoseconds(delay.1));
        if let Some(actor) = self.actors.get_mut(&to) {
            actor.desk.links.insert(link, ROOM);
        }
        if let Some(link) = self.links.get_mut(&link) {
            link.knows = [true, true];
        }
        self.local(to, Cargo::Link(LinkEvent::Rtt { link, rtt }), 1);
        LinkEvent::Up { link, node: self.nodes[from.node].id.to_vec() }
    }

    /// Bytes have left a queue. A queue that was more than half full tells so when it no longer is.
    fn give_room(&mut self, link: u32, sender: ActorKey, bytes: usize) {
        let Some(actor) = self.actors.get_mut(&sender) else {
            return;
        };
        let Some(room) = actor.desk.links.get_mut(&link) else {
            return;
        };
        let before = *room;
        *room = (*room + bytes).min(ROOM);
        if before < ROOM / 2 && *room >= ROOM / 2 {
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
