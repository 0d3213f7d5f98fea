//! Other code in an actor's place, and actors over a restart of their node.

use anyhow::Result;
use pair::Message;
use serde_json::json;
use tests::process::Process;

use crate::fixture::{Lab, error_line, guest};
use crate::nodes::{self, Two, refusal, report, start, start_by_name, tell, until};

fn alone(folder: &std::path::Path, rest: &str) -> Result<Process> {
    Process::start(folder, &nodes::manifest(&[], rest))
}

fn restart(node: &mut Process) -> Result<Process> {
    node.interrupt()?;
    let manifest = std::fs::read_to_string(node.folder.join("node.toml"))?;
    Process::start(&node.folder, &manifest)
}

fn add(node: &Process, guest: &tests::guests::Guest) -> Result<()> {
    node.run(&["add", &guest.file.to_string_lossy()]).map(drop)
}

/// Letters that are sent at once while a swap goes on.
const STREAM: u64 = 200;

#[test]
fn a_swap_keeps_address_state_and_the_letters_that_come_meanwhile() -> Result<()> {
    let two = Two::start("[limits]\nmailbox = 4096\n")?;
    two.pair()?;
    let before = two.b.actor("b")?;
    // Fetched from the other node, as a start would.
    add(&two.a, nodes::pair2())?;
    // Letters come for as long as the swap takes, however busy the machine is.
    let sent = std::thread::scope(|scope| {
        let swap = scope.spawn(|| two.b.json(&["swap", "b", &nodes::pair2().cid]));
        let mut sent = 0;
        while !swap.is_finished() || sent == 0 {
            tell(&two.a, "a", &Message::Stream { first: sent, count: STREAM, each: 3 })?;
            sent += STREAM;
            let all = usize::try_from(sent)?;
            until(&two.b, "b", "the letters so far", |report| report.letters.len() >= all)?;
        }
        let swapped = swap.join().map_err(|_| anyhow::Error::msg("the swap panicked"))??;
        assert_eq!(swapped["origin"], format!("fetched from peer {}", two.ids[0]));
        anyhow::Ok(sent)
    })?;
    assert_eq!(two.b.send("b", &json!("Version"))?, 2);
    assert_eq!(report(&two.b, "b")?.letters, (0..sent).collect::<Vec<u64>>());
    assert!(report(&two.a, "a")?.undelivered.is_empty());
    let after = two.b.actor("b")?;
    assert_eq!(after["address"], before["address"]);
    assert_eq!(after["component"], nodes::pair2().cid.as_str());
    Ok(())
}

#[test]
fn new_code_that_cannot_take_the_state_leaves_the_old_in_charge_and_says_why() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let node = alone(folder.path(), "")?;
    start(&node, nodes::pair(), "it", &[])?;
    node.send("it", &json!({ "Letter": 7 }))?;
    add(&node, nodes::picky())?;
    let why = refusal(node.run(&["swap", "it", &nodes::picky().cid]));
    assert!(why.contains("the old code goes on: the saved state doesn't fit"), "{why}");
    let actor = node.actor("it")?;
    assert_eq!(actor["component"], nodes::pair().cid.as_str());
    assert_eq!(actor["incarnations"], 1);
    assert_eq!(report(&node, "it")?.letters, [7_u64]);
    assert_eq!(node.send("it", &json!("Version"))?, 1);
    let nobody = refusal(node.run(&["swap", "nobody", &nodes::picky().cid]));
    assert!(nobody.contains("no actor named nobody"), "{nobody}");
    Ok(())
}

#[test]
fn an_actor_that_traps_while_it_is_saved_starts_afresh_and_the_error_says_why() {
    let lab = Lab::new(
        // Never parked, not with `PARK=1` either: that saves it, and it would trap then.
        "[limits]\nrestart-ms = 1\npark-ms = 60000\n\
         [actor.a]\ncomponent = \"$probe\"\nrestart = { max = 1000 }\n",
    );
    lab.say("a", json!([{"Put": ["key", "kept"]}, "Count", "Count", "PanicAtSave"]));
    let swap = ["swap", "a", &guest("probe").cid];
    let error = error_line(&lab.node.run(&swap).unwrap_err().to_string());
    assert!(error.contains("the old code goes on: it can't be saved: trapped"), "{error}");
    // What it had in memory is gone, what it had stored is not.
    assert_eq!(lab.say("a", json!([{"Get": "key"}, "Count", "Starts"])), ["kept", "1", "2"]);
    let row = lab.actor("a");
    assert_eq!((row.incarnations, row.state.as_str()), (2, "ready"));
    // It is none the worse for it.
    lab.node.run(&swap).unwrap();
    assert_eq!(lab.say("a", json!(["Count", "Starts"])), ["2", "2"]);
}

#[test]
fn started_and_swapped_actors_come_back_with_their_node_and_stopped_ones_do_not() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut node = alone(folder.path(), "")?;
    let kept = start(&node, nodes::pair(), "kept", &[])?;
    let swapped = start_by_name(&node, &nodes::pair().cid, "swapped", &[])?;
    let writer = start(&node, nodes::pair(), "writer", &[&format!("other={kept}")])?;
    start(&node, nodes::pair(), "stopped", &[])?;
    add(&node, nodes::pair2())?;
    node.run(&["swap", "swapped", &nodes::pair2().cid])?;
    node.run(&["stop", "stopped"])?;
    let id = node.run(&["id"])?;
    let mut node = restart(&mut node)?;
    let check = |node: &Process| {
        assert_eq!(node.run(&["id"])?, id);
        for (name, address, version) in
            [("kept", &kept, 1), ("swapped", &swapped, 2), ("writer", &writer, 1)]
        {
            assert_eq!(node.actor(name)?["address"], address.as_str());
            assert_eq!(node.send(name, &json!("Version"))?, version);
        }
        assert!(node.actor("stopped").is_err());
        tell(node, "writer", &Message::Send { first: 3, count: 1 })?;
        until(node, "kept", "a letter", |report| report.letters == [3]).map(drop)
    };
    check(&node)?;
    // After the plug was pulled, too.
    node.kill()?;
    let manifest = std::fs::read_to_string(folder.path().join("node.toml"))?;
    check(&Process::start(folder.path(), &manifest)?)
}
