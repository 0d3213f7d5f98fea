//! A node that is cut off, and comes back.

use std::time::Instant;

use anyhow::ensure;
use serde_json::json;

use super::finding::Findings;
use super::stage::{ALL, ATTIC, CELLAR, NAMES, SHED, Stage};
use super::words::seconds;
use super::{deploy, document, heat};

/// What is dialled in the attic while the cellar is cut off: more than any room has.
const DIALLED: i64 = 20;

/// Cuts the cellar off, and changes things on both sides.
pub(super) fn cut(stage: &mut Stage, findings: &mut Findings) -> anyhow::Result<()> {
    stage.title("7. Cut the cellar off");
    stage.say("The relays drop every packet from and to the cellar from here on.");
    let began = Instant::now();
    stage.cut(CELLAR, true);
    stage.until("the cellar is alone", || Ok((deploy::up(stage, CELLAR)? == 0).then_some(())))?;
    for node in [ATTIC, SHED] {
        stage.until("the others miss it", || Ok((deploy::up(stage, node)? == 1).then_some(())))?;
    }
    let took = seconds(began.elapsed());
    stage.say(format!("All three nodes noticed within {took}."));
    let figure = format!("all three nodes noticed within {took}");
    stage.tell(CELLAR, &["ls", "peers"])?;
    findings.observe("a node is really cut off", figure);

    stage.say("Meanwhile people go on, on both sides.");
    heat::turn(stage, CELLAR, 0)?;
    document::change(stage, CELLAR, json!({ "Set": { "key": "host", "value": "cellar" } }))?;
    document::change(stage, CELLAR, json!({ "Add": { "key": "guests", "item": "cat" } }))?;
    document::change(stage, CELLAR, json!({ "Increment": { "key": "rings", "by": 10 } }))?;
    heat::turn(stage, ATTIC, DIALLED)?;
    document::change(stage, ATTIC, json!({ "Set": { "key": "host", "value": "shed" } }))?;
    document::change(stage, SHED, json!({ "Remove": { "key": "guests", "item": "bob" } }))?;
    document::change(stage, SHED, json!({ "Increment": { "key": "rings", "by": 100 } }))?;
    let here = json!({
        "guests": { "items": ["ann"] }, "host": { "value": "shed" },
        "rings": { "count": 106 },
    });
    for node in [ATTIC, SHED] {
        let what = format!("{} has {here}", NAMES[node]);
        stage.until(&what, || Ok((document::on(stage, node)? == here).then_some(())))?;
    }
    stage.until("the attic's heater is on", || heat::at(stage, ATTIC, "high"))?;
    stage.until("the cellar's heater is off", || heat::at(stage, CELLAR, "low"))?;
    let there = json!({
        "guests": { "items": ["ann", "bob", "cat"] },
        "host": { "value": "cellar" },
        "rings": { "count": 16 },
    });
    ensure!(document::on(stage, CELLAR)? == there, "the cellar heard of it");
    document::show(stage, &ALL)?;
    heat::show(stage)?;
    let figure = "rings 106 | 16, host shed | cellar, heater high | low";
    findings.observe("both sides go on, and disagree", figure);
    Ok(())
}

/// Lets packets through again, and waits until all agree.
pub(super) fn heal(stage: &mut Stage, findings: &mut Findings) -> anyhow::Result<()> {
    stage.title("8. Let it heal");
    stage.say("The relays pass packets again. Sets and counters keep what both sides did; of a");
    stage.say("value, and of the dial, the last one written stays.");
    let began = Instant::now();
    stage.cut(CELLAR, false);
    let both = json!({
        "guests": { "items": ["ann", "cat"] }, "host": { "value": "shed" },
        "rings": { "count": 116 },
    });
    document::agreed(stage, &both)?;
    let document = seconds(began.elapsed());
    stage.until("all heat to the same target", || heat::all_at(stage, DIALLED as f64))?;
    let heaters = seconds(began.elapsed());
    // News goes round by the shed as soon as one link is back; what comes next needs all.
    for node in ALL {
        let connected = || Ok((deploy::up(stage, node)? == 2).then_some(()));
        stage.until("all nodes are connected again", connected)?;
    }
    stage.say(format!("The documents agree after {document}, the dials after {heaters}."));
    document::show(stage, &ALL)?;
    heat::show(stage)?;
    let figure = format!("document in {document}, dial in {heaters}");
    findings.observe("after healing all three agree", figure);
    Ok(())
}
