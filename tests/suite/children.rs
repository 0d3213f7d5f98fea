//! Parents and children.

use std::collections::BTreeSet;

use edge_host::address::{ActorId, Address};
use edge_host::store::state::State;
use serde_json::json;
use tests::wait_for;

use crate::fixture::{Lab, error_line};
use crate::turns::other_probe;

/// A parent with a grant to spawn, and a witness that outlives it.
fn family(child: &str) -> Lab {
    let limits = "[limits]\nrestart-ms = 1\nmessage-crashes = 1\n";
    let probe = "component = \"$probe\"\nrestart = { max = 1000 }\n";
    let grants =
        format!("grant = {{ w = \"actor:w\", kid = {{ spawn = \"$probe\", {child} }} }}\n");
    Lab::new(&format!("{limits}[actor.p]\n{probe}{grants}[actor.w]\n{probe}"))
}

/// What a node has on its disk of an actor: durable keys, and letters set aside. The node is down.
fn left(lab: &Lab, actor: ActorId) -> (Vec<String>, usize) {
    let state = State::open(&lab.folder.path().join("data")).unwrap();
    let mut keys = Vec::new();
    let take = |key: &[u8], _: &[u8]| {
        keys.push(String::from_utf8_lossy(key).into_owned());
        true
    };
    state.values(actor, b"", b"", take).unwrap();
    let aside = state.records("set-aside").unwrap();
    (keys, aside.iter().filter(|(name, _)| name.starts_with(&actor.0)).count())
}

/// Has `p` spawn a child that stores something and has a message set aside; gives both ids.
fn spawn_one_that_leaves_traces(lab: &Lab) -> (ActorId, ActorId) {
    lab.say(
        "p",
        json!([
            {"Spawn": ["kid", "one", 1]},
            {"Ask": ["one", 2, 60_000, ["Panic"]]},
            {"Ask": ["one", 3, 60_000, [{"Put": ["key", "value"]}]]},
        ]),
    );
    lab.hears("p", "answer 3: ");
    let id = |name: &str| lab.actor(name).address.parse::<Address>().unwrap().id;
    let child = lab.becomes(&children(lab)[0], |row| row.stored > 0 && row.set_aside == 1);
    (id("p"), id(&child.name))
}

#[test]
fn what_a_child_stored_is_removed_at_its_end() {
    let mut lab = family("max = 1");
    let (parent, child) = spawn_one_that_leaves_traces(&lab);
    lab.say("p", json!([{"Stop": "one"}]));
    lab.hears("p", "down 1: Stopped");
    assert!(lab.node.interrupt().unwrap().success());
    assert_eq!(left(&lab, child), (vec![], 0));
    assert_eq!(left(&lab, parent), (vec!["starts".to_string()], 0));
}

#[test]
fn what_a_child_stored_is_removed_after_its_node_was_killed() {
    let mut lab = family("max = 1");
    let (parent, child) = spawn_one_that_leaves_traces(&lab);
    lab.node.kill().unwrap();
    assert_eq!(left(&lab, child), (vec!["key".to_string(), "starts".to_string()], 1));
    lab.restart();
    lab.node.kill().unwrap();
    assert_eq!(left(&lab, child), (vec![], 0));
    assert_eq!(left(&lab, parent).0, ["starts"]);
}

fn children(lab: &Lab) -> Vec<String> {
    let names = lab.actors().into_iter().map(|row| row.name);
    names.filter(|name| name.starts_with("p/")).collect()
}

fn until_children(lab: &Lab, count: usize) -> Vec<String> {
    let looked = wait_for("so many children live", || {
        Some(children(lab)).filter(|names| names.len() == count)
    });
    looked.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", children(lab), lab.log("p")))
}

#[test]
fn a_child_takes_letters_at_once_and_its_end_is_told() {
    let lab = family("max = 2");
    // In one turn: spawned, given an address, and asked.
    lab.say(
        "p",
        json!([
            {"SpawnWith": ["kid", "one", 1, "w"]},
            {"Ask": ["one", 2, 60_000, [{"Send": ["w", 3, [{"Note": "child"}]]}, {"Say": "hi"}]]},
        ]),
    );
    lab.hears("p", "answer 2: hi");
    lab.until("w", json!(["Noted"]), |noted| noted == ["child"]);
    let names = until_children(&lab, 1);
    assert!(names[0].starts_with("p/kid-"), "{names:?}");
    lab.say("p", json!([{"Stop": "one"}]));
    lab.hears("p", "down 1: Stopped");
    until_children(&lab, 0);
    lab.say("p", json!([{"Send": ["one", 4, ["Count"]]}]));
    lab.hears("p", "undelivered 4: Stopped");
}

#[test]
fn more_children_than_granted_are_refused() {
    let lab = family("max = 2");
    lab.say("p", json!([
        {"Spawn": ["kid", "one", 1]}, {"Spawn": ["kid", "two", 2]}, {"Spawn": ["kid", "three", 3]},
        {"Send": ["three", 4, ["Count"]]},
    ]));
    lab.hears("p", "down 3: Refused");
    lab.hears("p", "undelivered 4: Refused");
    lab.logs("p", "2 live already: raise its `max`");
    until_children(&lab, 2);
    // One leaves, one may come.
    lab.say("p", json!([{"Stop": "one"}]));
    lab.hears("p", "down 1: Stopped");
    lab.say("p", json!([{"Spawn": ["kid", "four", 5]}, {"Ask": ["four", 6, 60_000, ["Count"]]}]));
    lab.hears("p", "answer 6: 1");
}

#[test]
fn a_node_that_is_full_says_what_holds_no_more() {
    let probe = "[actor.p]\ncomponent = \"$probe\"\n";
    let grants = "grant = { kid = { spawn = \"$probe\", max = 9 } }\n";
    let lab = Lab::new(&format!("[limits]\nactors = 2\n{probe}{grants}"));
    lab.node.says("and 2 with those that are parked, bounded by the limit `actors`").unwrap();
    lab.say("p", json!([{"Spawn": ["kid", "one", 1]}, {"Spawn": ["kid", "two", 2]}]));
    lab.hears("p", "down 2: Refused");
    let full = "2 actors live on this node, and the limit `actors` holds no more: raise it";
    lab.logs("p", full);
    let (cid, _) = other_probe(&lab);
    let error = lab.node.run(&["start", &cid, "--as", "b"]).unwrap_err().to_string();
    assert!(error_line(&error).contains(full), "{error}");
    lab.say("p", json!([{"Stop": "one"}]));
    lab.hears("p", "down 1: Stopped");
    lab.node.run(&["start", &cid, "--as", "b"]).unwrap();
}

#[test]
fn a_child_that_crashes_comes_back_and_one_given_up_is_told_of() {
    let lab = family("max = 1");
    lab.say("p", json!([{"Spawn": ["kid", "one", 1]}, {"Ask": ["one", 2, 60_000, ["Panic"]]}]));
    lab.hears("p", "answer 2: Trapped");
    lab.say("p", json!([{"Ask": ["one", 3, 60_000, ["Starts"]]}]));
    lab.hears("p", "answer 3: 2");
    // A child restarts as by default: five times within a minute.
    for token in 4..9 {
        lab.say("p", json!([{"Ask": ["one", token, 60_000, ["Panic"]]}]));
        lab.hears("p", &format!("answer {token}: Trapped"));
    }
    lab.hears("p", "down 1: Trapped");
}

#[test]
fn a_child_has_the_budgets_of_its_grant() {
    let lab = family(
        "max = 1, mailbox = 2, memory = \"1MiB\", storage = \"1KiB\", turn = \"50ms\", \
         restart = { when = \"never\" }",
    );
    lab.say("p", json!([{"Spawn": ["kid", "one", 1]}, {"Ask": ["one", 2, 60_000, ["Count"]]}]));
    lab.hears("p", "answer 2: 1");
    let send = |token: u64| json!({"Send": ["one", token, ["Count"]]});
    lab.say("p", json!([send(3), send(4), send(5)]));
    lab.hears("p", "undelivered 5: MailboxFull");
    lab.say("p", json!([{"Ask": ["one", 6, 60_000, [{"Fill": ["key", 2000]}]]}]));
    lab.hears("p", "answer 6: writing a durable value: the actor's storage quota would be passed");
    lab.say("p", json!([{"Ask": ["one", 7, 60_000, [{"Allocate": 2}]]}]));
    lab.hears("p", "answer 7: OverBudget");
    lab.hears("p", "down 1: OverBudget");
    lab.say("p", json!([{"Spawn": ["kid", "two", 8]}, {"Ask": ["two", 9, 60_000, ["Loop"]]}]));
    lab.hears("p", "answer 9: OverBudget");
}

#[test]
fn a_child_has_children_of_its_own_if_its_grant_has() {
    let child = "kid = { spawn = \"$probe\", max = 1, grant = { w = \"actor:w\" } }";
    let lab = family(&format!("max = 1, grant = {{ {child} }}"));
    let told = json!({"Send": ["two", 2, [{"Send": ["w", 3, [{"Note": "from two"}]]}]]});
    let spawn = json!([{"Spawn": ["kid", "two", 1]}, told]);
    lab.say("p", json!([{"Spawn": ["kid", "one", 1]}, {"Ask": ["one", 2, 60_000, spawn]}]));
    lab.hears("p", "answer 2: ");
    lab.until("w", json!(["Noted"]), |noted| noted == ["from two"]);
    until_children(&lab, 2);
    lab.node.run(&["stop", "p"]).unwrap();
    until_children(&lab, 0);
}

#[test]
fn a_parent_that_stops_or_crashes_takes_its_children_along() {
    let lab = family("max = 3");
    let spawn = json!([{"Spawn": ["kid", "one", 1]}, {"Spawn": ["kid", "two", 2]}]);
    lab.say("p", spawn.clone());
    until_children(&lab, 2);
    lab.fails("p", json!(["Panic"]));
    until_children(&lab, 0);
    lab.say("p", spawn);
    until_children(&lab, 2);
    lab.node.run(&["stop", "p"]).unwrap();
    until_children(&lab, 0);
}

#[test]
fn an_actor_stops_only_itself_and_its_children() {
    let lab = family("max = 1");
    lab.say("p", json!([{"Stop": "w"}]));
    lab.logs("p", "may not stop w: not its child");
    assert_eq!(lab.say("w", json!(["Count"])), ["1"]);
}

#[test]
fn a_childs_pin_is_safe_at_its_end_and_there_for_the_next_child() {
    let pin = "grant = { pin = { pin = \"bench:heater\", safe = \"low\", lease = \"1s\" } }";
    let lab = family(&format!("max = 1, {pin}"));
    for round in 0..2 {
        let (spawned, asked) = (10 + round, 20 + round);
        lab.say(
            "p",
            json!([
                {"Spawn": ["kid", "one", spawned]},
                {"Ask": ["one", asked, 60_000, [{"Drive": ["pin", true]}]]},
            ]),
        );
        lab.hears("p", &format!("answer {asked}: "));
        lab.pin_becomes("heater", "high");
        // Its lease is the child's affair.
        lab.pin_becomes("heater", "low");
        let token = 30 + round;
        lab.until("p", json!([{"Ask": ["one", token, 60_000, ["Heard"]]}, "Heard"]), |heard| {
            heard.contains(&format!("answer {token}: expired"))
        });
        lab.say("p", json!([{"Send": ["one", 1, [{"Drive": ["pin", true]}]]}]));
        lab.pin_becomes("heater", "high");
        lab.say("p", json!([{"Stop": "one"}]));
        lab.hears("p", &format!("down {spawned}: Stopped"));
        assert_eq!(lab.pin("heater").level.as_deref(), Some("low"));
    }
    assert!(!lab.say("p", json!(["Heard"])).contains(&"expired".into()));
}

#[test]
fn a_list_longer_than_a_frame_comes_whole() {
    let limits = "[limits]\nframe-bytes = 65536\nletter-bytes = 57344\n";
    let kid = "grant = { kid = { spawn = \"$probe\", max = 1000 } }\n";
    let lab = Lab::new(&format!("{limits}[actor.p]\ncomponent = \"$probe\"\n{kid}"));
    for hundred in 0..3 {
        let spawn = |kid: u64| json!({"Spawn": ["kid", format!("{hundred}-{kid}"), kid]});
        lab.say("p", (0..100).map(spawn).collect());
    }
    let listed = || {
        let rows = lab.node.json(&["ls", "actors"]).unwrap();
        let rows = rows.as_array().unwrap();
        let names: BTreeSet<_> = rows.iter().map(|row| row["name"].as_str()).collect();
        assert_eq!(names.len(), rows.len(), "an actor is in the list once");
        (rows.len() == 301).then_some(())
    };
    wait_for("the list of a parent with 300 children", listed).unwrap();
}
