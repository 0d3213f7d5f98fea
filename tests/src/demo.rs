//! The demo: three nodes on this machine, from the actors' source to one that is swapped.
//!
//! Each step types what a person would type, shows what comes back, and looks whether it is so. It
//! ends with a table of what was shown; all of it must have been observed.

mod command;
mod cut;
mod deploy;
mod document;
mod finding;
mod heat;
mod keep;
mod sense;
mod stage;
mod swap;
mod words;

use std::time::Instant;

use finding::Findings;
use stage::Stage;

/// Plays all of it; tells whether all of it was observed. `keep` leaves the nodes up until Ctrl-C.
///
/// # Errors
/// It could not begin, or not clean up.
pub fn run(keep: bool) -> anyhow::Result<bool> {
    let began = Instant::now();
    let mut findings = Findings::default();
    let mut stage = Stage::open()?;
    let played = play(&mut stage, &mut findings);
    if let Err(why) = &played {
        stage.explain(why);
    }
    let took = began.elapsed();
    if keep && played.is_ok() {
        findings.print(took, true);
        keep::until_interrupted(&stage);
    }
    let ended = stage.close();
    if let (Ok(_), Err(why)) = (&played, &ended) {
        println!("\nThe nodes did not end well: {why:#}");
    }
    if let Ok(figure) = ended {
        findings.observe("nothing is left running", figure);
    }
    findings.print(took, false);
    Ok(findings.complete())
}

fn play(stage: &mut Stage, findings: &mut Findings) -> anyhow::Result<()> {
    let guests = deploy::build(stage, findings)?;
    deploy::nodes(stage, findings)?;
    deploy::actors(stage, &guests, findings)?;
    sense::sensors(stage, findings)?;
    heat::dial(stage, findings)?;
    document::write(stage, findings)?;
    cut::cut(stage, findings)?;
    cut::heal(stage, findings)?;
    swap::swap(stage, &guests, findings)
}
