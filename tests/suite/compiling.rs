//! Components are compiled beside the node: at low priority, within limits, and nobody waits for it
//! who needn't.

use std::fs;
use std::process::Command;

use edge_host::reason::Reason;
use serde_json::json;
use tests::process::Process;
use tests::{guests, wait_for};

use crate::fixture::{Lab, PROBE, error_line, guest, layered};
use crate::knotty::knotty;

const PAIR: &str = "[actor.b]\ncomponent = \"$probe\"\n";

/// Gives a component to a node; gives its CID.
fn add(lab: &Lab, component: &[u8]) -> String {
    let file = lab.folder.path().join("knotty.wasm");
    fs::write(&file, component).unwrap();
    lab.node.run(&["add", file.to_str().unwrap()]).unwrap().trim().into()
}

/// Fields of `/proc/PID/stat` behind the program's name: the parent is the second, niceness the
/// seventeenth.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split_whitespace().map(String::from).collect())
}

fn niceness(pid: u32) -> Option<i32> {
    stat(pid)?[16].parse().ok()
}

/// The node's child that compiles.
fn compiler(node: &Process) -> Option<u32> {
    let processes = fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut own = processes.filter(|pid| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let parent = stat(*pid).map(|stat| stat[1].clone());
        parent == Some(node.pid().to_string()) && line.contains("compile-component")
    });
    own.next()
}

/// A limit of a process, if it has one.
fn limit(pid: u32, name: &str) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_component_is_compiled_in_a_niced_child_with_limits_and_the_others_go_on() {
    let lab = Lab::new(PAIR);
    lab.say("b", json!(["Count"]));
    let cid = add(&lab, &knotty(12, 300, 100));
    std::thread::scope(|scope| {
        let started = scope.spawn(|| lab.node.run(&["start", &cid, "--as", "a"]));
        let node = niceness(lab.node.pid()).unwrap();
        let child = wait_for("a child of low priority compiles, with limits", || {
            let child = compiler(&lab.node)?;
            limit(child, "Max address space")?;
            limit(child, "Max cpu time")?;
            (niceness(child)? > node).then_some(child)
        });
        let child = child.unwrap();
        let mut answers = 0;
        while compiler(&lab.node) == Some(child) {
            lab.say("b", json!(["Count"]));
            answers += 1;
        }
        println!("{answers} answers meanwhile");
        assert!(answers > 10, "{answers} answers while another component was compiled");
        started.join().unwrap().unwrap();
    });
    assert_eq!(lab.say("a", json!(["Count"])), ["1"]);
}

#[test]
fn letters_to_an_actor_that_is_started_again_wait_while_it_is_compiled() {
    let lab =
        Lab::new(&format!("[actor.a]\n{PROBE}grant = {{ b = \"actor:b\" }}\n[actor.b]\n{PROBE}"));
    let cid = add(&lab, &knotty(12, 300, 100));
    lab.node.run(&["stop", "b"]).unwrap();
    lab.say("a", json!([{"Ask": ["b", 1, 60_000, ["Count"]]}]));
    lab.hears("a", "answer 1: Stopped");
    std::thread::scope(|scope| {
        let started = scope.spawn(|| lab.node.run(&["start", &cid, "--as", "b"]));
        wait_for("b is compiled", || compiler(&lab.node)).unwrap();
        lab.say("a", json!([{"Ask": ["b", 2, 60_000, ["Count"]]}]));
        lab.hears("a", "answer 2: 1");
        started.join().unwrap().unwrap();
    });
    // As nobody comes, whoever asked meanwhile is told so.
    lab.node.run(&["stop", "b"]).unwrap();
    let nowhere = "x={ pin = \"gpio:GPIO17-of-nowhere\", safe = \"low\" }";
    let broken = lab.node.run(&["start", &cid, "--as", "b", "--grant", nowhere]);
    assert!(broken.is_err());
    lab.say("a", json!([{"Ask": ["b", 3, 60_000, ["Count"]]}]));
    lab.hears("a", "answer 3: NoActor");
}

/// A node under this `ulimit`, which its children inherit: the compiler's own limits are wider, and
/// to reach them would take minutes.
fn refuses_what_passes(ulimit: &str, component: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -c 0; ulimit {ulimit}; exec \"$@\""), "sh"]);
    command.arg(guests::edge_host().unwrap());
    let lab = Lab::started_by(command, folder, PAIR);
    let cid = add(&lab, component);
    let said = lab.node.run(&["start", &cid, "--as", "a"]).unwrap_err().to_string();
    let line = error_line(&said);
    assert!(line.contains(&cid) && line.contains("doesn't compile"), "{line}");
    // The node is none the worse for it.
    assert_eq!(lab.say("b", json!(["Count"])), ["1"]);
    assert_eq!(lab.actors().len(), 1);
}

#[test]
fn a_component_that_takes_too_much_memory_to_compile_is_refused_in_one_line() {
    refuses_what_passes("-v 524288", &knotty(1, 5000, 1000));
}

#[test]
fn a_component_that_takes_too_long_to_compile_is_refused_in_one_line() {
    refuses_what_passes("-t 4", &knotty(1, 600, 200));
}

#[test]
fn the_native_code_of_an_actor_that_is_gone_is_mapped_no_more() {
    let lab = Lab::new(PAIR);
    let cid = add(&lab, &layered(&fs::read(&guest("probe").file).unwrap()));
    let maps = || fs::read_to_string(format!("/proc/{}/maps", lab.node.pid())).unwrap();
    let mapped = || maps().lines().filter(|line| line.contains(&cid)).count();
    lab.node.run(&["start", &cid, "--as", "a"]).unwrap();
    assert!(mapped() > 0, "{}", maps());
    lab.node.run(&["stop", "a"]).unwrap();
    let unmapped = wait_for("nothing of it is mapped", || (mapped() == 0).then_some(()));
    unmapped.unwrap_or_else(|error| panic!("{error}: {}", maps()));
    // People still see how it ended, and it can come again.
    let row = lab.actor("a");
    assert_eq!((row.state.as_str(), row.reason), ("stopped", Some(Reason::Stopped)));
    lab.logs("a", "stopped: it was stopped");
    lab.node.run(&["start", &cid, "--as", "a"]).unwrap();
    assert_eq!(lab.say("a", json!(["Count"])), ["1"]);
    assert_eq!(lab.actors().len(), 2);
}
