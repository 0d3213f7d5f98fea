//! A node that dies between any two steps of a commit, and in the middle of one.
//!
//! The steps: an activation's turns end well; the committer takes its writes; they go into the
//! store's journal, and to the disk; pins, letters and answers leave.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::json;
use tests::tracer::Tracer;

use super::number;
use crate::fixture::Lab;

/// More steps than a commit has: a test that gets there has lost its way.
const MANY: usize = 200;
/// Places within the journal's record of a turn at which its write is torn.
const TEARS: u64 = 12;

fn lab() -> Lab {
    let grants = "component = \"$probe\"\ngrant = { witness = \"actor:w\" }\n";
    Lab::new(&format!("[actor.a]\n{grants}[actor.w]\ncomponent = \"$probe\"\n"))
}

/// Writes a number in two keys in one turn, and tells the witness, which writes it, too; gives
/// whether the first turn was acknowledged. Over when all is written, or the node has died.
fn turn(lab: &Lab, number: u64) -> bool {
    let steps = json!([
        {"Put": ["one", number.to_string()]},
        {"Send": ["witness", 1, [{"Put": ["told", number.to_string()]}]]},
        {"Put": ["two", number.to_string()]},
    ]);
    let acknowledged = lab.tell_while_it_lives("a", steps).is_ok();
    let told = || lab.tell_while_it_lives("w", json!([{"Get": "told"}]));
    while acknowledged && told().is_ok_and(|told| told != [number.to_string()]) {}
    acknowledged
}

/// The node is up again: gives the number that it knows, which is a whole one.
fn whole(lab: &Lab, acknowledged: u64, last: u64) -> u64 {
    let one = number(lab, "a", "one");
    assert_eq!(one, number(lab, "a", "two"), "half a turn shows");
    assert!((acknowledged..=last).contains(&one), "{one}, acknowledged {acknowledged} of {last}");
    let told = number(lab, "w", "told");
    assert!(told <= one, "{told} was told before {one} was committed");
    one
}

#[test]
fn a_node_killed_between_any_two_steps_of_a_commit_shows_no_half_turn() {
    let mut lab = lab();
    let (mut known, mut undone, mut unseen) = (0, 0, 0);
    // Kind by kind: which packets pass in between is up to the network.
    for kind in [["write ", "data/state/"], ["sync ", "data/state/"], ["send", "socket:"]] {
        for pass in 0.. {
            assert!(pass < MANY, "{kind:?} has no end");
            let tracer = Tracer::follow(lab.node.pid(), kind, pass);
            let acknowledged = turn(&lab, known + 1);
            lab.node.signal(Signal::KILL).unwrap();
            let killed = tracer.killed();
            lab.kill_and_restart();
            let before = known;
            known = whole(&lab, before + u64::from(acknowledged), before + 1);
            undone += u64::from(known == before);
            unseen += u64::from(known > before && !acknowledged);
            if !killed {
                assert!(acknowledged, "it died by itself");
                assert!(pass > 0, "a turn has no {kind:?}");
                break;
            }
        }
    }
    // Before its commit a turn is gone; after it, it is there though nobody was told.
    assert!(undone > 0 && unseen > 0, "{undone} undone, {unseen} unseen");
}

#[test]
fn a_node_that_dies_while_it_writes_a_commit_shows_none_of_it() {
    let mut lab = lab();
    assert!(turn(&lab, 1));
    let before = journal(&lab).1;
    assert!(turn(&lab, 2));
    // What the two turns' commits take.
    let length = journal(&lab).1 - before;
    let mut undone = 0;
    let mut known = 2;
    for tear in 0..TEARS {
        let (_, end) = journal(&lab);
        room(&lab, end + length * tear / TEARS);
        let acknowledged = turn(&lab, known + 1);
        let signal = lab.node.ended().unwrap().signal();
        assert_eq!(signal, Some(Signal::XFSZ.as_raw()));
        lab.restart();
        let before = known;
        known = whole(&lab, before + u64::from(acknowledged), before + 1);
        undone += u64::from(known == before);
    }
    assert!(undone > 1, "no write was torn");
}

/// The journal that a node's store writes: its file, and how far it is written.
fn journal(lab: &Lab) -> (PathBuf, u64) {
    let files = PathBuf::from(format!("/proc/{}/fd", lab.node.pid()));
    let state = lab.folder.path().join("data/state");
    let opened = |file: &Path| std::fs::read_link(file).is_ok_and(|path| path.starts_with(&state));
    let position = |file: &Path| -> Option<u64> {
        let info = files.with_file_name("fdinfo").join(file.file_name()?);
        let text = std::fs::read_to_string(info).ok()?;
        text.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()
    };
    let all = std::fs::read_dir(&files).unwrap().flatten().map(|file| file.path());
    let open = all.filter(|file| opened(file));
    let journals = open.filter_map(|file| {
        let path = std::fs::read_link(&file).ok()?;
        path.extension().is_some_and(|kind| kind == "jnl").then_some((path, position(&file)?))
    });
    journals.max_by_key(|(_, position)| *position).expect("the store has a journal open")
}

/// Has the node die of the write that takes a file past so many bytes.
fn room(lab: &Lab, bytes: u64) {
    let pid = Pid::from_raw(i32::try_from(lab.node.pid()).unwrap());
    prlimit(pid, Resource::Core, Rlimit { current: Some(0), maximum: None }).unwrap();
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(bytes), maximum: None }).unwrap();
}
