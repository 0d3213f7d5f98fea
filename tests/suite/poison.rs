//! Poisonous letters: of a batch that fails no other message is lost, and they are set aside.

use edge_host::node::admin::AsideRow;
use serde_json::json;
use tests::process::always_parked;
use tests::wait_for;

use crate::fixture::{Lab, PROBE, error_line};
use crate::turns::PATIENT;

/// Milliseconds that an actor waits for its restart, at first.
const RESTART_MS: u64 = 500;
/// How often they are doubled, on a machine where that was not long enough.
const DOUBLINGS: u32 = 4;

/// An actor `a` that waits for its restart while a poisonous letter comes to it from `s`, and
/// others around that; gives what it noted of each, with the number of its incarnation then.
fn poisoned(restart_ms: u64) -> (Lab, Vec<String>) {
    let grants = "grant = { a = \"actor:a\", w = \"actor:w\" }\n";
    let actors = format!("[actor.a]\n{PROBE}[actor.w]\n{PROBE}[actor.s]\n{PROBE}{grants}");
    let once = format!("restart-ms = {restart_ms}\nmessage-crashes = 1\n");
    let lab = Lab::new(&format!("[limits]\nquarantine-crashes = 1000\n{once}{actors}"));
    lab.say("a", json!([{"Every": [50, [{"NoteStart": "tick"}]]}]));
    lab.fails("a", json!(["Panic"]));
    // By then a tick of `a` waits as well.
    lab.say("w", json!([{"After": [60, [{"Note": "later"}]]}]));
    lab.until("w", json!(["Noted"]), |noted| noted == ["later"]);
    let ask = |what: &str| json!({"Ask": ["a", 1, 60_000, [{"NoteStart": what}, {"Say": what}]]});
    let carry = |what: &str| {
        let pass_on = json!({"Send": ["w", 1, [{"Note": what}]]});
        json!({"Refer": ["a", "w", [{"NoteStart": what}, pass_on]]})
    };
    lab.say(
        "s",
        json!([
            ask("asked first"), carry("carried first"),
            {"Send": ["a", 1, [{"FailUnless": "cure"}, {"NoteStart": "poison"}]]},
            ask("asked then"), carry("carried then"),
        ]),
    );
    let poison = |row: &AsideRow| row.why == "nothing under cure";
    wait_for("the poisonous one is set aside", || lab.aside().into_iter().find(poison)).unwrap();
    lab.until("w", json!(["Noted"]), |noted| noted.len() == 3);
    let noted = lab.say("a", json!(["Noted"]));
    (lab, noted)
}

#[test]
fn of_a_batch_with_one_poisonous_letter_only_that_one_is_set_aside() {
    // What had it wait is the first failure; the whole batch is the second, and the poisonous
    // letter alone the third. One message at a time there are no batches.
    let (first, then) = if always_parked() { (2, 3) } else { (3, 4) };
    let batch = ["tick", "asked first", "carried first"].map(|what| format!("{what} in {first}"));
    let (lab, noted) = (0..=DOUBLINGS)
        .map(|doublings| poisoned(RESTART_MS << doublings))
        .find(|(_, noted)| batch.iter().all(|wanted| noted.contains(wanted)))
        .expect("the actor waited until all had come");
    let letters: Vec<_> = noted.iter().filter(|noted| !noted.starts_with("tick")).collect();
    let [_, asked, carried] = batch;
    let [asked_then, carried_then] =
        ["asked", "carried"].map(|what| format!("{what} then in {then}"));
    assert_eq!(letters, [&asked, &carried, &asked_then, &carried_then]);
    assert_eq!(lab.say("w", json!(["Noted"])), ["later", "carried first", "carried then"]);
    lab.until("s", json!(["Heard"]), |heard| heard.len() == 2);
    assert_eq!(lab.say("s", json!(["Heard"])), ["answer 1: asked first", "answer 1: asked then"]);
    // The timer ticks on.
    let tick = format!("tick in {then}");
    lab.until("a", json!(["Noted"]), |noted| noted.contains(&tick));
    assert_eq!(lab.actor("a").incarnations, then);
}

#[test]
fn a_letter_that_crashes_its_actor_again_and_again_is_set_aside_until_it_is_cured() {
    let grants = "grant = { a = \"actor:a\" }\n";
    let lab = Lab::new(&format!("{PATIENT}[actor.a]\n{PROBE}[actor.s]\n{PROBE}{grants}"));
    let mut wanted: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    let letters = wanted.iter().map(|number| {
        let note = json!({"Note": number});
        let letter =
            if number == "7" { json!([{"FailUnless": "cure"}, note]) } else { json!([note]) };
        json!({"Send": ["a", 1, letter]})
    });
    lab.say("s", json!(letters.collect::<Vec<_>>()));
    wanted.remove(7);
    lab.until("a", json!(["Noted"]), |noted| noted.len() >= wanted.len());
    wait_for("the poisonous one is set aside", || lab.aside().pop()).unwrap();
    assert_eq!(lab.say("a", json!(["Noted"])), wanted);
    assert_eq!(lab.say("s", json!(["Heard"])), [""; 0]);

    // Readable from the command line, with its reason.
    let rows = lab.node.json(&["ls", "aside"]).unwrap();
    assert_eq!((&rows[0]["actor"], &rows[0]["number"]), (&json!("a"), &json!(0)), "{rows}");
    assert_eq!(rows[0]["why"], "nothing under cure");
    assert_eq!(lab.actor("a").set_aside, 1);
    lab.logs("a", "crashed it 3 times and is set aside");

    // Sent again it crashes again, and so it does over a restart of the node; until it is cured.
    lab.node.run(&["send-again", "a", "0"]).unwrap();
    lab.becomes("a", |row| row.incarnations >= 7);
    let mut lab = lab;
    wait_for("it is set aside again", || lab.aside().pop()).unwrap();
    lab.kill_and_restart();
    let number = lab.aside().remove(0).number.to_string();
    assert_eq!(lab.actor("a").set_aside, 1, "what is set aside shows after a restart");
    lab.say("a", json!([{"Put": ["cure", "found"]}]));
    lab.node.run(&["send-again", "a", &number]).unwrap();
    wanted.push("7".into());
    lab.until("a", json!(["Noted"]), |noted| noted == wanted);
    assert!(lab.aside().is_empty());
    let error = lab.node.run(&["send-again", "a", &number]).unwrap_err().to_string();
    assert!(error_line(&error).contains("ls aside"), "{error}");
}
