//! Scenario files, in the simulator and on real nodes: the same outcome.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::guests::{edge_host, repository};

use crate::fixture::error_line;
use crate::nodes;

/// How long nodes may take to start, or to be gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// What a step came to, as far as it must be the same wherever it was played.
#[derive(Debug, PartialEq)]
struct Outcome {
    step: String,
    /// Nodes that are up, unless they may still be booting.
    up: Option<u64>,
    reached: Option<Reached>,
    twice: u64,
    healed: bool,
    /// Nodes of the overlay, and its parts.
    overlay: Option<(u64, u64)>,
}

/// Whom the messages of a step reached. How many some are hangs on the time that there was.
#[derive(Debug, PartialEq)]
enum Reached {
    All,
    Some,
    None,
}

fn sim(file: &Path, options: &[&str]) -> Result<std::process::Output> {
    Ok(command(file, options)?.output()?)
}

fn command(file: &Path, options: &[&str]) -> Result<Command> {
    let mut command = Command::new(edge_host()?);
    command.arg("sim").arg(file).arg("--json");
    command.arg("--actor").arg(&nodes::gossip().file).arg("--ear").arg(&nodes::ear().file);
    command.args(options);
    Ok(command)
}

fn scenario(name: &str) -> std::path::PathBuf {
    repository().join(format!("tests/scenarios/{name}.toml"))
}

fn report(name: &str, options: &[&str]) -> Result<Value> {
    let output = sim(&scenario(name), options)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{name} {options:?}: {said}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn outcome(row: &Value) -> Result<Outcome> {
    let number = |value: &Value| value.as_u64().context("no number");
    let reached = row["delivery"].as_f64().map(|delivery| match delivery {
        1.0 => Reached::All,
        0.0 => Reached::None,
        _ => Reached::Some,
    });
    let overlay = row.get("overlay").filter(|overlay| overlay.is_object());
    let parts =
        |overlay: &Value| anyhow::Ok((number(&overlay["nodes"])?, number(&overlay["components"])?));
    let step = row["step"].as_str().context("no step")?;
    let boots = step == "restart" || step.starts_with("join");
    Ok(Outcome {
        step: step.into(),
        up: if boots { None } else { Some(number(&row["up"])?) },
        reached,
        twice: row["twice"].as_u64().unwrap_or_default(),
        healed: row["healed_s"].is_number(),
        overlay: overlay.map(parts).transpose()?,
    })
}

fn outcomes(report: &Value) -> Result<Vec<Outcome>> {
    report["rows"].as_array().context("no rows")?.iter().map(outcome).collect()
}

/// Plays a scenario in the simulator and on real nodes; gives both reports.
fn same_outcome(name: &str, real: &str) -> Result<[Value; 2]> {
    let simulated = report(name, &[])?;
    let real = report(name, &[real])?;
    assert_eq!(outcomes(&real)?, outcomes(&simulated)?, "{name}: {real:#}");
    Ok([simulated, real])
}

#[test]
fn twenty_nodes_in_one_process_do_as_simulated_ones_do() -> Result<()> {
    let [simulated, real] = same_outcome("random-20", "--real")?;
    assert_eq!(real["metrics"]["delivery"], 1.0, "{real:#}");
    assert_eq!(real["on"], "real nodes in one process");
    // What they don't do as it says is told, and what they don't count is not in the report.
    assert!(real["otherwise"].as_array().is_some_and(|all| !all.is_empty()), "{real:#}");
    assert!(simulated["trace"].is_string() && real.get("trace").is_none());
    // The roads take as long as the simulator's: no message is everywhere before it can be.
    let least = |report: &Value| report["metrics"]["ldt_ms"].as_f64().unwrap_or(0.0);
    assert!(least(&real) > 10.0 && least(&simulated) > 10.0, "{real:#}");
    // Along a tree: far from everyone's having it from everyone.
    assert!(real["metrics"]["rmr"].as_f64().is_some_and(|rmr| rmr < 1.0), "{real:#}");
    Ok(())
}

#[test]
fn twenty_nodes_that_are_cut_apart_are_one_again_as_simulated_ones_are() -> Result<()> {
    let [_, real] = same_outcome("cut", "--real")?;
    let steps = outcomes(&real)?;
    let apart = steps.iter().filter(|step| step.reached == Some(Reached::Some)).count();
    assert_eq!(apart, 2, "a message got over a cut: {steps:?}");
    assert_eq!(steps.iter().filter(|step| step.healed).count(), 2, "{steps:?}");
    assert_eq!(steps.last().context("no steps")?.overlay, Some((20, 1)));
    Ok(())
}

#[test]
fn twenty_nodes_that_all_send_at_once_do_as_simulated_ones_do() -> Result<()> {
    let [_, real] = same_outcome("all-20", "--real")?;
    assert_eq!(real["metrics"]["delivery"], 1.0, "{real:#}");
    assert_eq!(real["per_round"].as_array().map(Vec::len), Some(5), "{real:#}");
    assert!(real["sum"].get("messages").is_none(), "real nodes don't count them: {real:#}");
    Ok(())
}

#[test]
fn nodes_that_join_and_leave_do_as_simulated_ones_do() -> Result<()> {
    let [_, real] = same_outcome("come-and-go", "--real")?;
    let steps = outcomes(&real)?;
    let of = |name: &str| steps.iter().position(|step| step.step == name);
    let (joined, left) = (of("join 2").context("no join")?, of("leave 2").context("no leave")?);
    assert_eq!((steps[joined + 1].up, steps[left].up), (Some(8), Some(6)), "{steps:?}");
    assert_eq!(steps.last().context("no steps")?.overlay, Some((6, 1)));
    Ok(())
}

#[test]
fn eight_processes_that_crash_and_stand_still_do_as_simulated_ones_do() -> Result<()> {
    let [_, real] = same_outcome("crash-8", "--real=processes")?;
    let steps = outcomes(&real)?;
    assert!(steps.iter().any(|step| step.up == Some(5)), "nobody crashed: {steps:?}");
    assert_eq!(steps.last().context("no steps")?.overlay, Some((8, 1)));
    Ok(())
}

#[test]
fn what_real_nodes_can_not_do_is_refused_before_any_starts() -> Result<()> {
    for (name, option, why) in [
        ("rough", "--real", "bandwidth can't be had on real nodes"),
        ("crash-8", "--real", "--real=processes"),
        ("pause", "--real=processes", "--nodes 65 or less"),
    ] {
        let output = sim(&scenario(name), &[option])?;
        assert!(!output.status.success(), "{name}");
        let said = error_line(&String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(why), "{said}");
    }
    Ok(())
}

#[test]
fn a_player_that_is_killed_leaves_no_node_behind() -> Result<()> {
    let mut player = command(&scenario("crash-8"), &["--real=processes"])?.spawn()?;
    let of = format!("/proc/{0}/task/{0}/children", player.id());
    let began = Instant::now();
    // The last of the eight is about to start, and may not have said yet whom it ends with.
    let nodes = loop {
        let nodes = std::fs::read_to_string(&of)?;
        if nodes.split_whitespace().count() >= 7 || began.elapsed() > PATIENCE {
            break nodes;
        }
        std::thread::sleep(LOOK);
    };
    player.kill()?;
    player.wait()?;
    let nodes: Vec<&str> = nodes.split_whitespace().collect();
    assert!(nodes.len() >= 7, "too few started: {nodes:?}");
    let runs = |pid: &&&str| {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        state.contains("edge-host") && !state.contains(") Z")
    };
    let began = Instant::now();
    while nodes.iter().any(|pid| runs(&pid)) {
        assert!(began.elapsed() < PATIENCE, "these go on: {:?}", nodes.iter().filter(runs));
        std::thread::sleep(LOOK);
    }
    Ok(())
}
