//! The simulator plays components: the same bytes that nodes run, and what they do is what the same
//! source does natively.

mod storms;
mod tables;

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use edge_host::wasm::{Engine, Layout};
use gossip::Gossip;
use serde_json::Value;
use sim::{Run, Scenario};
use tests::guests::repository;

use crate::fixture::{error_line, layered};
use crate::nodes;

fn scenario(nodes: usize) -> Scenario {
    let file = repository().join("tests/scenarios/rough.toml");
    let text = std::fs::read_to_string(file).unwrap();
    Scenario { nodes, ..Scenario::read(&text).unwrap() }
}

#[test]
fn a_component_and_its_source_leave_the_same_trace() -> Result<()> {
    let bytes = std::fs::read(&nodes::gossip().file)?;
    let play = |component| -> Result<_> {
        let component = Engine::new(Layout::Packed)?.simulated(component)?;
        Ok(Run::new(scenario(12), 5, component, gossip::kind).play(&mut |_, _| {}))
    };
    let component = play(&bytes)?;
    assert_eq!(component.trace, play(&layered(&bytes))?.trace);
    let native = guest_sdk::native::<Gossip>();
    let native = Run::new(scenario(12), 5, native, gossip::kind).play(&mut |_, _| {});
    assert_eq!(component.trace, native.trace);
    assert_eq!(serde_json::to_value(component)?, serde_json::to_value(native)?);
    Ok(())
}

/// How many elements there are of a kind, in an SVG that must be well-formed.
fn count(svg: &str, kind: &str) -> usize {
    let (mut open, mut found) = (Vec::new(), 0);
    for tag in svg.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').unwrap_or_else(|| panic!("<{tag} is never closed"));
        assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "<{tag}>{text}");
        let name = tag.split_whitespace().next().unwrap_or_default().trim_end_matches('/');
        found += usize::from(name == kind);
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None if !tag.ends_with('/') => open.push(name),
            None => {}
        }
    }
    assert_eq!(open, [""; 0], "never closed");
    found
}

#[test]
fn a_run_is_drawn_with_a_mark_for_each_node() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let scenario = folder.path().join("a.toml");
    let text = "about = '<5 & \"more\"'\nnodes = 14\n\
                steps = [{ wait = '3s' }, { crash = 2 }, { rounds = 3, timeout = '30s' }]\n";
    std::fs::write(&scenario, text)?;
    let pictures = folder.path().join("pictures");
    let mut command = Command::new(tests::guests::edge_host()?);
    command.arg("sim").arg(&scenario).arg("--actor").arg(&nodes::gossip().file);
    let output = command.args(["--seed", "3", "--json", "--svg"]).arg(&pictures).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout)?;
    assert!(report.get("picture").is_none(), "what is drawn is not printed");
    let picture = |name: &str| std::fs::read_to_string(pictures.join(format!("{name}-3.svg")));
    assert_eq!(count(&picture("overlay")?, "circle"), 12);
    // Twelve nodes are each other's neighbours, but not all of them.
    assert!((12..=66).contains(&count(&picture("overlay")?, "polyline")));
    assert_eq!(count(&picture("tree")?, "circle"), 12);
    assert_eq!(count(&picture("tree")?, "polyline"), 11);
    let times = picture("times")?;
    assert!(times.contains("33 deliveries") && count(&times, "rect") > 3, "{times}");
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
    let why = String::from_utf8(play(Path::new("report"), &["--svg", "nowhere"])?.stderr)?;
    assert!(why.contains("--svg draws the runs of one scenario"), "{why}");
    let line = |output: &std::process::Output| {
        assert!(!output.status.success());
        error_line(&String::from_utf8_lossy(&output.stderr))
    };
    let bad = folder.path().join("bad.toml");
    std::fs::write(&bad, "nodes = 5\nsteps = [{ dance = 3 }]\n")?;
    let why = line(&play(&bad, &[])?);
    assert!(why.contains("bad.toml can't be played: line 2: unknown field `dance`"), "{why}");
    // Before anything is built: there is nothing to build here.
    let mut elsewhere = Command::new(&program);
    let why = line(&elsewhere.current_dir(&folder).args(["sim", "bad.toml"]).output()?);
    assert!(why.contains("can't be played"), "{why}");
    let why = line(&play(&file, &["--nodes", "1"])?);
    assert!(why.ends_with("nodes = 1: write 2 to 100000"), "{why}");
    let why = line(&play(Path::new("reprot"), &["--native"])?);
    assert!(why.contains("can't read reprot") && why.contains("`report`"), "{why}");
    Ok(())
}
