//! Raw instances: what an actor's life costs without a host.

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use anyhow::ensure;
use bench::{Call, Run, sized};
use sprout::Message;

use crate::raw::{Code, Guest, Letters, Load};
use crate::share::panicked;

/// Instances alive after each round, as in ours.
const ALIVE: usize = 4000;

/// Instances a second with `start` called, on all cores; they are dropped outside the time.
pub fn started<C: Code>(call: &Call) -> anyhow::Result<f64> {
    on_all_cores(call, |code: &C, cores| {
        let mut alive = Vec::with_capacity(ALIVE / cores);
        let began = Instant::now();
        for _ in 0..ALIVE / cores {
            let mut guest = code.instance(true)?;
            ensure!(guest.start()? == 1, "it did not tell of its start");
            alive.push(guest);
        }
        Ok((alive.len() as u64, began.elapsed().as_nanos() as u64))
    })
}

/// Instances a second with `start` called, a question answered, and dropped, on all cores.
pub fn answered<C: Code>(call: &Call) -> anyhow::Result<f64> {
    let question = serde_ipld_dagcbor::to_vec(&Message::Last([7; 64].into()))?;
    on_all_cores(call, |code: &C, cores| {
        let began = Instant::now();
        for _ in 0..ALIVE / cores {
            let mut guest = code.instance(false)?;
            guest.start()?;
            ensure!(ask(&mut guest, &question)? == 1, "it did not answer");
        }
        Ok(((ALIVE / cores) as u64, began.elapsed().as_nanos() as u64))
    })
}

/// Resident bytes of one more instance that was started and has answered.
pub fn memory<C: Code>(call: &Call) -> anyhow::Result<f64> {
    const FEW: usize = 100;
    const MORE: usize = 2000;
    let code = C::load(Path::new(call.text("component")?), Load::default())?;
    let question = serde_ipld_dagcbor::to_vec(&Message::Ask([7; 64].into()))?;
    let mut alive = Vec::with_capacity(FEW + MORE);
    let mut more = |count| {
        for _ in 0..count {
            let mut guest = code.instance(true)?;
            guest.start()?;
            ask(&mut guest, &question)?;
            alive.push(guest);
        }
        bench::resident(std::process::id())
    };
    let few = more(FEW)?;
    Ok((more(MORE)? - few) as f64 / MORE as f64)
}

/// Microseconds to instantiate one of `actors`, restore its 4 kB and have a question answered; and
/// then, once all are, to save it and drop it. The median of the rounds, on one core.
pub fn renewed<C: Code>(call: &Call) -> anyhow::Result<f64> {
    let code = C::load(Path::new(call.text("component")?), load(call)?)?;
    let question = serde_ipld_dagcbor::to_vec(&Message::Ask([7; 64].into()))?;
    let grow = serde_ipld_dagcbor::to_vec(&Message::Grow(4096))?;
    let actors = call.number("actors")?;
    let parked = |_| {
        let mut guest = code.instance(false)?;
        guest.start()?;
        ask(&mut guest, &grow)?;
        guest.save()
    };
    let mut states = (0..actors).map(parked).collect::<anyhow::Result<Vec<_>>>()?;
    let mut guests = Vec::with_capacity(states.len());
    let mut times = Vec::new();
    let (figure, _) = sized(call.ms, 3, |rounds| {
        times.clear();
        let began = Instant::now();
        for _ in 0..rounds {
            let round = Instant::now();
            for state in states.drain(..) {
                let mut guest = code.instance(false)?;
                guest.restore(&state)?;
                ensure!(ask(&mut guest, &question)? == 1, "it did not answer");
                guests.push(guest);
            }
            for mut guest in guests.drain(..) {
                states.push(guest.save()?);
            }
            times.push(round.elapsed().as_nanos() as u64);
        }
        let ns = began.elapsed().as_nanos() as u64;
        let each = bench::percentile(&mut times, 0.5) as f64 / actors as f64;
        Ok(Run { ns, figure: each / 1000.0 })
    })?;
    Ok(figure)
}

/// `reused=64`: so many memories are used again.
fn load(call: &Call) -> anyhow::Result<Load> {
    let reused = call.number("reused").unwrap_or(0);
    Ok(Load { names: false, reused: u32::try_from(reused)? })
}

/// Gives it a question; gives the number of letters that it sent.
fn ask<G: Guest>(guest: &mut G, question: &[u8]) -> anyhow::Result<usize> {
    let mut letters = G::Letters::of(question, 1);
    guest.give(&mut letters, Some(2))?;
    Ok(letters.count())
}

/// Repeats a round on each core, all at once, until the time is full; gives the rate of all cores.
fn on_all_cores<C: Code>(
    call: &Call,
    round: impl Fn(&C, usize) -> anyhow::Result<(u64, u64)> + Sync,
) -> anyhow::Result<f64> {
    let code = C::load(Path::new(call.text("component")?), load(call)?)?;
    let cores = thread::available_parallelism()?.get();
    let together = Barrier::new(cores);
    let one = || -> anyhow::Result<f64> {
        together.wait();
        let (mut work, mut ns) = (0, 0);
        while ns < call.ms * 1_000_000 {
            let (more, took) = round(&code, cores)?;
            (work, ns) = (work + more, ns + took);
        }
        Ok(Run::rate(work, ns).figure)
    };
    let rates: Vec<anyhow::Result<f64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect()
    });
    rates.into_iter().sum()
}
