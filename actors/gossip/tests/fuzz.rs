//! Damaged, invented and hostile bytes, for a bounded time: inputs of a corpus are changed at
//! random, and those that bring about something new are changed further.
//!
//! `FUZZ_SECONDS=600` goes on for longer, `SEED=` repeats a run (each prints its own), `KEEP=1`
//! writes what was found to the corpus. What fails is printed as a line for it.

#[path = "fuzz/driver.rs"]
mod driver;

use std::time::Duration;

use driver::{Found, fuzz};
use gossip::{
    Core, Gossip, Input, Message, Output, Rule, Unreadable, Want, What, Wire, kind, limits,
};
use guest_sdk::Bench;

/// A place in the set of all that inputs can bring about.
fn feature(of: &impl std::hash::Hash) -> u64 {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    BuildHasherDefault::<DefaultHasher>::default().hash_one(of)
}

/// How many, roughly.
fn about(count: u64) -> u32 {
    u64::BITS - count.leading_zeros()
}

#[test]
fn frames_are_read_or_refused_and_what_was_read_is_written_the_same() {
    fuzz("frame", &[], |frame| {
        let read = Wire::decode(frame);
        let outcome = match &read {
            Ok(wire) => {
                let again = wire.encode();
                assert_eq!(Wire::decode(&again).as_ref(), Ok(wire));
                (kind(frame), about(again.len() as u64))
            }
            Err(Unreadable::Version(_)) => ("version", 0),
            Err(Unreadable::Oversized) => ("oversized", 0),
            Err(Unreadable::Garbage) => (kind(frame), 99),
        };
        Found::new([feature(&outcome)])
    });
}

#[test]
fn a_state_is_taken_as_it_was_saved_or_not_at_all() {
    let mut core = Core::new(1, 2);
    talk(&mut core, &conversation(), &mut Found::default());
    let saved = serde_ipld_dagcbor::to_vec(&core).unwrap();
    fuzz("state", &[saved], |bytes| {
        let taken = serde_ipld_dagcbor::from_slice::<Core>(bytes);
        if let Ok(core) = &taken {
            let again = serde_ipld_dagcbor::to_vec(core).unwrap();
            assert!(serde_ipld_dagcbor::from_slice::<Core>(&again).is_ok());
        }
        Found::new([feature(&(taken.is_ok(), about(bytes.len() as u64)))])
    });
}

#[test]
fn a_letter_is_one_of_the_actors_messages_or_told_of_with_a_reason() {
    let rules = [Rule::Nearest, Rule::Physarum].map(Message::Choose);
    let all = [Message::Tick, Message::Status, Message::Neighbours].into_iter().chain(rules);
    let all: Vec<Vec<u8>> = all.map(|all| serde_ipld_dagcbor::to_vec(&all).unwrap()).collect();
    fuzz("letter", &all, |body| {
        let mut bench = Bench::protocol();
        let mut actor = bench.start::<Gossip>().unwrap();
        bench.letter(&mut actor, body).unwrap();
        // What is taken, the host's own library reads as well. (It is less strict, but for a
        // variant that holds nothing and says so, as other encoders write it.)
        let bare = body.strip_prefix(&[0xa1]).and_then(|name| name.strip_suffix(&[0xf6]));
        let read = |body| serde_ipld_dagcbor::from_slice::<Message>(body).ok();
        let read = read(body).or_else(|| bare.and_then(read));
        let why = bench.log().first().cloned();
        assert!(why.is_some() || read.is_some());
        // Up to what is the letter's own: the same reason elsewhere is nothing new.
        let why = why.map(|why| why.split_once(": ").unwrap().1.to_owned());
        let why = why.and_then(|why| {
            let own = |letter: char| letter.is_ascii_digit() || "`\"".contains(letter);
            why.split(own).next().map(str::to_owned)
        });
        Found::new([feature(&(read.map(|message| format!("{message:?}")), why))])
    });
}

#[test]
fn no_conversation_makes_a_node_panic_or_grow() {
    fuzz("conversation", &[conversation()], |script| {
        let mut found = Found::default();
        let mut core = Core::new(1, 2);
        talk(&mut core, script, &mut found);
        let state = serde_ipld_dagcbor::to_vec(&core).unwrap().len();
        assert!(state < 4 << 20, "{state} bytes of state");
        found
    });
}

/// A short and friendly one: a neighbour below, one above that is the root, and news of both.
fn conversation() -> Vec<u8> {
    let mut script = Vec::new();
    let mut step = |what: u8, link: u8, bytes: &[u8]| {
        script.extend([what, link]);
        script.extend((bytes.len() as u16).to_le_bytes());
        script.extend(bytes);
    };
    for link in [1, 2] {
        step(1, link, &[]);
        step(4, link, &[50]);
        let hello = Wire::Hello { want: Want::Join, origin: link.into(), you: [0; 32] };
        step(0, link, &hello.encode());
    }
    let beacon = gossip::Beacon { term: 9, root: 1, seq: 1, hops: 0 };
    step(0, 1, &Wire::Beacon(beacon).encode());
    step(0, 2, &Wire::Attach(true).encode());
    let stream = gossip::Stream { origin: 2, epoch: 5 };
    let id = |seq| gossip::Id { stream, seq };
    let post = |seq| gossip::Post {
        id: id(seq),
        age: 3,
        hop: 1,
        tree: None,
        topic: [7; 16],
        body: vec![8; 99],
    };
    step(0, 2, &Wire::Post(post(1)).encode());
    step(0, 1, &Wire::Post(post(1)).encode());
    step(0, 1, &Wire::Have(vec![id(2), id(3)]).encode());
    step(3, 0, &[200, 2]);
    step(0, 1, &Wire::Post(post(2)).encode());
    step(5, 0, &[60]);
    step(0, 2, &Wire::Get(vec![id(1), id(9)]).encode());
    step(0, 2, &Wire::Digest(Vec::new()).encode());
    step(6, 2, &[]);
    step(2, 1, &[0]);
    step(3, 0, &[250, 250]);
    script
}

/// Plays a script: steps of a kind, a link, a length and as many bytes.
fn talk(core: &mut Core, mut script: &[u8], found: &mut Found) {
    let (mut now, mut full) = (Duration::from_secs(1), false);
    while let Some(([what, link, low, high], rest)) = script.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        script = rest;
        let first = bytes.first().copied().unwrap_or(0);
        let (link, node) = (u32::from(*link % 80), [*link % 80; 32]);
        let input = match what % 9 {
            0 => Input::Data(link, bytes.to_vec()),
            1 => Input::Up(link, node),
            2 => Input::Down(link, node, first > 0),
            3 => {
                let second = bytes.get(1).copied().unwrap_or(0);
                now += Duration::from_millis(u64::from(first) << (second % 12));
                Input::Tick
            }
            4 => Input::Rtt(link, Duration::from_millis(first.into())),
            5 => Input::Published([7; 16], bytes.repeat(1 + usize::from(first))),
            6 => Input::Writable(link),
            7 => Input::Reachable(node),
            _ => {
                full = !full;
                continue;
            }
        };
        take(core, now, input, full, found);
    }
}

fn take(core: &mut Core, now: Duration, input: Input, full: bool, found: &mut Found) {
    let before = core.counts().clone();
    let outputs = core.handle(now, input);
    assert!(outputs.len() <= 4096, "{} outputs of one input", outputs.len());
    assert!(core.links() <= limits::LINKS && core.neighbours().len() <= limits::LINKS);
    let (count, bytes) = core.recent();
    assert!(count <= limits::RECENT && bytes <= limits::RECENT_BYTES);
    for output in outputs {
        let said = match &output {
            Output::Transmit(_, _, frame) => kind(frame),
            Output::Connect(_) => "connect",
            Output::Disconnect(_) => "disconnect",
            Output::Deliver(..) => "deliver",
        };
        found.add(feature(&said));
        if let Output::Transmit(link, what, frame) = output {
            assert!(frame.len() <= limits::FRAME_BYTES);
            if full {
                let refused = Input::Refused(link, what, frame);
                assert!(core.handle(now, refused).len() <= 64);
                found.add(feature(&("refused", matches!(what, What::Control))));
            }
        }
    }
    // What it counts, it was brought to do: each more than before, by its place in the words.
    let (before, after) = (format!("{before:?}"), format!("{:?}", core.counts()));
    for (old, new) in before.split(',').zip(after.split(',')).filter(|(old, new)| old != new) {
        let count = |text: &str| text.rsplit(' ').next()?.trim_end_matches(" }").parse().ok();
        let name = old.split(':').next();
        found.add(feature(&(name, about(count(new).unwrap_or(0)))));
    }
}
