//! How each kind of message lies in a frame.

use super::{Beacon, Entry, Held, Id, Post, Side, Stream, Want, Why, Wire};
use crate::codec::{Reader, Writer};
use crate::limits::{GAPS, HAVE, PEERS, SIDES, SIDES_TOLD, STREAMS};
use crate::saved::Saved;

const KINDS: [&str; 20] = [
    "hello",
    "welcome",
    "walk",
    "shuffle",
    "shuffled",
    "leave",
    "introduce",
    "shed",
    "nearer",
    "post",
    "have",
    "get",
    "digest",
    "more",
    "beacon",
    "attach",
    "depth",
    "root",
    "sides",
    "renew",
];

/// What a frame is, for people who count.
pub fn kind(frame: &[u8]) -> &'static str {
    let kind = frame.get(1).and_then(|kind| KINDS.get(usize::from(*kind)));
    kind.copied().unwrap_or("other")
}

pub fn write(wire: &Wire, to: &mut Writer) {
    match wire {
        Wire::Hello { want, origin, you } => {
            to.byte(0);
            want.save(to);
            to.fixed(*origin);
            to.bytes(you);
        }
        Wire::Welcome { accepted, origin, you, peers } => {
            to.byte(1);
            to.byte((*accepted).into());
            to.fixed(*origin);
            to.bytes(you);
            write_peers(peers, to);
        }
        Wire::Walk { node, left } => {
            to.byte(2);
            to.bytes(node);
            to.byte(*left);
        }
        Wire::Shuffle { token, left, peers } => {
            to.byte(3);
            to.fixed(*token);
            to.byte(*left);
            write_peers(peers, to);
        }
        Wire::Shuffled { token, peers } => {
            to.byte(4);
            to.fixed(*token);
            write_peers(peers, to);
        }
        Wire::Leave { why, instead } => {
            to.byte(5);
            to.byte(*why as u8);
            to.bytes(instead.as_ref().map_or(&[], |node| node));
        }
        Wire::Introduce { node } => {
            to.byte(6);
            to.bytes(node);
        }
        Wire::Shed => to.byte(7),
        Wire::Nearer { rtt_us, old } => {
            to.byte(8);
            to.number((*rtt_us).into());
            to.bytes(old);
        }
        other => write_broadcast(other, to),
    }
}

fn write_broadcast(wire: &Wire, to: &mut Writer) {
    match wire {
        Wire::Post(post) => {
            to.byte(9);
            write_id(&post.id, to);
            to.number(post.age.into());
            to.byte(post.hop);
            to.bytes(&post.topic);
            to.number(post.body.len() as u64);
            to.bytes(&post.body);
            // New in 2.1, so at the end.
            to.bytes(post.tree.as_slice());
        }
        Wire::Have(ids) => {
            to.byte(10);
            write_ids(ids, to);
        }
        Wire::Get(ids) => {
            to.byte(11);
            write_ids(ids, to);
        }
        Wire::Digest(held) => {
            to.byte(12);
            to.number(held.len() as u64);
            held.iter().for_each(|held| write_held(held, to));
        }
        Wire::More => to.byte(13),
        Wire::Beacon(beacon) => {
            to.byte(14);
            to.number(beacon.term.into());
            to.fixed(beacon.root);
            to.number(beacon.seq.into());
            to.byte(beacon.hops);
        }
        Wire::Attach(on) => {
            to.byte(15);
            to.byte((*on).into());
        }
        Wire::Depth { us, nodes } => {
            to.byte(16);
            to.number((*us).into());
            to.number((*nodes).into());
        }
        Wire::Root => to.byte(17),
        Wire::Sides { follow, sides } => {
            to.byte(18);
            to.number((*follow).into());
            to.number(sides.len() as u64);
            for Side { tree, seq, root, far, near } in sides {
                to.byte(*tree);
                to.number((*seq).into());
                to.fixed(*root);
                to.number((*far).into());
                to.number((*near).into());
            }
        }
        Wire::Renew { tree, seq } => {
            to.byte(19);
            to.byte(*tree);
            to.number((*seq).into());
        }
        // Said by the function above.
        _ => {}
    }
}

fn write_held(held: &Held, to: &mut Writer) {
    write_id(&Id { stream: held.stream, seq: held.top }, to);
    to.number(held.gaps.len() as u64);
    for (first, length) in &held.gaps {
        to.number((*first).into());
        to.number((*length).into());
    }
}

pub fn read(from: &mut Reader<'_>) -> Option<Wire> {
    Some(match from.byte()? {
        0 => Wire::Hello { want: Want::restore(from)?, origin: from.fixed()?, you: from.array()? },
        1 => Wire::Welcome {
            accepted: from.flag()?,
            origin: from.fixed()?,
            you: from.array()?,
            peers: read_peers(from)?,
        },
        2 => Wire::Walk { node: from.array()?, left: from.byte()? },
        3 => Wire::Shuffle { token: from.fixed()?, left: from.byte()?, peers: read_peers(from)? },
        4 => Wire::Shuffled { token: from.fixed()?, peers: read_peers(from)? },
        5 => {
            let why = [Why::Replaced, Why::Surplus, Why::Farther, Why::Full];
            Wire::Leave { why: *why.get(usize::from(from.byte()?))?, instead: from.array() }
        }
        6 => Wire::Introduce { node: from.array()? },
        7 => Wire::Shed,
        8 => Wire::Nearer { rtt_us: from.small()?, old: from.array()? },
        9 => {
            let (id, age, hop) = (read_id(from)?, from.small()?, from.byte()?);
            let (topic, length) = (from.array()?, from.small()?);
            let body = from.bytes(length)?.to_vec();
            let tree = from.byte().filter(|tree| usize::from(*tree) < SIDES);
            Wire::Post(Post { id, age, hop, tree, topic, body })
        }
        10 => Wire::Have(read_ids(from)?),
        11 => Wire::Get(read_ids(from)?),
        12 => {
            let mut held = Vec::new();
            for _ in 0..from.count(11)? {
                let Id { stream, seq: top } = read_id(from)?;
                let gaps = (0..from.count(2)?).map(|_| Some((from.small()?, from.small()?)));
                held.push(Held { stream, top, gaps: gaps.collect::<Option<_>>()? });
            }
            Wire::Digest(held)
        }
        13 => Wire::More,
        14 => Wire::Beacon(Beacon {
            term: from.small()?,
            root: from.fixed()?,
            seq: from.small()?,
            hops: from.byte()?,
        }),
        15 => Wire::Attach(from.flag()?),
        16 => Wire::Depth { us: from.small()?, nodes: from.small()? },
        17 => Wire::Root,
        18 => {
            let follow = from.small()?;
            Wire::Sides {
                follow,
                sides: (0..from.count(12)?).map(|_| read_side(from)).collect::<Option<_>>()?,
            }
        }
        19 => Wire::Renew { tree: from.byte()?, seq: from.small()? },
        _ => return None,
    })
}

/// `None`: a list is longer than anyone may send it.
pub fn within_limits(wire: Wire) -> Option<Wire> {
    let within = match &wire {
        Wire::Welcome { peers, .. }
        | Wire::Shuffle { peers, .. }
        | Wire::Shuffled { peers, .. } => peers.len() <= PEERS,
        Wire::Have(ids) | Wire::Get(ids) => ids.len() <= HAVE,
        Wire::Digest(held) => {
            let gaps: usize = held.iter().map(|held| held.gaps.len()).sum();
            held.len() <= STREAMS && gaps <= GAPS
        }
        Wire::Sides { sides, .. } => sides.len() <= SIDES_TOLD,
        _ => true,
    };
    within.then_some(wire)
}

impl Saved for Want {
    fn save(&self, to: &mut Writer) {
        let (number, node) = match self {
            Want::Join => (0, None),
            Want::High => (1, None),
            Want::Low => (2, None),
            Want::Again => (3, None),
            Want::Instead(node) => (4, Some(node)),
            Want::Offer => (5, None),
            Want::Probe => (6, None),
        };
        to.byte(number);
        to.bytes(node.map_or(&[], |node| node));
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        Some(match from.byte()? {
            0 => Want::Join,
            1 => Want::High,
            2 => Want::Low,
            3 => Want::Again,
            4 => Want::Instead(from.array()?),
            5 => Want::Offer,
            6 => Want::Probe,
            _ => return None,
        })
    }
}

fn write_peers(peers: &[Entry], to: &mut Writer) {
    to.number(peers.len() as u64);
    for Entry { node, age } in peers {
        to.bytes(node);
        to.byte(*age);
    }
}

fn read_peers(from: &mut Reader<'_>) -> Option<Vec<Entry>> {
    (0..from.count(33)?).map(|_| Some(Entry { node: from.array()?, age: from.byte()? })).collect()
}

fn write_id(id: &Id, to: &mut Writer) {
    to.fixed(id.stream.origin);
    to.number(id.stream.epoch);
    to.number(id.seq);
}

fn read_id(from: &mut Reader<'_>) -> Option<Id> {
    let stream = Stream { origin: from.fixed()?, epoch: from.number()? };
    Some(Id { stream, seq: from.number()? })
}

fn read_side(from: &mut Reader<'_>) -> Option<Side> {
    let (tree, seq, root) = (from.byte()?, from.small()?, from.fixed()?);
    Some(Side { tree, seq, root, far: from.small()?, near: from.small()? })
}

fn write_ids(ids: &[Id], to: &mut Writer) {
    to.number(ids.len() as u64);
    ids.iter().for_each(|id| write_id(id, to));
}

fn read_ids(from: &mut Reader<'_>) -> Option<Vec<Id>> {
    (0..from.count(10)?).map(|_| read_id(from)).collect()
}
