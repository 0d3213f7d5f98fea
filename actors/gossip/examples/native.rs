//! Plays a scenario with gossip compiled natively: `edge-host sim --native` runs this.
//!
//! Arguments: the scenario's file, and `KEY=VALUE` for what is otherwise than it says, the seed,
//! and whether what there is to draw is to be in the report.

use std::process::ExitCode;

use gossip::Gossip;
use sim::{Run, Scenario};

fn main() -> ExitCode {
    match play() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("native: {why}");
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<String, Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("which scenario? Give its file first")?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let mut scenario = Scenario::read(&text).map_err(|error| format!("{file}: {error}"))?;
    let (mut seed, mut draw) = (1, false);
    for argument in arguments {
        match argument.split_once('=') {
            Some(("seed", value)) => seed = value.parse()?,
            Some(("nodes", value)) => scenario.nodes = value.parse()?,
            Some(("rule", value)) => {
                scenario.rule = serde_json::from_value(serde_json::Value::from(value))?;
            }
            Some(("crash", value)) => scenario.crash(value.parse()?)?,
            Some(("rounds", value)) => scenario.shorten(value.parse()?)?,
            Some(("draw", value)) => draw = value.parse()?,
            _ => {
                let keys = "seed=N, nodes=N, rule=RULE, crash=SHARE, rounds=N or draw=true";
                return Err(format!("{argument:?}: write {keys}").into());
            }
        }
    }
    scenario.check()?;
    let mut run = Run::new(scenario, seed, guest_sdk::native::<Gossip>(), gossip::kind);
    if draw {
        run.draw();
    }
    let report = run.watch(&mut |far| {
        // For whoever shows how far it is.
        eprintln!("{}", serde_json::to_string(&far).unwrap_or_default());
    });
    Ok(serde_json::to_string(&report)?)
}
