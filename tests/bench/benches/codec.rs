//! guest-sdk's DAG-CBOR against the library that the host uses.
//!
//! The SDK's codec is its own affair, so it is reached by what is public of it: what a letter that
//! left says (read), a turn (a letter read, the actor's lines, another written), and an actor saved
//! and restored (written and read). All natively, not as a component.

use std::collections::BTreeMap;

use divan::{Bencher, black_box};
use guest_sdk::{Actor, Address, Bench, Context, Result, Sent};
use player::{Message, Payload, Player};
use serde::{Deserialize, Serialize};

fn main() {
    divan::main();
}

/// A larger message: readings of a day, some 3 kB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Report {
    place: String,
    readings: Vec<Taken>,
    labels: BTreeMap<String, String>,
    open: Option<bool>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Taken {
    at: u64,
    celsius: f64,
    sensor: String,
}

fn report() -> Report {
    let taken = |hour: u16| Taken {
        at: 1_700_000_000_000 + 3_600_000 * u64::from(hour),
        celsius: 18.5 + f64::from(hour) / 7.0,
        sensor: format!("room-{}", hour % 3),
    };
    let label = |number| (format!("label-{number}"), String::from("what it is about"));
    Report {
        place: "attic".into(),
        readings: (0..48).map(taken).collect(),
        labels: (0..8).map(label).collect(),
        open: Some(true),
    }
}

fn token() -> Message {
    Message::Token(1 << 20, Payload::new([7; 64]))
}

/// Passes reports on, and keeps the last one.
#[derive(Serialize, Deserialize)]
struct Relay {
    next: Address,
    last: Option<Report>,
}

impl Actor for Relay {
    type Message = Report;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        Ok(Self { next: cx.address("next")?, last: None })
    }

    fn handle(&mut self, report: Report, cx: &mut Context<Self>) -> Result {
        cx.send(self.next, &report, 0);
        self.last = Some(report);
        Ok(())
    }
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value).expect("it can be written")
}

/// What an actor sends that is given these bytes.
fn sent<A: Actor>(body: &[u8]) -> Sent {
    let mut bench = Bench::new();
    bench.address("next");
    let mut actor = bench.start::<A>().expect("it starts");
    bench.letter(&mut actor, body).expect("a turn");
    bench.sent().remove(0)
}

mod read_token {
    use super::*;

    #[divan::bench]
    fn guest_sdk(bencher: Bencher) {
        let sent = sent::<Player>(&bytes(&token()));
        bencher.bench_local(|| black_box(&sent).decode::<Message>());
    }

    #[divan::bench]
    fn library(bencher: Bencher) {
        let body = super::bytes(&token());
        bencher.bench_local(|| serde_ipld_dagcbor::from_slice::<Message>(black_box(&body)));
    }
}

mod read_report {
    use super::*;

    #[divan::bench]
    fn guest_sdk(bencher: Bencher) {
        let sent = sent::<Relay>(&bytes(&report()));
        assert_eq!(sent.decode::<Report>().expect("a report"), report());
        bencher.bench_local(|| black_box(&sent).decode::<Report>());
    }

    #[divan::bench]
    fn library(bencher: Bencher) {
        let body = super::bytes(&report());
        bencher.bench_local(|| serde_ipld_dagcbor::from_slice::<Report>(black_box(&body)));
    }
}

/// A whole turn on the unit tests' bench, whose bookkeeping is in it; the library's side reads and
/// writes, and that is all.
mod token_in_a_turn {
    use super::*;

    #[divan::bench]
    fn guest_sdk(bencher: Bencher) {
        let mut bench = Bench::new();
        bench.address("next");
        let mut player = bench.start::<Player>().expect("it starts");
        let body = super::bytes(&token());
        bencher.bench_local(|| {
            bench.letter(&mut player, black_box(&body)).expect("a turn");
            bench.sent()
        });
    }

    #[divan::bench]
    fn library(bencher: Bencher) {
        let body = super::bytes(&token());
        bencher.bench_local(|| {
            let read: Message = serde_ipld_dagcbor::from_slice(black_box(&body)).expect("a token");
            super::bytes(&read)
        });
    }
}

/// An actor that holds a report, saved and restored, as parking does.
mod save_and_restore_report {
    use super::*;

    #[divan::bench]
    fn guest_sdk(bencher: Bencher) {
        let mut bench = Bench::new();
        bench.address("next");
        let mut relay = bench.start::<Relay>().expect("it starts");
        bench.letter(&mut relay, &super::bytes(&report())).expect("a turn");
        let mut kept = Some(relay);
        bencher.bench_local(|| {
            let relay = kept.take().expect("one actor");
            kept = Some(bench.reload(relay).expect("the same again"));
        });
    }

    #[divan::bench]
    fn library(bencher: Bencher) {
        let report = report();
        bencher.bench_local(|| {
            let body = super::bytes(black_box(&report));
            serde_ipld_dagcbor::from_slice::<Report>(&body)
        });
    }
}
