//! A neighbour that never answers, beside one that does: what it should have sent still comes.

use std::collections::BTreeMap;
use std::time::Duration;

use gossip::{Beacon, Core, Id, Input, Output, Post, Stream, Want, Wire, limits};

const SECOND: Duration = Duration::from_secs(1);
const ROUND_TRIP: Duration = Duration::from_millis(100);

const SILENT: u32 = 1;
const HONEST: u32 = 2;

fn id(seq: u64) -> Id {
    Id { stream: Stream { origin: 9, epoch: 1 }, seq }
}

/// A node with the two as neighbours, and what it has done.
struct Node {
    core: Core,
    now: Duration,
    /// How often each of the two was asked for a message.
    asked: [u32; 3],
    delivered: BTreeMap<Vec<u8>, Duration>,
    said: Vec<(u32, Wire)>,
    /// What the honest one sends, and when it arrives.
    answers: Vec<(Duration, Id)>,
}

impl Node {
    fn new() -> Self {
        let (said, answers) = (Vec::new(), Vec::new());
        let (core, delivered) = (Core::new(1, 1), BTreeMap::new());
        let mut node = Self { core, now: SECOND, asked: [0; 3], delivered, said, answers };
        for link in [SILENT, HONEST] {
            node.take(Input::Up(link, [link as u8; 32]));
            node.take(Input::Rtt(link, ROUND_TRIP));
            node.hear(link, &Wire::Hello { want: Want::Join, origin: link.into(), you: [0; 32] });
        }
        assert_eq!(node.core.neighbours(), [SILENT, HONEST]);
        node
    }

    fn hear(&mut self, link: u32, wire: &Wire) {
        self.take(Input::Data(link, wire.encode()));
    }

    fn take(&mut self, input: Input) {
        for output in self.core.handle(self.now, input) {
            match output {
                Output::Deliver(_, body) => {
                    assert_eq!(self.delivered.insert(body, self.now), None);
                }
                Output::Transmit(link, _, frame) => {
                    let wire = Wire::decode(&frame).unwrap();
                    if let Wire::Get(ids) = &wire {
                        self.asked[link as usize] += ids.len() as u32;
                        let at = self.now + ROUND_TRIP;
                        let ids = ids.iter().filter(|_| link == HONEST);
                        self.answers.extend(ids.map(|id| (at, *id)));
                    }
                    self.said.push((link, wire));
                }
                Output::Connect(_) | Output::Disconnect(_) => {}
            }
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(5);
            let now = self.now;
            let due = self.answers.extract_if(.., |(at, _)| *at <= now);
            for (_, id) in due.collect::<Vec<_>>() {
                let (topic, body) = ([7; 16], id.seq.to_le_bytes().to_vec());
                let post = Post { id, age: 50, hop: 2, tree: None, topic, body };
                self.hear(HONEST, &Wire::Post(post));
            }
            self.take(Input::Tick);
        }
    }
}

#[test]
fn what_a_silent_neighbour_names_first_comes_from_another_and_it_is_asked_no_more() {
    let mut node = Node::new();
    let mut least = 0;
    for batch in 0..20 {
        let ids: Vec<Id> = (1..=100).map(|number| id(100 * batch + number)).collect();
        node.hear(SILENT, &Wire::Have(ids.clone()));
        node.hear(HONEST, &Wire::Have(ids));
        node.run_for(SECOND * 3);
        assert_eq!(node.delivered.len() as u64, 100 * (batch + 1));
        if batch == 4 {
            least = node.asked[SILENT as usize];
        }
    }
    // Until it has left a limit unanswered; then two in a second, should it only have been slow.
    let asked = node.asked[SILENT as usize];
    assert!(least <= 4 * limits::ASKED as u32, "{least}");
    assert!(asked <= least + 2 * 45 + limits::ASKED as u32, "{asked} after {least}");
}

#[test]
fn what_a_silent_parent_does_not_send_comes_from_another_which_takes_its_place() {
    let mut node = Node::new();
    let beacon = |seq| Wire::Beacon(Beacon { term: 1, root: 0, seq, hops: 0 });
    node.hear(SILENT, &beacon(1));
    node.run_for(SECOND);
    node.hear(HONEST, &beacon(1));
    node.run_for(SECOND);
    assert!(node.said.contains(&(SILENT, Wire::Attach(true))));
    node.said.clear();
    for number in 1..=5 {
        let named = node.now;
        node.hear(HONEST, &Wire::Have(vec![id(number)]));
        node.run_for(SECOND * 3);
        let came = node.delivered.get(&number.to_le_bytes()[..]).unwrap();
        assert!(*came <= named + limits::AWAIT_MOST + ROUND_TRIP, "{number}");
    }
    assert!(node.said.contains(&(HONEST, Wire::Attach(true))));
    assert!(node.said.contains(&(SILENT, Wire::Attach(false))));
}
