//! Restarts, back-off, quarantine, monitors, and how a node stops.

use edge_host::reason::Reason;
use rustix::process::Signal;
use serde_json::json;
use tests::{lives, wait_for};

use crate::fixture::{Lab, error_line, guest};
use crate::turns::other_probe;

const LIMITS: &str = "[limits]\nrestart-ms = 1\nmessage-crashes = 1\n";

/// An actor with a restart of its own.
fn restarting(name: &str, restart: &str) -> String {
    format!("[actor.{name}]\ncomponent = \"$probe\"\nrestart = {{ {restart} }}\n")
}

#[test]
fn an_actor_restarts_always_when_it_failed_or_never_as_its_manifest_says() {
    let actors = ["always", "failed", "never"].map(|when| {
        let restart = format!("when = \"{when}\", max = 100");
        restarting(&format!("{when}-stops"), &restart) + &restarting(when, &restart)
    });
    let lab = Lab::new(&format!("{LIMITS}{}", actors.concat()));
    for (when, after_failure, after_end) in
        [("always", true, true), ("failed", true, false), ("never", false, false)]
    {
        assert_eq!(lab.fails(when, json!(["Panic"])), "trapped");
        let row = lab.becomes(when, |row| row.state == "stopped" || row.incarnations == 2);
        assert_eq!(row.reason, (!after_failure).then_some(Reason::Trapped), "{when}");
        assert_eq!(lab.tell(when, json!(["Count"])).is_ok(), after_failure, "{when}");

        // It stops itself.
        let name = format!("{when}-stops");
        lab.say(&name, json!([{"Stop": "me"}]));
        let row = lab.becomes(&name, |row| row.state == "stopped" || row.incarnations == 2);
        assert_eq!(row.reason, (!after_end).then_some(Reason::Stopped), "{when}");
        assert_eq!(lab.tell(&name, json!(["Count"])).is_ok(), after_end, "{when}");
    }
    lab.logs("never", "it failed, and restarts never");
    lab.logs("failed-stops", "it stopped itself");
    // Whoever is stopped by a person stays so.
    lab.node.run(&["stop", "always"]).unwrap();
    let row = lab.becomes("always", |row| row.state == "stopped");
    assert_eq!(row.reason, Some(Reason::Stopped));
    let error = lab.node.run(&["stop", "always"]).unwrap_err().to_string();
    assert!(error_line(&error).contains("ls actors"), "{error}");
}

#[test]
fn an_actor_that_fails_too_often_is_stopped_with_its_reason_in_ls_and_log() {
    let lab = Lab::new(&format!("{LIMITS}{}", restarting("a", "max = 2, within = \"1m\"")));
    for _ in 0..3 {
        assert_eq!(lab.fails("a", json!([{"Fail": "the lamp is broken"}])), "trapped");
    }
    let row = lab.becomes("a", |row| row.state == "stopped");
    assert_eq!((row.reason, row.incarnations), (Some(Reason::Trapped), 3));
    let shown = lab.node.run(&["ls"]).unwrap();
    assert!(shown.contains("stopped (trapped)"), "{shown}");
    assert!(shown.contains("the lamp is broken"), "{shown}");
    let log = lab.node.run(&["log", "a"]).unwrap();
    assert!(log.contains("trapped: the lamp is broken"), "{log}");
    assert!(log.contains("it was restarted 2 times within 1m"), "{log}");
    let error = lab.node.run(&["send", "a", "[]"]).unwrap_err().to_string();
    assert!(error_line(&error).contains("no actor named a runs here"), "{error}");
}

#[test]
fn a_node_that_starts_again_starts_what_was_given_up() {
    let mut lab = Lab::new(&format!("{LIMITS}{}", restarting("a", "when = \"never\"")));
    lab.fails("a", json!(["Panic"]));
    lab.becomes("a", |row| row.state == "stopped");
    lab.kill_and_restart();
    assert_eq!(lab.say("a", json!(["Count"])), ["1"]);
}

#[test]
fn an_actor_backing_off_shows_and_its_letters_wait() {
    let slow = "[limits]\nrestart-ms = 4000\nrestart-longest-ms = 4000\nmessage-crashes = 1\n";
    let lab = Lab::new(&format!("{slow}{}", restarting("a", "max = 1000")));
    // The wait is random, from nothing to four seconds: one of these can be seen.
    let seen = (0..100).find_map(|_| {
        lab.fails("a", json!(["Panic"]));
        Some(lab.actor("a")).filter(|row| row.state == "backing-off")
    });
    let row = seen.expect("a back-off that is seen");
    assert!(row.last_failure.is_some_and(|why| why.contains("unreachable")));
    assert_eq!(lab.say("a", json!(["Count"])), ["1"]);
    assert!(lives(Some(&lab.actor("a").state)));
    // Whoever backs off can be stopped at once.
    lab.fails("a", json!(["Panic"]));
    lab.node.run(&["stop", "a"]).unwrap();
    assert_eq!(lab.actor("a").state, "stopped");
}

#[test]
fn a_component_that_crash_loops_is_quarantined_on_its_node() {
    let limits = format!("{LIMITS}quarantine-crashes = 3\n");
    let many = "max = 1000";
    let actors = restarting("a", many) + &restarting("b", many);
    let lab = Lab::new(&format!("{limits}{actors}"));
    for _ in 0..3 {
        assert_eq!(lab.fails("a", json!(["Panic"])), "trapped");
    }
    assert_eq!(lab.becomes("a", |row| row.state == "stopped").reason, Some(Reason::Trapped));
    lab.logs("a", "crashed 3 times within 60 s on this node and is in quarantine");
    let cid = &guest("probe").cid;
    let error = lab.node.run(&["start", cid, "--as", "c"]).unwrap_err().to_string();
    assert!(error_line(&error).contains("is in quarantine on this node"), "{error}");
    // Another actor of it goes on as long as it does well; another component is welcome.
    assert_eq!(lab.say("b", json!(["Count"])), ["1"]);
    let (other, _) = other_probe(&lab);
    lab.node.run(&["start", &other, "--as", "c"]).unwrap();
    assert_eq!(lab.say("c", json!(["Count"])), ["1"]);
}

#[test]
fn a_monitor_tells_why_an_actor_is_gone() {
    let names = ["stopped", "trapped", "looped", "gone", "well"];
    let actors = names.map(|name| restarting(name, "when = \"never\"") + "turn = \"300ms\"\n");
    let grants = names.map(|name| format!("{name} = \"actor:{name}\"")).join(", ");
    let watcher = format!("{}grant = {{ {grants} }}\n", restarting("w", "max = 9"));
    let lab = Lab::new(&format!("{LIMITS}{}{watcher}", actors.concat()));
    lab.node.run(&["stop", "gone"]).unwrap();
    let monitors = names.iter().zip(0..).map(|(name, token)| json!({"Monitor": [name, token]}));
    lab.say("w", json!(monitors.collect::<Vec<_>>()));
    lab.hears("w", "down 3: Stopped");
    lab.node.run(&["stop", "stopped"]).unwrap();
    lab.hears("w", "down 0: Stopped");
    lab.fails("trapped", json!(["Panic"]));
    lab.hears("w", "down 1: Trapped");
    lab.fails("looped", json!(["Loop"]));
    lab.hears("w", "down 2: OverBudget");
    assert_eq!(lab.say("w", json!(["Heard"])).len(), 4, "each once, and not of who is well");
}

#[test]
fn a_restart_is_no_end_to_whoever_monitors() {
    let watcher = format!("{}grant = {{ a = \"actor:a\" }}\n", restarting("w", "max = 9"));
    let lab = Lab::new(&format!("{LIMITS}{}{watcher}", restarting("a", "max = 1")));
    lab.say("w", json!([{"Monitor": ["a", 1]}]));
    lab.fails("a", json!(["Panic"]));
    assert_eq!(lab.say("a", json!(["Starts"])), ["2"]);
    assert_eq!(lab.say("w", json!(["Heard"])), [""; 0]);
    lab.fails("a", json!(["Panic"]));
    lab.hears("w", "down 1: Trapped");
}

#[test]
fn a_stopped_name_can_be_started_again_and_a_running_one_cannot() {
    let lab = Lab::new(&format!("{LIMITS}{}", restarting("a", "max = 9")));
    lab.say("a", json!([{"Put": ["key", "value"]}]));
    let (cid, address) = (&guest("probe").cid, lab.actor("a").address);
    let error = lab.node.run(&["start", cid, "--as", "a"]).unwrap_err().to_string();
    assert!(error_line(&error).contains("an actor named a is running"), "{error}");
    lab.node.run(&["stop", "a"]).unwrap();
    lab.node.run(&["start", cid, "--as", "a"]).unwrap();
    assert_eq!(lab.say("a", json!([{"Get": "key"}, "Starts"])), ["value", "2"]);
    assert_eq!(lab.actor("a").address, address, "an address stays good");
}

#[test]
fn ctrl_c_ends_cleanly_with_mailboxes_drained_and_pins_safe() {
    let pin = "grant = { pin = { pin = \"bench:heater\", safe = \"low\" }, b = \"actor:b\" }\n";
    let actors = format!("{}{pin}{}", restarting("a", "max = 9"), restarting("b", "max = 9"));
    let mut lab = Lab::new(&actors);
    let letters: Vec<_> = (0..50).map(|_| json!({"Send": ["b", 1, [{"Note": "x"}]]})).collect();
    lab.say("a", json!([{"Drive": ["pin", true]}]));
    lab.say("a", json!(letters));
    let status = lab.node.interrupt().unwrap();
    assert!(status.success(), "{status}");
    lab.node.says("stopped: every pin is at its safe level").unwrap();
    assert!(!lab.node.log().contains("unread"), "{}", lab.node.log());
    let error = lab.node.run(&["ls"]).unwrap_err().to_string();
    assert!(error_line(&error).contains("no node runs on"), "{error}");
    lab.restart();
    assert_eq!(lab.say("b", json!(["Noted"])).len(), 50);
}

#[test]
fn ctrl_c_does_not_wait_for_actors_that_are_stopped() {
    // So long it would wait for one that has something to do.
    let mut lab = Lab::new(
        "[limits]\npeer-patience-ms = 600000\n[actor.here]\ncomponent = \"$probe\"\n\
         [actor.gone]\ncomponent = \"$probe\"\n",
    );
    lab.node.run(&["stop", "gone"]).unwrap();
    assert!(lab.node.interrupt().unwrap().success());
}

#[test]
fn what_ctrl_c_leaves_unread_is_reported() {
    let limits = "[limits]\npeer-patience-ms = 300\n";
    let slow = format!("{}turn = \"1s\"\n", restarting("a", "max = 100"));
    let boss = format!("{}grant = {{ a = \"actor:a\" }}\n", restarting("b", "max = 9"));
    let mut lab = Lab::new(&format!("{limits}{slow}{boss}"));
    let letters: Vec<_> = (0..9).map(|_| json!({"Send": ["a", 1, ["Loop"]]})).collect();
    lab.say("b", json!(letters));
    wait_for("letters wait", || (lab.actor("a").waiting > 0).then_some(())).unwrap();
    assert!(lab.node.interrupt().unwrap().success());
    lab.node.says("messages unread").unwrap();
    assert!(lab.node.log().contains("actor a stopped with "), "{}", lab.node.log());
}

#[test]
fn a_second_ctrl_c_ends_a_node_that_is_slow_to_stop() {
    // Longer than the test's patience, if it were waited for.
    let limits = "[limits]\npeer-patience-ms = 600000\n";
    let pin = "grant = { a = \"actor:a\", pin = { pin = \"bench:heater\", safe = \"low\" } }\n";
    let slow = format!("{}turn = \"600s\"\n", restarting("a", "max = 100"));
    let mut lab = Lab::new(&format!("{limits}{slow}{}{pin}", restarting("b", "max = 9")));
    lab.say("b", json!([{"Drive": ["pin", true]}, {"Send": ["a", 1, ["Loop"]]}]));
    lab.pin_becomes("bench:heater", "high");
    lab.node.signal(Signal::INT).unwrap();
    lab.node.says("stopping").unwrap();
    assert!(!lab.node.has_ended().unwrap());
    let status = lab.node.interrupt().unwrap();
    assert_eq!(status.code(), Some(1));
    lab.node.says("ended at once, as asked: pins are at their safe level").unwrap();
}
