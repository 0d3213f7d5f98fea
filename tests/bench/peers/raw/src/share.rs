//! The raw call and send: what a ring costs without mailboxes, scheduler and host.

use std::path::Path;
use std::thread;

use anyhow::ensure;
use bench::{Call, Run, sized};
use player::{Message, Payload};

use crate::raw::{Code, Guest, Letters, Load};

/// Hops of a token: more than any run takes.
const HOPS: u64 = 1 << 31;

/// Letters a second and core: on each core `actors` instances pass `batch` tokens on from one to
/// the next, given to each in one call. `cores=1`: on one core only.
pub fn letters_per_core<C: Code>(call: &Call) -> anyhow::Result<f64> {
    let names = call.text("names").is_ok();
    let code = C::load(Path::new(call.text("component")?), Load { names, reused: 0 })?;
    let batch = usize::try_from(call.number("batch")?)?.max(1);
    let cores = match call.number("cores") {
        Ok(cores) => usize::try_from(cores)?,
        Err(_) => thread::available_parallelism()?.get(),
    };
    let actors = usize::try_from(call.number("actors")?)?.max(1);
    let rates: Vec<anyhow::Result<f64>> = thread::scope(|scope| {
        let each = || scope.spawn(|| letters(&code, actors, batch, call.ms));
        let threads: Vec<_> = (0..cores).map(|_| each()).collect();
        threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect()
    });
    let rates = rates.into_iter().collect::<anyhow::Result<Vec<f64>>>()?;
    Ok(rates.iter().sum::<f64>() / cores as f64)
}

fn letters<C: Code>(code: &C, actors: usize, batch: usize, ms: u64) -> anyhow::Result<f64> {
    let mut guests = Vec::new();
    for _ in 0..actors {
        let mut guest = code.instance(true)?;
        guest.start()?;
        guests.push(guest);
    }
    let mut next = (0..actors).cycle();
    let token = serde_ipld_dagcbor::to_vec(&Message::Token(HOPS, Payload::new([7; 64])))?;
    let mut tokens = <C::Guest as Guest>::Letters::of(&token, batch);
    let (rate, _) = sized(ms, 1000, |calls| {
        let began = std::time::Instant::now();
        for _ in 0..calls {
            guests[next.next().unwrap_or(0)].give(&mut tokens, None)?;
        }
        let ns = u64::try_from(began.elapsed().as_nanos())?;
        Ok(Run::rate(calls * batch as u64, ns))
    })?;
    ensure!(tokens.count() == batch, "{} of {batch} tokens are left", tokens.count());
    Ok(rate)
}

/// A thread's panic as an error.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> anyhow::Error {
    anyhow::Error::msg("a thread panicked")
}
