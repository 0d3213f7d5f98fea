//! The simulator plays components: the same bytes that nodes run, and what they do is what the same
//! source does natively.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use edge_host::wasm::Engine;
use gossip::Gossip;
use serde_json::Value;
use sim::{Run, Scenario};
use tests::guests::repository;

use crate::nodes;

fn scenario(nodes: usize) -> Scenario {
    let file = repository().join("tests/scenarios/rough.toml");
    let text = std::fs::read_to_string(file).unwrap();
    Scenario { nodes, ..Scenario::read(&text).unwrap() }
}

#[test]
fn a_component_and_its_source_leave_the_same_trace() -> Result<()> {
    let bytes = std::fs::read(&nodes::gossip().file)?;
    let component = Engine::new()?.simulated(&bytes)?;
    let component = Run::new(scenario(12), 5, component, gossip::kind).play(&mut |_, _| {});
    let native = guest_sdk::native::<Gossip>();
    let native = Run::new(scenario(12), 5, native, gossip::kind).play(&mut |_, _| {});
    assert_eq!(component.trace, native.trace);
    assert_eq!(serde_json::to_value(component)?, serde_json::to_value(native)?);
    Ok(())
}

#[test]
fn the_command_line_plays_a_scenario_and_says_what_is_wrong_with_one() -> Result<()> {
    let program = tests::guests::edge_host()?;
    let play = |scenario: &Path, more: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("sim").arg(scenario).arg("--actor").arg(&nodes::gossip().file);
        command.args(more).output()
    };
    let file = repository().join("tests/scenarios/rough.toml");
    let output = play(&file, &["--nodes", "12", "--seed", "5", "--json"])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let native = guest_sdk::native::<Gossip>();
    let native = Run::new(scenario(12), 5, native, gossip::kind).play(&mut |_, _| {});
    assert_eq!(report["trace"], native.trace);
    // As text too: what reads JSON may be off by the last bit.
    let rows: Value = serde_json::from_str(&serde_json::to_string(&native.rows)?)?;
    assert_eq!(report["rows"], rows, "kinds are named alike");

    let folder = tempfile::tempdir()?;
    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, "nodes = 5\nsteps = [{ dance = 3 }]\n")?;
    let output = play(&bad, &[])?;
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && why.contains("dance"), "{why}");
    Ok(())
}
