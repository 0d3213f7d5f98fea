//! What the demo has to show, and what of it was observed.

use std::collections::BTreeMap;
use std::time::Duration;

/// All that is to be shown, in order.
const CLAIMS: [&str; 13] = [
    "actors are built from source",
    "three nodes know each other by key",
    "code is fetched from peers by its CID",
    "recorded sensors are read",
    "this machine's own sensor is read",
    "a dial here moves a pin there",
    "a pin goes by what a sensor publishes",
    "a document agrees on three nodes",
    "a node is really cut off",
    "both sides go on, and disagree",
    "after healing all three agree",
    "an actor is swapped, its state stays",
    "nothing is left running",
];

/// What was observed so far, each with its measured figure.
#[derive(Default)]
pub(super) struct Findings {
    observed: BTreeMap<&'static str, String>,
}

impl Findings {
    /// A claim was seen to be true.
    pub fn observe(&mut self, claim: &'static str, figure: impl Into<String>) {
        debug_assert!(CLAIMS.contains(&claim), "{claim} is not to be shown");
        self.observed.insert(claim, figure.into());
    }

    /// Whether all was observed.
    pub fn complete(&self) -> bool {
        CLAIMS.iter().all(|claim| self.observed.contains_key(claim))
    }

    /// The table. `later`: what is missing is not over yet.
    pub fn print(&self, took: Duration, later: bool) {
        println!("\n{:<38} {:<9} MEASURED", "SHOWN", "OBSERVED");
        for claim in CLAIMS {
            let (observed, figure) = match self.observed.get(claim) {
                Some(figure) => ("yes", figure.as_str()),
                None if later => ("later", "at the end"),
                None => ("no", "-"),
            };
            println!("{claim:<38} {observed:<9} {figure}");
        }
        let (seen, all) = (self.observed.len(), CLAIMS.len());
        println!("\n{seen} of {all} observed in {:.0} s.", took.as_secs_f64());
    }
}
