//! What the crdt actor answers, on the bench.

use crdt::{Answer, Crdt, Entry, Message, Value, limits};
use guest_sdk::{Bench, Benched, Receiver, Result};

fn ask(bench: &mut Bench, doc: &mut Benched<Crdt>, message: Message) -> Answer {
    let asked = bench.ask(doc, message).unwrap();
    let sent = bench.sent();
    let answer = sent.iter().find(|sent| sent.to == Receiver::Asker(asked));
    answer.expect("an answer").decode().unwrap()
}

fn set(key: &str, value: Value) -> Message {
    Message::Set { key: key.into(), value }
}

#[test]
fn changes_and_questions_are_answered() -> Result {
    let mut bench = Bench::new();
    let mut doc = bench.start::<Crdt>()?;
    assert_eq!(ask(&mut bench, &mut doc, set("a", 21.5.into())), Answer::Done);
    let get = |key: &str| Message::Get { key: key.into() };
    let known = Entry { value: Some(21.5.into()), ..Entry::default() };
    assert_eq!(ask(&mut bench, &mut doc, get("a")), Answer::Entry(Some(known.clone())));
    assert_eq!(ask(&mut bench, &mut doc, get("b")), Answer::Entry(None));
    let Answer::Refused(why) = ask(&mut bench, &mut doc, set(&"k".repeat(999), true.into())) else {
        panic!("a key past its limit was taken");
    };
    assert!(why.contains("shorten it"), "{why}");
    let mut doc = bench.reload(doc)?;
    assert_eq!(ask(&mut bench, &mut doc, get("a")), Answer::Entry(Some(known.clone())));
    let mut doc = bench.start::<Crdt>()?;
    assert_eq!(ask(&mut bench, &mut doc, get("a")), Answer::Entry(Some(known)));
    Ok(())
}

#[test]
fn all_keys_come_in_pages_that_fit_a_letter() -> Result {
    let mut bench = Bench::new();
    let mut doc = bench.start::<Crdt>()?;
    let large = Value::Text("v".repeat(limits::VALUE_BYTES - 64));
    for number in 0..20 {
        bench.handle(&mut doc, set(&format!("key {number:02}"), large.clone()))?;
    }
    for number in 0..10 {
        let item = Value::List(vec![large.clone(), number.into()]);
        bench.handle(&mut doc, Message::Add { key: "key 05 and more".into(), item })?;
    }
    let (mut keys, mut left_out, mut after, mut pages) = (Vec::new(), Vec::new(), String::new(), 0);
    loop {
        let answer = ask(&mut bench, &mut doc, Message::All { after });
        let Answer::Page { entries, omitted, next } = answer else { panic!() };
        keys.extend(entries.into_keys());
        left_out.extend(omitted);
        pages += 1;
        match next {
            Some(key) => after = key,
            None => break,
        }
    }
    let expected: Vec<String> = (0..20).map(|number| format!("key {number:02}")).collect();
    assert_eq!(keys, expected);
    assert_eq!(left_out, ["key 05 and more"]);
    assert!(pages > 3, "{pages} pages");
    let answer = ask(&mut bench, &mut doc, Message::Get { key: left_out.remove(0) });
    assert!(matches!(answer, Answer::Refused(_)));
    Ok(())
}

#[test]
fn a_change_is_one_delta_and_nothing_is_said_about_none() -> Result {
    let mut bench = Bench::new();
    let mut doc = bench.start::<Crdt>()?;
    bench.handle(&mut doc, set("a", true.into()))?;
    assert!(matches!(bench.published::<Message>("replicas")?[..], [Message::Delta(_)]));
    bench.handle(&mut doc, Message::Remove { key: "a".into(), item: true.into() })?;
    assert_eq!(bench.published::<Message>("replicas")?, []);
    Ok(())
}

#[test]
fn letters_that_are_none_are_harmless() -> Result {
    let mut bench = Bench::new();
    let mut doc = bench.start::<Crdt>()?;
    for body in [&b""[..], b"\xff", b"\xa1\x65Delta\xa0", &[0x81; 1000]] {
        bench.letter(&mut doc, body)?;
    }
    assert_eq!(doc.document().size(), (0, 0));
    Ok(())
}

#[test]
fn a_restart_reads_back_exactly_what_was_there() -> Result {
    let mut bench = Bench::new();
    let mut doc = bench.start::<Crdt>()?;
    for number in 0..700 {
        bench.handle(&mut doc, set(&format!("key {}", number % 300), number.into()))?;
        bench.handle(&mut doc, Message::Add { key: "set".into(), item: (number % 9).into() })?;
    }
    bench.handle(&mut doc, Message::Remove { key: "set".into(), item: 3.into() })?;
    bench.handle(&mut doc, Message::Clear { key: "key 5".into() })?;
    let again = bench.start::<Crdt>()?;
    assert_eq!(again.document(), doc.document());
    assert_eq!(again.document().size(), doc.document().size());
    assert_eq!(again.document().size().0, 299 + 8);
    Ok(())
}
