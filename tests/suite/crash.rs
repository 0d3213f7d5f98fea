//! A node that is killed under load, and one whose disk is full: nothing acknowledged is lost, and
//! nothing half done shows.

mod steps;

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::fixture::{Lab, error_line};

/// Times that the node is killed.
const ROUNDS: usize = 15;

/// A seed from the environment, or a new one; printed, so that a failure can be had again.
fn seed() -> u64 {
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = std::env::var("SEED").ok().map_or_else(fresh, |text| text.parse().unwrap());
    println!("SEED={seed}");
    seed
}

/// SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Counts up in two keys at once, tells the witness and then us; gives the last number that was
/// acknowledged when the node is gone.
fn load(lab: &Lab, name: &str, from: u64) -> u64 {
    let mut number = from;
    loop {
        let text = (number + 1).to_string();
        let steps = json!([
            {"Put": ["one", text]}, {"Send": ["witness", 1, [{"Put": [name, text]}]]},
            {"Put": ["two", text]},
        ]);
        if lab.tell(name, steps).is_err() {
            return number;
        }
        number += 1;
    }
}

fn number(lab: &Lab, actor: &str, key: &str) -> u64 {
    let said = lab.say(actor, json!([{"Get": key}]));
    said[0].parse().unwrap_or_default()
}

#[test]
fn a_node_killed_at_any_moment_shows_no_half_turn_and_loses_no_acknowledged_one() {
    let mut random = seed();
    let grants = "component = \"$probe\"\ngrant = { witness = \"actor:w\" }\n";
    let actors =
        format!("[actor.a]\n{grants}[actor.b]\n{grants}[actor.w]\ncomponent = \"$probe\"\n");
    let mut lab = Lab::new(&actors);
    let (mut acknowledged, mut total) = ([0, 0], 0);
    for round in 0..ROUNDS {
        let wait = Duration::from_micros(next(&mut random) % 120_000);
        let before = acknowledged;
        std::thread::scope(|scope| {
            let loads = ["a", "b"].map(|name| {
                let (lab, from) = (&lab, before[usize::from(name == "b")]);
                scope.spawn(move || load(lab, name, from))
            });
            std::thread::sleep(wait);
            lab.node.signal(rustix::process::Signal::KILL).unwrap();
            lab.hang_up();
            acknowledged = loads.map(|load| load.join().unwrap());
        });
        lab.kill_and_restart();
        for (name, acknowledged) in ["a", "b"].into_iter().zip(&mut acknowledged) {
            let (one, two) = (number(&lab, name, "one"), number(&lab, name, "two"));
            assert_eq!(one, two, "half a turn of {name} shows in round {round}");
            let may_be = *acknowledged..=*acknowledged + 1;
            assert!(may_be.contains(&one), "{name} is at {one}, acknowledged: {acknowledged}");
            let told = number(&lab, "w", name);
            assert!(told <= one, "{name} is at {one} and has told {told}");
            *acknowledged = one;
        }
        total = acknowledged.iter().sum();
    }
    assert!(total > ROUNDS as u64, "{total} turns in {ROUNDS} rounds are no load");
}

/// Sets how large a file the node may write: what a full disk is like, without root.
fn room(lab: &Lab, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(lab.node.pid()).unwrap());
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

/// A node whose writes fail where [`room`] says so.
fn on_a_small_disk(actors: &str) -> Lab {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    // A write over the limit is to fail, not to kill.
    command
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(tests::guests::edge_host().unwrap());
    Lab::started_by(command, folder, actors)
}

#[test]
fn who_waits_for_an_answer_that_the_disk_refuses_is_told_so() {
    let probe = "component = \"$probe\"\n";
    let grants = "grant = { b = \"actor:b\" }\n";
    let lab = on_a_small_disk(&format!("[actor.a]\n{probe}{grants}[actor.b]\n{probe}"));
    lab.say("a", json!([{"Ask": ["b", 1, 600_000, ["Keep"]]}]));
    lab.becomes("b", |row| row.handled > 0);
    room(&lab, Some(0));
    // Asked by another thread: there is no answer until there is room.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| lab.tell("b", json!([{"Answer": "lost"}, {"Note": "too"}])));
        lab.hears("a", "answer 1: NoAnswer");
        room(&lab, None);
        // Given again, it finds that nobody waits.
        assert!(asked.join().unwrap().is_err());
    });
}

#[test]
fn a_node_with_a_full_disk_says_so_keeps_running_and_goes_on_when_there_is_room() {
    let grants = "grant = { b = \"actor:b\", pin = { pin = \"bench:heater\", safe = \"low\" } }\n";
    let probe = "component = \"$probe\"\n";
    let actors = format!("[actor.a]\n{probe}{grants}[actor.b]\n{probe}");
    let mut lab = on_a_small_disk(&actors);
    lab.say("a", json!([{"Note": "before"}]));

    room(&lab, Some(0));
    // Asked by another thread: there is no answer until there is room.
    std::thread::scope(|scope| {
        let steps = json!([
            {"Note": "meanwhile"}, {"Drive": ["pin", true]}, {"Send": ["b", 1, ["Count"]]},
        ]);
        let asked = scope.spawn(|| lab.tell("a", steps));
        lab.logs("a", "not committed, to be tried again: the state store failed");
        let row = lab.becomes("a", |row| row.last_failure.is_some());
        assert!(row.last_failure.is_some_and(|why| why.contains("free disk space")));
        assert_eq!(lab.pin("heater").level.as_deref(), Some("low"), "nothing of it shows");
        // Whoever writes nothing goes on, and nobody was told of the turn that is not committed.
        assert_eq!(lab.say("b", json!(["Count"])), ["1"]);
        let file = lab.folder.path().join("blob");
        std::fs::write(&file, vec![1; 100_000]).unwrap();
        let error = lab.node.run(&["add", file.to_str().unwrap()]).unwrap_err().to_string();
        assert!(error_line(&error).contains("free disk space"), "{error}");

        room(&lab, None);
        asked.join().unwrap().unwrap();
    });
    assert_eq!(lab.say("a", json!(["Noted"])), ["before", "meanwhile"]);
    lab.pin_becomes("heater", "high");
    assert_eq!(lab.say("b", json!(["Count"])), ["3"]);
    lab.say("a", json!([{"Note": "after"}]));
    lab.kill_and_restart();
    assert_eq!(lab.say("a", json!(["Noted"])), ["before", "meanwhile", "after"]);
}

#[test]
fn a_start_that_the_disk_does_not_take_is_none() {
    let lab = on_a_small_disk("[actor.a]\ncomponent = \"$probe\"\n");
    let cid = lab.actor("a").component;
    let heater = "pin={ pin = \"bench:heater\", safe = \"low\" }";
    let start = ["start", &cid, "--as", "b", "--grant", heater];
    lab.node.run(&start).unwrap();
    lab.node.run(&["stop", "b"]).unwrap();

    room(&lab, Some(0));
    let error = lab.node.run(&start).unwrap_err().to_string();
    assert!(error_line(&error).contains("free disk space"), "{error}");
    let error = lab.node.run(&["send", "b", "[]"]).unwrap_err().to_string();
    assert!(error_line(&error).contains("no actor named b"), "{error}");

    room(&lab, None);
    // Nobody has its pin.
    lab.node.run(&start).unwrap();
    assert_eq!(lab.say("b", json!(["Count"])), ["1"]);
}
