//! A dial on one node, and heaters on all.

use std::time::Instant;

use anyhow::{Context, ensure};

use super::finding::Findings;
use super::sense;
use super::stage::{ALL, ATTIC, CELLAR, NAMES, SHED, Stage};
use super::words::seconds;

/// Turns the dial on one node, and looks at the heater of another.
pub(super) fn dial(stage: &mut Stage, findings: &mut Findings) -> anyhow::Result<()> {
    stage.title("5. Turn a dial here, drive a pin there");
    stage.say("Each thermostat heats while its room is colder than the target that was dialled");
    stage.say("last, on whichever node. Its room is what its node's sensor actor published last.");
    stage.say("Nobody has dialled yet: the target is 0 °C.");
    for node in [ATTIC, CELLAR] {
        ensure!(level(stage, node)? == "low", "a heater is on before anyone dialled");
    }
    stage.tell(CELLAR, &["ls", "pins"])?;
    let dialled = Instant::now();
    turn(stage, ATTIC, 7)?;
    stage.until("the cellar's heater goes on", || at(stage, CELLAR, "high"))?;
    let took = seconds(dialled.elapsed());
    stage.tell(CELLAR, &["ls", "pins"])?;
    ensure!(level(stage, ATTIC)? == "low", "the attic is heated too");
    let [attic, cellar] = [ATTIC, CELLAR].map(|node| room(stage, node));
    let (attic, cellar) = (attic?, cellar?);
    ensure!(cellar < 7.0 && attic >= 7.0, "the rooms have {attic} and {cellar} °C");
    stage.tell(ATTIC, &["ls", "pins"])?;
    stage.say(format!(
        "Seattle has {cellar:.1} °C and is heated; San Francisco has {attic:.1} °C and is not."
    ));
    let figure = format!("dialled in the attic, cellar low → high in {took}");
    findings.observe("a dial here moves a pin there", figure);
    // The thermostats differ in nothing but the topic of their sensor actor.
    let figure = format!("cellar-air {cellar:.1} °C is heated, attic-air {attic:.1} °C is not");
    findings.observe("a pin goes by what a sensor publishes", figure);
    Ok(())
}

/// What a node's sensor actor says of its room.
fn room(stage: &Stage, node: usize) -> anyhow::Result<f64> {
    let value = sense::last(stage, node)?["Last"]["value"].as_f64();
    value.with_context(|| format!("the sensor actor in the {} has no reading", NAMES[node]))
}

/// Turns a node's dial.
pub(super) fn turn(stage: &Stage, node: usize, celsius: i64) -> anyhow::Result<()> {
    let message = format!("{{\"Dial\": {celsius}}}");
    stage.tell(node, &["send", "thermostat", &message]).map(drop)
}

/// The level of a node's heater.
pub(super) fn level(stage: &Stage, node: usize) -> anyhow::Result<String> {
    let pins = stage.ask(node, &["ls", "pins", "--json"])?;
    let pins = pins.as_array().into_iter().flatten();
    let heater = pins.into_iter().find(|pin| pin["actor"] == "thermostat");
    let level = heater.and_then(|pin| pin["level"].as_str());
    Ok(level.with_context(|| format!("{} has no heater", NAMES[node]))?.into())
}

/// Something if a node's heater is at this level.
pub(super) fn at(stage: &Stage, node: usize, wanted: &str) -> anyhow::Result<Option<()>> {
    Ok((level(stage, node)? == wanted).then_some(()))
}

/// Something if all nodes heat as rooms do whose target is `celsius`.
pub(super) fn all_at(stage: &Stage, celsius: f64) -> anyhow::Result<Option<()>> {
    for node in ALL {
        let room = room(stage, node)?;
        let wanted = if room < celsius { "high" } else { "low" };
        if level(stage, node)? != wanted {
            return Ok(None);
        }
    }
    Ok(Some(()))
}

/// The heaters in a line.
pub(super) fn show(stage: &Stage) -> anyhow::Result<()> {
    let levels = [ATTIC, CELLAR, SHED]
        .map(|node| level(stage, node).map(|level| format!("{} {level}", NAMES[node])));
    let levels = levels.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    stage.say(format!("heaters: {}", levels.join(", ")));
    Ok(())
}
