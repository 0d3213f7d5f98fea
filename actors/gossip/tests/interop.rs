//! A node of an earlier minor version, as it was recorded, and a node of this one.
//!
//! `RECORD=1` writes a new recording of what a node says now: to a new file, when the minor version
//! changes. Recordings are never changed.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use gossip::{Core, Input, Output};

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
        let digits = frame.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).unwrap());
        let bytes = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
        (Duration::from_millis(at.parse().unwrap()), bytes)
    };
    text.lines().map(line).collect()
}

fn write(recording: &Recording) -> String {
    let line = |(at, frame): &(Duration, Vec<u8>)| {
        let digits: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {digits}\n", at.as_millis())
    };
    recording.iter().map(line).collect()
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
