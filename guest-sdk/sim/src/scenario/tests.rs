//! What is refused, in which words; and what happens when hardly anybody is left.

use super::*;
use crate::{Baseline, Run};

mod figures;

const PUSH: Baseline = Baseline::Push { fanout: 4 };

/// A scenario of five nodes with these steps.
fn steps(steps: &str) -> Result<Scenario, Fault> {
    Scenario::read(&format!("nodes = 5\nsteps = [{steps}]\n"))
}

/// What a scenario of this text is refused with: one line.
fn refused(text: &str) -> String {
    let Err(Fault(why)) = Scenario::read(text) else { panic!("taken: {text}") };
    assert!(!why.contains('\n'), "{why}");
    why
}

/// The same, of a head or of a step.
fn check(what: &str, why: &str) {
    let text = match what.starts_with('{') {
        true => format!("nodes = 5\nsteps = [{what}]\n"),
        false => format!("{what}\nsteps = [{{ rounds = 1 }}]\n"),
    };
    assert_eq!(refused(&text), why, "{what}");
}

fn play(scenario: Scenario) -> Report {
    Run::baseline(scenario, 1, PUSH).play(&mut |_, _| {})
}

#[test]
fn what_is_no_scenario_is_told_with_its_line() {
    let why = refused("nodes = 5\nsteps = [{ dance = 3 }]\n");
    assert!(why.starts_with("line 2: unknown field `dance`, expected one of `rounds`"), "{why}");
    let why = refused("nodes = \"many\"\nsteps = []\n");
    assert!(why.starts_with("line 1: invalid type"), "{why}");
    assert!(refused("nodes = = 5").starts_with("line 1: "));
}

#[test]
fn a_head_that_makes_no_sense_is_refused() {
    check("nodes = 1", "nodes = 1: write 2 to 100000");
    check(
        "nodes = 5\ndelay = [\"50ms\", \"10ms\"]",
        "delay = [50ms, 10ms]: write the shortest first, and then the longest",
    );
    check("nodes = 5\nloss = 1.0", "loss = 1.0: nothing would arrive; write less than 1.0");
    check("nodes = 5\nloss = nan", "loss = NaN: write a share from 0.0 to 1.0");
    check("nodes = 5\nduplicate = 1.5", "duplicate = 1.5: write a share from 0.0 to 1.0");
    check("nodes = 5\ndrift = 5000000", "drift = 5000000: write 500000 parts per million at most");
    check(
        "nodes = 5\nbandwidth = 3",
        "bandwidth = 3: write 1000 or more bytes per second, or 0 for any",
    );
    check("nodes = 5\npatience = \"0s\"", "patience = 0: write a time, like \"10s\"");
    let why = refused("nodes = 5\nboot = \"99999999999999999m\"\nsteps = [{ heal = true }]");
    assert!(why.ends_with("is too long: a day, \"1440m\", is the most"), "{why}");
}

#[test]
fn what_is_to_be_reached_must_be_measured() {
    let none = "reach.path is measured by no step: add one of overlay";
    check("nodes = 5\nreach = { path = 3 }", none);
    let why = refused("nodes = 5\nreach = { speed = 3 }\nsteps = [{ rounds = 1 }]");
    assert!(why.starts_with("reach.speed is not measured: write rmr, "), "{why}");
}

#[test]
fn a_step_that_makes_no_sense_is_refused() {
    let does = "rounds, wait, crash, restart, split, heal, pause, cut-one-way, flap, join, leave, \
                overlay";
    check("{ bytes = 9 }", &format!("step 1: it does nothing: write one of {does}"));
    let nothing = refused("nodes = 5\nsteps = []");
    assert_eq!(nothing, format!("steps = []: nothing would happen; write some of {does}"));
    check(
        "{ crash = 2, rounds = 3 }",
        "step 1: rounds and crash are two steps: write { … }, { … }",
    );
    check(
        "{ wait = \"5s\" }, { crash = 2, fresh = true }",
        "step 2: fresh says nothing of crash: it goes with restart",
    );
    check(
        "{ crash = 6 }",
        "step 1: crash = 6: 6 of 5 nodes can't be had: write 1 to 5, or a share",
    );
    check(
        "{ pause = 1.5 }",
        "step 1: pause = 1.5: 1.5 is no share: write more than 0 and up to 1.0, or a whole number \
         of nodes",
    );
    let why = refused("nodes = 5\nsteps = [{ crash = -3 }]");
    let number = "is no number of nodes: write how many, or a share of them like 0.5";
    assert_eq!(why, format!("line 2: -3 {number}"));
    let why = refused("nodes = 5\nsteps = [{ flap = 1 }]");
    let share = "is no share of the links: write one with a point, like 0.5, or 1.0 for all";
    assert_eq!(why, format!("line 2: 1 {share}"));
    check("{ flap = nan }", "step 1: flap = NaN: write more than 0.0 and up to 1.0");
    check("{ cut-one-way = 5.0 }", "step 1: cut-one-way = 5.0: write more than 0.0 and up to 1.0");
    check("{ rounds = 0 }", "step 1: rounds = 0 does nothing: write 1 or more");
    check(
        "{ join = 10000000000 }",
        "step 1: 10000000005 nodes with those that join: 100000 are the \
         most",
    );
    check("{ split = 0 }", "step 1: split = 0: write 2 sides or more, up to 5");
    check("{ rounds = 2000000 }", "2000000 rounds in all: write 1000000 at most");
    check(
        "{ rounds = 1, bytes = 300000 }",
        "step 1: bytes = 300000: write 8 to 261120; nodes send what is longer as a blob, which \
         isn't simulated",
    );
    check("{ rounds = 1, crashing = 5 }", "step 1: crashing = 5: of 5 nodes one sends; write less");
}

#[test]
fn a_whole_number_is_of_nodes_and_one_with_a_point_a_share_of_them() {
    let up = |step: &str| play(steps(step).unwrap()).rows[1].up;
    assert_eq!(up("{ wait = '2s' }, { crash = 1 }"), 4);
    assert_eq!(up("{ wait = '2s' }, { crash = 1.0 }"), 0);
    assert_eq!(up("{ wait = '2s' }, { crash = 0.4 }"), 3);
    let number: Number = "1".parse().unwrap();
    assert_eq!((number, "1.0".parse()), (Number::Nodes(1), Ok(Number::Share(1.0))));
}

#[test]
fn another_number_is_refused_where_there_is_none() {
    let mut scenario = steps("{ wait = '1s' }").unwrap();
    assert!(scenario.crash(Number::Nodes(1)).is_err());
    assert!(scenario.shorten(5).is_err());
    let mut scenario = steps("{ crash = 1 }, { rounds = 5 }").unwrap();
    scenario.crash(Number::Share(2.0)).unwrap();
    assert!(scenario.check().is_err());
    scenario.crash(Number::Share(0.5)).unwrap();
    scenario.shorten(2).unwrap();
    assert_eq!((scenario.check(), scenario.rounds()), (Ok(()), 2));
}

#[test]
fn of_the_nodes_that_crash_meanwhile_one_that_sends_is_left() {
    let text = "{ wait = '2s' }, { crash = 2 }, { rounds = 6, crashing = 4, timeout = '1s' }";
    assert_eq!(play(steps(text).unwrap()).rows[2].up, 1);
}
