//! Turns: atomic whatever happens in them, and one actor's trouble is no other's.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use edge_host::node::admin::Request;
use edge_host::reason::Reason;
use serde_json::{Value, json};
use tests::wait_for;

use crate::fixture::{Lab, PROBE, guest, layered};

/// Crashes are cheap here: nothing to wait for, and no end of restarts.
pub const PATIENT: &str = "[limits]\nrestart-ms = 1\nquarantine-crashes = 1000\n";

/// The probe under another CID, and not plain any more.
pub fn other_probe(lab: &Lab) -> (String, PathBuf) {
    let bytes = layered(&std::fs::read(&guest("probe").file).unwrap());
    let file = lab.folder.path().join("other.wasm");
    std::fs::write(&file, bytes).unwrap();
    let cid = lab.node.run(&["add", file.to_str().unwrap()]).unwrap();
    (cid.trim().into(), file)
}

#[test]
fn start_runs_once_in_each_incarnation() {
    let lab = Lab::new(&format!("{PATIENT}message-crashes = 1\n[actor.a]\n{PROBE}"));
    assert_eq!(lab.say("a", json!(["Starts", "Count", "Count"])), ["1", "1", "2"]);
    assert_eq!(lab.say("a", json!(["Starts", "Count"])), ["1", "3"]);
    assert_eq!(lab.fails("a", json!(["Panic"])), "trapped");
    assert_eq!(lab.say("a", json!(["Starts", "Count"])), ["2", "1"]);
    assert_eq!(lab.actor("a").incarnations, 2);
}

#[test]
fn a_component_that_is_not_plain_lives_and_fails_as_the_plain_one() {
    let lab = Lab::new(&format!("{PATIENT}message-crashes = 1\n"));
    let (cid, _) = other_probe(&lab);
    lab.node.run(&["start", &cid, "--as", "a"]).unwrap();
    assert_eq!(lab.say("a", json!(["Starts", "Count", "Count"])), ["1", "1", "2"]);
    assert_eq!(lab.fails("a", json!(["Panic"])), "trapped");
    assert_eq!(lab.fails("a", json!([{"Put": ["key", "value"]}, {"Fail": "told to"}])), "trapped");
    assert_eq!(lab.say("a", json!(["Starts", {"Get": "key"}])), ["3", "none"]);
    assert!(lab.log("a").contains("told to"), "{}", lab.log("a"));
}

#[test]
fn timers_survive_a_restart_and_a_swap() {
    let lab = Lab::new(&format!("{PATIENT}message-crashes = 1\n[actor.a]\n{PROBE}"));
    let arm = json!([{"Every": [20, ["Count"]]}, {"After": [2000, [{"Note": "late"}]]}]);
    lab.say("a", arm);
    assert_eq!(lab.fails("a", json!([{"Fail": "told to"}])), "trapped");
    let counted = |said: &[String]| said[0].parse::<u64>().unwrap() > 5;
    lab.until("a", json!(["Count"]), counted);
    assert_eq!(lab.say("a", json!(["Starts"])), ["2"]);
    let (cid, _) = other_probe(&lab);
    lab.node.run(&["swap", "a", &cid]).unwrap();
    let before: u64 = lab.say("a", json!(["Count"]))[0].parse().unwrap();
    lab.until("a", json!(["Count"]), |said| said[0].parse::<u64>().unwrap() > before + 5);
    lab.until("a", json!(["Noted"]), |noted| noted == ["late"]);
    assert_eq!(lab.say("a", json!(["Starts"])), ["2"], "a swap is no start");
}

/// A turn that asks for one of everything and then ends badly.
fn leaves_nothing_behind(end: &Value, reason: &str) {
    let grants = "grant = { w = \"actor:w\", pin = { pin = \"bench:heater\", safe = \"low\" }, \
                  kid = { spawn = \"$probe\", max = 9 } }\nturn = \"300ms\"\n";
    let actors = format!("[actor.a]\n{PROBE}{grants}[actor.w]\n{PROBE}");
    let lab = Lab::new(&format!("{PATIENT}message-crashes = 2\n{actors}"));
    let never = json!([{"Note": "never"}]);
    let steps = json!([
        {"Put": ["key", "value"]}, {"Drive": ["pin", true]}, {"Send": ["w", 1, never]},
        {"After": [1, never]}, {"Spawn": ["kid", "kid", 2]}, {"Log": "never"}, end,
    ]);
    let body = serde_ipld_dagcbor::to_vec(&steps).unwrap();
    lab.request(&Request::Send { name: "a".into(), body, deadline_ms: 1 }).unwrap();
    // The pin stays where it is while the turn goes on, too.
    let aside = wait_for("the message is set aside", || {
        assert_eq!(lab.pin("heater").level.as_deref(), Some("low"));
        lab.aside().pop()
    });
    let aside = aside.unwrap();
    assert!(lab.log("a").contains(&format!("{reason}: {}", aside.why)), "{}", lab.log("a"));
    assert_eq!(lab.say("a", json!([{"Get": "key"}, {"Level": "pin"}])), ["none", "low"]);
    // Letters of one pair are in order, and so are timers: after these no earlier one can come.
    let last = json!([{"Note": "last"}]);
    lab.say("a", json!([{"Send": ["w", 3, last]}, {"After": [50, last]}]));
    for name in ["a", "w"] {
        lab.until(name, json!(["Noted"]), |noted| !noted.is_empty());
        assert_eq!(lab.say(name, json!(["Noted"])), ["last"]);
    }
    assert!(!lab.log("a").contains("never"));
    assert_eq!(lab.actors().len(), 2, "a child lives");
}

#[test]
fn a_turn_that_gives_an_error_has_done_nothing() {
    leaves_nothing_behind(&json!({"Fail": "told to"}), "trapped");
}

#[test]
fn a_turn_that_traps_has_done_nothing() {
    leaves_nothing_behind(&json!("Panic"), "trapped");
}

#[test]
fn a_turn_that_is_killed_over_its_time_has_done_nothing() {
    leaves_nothing_behind(&json!("Loop"), "over-budget");
}

#[test]
fn an_actor_over_its_memory_is_over_budget() {
    let lab = Lab::new(&format!("{PATIENT}[actor.a]\n{PROBE}memory = \"4MiB\"\n"));
    assert_eq!(lab.say("a", json!([{"Allocate": 2}, "Count"])), ["1"]);
    assert_eq!(lab.fails("a", json!([{"Allocate": 8}])), "over-budget");
    lab.logs("a", "over-budget: asked for");
    lab.logs("a", "raise `memory`");
    assert_eq!(lab.say("a", json!(["Count"])), ["1"]);
}

#[test]
fn an_actor_that_loops_for_ever_is_over_budget_and_the_others_go_on() {
    let turn = "turn = \"1s\"\n";
    let lab = Lab::new(&format!("{PATIENT}[actor.a]\n{PROBE}{turn}[actor.b]\n{PROBE}"));
    let body = serde_ipld_dagcbor::to_vec(&json!(["Loop"])).unwrap();
    lab.request(&Request::Send { name: "a".into(), body, deadline_ms: 1 }).unwrap();
    let mut answers = 0;
    while lab.aside().is_empty() {
        lab.say("b", json!(["Count"]));
        answers += 1;
    }
    assert!(answers > 10, "{answers} answers in 3 s");
    assert_eq!(lab.say("a", json!(["Count"])), ["1"]);
    assert!(lab.log("a").contains("over-budget: ran for more than its turn budget of 1000 ms"));
    assert_eq!(lab.actor("b").incarnations, 1);
}

#[test]
fn turns_that_are_each_within_their_time_go_well_however_many_come_at_once() {
    let grants = "grant = { a = \"actor:a\" }\n";
    let turn = "turn = \"1s\"\n";
    let lab = Lab::new(&format!("{PATIENT}[actor.a]\n{PROBE}{turn}[actor.s]\n{PROBE}{grants}"));
    let timed = |rounds: u64| {
        let began = Instant::now();
        lab.say("a", json!([{ "Spin": rounds }]));
        began.elapsed()
    };
    let mut rounds = 1 << 20;
    while timed(rounds) < Duration::from_millis(75) {
        rounds *= 2;
    }
    let letter =
        |number: u32| json!({"Send": ["a", 1, [{"Spin": rounds}, {"Note": number.to_string()}]]});
    lab.say("s", (0..20).map(letter).collect());
    lab.until("a", json!(["Noted"]), |noted| noted.len() == 20);
    assert_eq!(lab.actor("a").incarnations, 1, "{}", lab.log("a"));
}

#[test]
fn as_many_loops_as_cores_hold_nobody_up_and_the_longest_is_cut_off() {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let hogs: Vec<_> = (0..=cores).map(|number| format!("hog{number}")).collect();
    let actors: String = hogs
        .iter()
        .map(|name| format!("[actor.{name}]\n{PROBE}turn = \"10m\"\n"))
        .chain([format!("[actor.b]\n{PROBE}")])
        .collect();
    let lab = Lab::new(&format!("{PATIENT}long-turns = {cores}\n{actors}"));
    let body = serde_ipld_dagcbor::to_vec(&json!(["Loop"])).unwrap();
    for (number, name) in hogs.iter().enumerate() {
        let body = body.clone();
        lab.request(&Request::Send { name: name.clone(), body, deadline_ms: 1 }).unwrap();
        for count in 1..=20 {
            let wanted = (number * 20 + count).to_string();
            assert_eq!(lab.say("b", json!(["Count"])), [wanted]);
        }
    }
    // One more than may go on: the first of them ends, and is told why.
    lab.logs(&hogs[0], "over-budget: cut off to let others run");
    assert_eq!(lab.actor("b").incarnations, 1);
    // The others go on, each on a thread that gives way to the workers.
    let nice = |stat: String| {
        // proc_pid_stat(5): the 19th field; the second, a name, ends the brackets.
        stat.rsplit_once(") ")?.1.split(' ').nth(16)?.parse::<i32>().ok()
    };
    let niced = || {
        let threads = fs::read_dir(format!("/proc/{}/task", lab.node.pid())).unwrap().flatten();
        let stats =
            threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        let niced = stats.filter_map(nice).filter(|nice| *nice > 0).count();
        (niced == cores).then_some(())
    };
    wait_for("the threads of loops are worth less than a worker", niced).unwrap();
}

#[test]
fn an_actor_that_panics_at_start_is_given_up_with_its_reason() {
    let grant = "grant = { start-panics = \"topic:t\" }\nrestart = { max = 2 }\n";
    let lab = Lab::new(&format!("{PATIENT}[actor.a]\ncomponent = \"$probe\"\n{grant}"));
    let row = lab.becomes("a", |row| row.state == "stopped");
    assert_eq!((row.reason, row.incarnations), (Some(Reason::Trapped), 3));
    assert!(row.last_failure.is_some_and(|why| why.contains("unreachable")));
    lab.logs("a", "it was restarted 2 times within 1m");
}
