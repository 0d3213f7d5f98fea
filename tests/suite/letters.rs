//! Letters and questions on one node: what comes of each, and why.

use edge_host::address::{ActorId, Address};
use serde_json::json;

use crate::fixture::{Lab, PROBE, guest};

/// `a`, who holds `b`; failures are cheap.
fn pair(more: &str) -> Lab {
    let grants = "grant = { b = \"actor:b\" }\n";
    let limits = "[limits]\nrestart-ms = 1\nmessage-crashes = 1\n";
    Lab::new(&format!("{limits}[actor.a]\n{PROBE}{grants}[actor.b]\n{PROBE}{more}"))
}

#[test]
fn a_question_has_its_answer_or_the_reason_there_is_none() {
    let lab = pair("turn = \"300ms\"\n");
    for (token, ms, steps, outcome) in [
        (1, 60_000, json!([{"Say": "yes"}]), "yes"),
        (2, 60_000, json!(["Silent"]), "NoAnswer"),
        (3, 50, json!(["Keep"]), "Deadline"),
        (4, 60_000, json!(["Panic"]), "Trapped"),
        (5, 60_000, json!([{"Fail": "told to"}]), "Trapped"),
        (6, 60_000, json!(["Loop"]), "OverBudget"),
    ] {
        lab.say("a", json!([{"Ask": ["b", token, ms, steps]}]));
        lab.hears("a", &format!("answer {token}: {outcome}"));
    }
    let heard = lab.say("a", json!(["Heard"]));
    assert_eq!(heard.len(), 6, "one outcome for each: {heard:?}");
}

#[test]
fn a_kept_reply_address_answers_later_and_once() {
    let lab = pair("");
    lab.say("a", json!([{"Ask": ["b", 1, 60_000, ["Keep"]]}]));
    // The answer comes in a turn of its own, long after the one that heard the question.
    lab.until("b", json!([{"After": [1, [{"Answer": "later"}]]}]), |_| true);
    lab.hears("a", "answer 1: later");
    // With the question answered, the deadline says nothing more.
    lab.say("a", json!([{"Ask": ["b", 2, 100, ["Keep"]]}]));
    lab.hears("a", "answer 2: Deadline");
    lab.say("b", json!([{"Answer": "too late"}]));
    lab.say("a", json!([{"Ask": ["b", 3, 60_000, [{"Say": "fence"}]]}]));
    lab.hears("a", "answer 3: fence");
    let heard = lab.say("a", json!(["Heard"]));
    assert_eq!(heard, ["answer 1: later", "answer 2: Deadline", "answer 3: fence"]);
}

#[test]
fn whoever_waits_for_an_actor_that_stops_is_told_so() {
    let lab = pair("");
    lab.say("a", json!([{"Ask": ["b", 1, 60_000, ["Keep"]]}]));
    lab.becomes("b", |row| row.handled > 0);
    lab.node.run(&["stop", "b"]).unwrap();
    lab.hears("a", "answer 1: Stopped");
}

#[test]
fn whoever_waits_for_an_incarnation_that_crashes_is_told_so() {
    let lab = pair("");
    // The second has used the address up, in a turn that did not take place.
    for (token, steps) in [(1, json!(["Panic"])), (2, json!([{"Answer": "undone"}, "Panic"]))] {
        let handled = lab.actor("b").handled;
        lab.say("a", json!([{"Ask": ["b", token, 60_000, ["Keep"]]}]));
        lab.becomes("b", |row| row.handled > handled);
        lab.fails("b", steps);
        lab.hears("a", &format!("answer {token}: Trapped"));
    }
}

#[test]
fn an_answer_that_asks_back_is_told_when_its_receiver_stops() {
    let lab = pair("turn = \"300ms\"\n");
    lab.say("a", json!([{"Ask": ["b", 1, 60_000, ["Keep"]]}]));
    lab.becomes("b", |row| row.handled > 0);
    // What comes for `a` meanwhile finds it at work, and then stopping.
    lab.say("a", json!([{"Send": ["me", 2, ["Loop"]]}]));
    lab.say("b", json!([{"AskBack": [3, 600_000]}]));
    lab.node.run(&["stop", "a"]).unwrap();
    lab.until("b", json!(["Heard"]), |heard| {
        heard.iter().any(|one| ["answer 3: Stopped", "answer 3: NoAnswer"].contains(&one.as_str()))
    });
}

#[test]
fn a_dead_address_gives_a_reason() {
    let lab = pair("");
    lab.node.run(&["stop", "b"]).unwrap();
    lab.say("a", json!([{"Send": ["b", 1, ["Count"]]}, {"Ask": ["b", 2, 60_000, ["Count"]]}]));
    lab.hears("a", "undelivered 1: Stopped");
    lab.hears("a", "answer 2: Stopped");
}

#[test]
fn an_address_of_nobody_gives_no_actor() {
    let lab = pair("");
    let known: Address = lab.actor("b").address.parse().unwrap();
    let ghost = Address { id: ActorId([7; 16]), ..known };
    let grant = format!("ghost={ghost}");
    lab.node.run(&["start", &guest("probe").cid, "--as", "c", "--grant", &grant]).unwrap();
    lab.say("c", json!([{"Send": ["ghost", 1, ["Count"]]}, {"Ask": ["ghost", 2, 60_000, []]}]));
    lab.hears("c", "undelivered 1: NoActor");
    lab.hears("c", "answer 2: NoActor");
}

#[test]
fn a_handle_that_was_never_given_reaches_nothing() {
    let lab = pair("");
    let numbers = (0..4000).step_by(97).chain([1 << 24, (1 << 24) + 1, u32::MAX, 1 << 31]);
    for number in numbers.filter(|number| *number > 8) {
        lab.say(
            "a",
            json!([
                {"Forge": ["forged", number]}, {"Send": ["forged", number, [{"Note": "forged"}]]},
            ]),
        );
        let said = lab.say("a", json!([{"Forged": number}, "Heard"]));
        assert_eq!(said[0], "None", "a pin");
        assert_eq!(said.last().unwrap(), &format!("undelivered {number}: NoActor"));
    }
    assert_eq!(lab.say("b", json!(["Noted"])), [""; 0]);
    assert_eq!(lab.actor("a").incarnations, 1);
}

#[test]
fn an_address_dies_with_its_turn_unless_it_is_kept_and_with_its_release() {
    let lab = pair("");
    // `b` learns of `a` twice; what it did not keep is stale.
    lab.say("a", json!([{"Introduce": ["b", "me"]}]));
    lab.until("b", json!([{"Send": ["me", 1, [{"Note": "to whom?"}]]}, "Heard"]), |heard| {
        heard.contains(&"undelivered 1: NoActor".into())
    });
    lab.say("a", json!([{"IntroduceForGood": ["b", "b"]}]));
    lab.until("b", json!([{"Send": ["b", 2, [{"Note": "to myself"}]]}, "Noted"]), |noted| {
        noted.contains(&"to myself".into())
    });
    lab.say("b", json!([{"Release": "b"}]));
    lab.say("b", json!([{"Send": ["b", 3, [{"Note": "released"}]]}]));
    lab.hears("b", "undelivered 3: NoActor");
    assert!(!lab.say("b", json!(["Noted"])).contains(&"released".into()));
}

#[test]
fn letters_that_find_a_mailbox_full_come_back_with_that_reason() {
    let lab = pair("mailbox = 4\nturn = \"5s\"\n");
    let number = |number: u64| json!({"Send": ["b", number, [{"Note": number.to_string()}]]});
    let letters: Vec<_> = (1..=20).map(number).collect();
    // While `b` allocates it takes nothing; what is over its four places comes back.
    let busy = json!([{"Send": ["b", 0, vec![json!({"Allocate": 12}); 40]]}]);
    lab.say("a", busy);
    lab.say("a", json!(letters));
    let told = |heard: &[String]| heard.iter().filter(|one| one.ends_with("MailboxFull")).count();
    // The question may find it full as well.
    let noted = |lab: &Lab| lab.tell("b", json!(["Noted"])).map_or(0, |noted| noted.len());
    lab.until("a", json!(["Heard"]), |heard| told(heard) + noted(&lab) == 20);
    let heard = lab.say("a", json!(["Heard"]));
    assert!(told(&heard) > 0 && told(&heard) == heard.len(), "{heard:?}");
    // Those that came are the ones that were not told of, in order.
    let came: Vec<u64> =
        lab.say("b", json!(["Noted"])).iter().map(|n| n.parse().unwrap()).collect();
    assert!(came.is_sorted(), "{came:?}");
    for number in came {
        assert!(!heard.contains(&format!("undelivered {number}: MailboxFull")));
    }
}

#[test]
fn a_letter_without_room_for_its_notice_is_refused_at_once() {
    let grants = "grant = { b = \"actor:b\" }\nmailbox = 4\n";
    let lab = Lab::new(&format!("[actor.a]\n{PROBE}{grants}[actor.b]\n{PROBE}"));
    let letters = (1..=6).map(|n| json!({"Send": ["b", n, [{"Note": "x"}]]}));
    // Its answer would need a place of its own.
    let steps: Vec<_> = letters.chain([json!("Silent")]).collect();
    assert_eq!(lab.fails("a", json!(steps)), "no-answer");
    lab.until("b", json!(["Noted"]), |noted| noted.len() == 4);
    let heard = lab.say("a", json!(["Heard"]));
    assert_eq!(heard, ["undelivered 5: MailboxFull", "undelivered 6: MailboxFull"]);
    // The places are free again.
    lab.say("a", json!([{"Send": ["b", 7, [{"Note": "x"}]]}]));
    lab.until("b", json!(["Noted"]), |noted| noted.len() == 5);
}

#[test]
fn letters_of_one_pair_arrive_in_the_order_sent() {
    let lab = pair("mailbox = 1000\n");
    let wanted: Vec<String> = (0..300).map(|number| format!("{number:03}")).collect();
    for some in wanted.chunks(50) {
        let letters: Vec<_> =
            some.iter().map(|n| json!({"Send": ["b", 1, [{"Note": n}]]})).collect();
        lab.say("a", json!(letters));
    }
    lab.until("b", json!(["Noted"]), |noted| noted.len() == wanted.len());
    assert_eq!(lab.say("b", json!(["Noted"])), wanted);
    assert_eq!(lab.say("a", json!(["Heard"])), [""; 0]);
}

#[test]
fn each_letter_of_a_turn_goes_to_its_own_receiver_or_comes_back_with_its_own_token() {
    let grants = "grant = { b = \"actor:b\", c = \"actor:c\", d = \"actor:d\" }\n";
    let others = ["b", "c", "d"].map(|name| format!("[actor.{name}]\n{PROBE}")).concat();
    let lab = Lab::new(&format!("[actor.a]\n{PROBE}{grants}{others}"));
    lab.node.run(&["stop", "d"]).unwrap();
    lab.becomes("d", |row| row.state == "stopped");
    // Runs of one, two and three, a question between, and one receiver who is gone.
    let to = ["b", "b", "c", "d", "d", "d", "b", "c", "c", "b"];
    let mut steps: Vec<_> = (0..)
        .zip(to)
        .map(|(token, to)| json!({"Send": [to, token, [{"Note": token.to_string()}]]}))
        .collect();
    steps.insert(8, json!({"Ask": ["c", 50, 60_000, ["Noted"]]}));
    lab.say("a", json!(steps));
    lab.until("b", json!(["Noted"]), |noted| noted.len() == 4);
    lab.until("c", json!(["Noted"]), |noted| noted.len() == 3);
    assert_eq!(lab.say("b", json!(["Noted"])), ["0", "1", "6", "9"]);
    assert_eq!(lab.say("c", json!(["Noted"])), ["2", "7", "8"]);
    lab.hears("a", "answer 50: 2 7");
    let mut heard = lab.say("a", json!(["Heard"]));
    heard.retain(|heard| heard.starts_with("undelivered"));
    assert_eq!(heard, [3, 4, 5].map(|token| format!("undelivered {token}: Stopped")));
}

#[test]
fn letters_and_notices_of_one_batch_are_taken_in_their_order() {
    let lab =
        Lab::new(&format!("[actor.a]\n{PROBE}grant = {{ d = \"actor:d\" }}\n[actor.d]\n{PROBE}"));
    lab.node.run(&["stop", "d"]).unwrap();
    lab.becomes("d", |row| row.state == "stopped");
    // Notices before the first letter, between two, two at once, and after the last.
    let to = ["d", "me", "d", "me", "me", "d", "d", "me", "d"];
    let steps: Vec<_> = (0..)
        .zip(to)
        .map(|(token, to)| json!({"Send": [to, token, [{"Log": format!("letter {token}")}]]}))
        .collect();
    lab.say("a", json!(steps));
    lab.hears("a", "undelivered 8: Stopped");
    let wanted = (0..).zip(to).map(|(token, to)| match to {
        "d" => format!("undelivered {token}: Stopped"),
        _ => format!("letter {token}"),
    });
    let log = lab.log("a");
    let mut rest = &log[..];
    for wanted in wanted {
        let at = rest.find(&wanted).unwrap_or_else(|| panic!("{wanted:?} is not next: {log}"));
        rest = &rest[at..];
    }
}
