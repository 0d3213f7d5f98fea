//! Every format that the project writes, to the network or to a disk, and the test that reads it
//! back with serde_cbor: what one library writes and reads may be wrong twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use crdt::{Crdt, Message as CrdtMessage};
use edge_host::actor::{SetAside, Status};
use edge_host::config::grant::parse_grant;
use edge_host::config::{ActorConfig, Component, Restart, When};
use edge_host::journal::Line;
use edge_host::mailbox::Message;
use edge_host::node::admin::{Answer, AsideRow, BlobRow, List, PeerRow, PinRow, Request};
use edge_host::reason::Reason;
use edge_host::store::state::State;
use guest_sdk::Bench;
use probe::Step;
use sensor::{Published, Sampler};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::fixture::{Lab, guest};
use crate::tidy::sources;

/// Where DAG-CBOR is written, what, and the test that reads it back. Gossip's frames are none: they
/// are numbers and plain bytes, with tests and a recorded trace of their own.
const FORMATS: [(&str, &str, &str); 18] = [
    ("runtime/src/net/wire.rs", "frames", "an_independent_decoder_reads_every_frame"),
    ("runtime/src/address.rs", "an address as text", "an_independent_decoder_reads_an_address"),
    ("runtime/src/cli/remote.rs", "requests", "all_that_an_administrator_asks_is_read"),
    ("runtime/src/node/serve.rs", "answers", "all_that_a_node_answers_is_read"),
    ("runtime/src/node/deploy.rs", "a started actor", "what_a_node_leaves_on_its_disk_is_read"),
    ("runtime/src/actor/aside.rs", "a message set aside", "what_a_node_leaves_on_its_disk_is_read"),
    ("runtime/src/cli/json.rs", "JSON as a body", "what_a_node_leaves_on_its_disk_is_read"),
    ("guest-sdk/src/codec.rs", "a letter's body", "an_independent_decoder_reads_a_body"),
    ("guest-sdk/src/codec.rs", "a timer's body", "what_a_node_leaves_on_its_disk_is_read"),
    ("guest-sdk/src/codec.rs", "a durable value", "what_a_node_leaves_on_its_disk_is_read"),
    ("guest-sdk/src/codec.rs", "saved state", "an_independent_decoder_reads_saved_state"),
    ("guest-sdk/src/codec.rs", "a published reading", "what_actors_publish_is_read"),
    ("guest-sdk/src/codec.rs", "a document's changes", "what_actors_publish_is_read"),
    ("guest-sdk/src/codec.rs", "a document, saved", "a_saved_document_is_the_same"),
    (
        "guest-sdk/src/codec.rs",
        "answers",
        "an_independent_decoder_reads_what_a_node_and_its_actors_say",
    ),
    // It only measures what the node will answer.
    ("runtime/src/node/admin.rs", "rows of a list", "all_that_a_node_answers_is_read"),
    // These two only measure what the SDK will write.
    ("actors/crdt/src/fact.rs", "a value", "a_value_survives_its_bytes_in_both_decoders"),
    ("actors/crdt/src/actor.rs", "an answer", "a_value_survives_its_bytes_in_both_decoders"),
];

#[test]
fn whatever_writes_dag_cbor_is_in_the_table_with_a_test_that_reads_it_back() {
    let sources = sources();
    // The SDK's writer is compared with the library's, byte for byte, where it is.
    let ours = "use write::Writer;";
    let writes = |line: &str| line.contains("serde_ipld_dagcbor::to_") || line.contains(ours);
    let writers: BTreeSet<&str> = sources
        .iter()
        .filter(|source| !source.is_test() && source.product_code().any(|(_, line)| writes(line)))
        .map(|source| source.path.as_str())
        .collect();
    let listed: BTreeSet<&str> = FORMATS.iter().map(|(writer, ..)| *writer).collect();
    assert_eq!(writers, listed, "left: what writes, right: what is in the table");
    for (_, what, test) in FORMATS {
        let begins = format!("fn {test}(");
        let reads = |text: &str| {
            let body = text.split(&begins).nth(1).unwrap_or_default();
            // By itself, or by the helper of its file.
            text.contains(&begins) && (body.contains("serde_cbor") || text.contains("serde_cbor::"))
        };
        assert!(sources.iter().any(|source| reads(&source.text)), "{what}: {test}");
    }
}

/// Writes as the project does, and reads it with the other library.
fn check<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let bytes = serde_ipld_dagcbor::to_vec(value).unwrap();
    let read: T = serde_cbor::from_slice(&bytes).unwrap_or_else(|why| panic!("{value:?}: {why}"));
    assert_eq!(format!("{read:?}"), format!("{value:?}"));
}

/// Checks values of an enum, of which each variant must be there.
macro_rules! check_all {
    ($values:expr, $($variant:pat),+ $(,)?) => {{
        let values = $values;
        // A new variant does not compile until it is here, ...
        values.iter().for_each(|value| match value { $($variant => check(value)),+ });
        // ... and what is here has a value.
        $({
            let there = values.iter().any(|value| matches!(value, $variant));
            assert!(there, "no {}", stringify!($variant));
        })+
    }};
}

fn config() -> ActorConfig {
    let grant = |text: &str| parse_grant(text, std::path::Path::new("/")).unwrap();
    let grants = [
        ("room", "sensor:topic:air"),
        ("target", "topic:target"),
        ("hub", "actor:hub"),
        ("links", "links"),
        ("heater", "{ pin = \"gpio:GPIO17\", safe = \"low\", lease = \"30s\" }"),
        ("bus", "{ i2c = \"/dev/i2c-1\", at = 0x76 }"),
        ("kid", "{ spawn = \"/kid.wasm\", max = 2, grant = { t = \"topic:t\" } }"),
    ];
    ActorConfig {
        component: Component::Path("/a.wasm".into()),
        grants: grants.map(|(name, text)| (name.to_string(), grant(text))).into(),
        mailbox: Some(usize::from(u16::MAX)),
        memory: Some(1 << 33),
        turn: Some(Duration::from_micros(1_500_000)),
        storage: None,
        restart: Restart { when: When::Always, max: 3, within: Duration::from_secs(60) },
    }
}

#[test]
fn all_that_an_administrator_asks_is_read() {
    let name = || "it".to_string();
    let requests = [
        Request::Add,
        Request::Start { name: name(), config: Box::new(config()) },
        Request::Stop { name: name() },
        Request::Swap { name: name(), component: Component::Cid("bafk".into()) },
        Request::List(List::Actors),
        Request::Send { name: name(), body: vec![0, 255], deadline_ms: u64::MAX },
        Request::SendAgain { name: name(), number: 7 },
        Request::Log { name: name(), follow: true },
    ];
    check_all!(
        requests,
        Request::Add,
        Request::Start { .. },
        Request::Stop { .. },
        Request::Swap { .. },
        Request::List(_),
        Request::Send { .. },
        Request::SendAgain { .. },
        Request::Log { .. },
    );
    let lists = [List::Actors, List::Peers, List::Blobs, List::Pins, List::Aside];
    check_all!(lists, List::Actors, List::Peers, List::Blobs, List::Pins, List::Aside);
}

fn rows() -> [Answer; 5] {
    let text = || "text".to_string();
    let status = Status {
        name: text(),
        address: text(),
        component: text(),
        world: text(),
        state: text(),
        incarnations: 1,
        handled: u64::MAX,
        waiting: 3,
        missed: 4,
        busy_ms: 5,
        set_aside: 6,
        stored: 7,
        last_failure: Some(text()),
        reason: Some(Reason::OverBudget),
    };
    let peer = PeerRow {
        id: text(),
        at: Some(text()),
        state: text(),
        remote: None,
        rtt_us: Some(1),
        letters_in: 2,
        letters_out: 3,
        bytes_in: 4,
        bytes_out: 5,
        last_error: Some(text()),
    };
    let pin =
        PinRow { pin: text(), actor: text(), level: Some(text()), lease_ms: None, edges: 1 << 40 };
    let aside = AsideRow { actor: text(), number: 1, why: text(), at: 2, message: text() };
    [
        Answer::Actors(vec![status]),
        Answer::Peers(vec![peer]),
        Answer::Blobs(vec![BlobRow { cid: text(), bytes: 1 << 40 }]),
        Answer::Pins(vec![pin]),
        Answer::Aside(vec![aside]),
    ]
}

#[test]
fn all_that_a_node_answers_is_read() {
    let text = || "text".to_string();
    let others = [
        Answer::Added { cid: text(), bytes: 1 },
        Answer::Started { address: text(), cid: text(), origin: text() },
        Answer::Done,
        Answer::Swapped { cid: text(), origin: text() },
        Answer::Answered(vec![0, 255]),
        Answer::Unanswered(Reason::NoAnswer),
        Answer::Lines(vec![Line { number: 1, at: 2, text: text() }]),
        Answer::Failed(text()),
    ];
    let answers: Vec<Answer> = rows().into_iter().chain(others).collect();
    check_all!(
        answers,
        Answer::Added { .. },
        Answer::Started { .. },
        Answer::Done,
        Answer::Swapped { .. },
        Answer::Actors(_),
        Answer::Peers(_),
        Answer::Blobs(_),
        Answer::Pins(_),
        Answer::Aside(_),
        Answer::Answered(_),
        Answer::Unanswered(_),
        Answer::Lines(_),
        Answer::Failed(_),
    );
}

#[test]
fn what_a_node_leaves_on_its_disk_is_read() {
    let mut lab = Lab::new(
        "[limits]\nrestart-ms = 1\nmessage-crashes = 1\n\
         [actor.a]\ncomponent = \"$probe\"\nrestart = { max = 1000 }\n",
    );
    let cid = guest("probe").cid.as_str();
    let pin = "pin={ pin = \"bench:x\", safe = \"low\" }";
    let start = ["start", cid, "--as", "b", "--grant", "news=topic:news", "--grant", pin];
    lab.node.run(&start).unwrap();
    lab.say("a", json!([{"Note": "one"}, {"Note": "two"}, {"After": [1, ["Panic"]]}]));
    lab.becomes("a", |row| row.set_aside == 1);
    // By the command line, from JSON.
    let steps = json!([{"Say": "ä"}, {"After": [70_000, []]}, "Panic"]);
    assert!(lab.node.send("a", &steps).is_err());
    lab.becomes("a", |row| row.set_aside == 2);
    let id = lab.actor("a").address.parse::<edge_host::address::Address>().unwrap().id;
    assert!(lab.node.interrupt().unwrap().success());

    let state = State::open(&lab.folder.path().join("data")).unwrap();
    let started = state.records("started").unwrap();
    let [(name, record)] = &started[..] else { panic!("{started:?}") };
    let config: ActorConfig = serde_cbor::from_slice(record).unwrap();
    assert_eq!((name.as_slice(), config.component), (&b"b"[..], Component::Cid(cid.into())));
    let grants: BTreeMap<_, _> =
        config.grants.iter().map(|(name, grant)| (name.as_str(), grant.to_string())).collect();
    let expected = [("news", "topic:news"), ("pin", "{ pin = \"bench:x\", safe = \"low\" }")];
    assert_eq!(grants, expected.map(|(name, grant)| (name, grant.to_string())).into());

    let aside = state.records("set-aside").unwrap();
    let aside: Vec<SetAside> =
        aside.iter().map(|(_, record)| serde_cbor::from_slice(record).unwrap()).collect();
    let [timer, letter] = &aside[..] else { panic!("{aside:?}") };
    assert!(timer.why.contains("trap"), "{}", timer.why);
    let Message::Timer { body, .. } = &timer.message else { panic!("{timer:?}") };
    assert!(matches!(serde_cbor::from_slice::<Vec<Step>>(body).unwrap()[..], [Step::Panic]));
    let Message::Letter(letter) = &letter.message else { panic!("{letter:?}") };
    let read: serde_json::Value = serde_cbor::from_slice(&letter.body).unwrap();
    assert_eq!(read, steps);

    let noted = state.value(id, b"noted").unwrap().unwrap();
    assert_eq!(serde_cbor::from_slice::<Vec<String>>(&noted).unwrap(), ["one", "two"]);
}

#[test]
fn what_actors_publish_is_read() -> guest_sdk::Result {
    let mut air = Bench::new();
    air.sensor("source", 18.25);
    air.wall(Duration::from_secs(1_800_000_000));
    let mut sampler = air.start::<Sampler>()?;
    air.handle(&mut sampler, sensor::Message::Tick)?;
    let published = air.published::<Published>("out")?;
    assert_eq!(published.len(), 1);
    published.iter().for_each(check);

    let mut desk = Bench::new();
    let mut document = desk.start::<Crdt>()?;
    let item = || crdt::Value::List(vec![1.into(), 2.5.into(), "three".into(), true.into()]);
    let add = CrdtMessage::Add { key: "rooms".into(), item: item() };
    let remove = CrdtMessage::Remove { key: "rooms".into(), item: item() };
    for change in [add, CrdtMessage::Increment { key: "n".into(), by: -1 }, remove] {
        desk.handle(&mut document, change)?;
    }
    desk.handle(&mut document, CrdtMessage::Tell)?;
    let published = desk.published::<CrdtMessage>("replicas")?;
    assert!(published.iter().any(|said| matches!(said, CrdtMessage::Delta(_))), "{published:?}");
    assert!(published.iter().any(|said| matches!(said, CrdtMessage::Digest(_))), "{published:?}");
    published.iter().for_each(check);
    Ok(())
}
