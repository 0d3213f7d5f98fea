//! Frames: whole, damaged, too long, of another version, and as they were recorded.

use proptest::prelude::*;

use super::*;
use crate::limits::FRAME_BYTES;

fn stream() -> Stream {
    Stream { origin: 7, epoch: 9 }
}

fn post() -> Wire {
    let id = Id { stream: stream(), seq: 3 };
    Wire::Post(Post { id, age: 12, hop: 2, tree: None, topic: [5; 16], body: b"21.5".to_vec() })
}

/// One of each kind, and some more.
fn all() -> Vec<Wire> {
    let side = Side { tree: 3, seq: 7, root: 1, far: 12_345, near: 999 };
    let id = Id { stream: stream(), seq: 4 };
    let (tree, body) = (Some(3), b"3".to_vec());
    let mut all = first();
    all.extend([
        Wire::Sides { follow: 5, sides: vec![side, Side { far: Side::GONE, ..side }] },
        Wire::Renew { tree: 3, seq: 7 },
        Wire::Post(Post { id, age: 1, hop: 1, tree, topic: [5; 16], body }),
    ]);
    all
}

/// Those of version 2.0.
fn first() -> Vec<Wire> {
    let node = [4; 32];
    let ids = vec![Id { stream: stream(), seq: 3 }, Id { stream: stream(), seq: 300 }];
    let peers = vec![Entry { node, age: 1 }, Entry { node: [8; 32], age: 0 }];
    let wants = [
        Want::Join,
        Want::High,
        Want::Low,
        Want::Again,
        Want::Instead(node),
        Want::Offer,
        Want::Probe,
    ];
    let mut all: Vec<Wire> =
        wants.into_iter().map(|want| Wire::Hello { want, origin: 5, you: node }).collect();
    for why in [Why::Replaced, Why::Surplus, Why::Farther, Why::Full] {
        all.push(Wire::Leave { why, instead: None });
        all.push(Wire::Leave { why, instead: Some(node) });
    }
    let beacon = Beacon { term: 4, root: 1, seq: 200, hops: 3 };
    all.extend([
        Wire::Welcome { accepted: true, origin: 6, you: node, peers: peers.clone() },
        Wire::Walk { node, left: 6 },
        Wire::Shuffle { token: 77, left: 3, peers: peers.clone() },
        Wire::Shuffled { token: 77, peers },
        Wire::Introduce { node },
        Wire::Shed,
        Wire::Nearer { rtt_us: 12_345, old: node },
        post(),
        Wire::Have(ids.clone()),
        Wire::Get(ids),
        Wire::Digest(vec![Held { stream: stream(), top: 9, gaps: vec![(1, 1), (4, 2)] }]),
        Wire::More,
        Wire::Beacon(beacon),
        Wire::Attach(true),
        Wire::Depth { us: 123_456, nodes: 500 },
        Wire::Root,
    ]);
    all
}

#[test]
fn every_message_survives_its_frame() {
    for wire in all() {
        assert_eq!(Wire::decode(&wire.encode()), Ok(wire));
    }
}

#[test]
fn a_later_minor_version_may_say_more() {
    // But for the one whose end is the frame's.
    let open = |wire: &Wire| matches!(wire, Wire::Leave { instead: None, .. });
    for wire in all().into_iter().filter(|wire| !open(wire)) {
        let mut frame = wire.encode();
        frame.extend(b"something new");
        assert_eq!(Wire::decode(&frame), Ok(wire));
    }
}

/// What version 2 sent on the day it was first written, in hexadecimal digits. These never change:
/// whoever changes a frame's form makes another version.
#[test]
fn recorded_frames_are_read_as_what_they_were() {
    let recorded = include_str!("recorded.txt");
    let frames: Vec<Vec<u8>> = recorded.lines().map(bytes).collect();
    let read: Vec<Wire> = frames.iter().map(|frame| Wire::decode(frame).unwrap()).collect();
    assert_eq!(read, first());
    let written: Vec<Vec<u8>> = first().iter().map(Wire::encode).collect();
    assert_eq!(written, frames);
}

#[test]
fn each_earlier_minor_version_is_recorded() {
    let folder = std::path::Path::new("tests/corpus");
    for minor in 0..MINOR {
        let file = folder.join(format!("recorded-{VERSION}.{minor}.txt"));
        assert!(file.is_file(), "{} tells what such a node says", file.display());
    }
    let file = folder.join(format!("read-by-{VERSION}.{}.txt", MINOR - 1));
    assert!(file.is_file(), "{} tells what such a node reads", file.display());
}

fn bytes(line: &str) -> Vec<u8> {
    let digits = line.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

#[test]
fn another_version_is_told_from_garbage() {
    assert_eq!(Wire::decode(b"\x03what is this"), Err(Unreadable::Version(3)));
    assert_eq!(Wire::decode(b""), Err(Unreadable::Garbage));
    assert_eq!(Wire::decode(b"\x02\xff"), Err(Unreadable::Garbage));
    assert_eq!(Wire::decode(&vec![2; FRAME_BYTES + 1]), Err(Unreadable::Oversized));
}

#[test]
fn a_list_longer_than_its_limit_is_refused() {
    let ids = vec![Id { stream: stream(), seq: 1 }; crate::limits::HAVE + 1];
    assert_eq!(Wire::decode(&Wire::Have(ids).encode()), Err(Unreadable::Oversized));
    let peers = vec![Entry { node: [0; 32], age: 0 }; crate::limits::PEERS + 1];
    let shuffled = Wire::Shuffled { token: 1, peers };
    assert_eq!(Wire::decode(&shuffled.encode()), Err(Unreadable::Oversized));
    // A count of more than can follow asks for no memory.
    assert_eq!(Wire::decode(b"\x02\x0a\xff\xff\xff\xff\x0f"), Err(Unreadable::Garbage));
}

#[test]
fn the_largest_body_fits_a_frame() {
    let Wire::Post(post) = post() else { unreachable!() };
    let largest = Wire::Post(Post { body: vec![1; BODY_BYTES], ..post });
    assert!(largest.encode().len() <= FRAME_BYTES);
    assert_eq!(Wire::decode(&largest.encode()), Ok(largest));
}

#[test]
fn a_digest_names_exactly_what_is_lacked() {
    let held = Held { stream: stream(), top: 9, gaps: vec![(1, 1), (4, 2)] };
    let lacked: Vec<u64> = (1..12).filter(|&seq| held.lacks(seq)).collect();
    assert_eq!(lacked, [4, 5, 8, 10, 11]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Wire::decode(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        let _ = Wire::decode(&bytes);
    }

    #[test]
    fn a_damaged_frame_is_read_or_refused(at in 0usize..40, bit in 0u8..8, cut in 0usize..60) {
        for wire in all() {
            let mut frame = wire.encode();
            frame.truncate(cut.max(1));
            let at = at % frame.len();
            frame[at] ^= 1 << bit;
            let _ = Wire::decode(&frame);
        }
    }
}
