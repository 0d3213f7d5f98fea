//! Documents: what their operations and merges promise.

use proptest::prelude::*;

use super::*;
use crate::Exchange;
use crate::history::{REPLICAS, Step, check, steps};
use crate::limits::{KEY_BYTES, VALUE_BYTES};

#[derive(Clone, Debug)]
enum Change {
    Set(u8, i64),
    Add(u8, i64),
    Remove(u8, i64),
    Increment(u8, i64),
    Clear(u8),
}

fn change() -> impl Strategy<Value = Change> {
    (0..9u8, 0..3u8, 0..4i64).prop_map(|(kind, key, value)| match kind {
        0..3 => Change::Set(key, value),
        3 | 4 => Change::Add(key, value),
        5 => Change::Remove(key, value),
        6 | 7 => Change::Increment(key, value - 1),
        _ => Change::Clear(key),
    })
}

fn delta(document: &Document, replica: Replica, change: &Change) -> Delta {
    let name = |key: &u8| format!("key {key}");
    match change {
        Change::Set(key, value) => {
            let stamp = Stamp::new((*value).unsigned_abs(), replica);
            document.set(replica, &name(key), Value::Int(*value), stamp).unwrap()
        }
        Change::Add(key, item) => document.add(replica, &name(key), Value::Int(*item)).unwrap(),
        Change::Remove(key, item) => document.remove(&name(key), &Value::Int(*item)),
        Change::Increment(key, by) => document.increment(replica, &name(key), *by).unwrap(),
        Change::Clear(key) => document.clear(&name(key)),
    }
}

/// A document that has only seen one delta.
fn told(delta: Delta) -> Document {
    let mut document = Document::default();
    document.take(delta);
    document
}

/// Publishes on a topic that loses some letters; `chance` says which.
fn publish(
    documents: &mut [Document],
    exchanges: &mut [Exchange],
    from: usize,
    delta: &Delta,
    lost: impl Fn(usize) -> bool,
) {
    for at in 0..documents.len() {
        if at == from || !lost(at) {
            exchanges[at].heard_delta(&documents[at], delta);
        }
        if at != from && !lost(at) {
            documents[at].take(delta.clone());
        }
    }
}

proptest! {
    #[test]
    fn a_document_keeps_the_laws(history in steps(change())) {
        check(&history, |document: &mut Document, replica, change| {
            let delta = delta(document, replica, change);
            document.take(delta.clone());
            Some(told(delta))
        });
    }

    #[test]
    fn documents_converge_though_letters_are_lost(
        history in steps(change()),
        losses in proptest::collection::vec(any::<u8>(), 40),
    ) {
        let mut documents = vec![Document::default(); REPLICAS];
        let mut exchanges = vec![Exchange::default(); REPLICAS];
        for (turn, step) in history.iter().enumerate() {
            let Step::Change(from, change) = step else { continue };
            let delta = delta(&documents[*from], *from as Replica, change);
            documents[*from].take(delta.clone());
            let lost = |at: usize| losses[turn % 40] >> at & 1 == 1;
            publish(&mut documents, &mut exchanges, *from, &delta, lost);
        }
        for round in 0..REPLICAS + 3 {
            for from in 0..REPLICAS {
                let digest = documents[from].digest();
                for at in (0..REPLICAS).filter(|at| *at != from) {
                    exchanges[at].heard_digest(&documents[at], &digest);
                }
                for at in 0..REPLICAS {
                    let at = (at + round) % REPLICAS;
                    for delta in exchanges[at].answer(&documents[at]).deltas {
                        publish(&mut documents, &mut exchanges, at, &delta, |_| false);
                    }
                }
            }
        }
        for document in &documents {
            prop_assert_eq!(document, &documents[0]);
            let digest = document.digest();
            prop_assert!(!Exchange::default().heard_digest(&documents[0], &digest), "silence");
        }
    }

    #[test]
    fn a_saved_document_is_the_same(history in steps(change())) {
        let mut document = Document::default();
        for change in history.iter().filter_map(Step::change) {
            document.take(delta(&document, 1, change));
        }
        let bytes = serde_ipld_dagcbor::to_vec(&document).unwrap();
        let restored: Document = serde_ipld_dagcbor::from_slice(&bytes).unwrap();
        prop_assert_eq!(restored.size(), document.size());
        prop_assert_eq!(&restored, &document);
        for key in document.keys_after("") {
            prop_assert_eq!(restored.entry(key), document.entry(key));
        }
        let independent: Document = serde_cbor::from_slice(&bytes).unwrap();
        prop_assert_eq!(independent, document);
    }
}

#[test]
fn a_later_write_wins_whatever_the_clocks_say() {
    let mut document = Document::default();
    document.take(document.set(1, "target", 21.into(), Stamp::new(9_000, 1)).unwrap());
    document.take(document.set(2, "target", 22.into(), Stamp::new(5, 2)).unwrap());
    assert_eq!(document.entry("target").unwrap().value, Some(22.into()));
    assert_eq!(document.size().0, 1, "what was written over is gone");
}

#[test]
fn of_concurrent_writes_the_later_stamp_wins() {
    let mut document = Document::default();
    let late = document.set(1, "target", 21.into(), Stamp::new(9, 1)).unwrap();
    let early = document.set(2, "target", 22.into(), Stamp::new(5, 2)).unwrap();
    document.take(early);
    document.take(late);
    assert_eq!(document.entry("target").unwrap().value, Some(21.into()));
}

#[test]
fn half_a_count_is_not_counted_twice() {
    let mut here = Document::default();
    let one = here.increment(1, "steps", 1).unwrap();
    here.take(one.clone());
    let two = here.increment(1, "steps", 1).unwrap();
    let mut there = told(one);
    there.take(Delta { gone: Dots::default(), ..two }); // What is gone was lost on the way.
    assert_eq!(there.entry("steps").unwrap().count, Some(2));
}

#[test]
fn a_value_a_set_and_a_counter_share_a_key() {
    let mut document = Document::default();
    document.take(document.set(1, "a", "on".into(), Stamp::new(1, 1)).unwrap());
    document.take(document.add(1, "a", true.into()).unwrap());
    document.take(document.increment(1, "a", -2).unwrap());
    let entry = document.entry("a").unwrap();
    assert_eq!(
        (entry.value, entry.items, entry.count),
        (Some("on".into()), vec![true.into()], Some(-2))
    );
    document.take(document.clear("a"));
    assert_eq!((document.entry("a"), document.size()), (None, (0, 0)));
    assert_eq!(document.seen().runs(), 1, "nothing is left but that it was seen");
}

#[test]
fn a_removal_that_was_lost_is_told_again() {
    let mut here = Document::default();
    here.take(here.add(1, "lamps", "hall".into()).unwrap());
    let mut there = here.clone();
    here.take(here.remove("lamps", &"hall".into()));
    let (mut exchange, theirs) = (Exchange::default(), there.digest());
    assert!(exchange.heard_digest(&here, &theirs));
    for delta in exchange.answer(&here).deltas {
        there.take(delta);
    }
    assert_eq!(there, here);
}

#[test]
fn a_large_document_is_told_in_letters() {
    let mut here = Document::default();
    for number in 0..300 {
        let text = Value::Text("x".repeat(1000));
        here.take(here.set(1, &format!("{number}"), text, Stamp::new(1, 1)).unwrap());
    }
    let (mut there, mut rounds) = (Document::default(), 0);
    while there != here {
        let mut exchange = Exchange::default();
        assert!(exchange.heard_digest(&here, &there.digest()));
        let answer = exchange.answer(&here);
        assert!(answer.deltas.len() <= 4);
        for delta in answer.deltas {
            assert!(serde_ipld_dagcbor::to_vec(&delta).unwrap().len() < 128 << 10);
            there.take(delta);
        }
        assert_eq!(answer.digest.is_some(), there != here, "asks to be asked for more");
        rounds += 1;
    }
    assert_eq!(rounds, 2);
}

#[test]
fn what_is_past_a_limit_is_refused_and_stays_missing() {
    let mut document = Document::default();
    let long = "k".repeat(KEY_BYTES + 1);
    assert_eq!(document.add(1, &long, true.into()), Err(Refusal::Key));
    let large = Value::Text("v".repeat(VALUE_BYTES));
    assert_eq!(document.add(1, "a", large), Err(Refusal::Value));
    assert_eq!(document.add(1, "a", f64::NAN.into()), Err(Refusal::Value));
    for number in 0..FACTS as i64 {
        document.take(document.add(1, "a", number.into()).unwrap());
    }
    assert_eq!(document.add(1, "a", 1.5.into()), Err(Refusal::Full));
    let again = document.add(1, "a", 5.into()).unwrap();
    assert_eq!(document.take(again).refused, 0, "what takes another's place has room");
    let fact = Fact { key: "a".into(), content: Content::Item(1.5.into()) };
    let merged = document.take(Delta { facts: vec![(Dot(2, 1), fact)], gone: Dots::default() });
    assert_eq!((merged.refused, document.seen().contains(Dot(2, 1))), (1, false));
    let scattered = (1..=2 * RUNS as u64).map(|count| Dot(3, 2 * count)).collect();
    document.take(Delta { facts: Vec::new(), gone: scattered });
    assert!(document.seen().runs() <= RUNS);
}

#[test]
fn an_update_is_small_on_the_wire() {
    let mut document = Document::default();
    let stamp = Stamp::new(1_790_000_000_000_000_000, 1 << 63);
    for value in 0..100 {
        document.take(document.set(1 << 63, "target", value.into(), stamp).unwrap());
    }
    let delta = document.set(1 << 63, "target", 21.5.into(), stamp).unwrap();
    let bytes = serde_ipld_dagcbor::to_vec(&delta).unwrap().len();
    assert!(bytes <= 96, "{bytes} bytes");
}
