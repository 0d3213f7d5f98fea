//! Scenarios as nobody would write them, for a bounded time: what can't be read is refused in one
//! line, and what is taken can be played.
//!
//! `FUZZ_SECONDS=600` goes on for longer, `SEED=` repeats a run.

#[path = "../../../actors/gossip/tests/fuzz/driver.rs"]
mod driver;

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;
use std::time::Duration;

use driver::{Found, fuzz};
use sim::{Baseline, Run, Scenario};

fn feature(of: &impl std::hash::Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(of)
}

/// What ships.
fn corpus() -> Vec<Vec<u8>> {
    let folder = std::fs::read_dir(Path::new("../../tests/scenarios")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Whether it is over at once.
fn is_small(scenario: &Scenario) -> bool {
    const SHORT: Duration = Duration::from_secs(30);
    let steps = &scenario.steps;
    let joins: usize = steps.iter().filter_map(|step| step.join).sum();
    let times = steps.iter().flat_map(|step| [step.wait, step.timeout, step.time, step.every]);
    let long = times.flatten().chain([scenario.boot, scenario.delay.1]).any(|time| time > SHORT);
    let large = scenario.nodes + joins > 30 || steps.len() > 30 || scenario.rounds() > 20;
    let bytes = steps.iter().filter_map(|step| step.bytes).max().unwrap_or(0);
    !long && !large && bytes < 10_000
}

#[test]
fn a_scenario_is_refused_in_one_line_or_can_be_played() {
    fuzz("scenario", &corpus(), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return Found::default() };
        match Scenario::read(text) {
            Err(fault) => {
                let why = fault.to_string();
                assert!(!why.trim().is_empty() && !why.contains('\n'), "{why}");
                // Whatever the numbers in it.
                let words: String = why.chars().filter(|char| char.is_alphabetic()).collect();
                Found::new([feature(&words.chars().take(60).collect::<String>())])
            }
            Ok(scenario) => {
                let steps: Vec<_> = scenario.steps.iter().map(|step| step.verb()).collect();
                assert_eq!(scenario.check(), Ok(()));
                let mut found = Found::new([feature(&steps)]);
                if is_small(&scenario) {
                    let push = Baseline::Push { fanout: 4 };
                    let report = Run::baseline(scenario, 1, push).play(&mut |_, _| {});
                    assert_eq!(report.rows.len(), steps.len());
                    found.add(feature(&(report.sum.evictions > 0, report.sum.messages > 0)));
                }
                found
            }
        }
    });
}
