//! The scenarios that ship, small, and what must hold in each; and that a seed decides all.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gossip::Gossip;
use sim::{Network, Report, Role, Run, Scenario, Simulation, World};

fn scenario(name: &str) -> Scenario {
    let folder = Path::new("../../tests/scenarios");
    let file = folder.join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
    Scenario::read(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn play(scenario: Scenario, seed: u64) -> Report {
    Run::new(scenario, seed, guest_sdk::native::<Gossip>(), gossip::kind).play(&mut |_, _| {})
}

/// The seeds of this run: from `SEED=`, else always the same.
fn seeds(count: u64) -> impl Iterator<Item = u64> {
    let first = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    println!("SEED={first}");
    (0..count).map(move |step| step + first)
}

/// Each message reached all nodes, none of them twice, and no turn failed.
fn assert_whole(report: &Report) {
    assert_eq!(report.failures, 0, "seed {}", report.seed);
    for row in &report.rows {
        let Some(rounds) = &row.rounds else { continue };
        let what = format!("{}, seed {}: {:?}", row.step, report.seed, rounds.misses);
        assert_eq!((rounds.missed, rounds.twice), (0, 0), "{what}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let run = |seed| play(scenario("rough"), seed);
    let (one, same, other) = (run(1), run(1), run(2));
    assert_eq!(one.trace, same.trace);
    assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&same).unwrap());
    assert_ne!(one.trace, other.trace);
}

#[test]
fn a_bit_of_everything_harms_nothing() {
    for seed in seeds(5) {
        assert_whole(&play(scenario("rough"), seed));
    }
}

#[test]
fn a_tree_sends_hardly_anything_twice() {
    for seed in seeds(2) {
        let report = play(Scenario { nodes: 60, ..scenario("random-100-settled") }, seed);
        assert_whole(&report);
        let rmr = report.metric("rmr").unwrap();
        assert!(rmr < 0.15, "seed {seed}: RMR {rmr}");
    }
}

#[test]
fn halves_and_thirds_that_were_apart_become_one_again() {
    for seed in seeds(2) {
        let report = play(Scenario { nodes: 40, ..scenario("split") }, seed);
        assert_whole(&report);
        let healed = report.metric("healed_s").unwrap();
        assert!(healed < 5.0, "seed {seed}: {healed} s");
        // No storm: a few changes for each node, not one for each pair.
        let evictions: u64 = report.rows.iter().map(|row| row.evictions).sum();
        assert!(evictions < 40 * 40, "seed {seed}: {evictions}");
    }
}

#[test]
fn nodes_that_stood_still_are_not_expelled() {
    for seed in seeds(2) {
        let report = play(Scenario { nodes: 40, ..scenario("pause") }, seed);
        assert_whole(&report);
        let overlay = report.rows.last().and_then(|row| row.overlay.clone()).unwrap();
        assert_eq!(overlay.components, 1, "seed {seed}");
    }
}

#[test]
fn by_the_physarum_rule_neighbours_change_only_while_something_is_said() {
    // How many nodes were offered to be neighbours in place of another, at rest and while each
    // sends; and all messages arrive.
    let offers = |rule, seed| {
        let scenario = "nodes = 60\nrule = \"RULE\"\nsteps = [{ wait = \"60s\" }, \
                        { wait = \"60s\" }, { rounds = 60, every = \"2s\" }]";
        let scenario = Scenario::read(&scenario.replace("RULE", rule)).unwrap();
        let report = play(scenario, seed);
        assert_whole(&report);
        let offers = |row: usize| report.rows[row].kinds.get("nearer").map_or(0, |kind| kind.0);
        (offers(1), offers(2))
    };
    for seed in seeds(2) {
        // Some first neighbours are left to be given up for others, whatever the rule.
        let (usual, _) = offers("nearest", seed);
        let (rest, talk) = offers("physarum", seed);
        assert!(rest * 3 < usual && talk > 120, "seed {seed}: {usual}, {rest}, {talk}");
    }
}

#[test]
fn who_joined_at_about_the_same_time_does_not_stay_together() {
    let text = "nodes = 400\nboot = \"4s\"\nrule = \"physarum\"\n\
                steps = [{ wait = \"9s\" }, { overlay = true }, { wait = \"50s\" }, \
                { overlay = true }]";
    for seed in seeds(1) {
        let report = play(Scenario::read(text).unwrap(), seed);
        let clustering =
            |row: usize| report.rows[row].overlay.as_ref().map_or(f64::NAN, |seen| seen.clustering);
        // Neighbours drawn from all would be of each other at a rate of one in a hundred.
        let (young, old) = (clustering(1), clustering(3));
        assert!(young > 0.022 && old < 0.018, "seed {seed}: {young}, then {old}");
    }
}

/// These steps after 160 of 200 nodes have crashed at once.
fn after_most_crash(steps: &str) -> Scenario {
    let head = "nodes = 200\nboot = \"2s\"\npatience = \"1s\"\n";
    let text = format!("{head}steps = [{{ wait = \"30s\" }}, {{ crash = 0.8 }}, {steps}]");
    Scenario::read(&text).unwrap()
}

#[test]
fn after_most_nodes_crash_the_others_find_each_other_within_two_cycles() {
    for seed in seeds(1) {
        let report = play(after_most_crash("{ rounds = 15 }, { overlay = true }"), seed);
        let cycles = report.metric("heal_cycles").unwrap();
        assert!(cycles <= 2.0, "seed {seed}: {cycles}");
        let overlay = report.rows.last().and_then(|row| row.overlay.clone()).unwrap();
        assert_eq!((overlay.nodes, overlay.components), (40, 1), "seed {seed}");
    }
}

#[test]
fn the_first_message_after_most_nodes_crash_finds_the_others_within_two_seconds() {
    // One second until anyone can know, and all that a node knows is which names it had.
    for seed in seeds(2) {
        let report = play(after_most_crash("{ rounds = 1 }"), seed);
        assert_whole(&report);
        let last = report.metric("ldt_ms").unwrap();
        assert!(last < 2000.0, "seed {seed}: {last} ms");
    }
}

#[test]
fn frames_that_vanish_are_asked_for() {
    for seed in seeds(1) {
        assert_whole(&play(Scenario { nodes: 50, ..scenario("regions-200-vanish") }, seed));
    }
}

#[test]
fn an_overlay_at_rest_takes_few_turns_though_some_nodes_are_without() {
    for seed in seeds(3) {
        let mut sim = Simulation::new(seed, Network::default());
        for node in 0..10 {
            sim.node(None);
            if node % 5 > 0 {
                sim.place(
                    node,
                    Role {
                        name: "gossip".into(),
                        world: World::Protocol,
                        component: guest_sdk::native::<Gossip>(),
                        grants: BTreeMap::new(),
                        open: false,
                    },
                );
            }
        }
        sim.run_for(Duration::from_secs(60));
        let before = sim.turns();
        sim.run_for(Duration::from_secs(100));
        // Of eight nodes: a tick, a part of a beacon to and from each neighbour, now and then a
        // digest, a shuffle, a try whether a node without has got one meanwhile.
        let each = (sim.turns() - before) as f64 / 800.0;
        assert!(each < 6.0, "seed {seed}: {each} turns a second and node");
    }
}

#[test]
fn every_scenario_that_ships_can_be_read() {
    let folder = Path::new("../../tests/scenarios");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let names = files.filter(|file| file.extension().is_some_and(|end| end == "toml"));
    let read: Vec<_> =
        names.map(|file| scenario(&file.file_stem().unwrap().to_string_lossy())).collect();
    assert!(read.len() > 10);
}
