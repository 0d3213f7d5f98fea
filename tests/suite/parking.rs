//! Actors at rest give their instance back, and nothing is lost by it.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;
use tests::wait_for;

use crate::fixture::{Lab, PROBE};

const FAMILY: &str = "
    [actor.p]
    component = \"$probe\"
    grant = { w = \"actor:w\", kid = { spawn = \"$probe\", max = 40 } }

    [actor.w]
    component = \"$probe\"
    grant = { p = \"actor:p\" }
    ";

fn lab(limits: &str) -> Lab {
    Lab::new(&format!("[limits]\n{limits}\n{FAMILY}"))
}

#[test]
fn an_actor_that_rests_for_long_is_parked_and_its_next_message_finds_it_as_it_was() {
    // With `PARK=1` too: it is the time that counts here.
    let lab = lab("park-ms = 200");
    assert_eq!(lab.say("p", json!(["Count"])), ["1"]);
    lab.say("p", json!([{"Spawn": ["kid", "one", 1]}, {"Log": "before"}]));
    lab.becomes("p", |row| row.state == "parked");
    // Memory, a handle that it keeps, and a grant.
    assert_eq!(lab.say("p", json!(["Count"])), ["2"]);
    let ask = json!([{"Ask": ["one", 2, 60_000, [{"Say": "hi"}]]}, {"Send": ["w", 3, ["Count"]]}]);
    lab.say("p", ask);
    lab.hears("p", "answer 2: hi");
    let row = lab.becomes("p", |row| row.state == "parked");
    assert_eq!((row.incarnations, row.last_failure), (1, None));
    assert_eq!(lab.say("p", json!(["Starts"])), ["1"]);
}

#[test]
fn timers_questions_and_kept_reply_addresses_outlive_parking() {
    // What `PARK=1` does to the other tests, and so nothing else with it.
    let lab = lab("park-ms = 0\nbatch = 1");
    lab.say("p", json!([{"After": [300, [{"Note": "timer"}]]}]));
    // W keeps the question and answers it from a later turn, both parked in between.
    lab.say("p", json!([{"Ask": ["w", 7, 60_000, ["Keep"]]}]));
    lab.until("w", json!(["Count"]), |count| count != ["1"]);
    lab.say("p", json!([{"Ask": ["w", 8, 400, ["Keep", "Silent"]]}]));
    lab.hears("p", "answer 8: Deadline");
    lab.until("p", json!(["Noted"]), |noted| noted == ["timer"]);
    assert_eq!(lab.say("p", json!(["Starts"])), ["1"]);
    // Its answer may be here before it rests.
    lab.becomes("p", |row| row.state == "parked");
}

#[test]
fn a_parked_actor_takes_other_code_and_its_end_is_told() {
    // As `PARK=1` has it.
    let lab = lab("park-ms = 0");
    lab.say("p", json!([{"Spawn": ["kid", "one", 1]}, {"Send": ["one", 2, ["Count"]]}]));
    lab.say("w", json!(["Count"]));
    lab.say("p", json!([{"Stop": "one"}]));
    lab.hears("p", "down 1: Stopped");
    assert_eq!(lab.say("w", json!(["Count"])), ["2"]);
}

#[test]
fn an_actor_that_is_mostly_state_is_parked_and_woken_past_its_budget() {
    // `PARK=1` would park it at once.
    let actor = "component = \"$probe\"\nmemory = \"8MiB\"\n";
    let limits = "[limits]\npark-ms = 200\nsave-bytes = 6000000\n";
    let lab = Lab::new(&format!("{limits}[actor.a]\n{actor}[actor.b]\n{actor}"));
    assert_eq!(lab.say("a", json!([{"Hold": 5}, "Count"])), ["1"]);
    assert_eq!(lab.say("b", json!([{"Hold": 7}, "Count"])), ["1"]);
    lab.becomes("a", |row| row.state == "parked");
    assert_eq!(lab.say("a", json!(["Count"])), ["2"]);
    // The other's state is more than may be saved: it stays as it is, however often that is tried.
    lab.becomes("a", |row| row.state == "parked");
    assert_eq!(lab.say("b", json!(["Count"])), ["2"]);
    for name in ["a", "b"] {
        let row = lab.actor(name);
        assert_eq!((row.incarnations, row.last_failure), (1, None), "{name}");
    }
}

#[test]
fn who_does_not_end_while_it_is_saved_keeps_no_other_from_being_parked() {
    // Its turns may take an hour, and with `PARK=1` it would be saved at once.
    let lab = Lab::new(&format!(
        "[limits]\npark-ms = 200\nsave-ms = 500\nrestart-ms = 1\n\
         [actor.a]\n{PROBE}turn = \"1h\"\n[actor.b]\n{PROBE}"
    ));
    lab.say("a", json!([{"Put": ["key", "kept"]}, "LoopAtSave"]));
    let row = lab.becomes("a", |row| row.last_failure.is_some());
    let why = row.last_failure.unwrap();
    assert!(why.contains("took more than save-ms = 500 to be saved"), "{why}");
    lab.say("b", json!(["Count"]));
    lab.becomes("b", |row| row.state == "parked");
    assert_eq!(lab.say("a", json!([{"Get": "key"}, "Starts"])), ["kept", "2"]);
}

#[test]
fn more_actors_live_on_a_node_than_instances_fit() {
    // Under pressure, long before their time: `PARK=1` would take the pressure away.
    let lab = lab("live = 10\nmailbox = 256\npark-ms = 60000");
    for kid in 0..40 {
        let name = format!("k{kid}");
        lab.say("p", json!([{"Spawn": ["kid", name, kid]}, {"Send": [name, 100, ["Count"]]}]));
    }
    for kid in 0..40 {
        let ask = json!([{"Ask": [format!("k{kid}"), 1000 + kid, 60_000, ["Count"]]}]);
        lab.say("p", ask);
        lab.hears("p", &format!("answer {}: 2", 1000 + kid));
    }
    let parked = wait_for("most are parked", || {
        let rows = lab.actors();
        let live = rows.iter().filter(|row| row.state == "ready").count();
        (rows.len() == 42 && live <= 11).then_some(())
    });
    parked.unwrap_or_else(|error| panic!("{error}: {:?}", lab.actors()));
}

#[test]
fn an_actor_that_finds_no_memory_for_its_instance_waits_and_is_as_it_was() {
    // Parked once, and woken when there is no memory: `PARK=1` would do that before.
    let lab = lab("park-ms = 200");
    lab.node.says("guarded by 4 GiB of address space each").unwrap();
    lab.say("p", json!(["Count"]));
    // W asks and keeps the reply address meanwhile.
    lab.say("w", json!([{"Ask": ["p", 1, 60_000, ["Keep"]]}]));
    for name in ["p", "w"] {
        lab.becomes(name, |row| row.state == "parked");
    }
    // What was theirs goes back to the system after a while.
    let space = || {
        let status = fs::read_to_string(format!("/proc/{}/status", lab.node.pid())).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        size.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    };
    let small = || Some(space()).filter(|bytes| *bytes < 4 << 30);
    let size = wait_for("no guarded memory is left", small).unwrap();

    let pid = Pid::from_raw(i32::try_from(lab.node.pid()).unwrap());
    let limit = |current| prlimit(pid, Resource::As, Rlimit { current, maximum: None }).unwrap();
    limit(Some(size + (1 << 30)));
    std::thread::scope(|scope| {
        let said = scope.spawn(|| lab.say("p", json!(["Count"])));
        lab.becomes("p", |row| row.state == "waiting-for-room");
        lab.logs("p", "it waits for an instance: ");
        limit(None);
        assert_eq!(said.join().unwrap(), ["2"]);
    });
    let row = lab.actor("p");
    assert_eq!((row.incarnations, row.last_failure), (1, None));
    lab.say("p", json!([{"Answer": "late"}]));
    lab.hears("w", "answer 1: late");
}
