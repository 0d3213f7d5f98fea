//! A question and its answer as calls of the two guests' modules, and nothing between them.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use bench::{Call, Run, percentile, sized};
use conductor::{Asked, Message};

use crate::module::{self, Letters};
use crate::raw::{Code, Guest, Letters as _, Load};

/// Most questions of a run: the asking guest keeps what each took.
const MOST: u64 = 500_000;
/// The handles that the guests have for whom answers go to.
const DRIVER: u32 = 2;
const ASKER: u32 = 3;

/// Microseconds of two calls, the median: a player's with the question, and the conductor's with
/// the answer, in which it asks again.
pub fn microseconds(call: &Call) -> anyhow::Result<f64> {
    let load = |name| module::Code::load(Path::new(call.text(name)?), Load::default());
    let (mut asker, mut asked) =
        (load("conductor")?.instance(true)?, load("player")?.instance(true)?);
    asker.start()?;
    asked.start()?;
    let (figure, _) = sized(call.ms, 1000, |count| {
        let count = count.min(MOST);
        let mut times = Vec::with_capacity(count as usize);
        let message = Message::Ask(usize::try_from(count)?);
        let mut letters = Letters::of(&serde_ipld_dagcbor::to_vec(&message)?, 1);
        asker.give(&mut letters, Some(DRIVER))?;
        let mut question = asker.asked();
        let began = Instant::now();
        let mut last = began;
        while let Some(module::Asked { token }) = question {
            asked.give(&mut letters, Some(ASKER))?;
            question = asker.answer(&mut letters, token)?;
            let now = Instant::now();
            times.push((now - last).as_nanos() as u64);
            last = now;
        }
        let (whom, told) = letters.iter().next().context("it was told nothing")?;
        let told: Asked = serde_ipld_dagcbor::from_slice(told)?;
        ensure!(whom == DRIVER && told.most > 0, "the guest was not done");
        ensure!(times.len() as u64 == count, "{} of {count} were answered", times.len());
        let ns = (last - began).as_nanos() as u64;
        Ok(Run { ns, figure: percentile(&mut times, 0.5) as f64 / 1000.0 })
    })?;
    Ok(figure)
}
