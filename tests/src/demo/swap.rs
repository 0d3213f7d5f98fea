//! New code in a running actor's place.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::Value;

use super::deploy::Guests;
use super::finding::Findings;
use super::stage::{ATTIC, CELLAR, Stage};
use super::words::seconds;

/// Swaps the cellar's thermostat for its next version.
pub(super) fn swap(
    stage: &mut Stage,
    guests: &Guests,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    stage.title("9. Swap a running actor for new code");
    stage.say("The next thermostat does not flutter around its target, and answers \"Show\". Its");
    stage.say(
        "CID differs; it takes over address, mailbox and state. Nobody dials it: 20 °C it can",
    );
    stage.say("only know from the version before, which heard of it when the cut was healed.");
    let before = row(stage)?;
    print(stage, &before);
    let cid = stage.keep(ATTIC, &["add", "hot-swap.wasm"], "NEXT")?;
    ensure!(cid == guests.cid("hot-swap")?, "another name than `edge-host build` printed");
    let began = Instant::now();
    stage.tell(CELLAR, &["swap", "thermostat", &cid])?;
    let took = seconds(began.elapsed());
    let after = row(stage)?;
    print(stage, &after);
    ensure!(before["component"] == *guests.cid("thermostat")?, "the old code was not running");
    ensure!(after["component"] == *cid, "the new code does not run");
    ensure!(before["address"] == after["address"], "the address changed");
    let handled = |row: &Value| row["handled"].as_u64().context("no count of messages");
    ensure!(handled(&after)? >= handled(&before)?, "what was handled is forgotten");
    let said = stage.tell(CELLAR, &["send", "thermostat", "\"Show\""])?;
    let shown: Value = serde_json::from_str(&said)?;
    ensure!(shown["target"].as_f64() == Some(20.0), "the target is lost: {said}");
    ensure!(shown["heats"] == true, "it does not heat: {said}");
    let figure = format!("in {took}: new CID, same address, target still 20 °C");
    findings.observe("an actor is swapped, its state stays", figure);
    Ok(())
}

fn row(stage: &Stage) -> anyhow::Result<Value> {
    let rows = stage.ask(CELLAR, &["ls", "actors", "--json"])?;
    let mut rows = rows.as_array().cloned().unwrap_or_default().into_iter();
    rows.find(|row| row["name"] == "thermostat").context("no thermostat runs")
}

fn print(stage: &Stage, row: &Value) {
    let typed = ["ls", "actors", "--json", "--data", "cellar/data"];
    println!("$ {}", stage.line(&typed));
    let cell = |key: &str| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_string);
    let cells = ["component", "address", "handled", "incarnations"]
        .map(|key| format!("{key} {}", cell(key)));
    stage.say(format!("of thermostat: {}", cells.join(", ")));
}
