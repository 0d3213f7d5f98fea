//! A node of an earlier minor version, as it was recorded, and a node of this one.
//!
//! Three files tell of 2.1: `recorded-2.1.txt` what such a node says to another, `frames-2.1.txt`
//! a frame of each kind as it says them, and `read-by-2.1.txt` what it makes of this version's.
//!
//! `RECORD=1` writes all of them with `new` for the version, the last for the frames that are in
//! `frames-new.txt` before. So for the last one this test is run here, and then in a checkout of
//! the other version with the file `frames-new.txt` from here; for 2.1 it was the last commit
//! before there were 32 side trees. Recordings are never changed.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use gossip::{
    Beacon, Core, Entry, Held, Id, Input, Output, Post, Side, Stream, Want, Why, Wire, limits,
};

const TOPIC: [u8; 16] = [7; 16];
const LINK: u32 = 1;
/// From node to node, and when they first hear of each other.
const DELAY: Duration = Duration::from_millis(20);
const BEGIN: Duration = Duration::from_secs(1);
const END: Duration = Duration::from_secs(100);

/// One end of the link: time passes for it, and it says things.
struct End {
    core: Core,
    delivered: Vec<Vec<u8>>,
}

impl End {
    fn new(origin: u64) -> Self {
        Self { core: Core::new(origin, 40 + origin), delivered: Vec::new() }
    }

    /// What it says to an input; whether it asks for a link is another matter.
    fn hear(&mut self, now: Duration, input: Input) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        for output in self.core.handle(now, input) {
            match output {
                Output::Transmit(_, _, frame) => said.push(frame.to_vec()),
                Output::Deliver(_, body) => self.delivered.push(body),
                Output::Connect(_) | Output::Disconnect(_) => {}
            }
        }
        said
    }

    /// What it publishes, and when: the later ones are long.
    fn news(number: u64) -> (Duration, Vec<u8>) {
        let body = format!("news number {number}").repeat(1 + 20 * number as usize);
        (Duration::from_secs(2 + 9 * number), body.into_bytes())
    }
}

/// What one end says to the other, and when it arrives.
type Recording = Vec<(Duration, Vec<u8>)>;

fn record() -> Recording {
    let (mut old, mut other) = (End::new(1), End::new(2));
    other.hear(BEGIN, Input::Reachable([1; 32]));
    let (mut to_old, mut to_other) = (VecDeque::new(), VecDeque::new());
    old.hear(BEGIN, Input::Up(LINK, [2; 32]));
    let hello = other.hear(BEGIN, Input::Up(LINK, [1; 32]));
    to_old.extend(hello.into_iter().map(|frame| (BEGIN + DELAY, frame)));
    let mut recording = Recording::new();
    let mut now = BEGIN;
    while now < END {
        now += Duration::from_millis(10);
        let at = now + DELAY;
        let mut said = Vec::new();
        while let Some((_, frame)) = to_old.pop_front_if(|(at, _)| *at <= now) {
            said.extend(old.hear(now, Input::Data(LINK, frame)));
        }
        for number in (0..9).filter(|number| End::news(*number).0 == now) {
            said.extend(old.hear(now, Input::Published(TOPIC, End::news(number).1)));
        }
        said.extend(old.hear(now, Input::Tick));
        recording.extend(said.iter().map(|frame| (at, frame.clone())));
        to_other.extend(said.into_iter().map(|frame| (at, frame)));
        let mut said = Vec::new();
        while let Some((_, frame)) = to_other.pop_front_if(|(at, _)| *at <= now) {
            said.extend(other.hear(now, Input::Data(LINK, frame)));
        }
        said.extend(other.hear(now, Input::Tick));
        to_old.extend(said.into_iter().map(|frame| (at, frame)));
    }
    recording
}

/// A node of this version hears the recording from the other end of a link.
fn replay(recording: &Recording) -> End {
    let mut node = End::new(2);
    node.hear(BEGIN, Input::Reachable([1; 32]));
    node.hear(BEGIN, Input::Up(LINK, [1; 32]));
    for (at, frame) in recording {
        while node.core.wake() < *at {
            let wake = node.core.wake();
            node.hear(wake, Input::Tick);
        }
        node.hear(*at, Input::Data(LINK, frame.clone()));
    }
    node
}

fn folder() -> PathBuf {
    // Cargo runs tests in their package's folder.
    PathBuf::from("tests/corpus")
}

fn read(text: &str) -> Recording {
    let line = |line: &str| {
        let (at, frame) = line.split_once(' ').unwrap();
        (Duration::from_millis(at.parse().unwrap()), bytes(frame))
    };
    text.lines().map(line).collect()
}

fn write(recording: &Recording) -> String {
    let line = |(at, frame): &(Duration, Vec<u8>)| format!("{} {}\n", at.as_millis(), hex(frame));
    recording.iter().map(line).collect()
}

/// A frame of each kind, with as much in it as a node of this version says.
fn said() -> Vec<Vec<u8>> {
    let (node, stream) = ([4; 32], Stream { origin: u64::MAX, epoch: u32::MAX.into() });
    let id = |seq| Id { stream, seq };
    let peers = vec![Entry { node, age: u8::MAX }; limits::PEERS];
    let ids: Vec<Id> = (1..=limits::HAVE as u64).map(id).collect();
    let held = |number| Held {
        stream: Stream { origin: number, ..stream },
        top: 1 << number,
        gaps: vec![(0, 1); 9],
    };
    let wants = [Want::Join, Want::High, Want::Low, Want::Again, Want::Offer, Want::Probe];
    let wants = wants.into_iter().chain([Want::Instead(node)]);
    let mut all: Vec<Wire> =
        wants.map(|want| Wire::Hello { want, origin: u64::MAX, you: node }).collect();
    let whys = [Why::Replaced, Why::Surplus, Why::Farther, Why::Full];
    all.extend(whys.map(|why| Wire::Leave { why, instead: Some(node) }));
    let trees: Vec<u8> = (0..limits::SIDES as u8).collect();
    // Not more in one frame than 2.1 had in all.
    for trees in trees.chunks(16) {
        let side = |tree: &u8| Side { tree: *tree, seq: u32::MAX, root: 9, far: 8, near: 7 };
        let sides = trees.iter().map(side).collect();
        all.push(Wire::Sides { follow: u32::MAX, sides });
    }
    for tree in [0, 15, limits::SIDES as u8 - 1] {
        let (topic, body) = ([5; 16], vec![6; 300]);
        let post = Post { id: id(3), age: 12, hop: 2, tree: Some(tree), topic, body };
        all.extend([Wire::Renew { tree, seq: 9 }, Wire::Post(post.clone())]);
        all.push(Wire::Post(Post { tree: None, ..post }));
    }
    all.extend([
        Wire::Welcome { accepted: true, origin: 6, you: node, peers: peers.clone() },
        Wire::Walk { node, left: limits::WALK },
        Wire::Shuffle { token: 77, left: limits::WALK, peers: peers.clone() },
        Wire::Shuffled { token: 77, peers },
        Wire::Introduce { node },
        Wire::Shed,
        Wire::Nearer { rtt_us: u32::MAX, old: node },
        Wire::Have(ids.clone()),
        Wire::Get(ids),
        Wire::Digest((0..64).map(held).collect()),
        Wire::More,
        Wire::Beacon(Beacon { term: u32::MAX, root: 1, seq: u32::MAX, hops: u8::MAX }),
        Wire::Attach(true),
        Wire::Depth { us: u32::MAX, nodes: u32::MAX },
        Wire::Root,
    ]);
    all.iter().map(Wire::encode).collect()
}

/// What this code makes of a frame: it would say the same, or this, or it does not read it.
fn made_of(frame: &[u8]) -> String {
    match Wire::decode(frame).map(|wire| wire.encode()) {
        Ok(again) if again == frame => "same".into(),
        Ok(again) => hex(&again),
        Err(why) => format!("{why:?}"),
    }
}

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(digits: &str) -> Vec<u8> {
    let two = digits.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
    two.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
}

#[test]
fn this_minor_version_and_the_one_before_read_all_that_the_other_says() {
    let frames = folder().join("frames-new.txt");
    if std::env::var("RECORD").is_ok() {
        let own = || said().iter().map(|frame| hex(frame) + "\n").collect();
        let text: String = std::fs::read_to_string(&frames).unwrap_or_else(|_| own());
        let read = text.lines().map(|line| format!("{line} {}\n", made_of(&bytes(line))));
        std::fs::write(folder().join("read-by-new.txt"), read.collect::<String>()).unwrap();
        std::fs::write(frames, text).unwrap();
    }
    let text = std::fs::read_to_string(folder().join("frames-2.1.txt")).unwrap();
    let unread = text.lines().find(|line| made_of(&bytes(line)) != "same");
    assert_eq!(unread, None, "what it says is read here");
    let text = std::fs::read_to_string(folder().join("read-by-2.1.txt")).unwrap();
    let theirs: Vec<(&str, &str)> =
        text.lines().map(|line| line.split_once(' ').unwrap()).collect();
    for frame in said() {
        let read = theirs.iter().find(|(it, _)| *it == hex(&frame)).map(|(_, read)| *read);
        let wire = Wire::decode(&frame).unwrap();
        // It has 16 trees: a message along another goes along the main one there.
        let expected = match &wire {
            Wire::Post(post) if post.tree >= Some(16) => {
                hex(&Wire::Post(Post { tree: None, ..post.clone() }).encode())
            }
            _ => "same".to_owned(),
        };
        assert_eq!(read, Some(&expected[..]), "{wire:?}");
    }
}

#[test]
fn a_node_of_an_earlier_minor_version_is_understood() {
    if std::env::var("RECORD").is_ok() {
        std::fs::write(folder().join("recorded-new.txt"), write(&record())).unwrap();
    }
    let mut recordings = BTreeMap::new();
    for file in std::fs::read_dir(folder()).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("recorded-") {
            recordings.insert(name, read(&std::fs::read_to_string(file).unwrap()));
        }
    }
    assert!(recordings.contains_key("recorded-2.0.txt"), "{:?}", recordings.keys());
    for (name, recording) in recordings {
        let node = replay(&recording);
        let counts = node.core.counts();
        assert_eq!((counts.garbage, counts.other_version), (0, 0), "{name}: {counts:?}");
        assert_eq!(node.core.neighbours(), [LINK], "{name}");
        let news: Vec<Vec<u8>> = (0..9).map(|number| End::news(number).1).collect();
        assert_eq!(node.delivered, news, "{name}");
    }
}
