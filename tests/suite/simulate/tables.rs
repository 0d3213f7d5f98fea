//! The tables that `compare`, `papers` and `report` print, small.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::fixture::error_line;
use crate::nodes;

/// Plays what is asked for with the component, for JSON.
fn sim(what: &str, more: &[&str]) -> Result<Output> {
    let mut command = Command::new(tests::guests::edge_host()?);
    command.args(["sim", what, "--json", "--actor"]).arg(&nodes::gossip().file).args(more);
    Ok(command.output()?)
}

fn rows(output: &Output) -> Result<Vec<Value>> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_slice(&output.stdout).context(said)
}

fn number(row: &Value, name: &str) -> f64 {
    row["figures"][name].as_f64().unwrap_or(f64::NAN)
}

#[test]
fn compare_plays_the_same_crashes_and_rounds_with_all() -> Result<()> {
    // A seed with which a hub is left.
    let how = ["--nodes", "30", "--crash", "9", "--rounds", "5", "--seed", "2"];
    let output = sim("compare", &how)?;
    let rows = rows(&output)?;
    let names: Vec<_> = rows.iter().filter_map(|row| row["protocol"].as_str()).collect();
    let each = ["gossip", "flooding with a time to live", "plain eager push", "hubs and leaves"];
    assert_eq!(names, [each, each].concat());
    assert!(rows[0]["crashes"] == 0.0 && rows[4]["crashes"] == 9, "{rows:#?}");
    for row in &rows {
        // Frames of bodies: one for each delivery, and those that are redundant.
        let (frames, rmr) = (number(row, "messages"), number(row, "rmr"));
        let (nodes, share) =
            (if row["crashes"] == 9 { 20.0 } else { 29.0 }, number(row, "delivery"));
        let bodies = nodes * share * (rmr + 1.0) * 0.99;
        match row["protocol"].as_str() {
            Some("gossip") => {
                assert!(share == 1.0 && rmr < 1.0 && frames > bodies, "{row:#}");
            }
            // Some go to nodes that have crashed.
            _ => assert!((bodies..bodies * 2.0).contains(&frames) && share > 0.6, "{row:#}"),
        }
    }
    let [gossip, flood, push, hubs] = [0, 1, 2, 3].map(|row| number(&rows[row], "rmr"));
    assert!(gossip < hubs && hubs < flood && push < flood, "{rows:#?}");
    Ok(())
}

#[test]
fn papers_gives_a_reason_for_what_differs() -> Result<()> {
    let output = sim("papers", &["--nodes", "30", "--rounds", "12"])?;
    let rows = rows(&output)?;
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).context(name.to_owned());
    let path = row("shortest path")?;
    assert_eq!(path["why"], "30 nodes, not 10000");
    assert!(path["ours"].as_f64().is_some_and(|path| (1.0..3.0).contains(&path)), "{path}");
    let next = row("the next 12, mean")?;
    assert_eq!((&next["ours"], &next["why"]), (&Value::from(1.0), &Value::from("")));
    let heals = rows.iter().filter(|row| row["name"] == "healed after cycles of 10 s");
    let cycles: Vec<_> = heals.map(|row| row["ours"].as_f64()).collect();
    assert_eq!(cycles.len(), 7);
    assert!(cycles[..5].iter().all(|cycles| cycles.is_some_and(|it| it <= 2.0)), "{cycles:?}");
    let output = sim("papers", &["--crash", "0.5"])?;
    let said = error_line(&String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("--rule and --crash are for scenarios"), "{said}");
    Ok(())
}

#[test]
fn report_fails_where_a_figure_is_not_met_and_names_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let write = |name: &str, reach: &str| {
        let text = format!(
            "nodes = 30\nreach = {{ {reach} }}\nsteps = [{{ wait = '2s' }}, {{ rounds = 3 }}]\n"
        );
        std::fs::write(folder.path().join(name), text)
    };
    write("good.toml", "delivery = 1.0, ldt_ms = 1000")?;
    std::fs::write(folder.path().join("large.toml"), "nodes = 1001\nsteps = [{ heal = true }]\n")?;
    let report =
        |path: &Path| sim("report", &["--quick", "--scenarios", path.to_str().context("a path")?]);
    let output = report(folder.path())?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(rows(&output)?[0]["figures"]["delivery"]["met"], true);
    write("never.toml", "delivery = 1.0, rmr = -1.0")?;
    let output = report(folder.path())?;
    assert!(!output.status.success());
    assert_eq!(rows(&output)?[1]["figures"]["rmr"]["met"], false);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("edge-host: 1 of 4 figures are not met: never rmr"), "{said}");
    Ok(())
}
