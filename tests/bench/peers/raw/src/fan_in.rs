//! Many guests that send to one, as calls of their modules and nothing between them.

use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::{Call, Run, sized};
use tally::{Message, Took};

use crate::module::{self, Guest, Host, Letters};
use crate::raw::{Code, Guest as _, Letters as _, Load};

/// Letters in a call: most that a node gives.
const BATCH: usize = 64;
/// The handle that the tally has for whom answers go to.
const DRIVER: u32 = 2;

/// The tally and its sources.
struct Lab {
    tally: Guest,
    sources: Vec<Guest>,
    /// Time in calls of the tally, and of the sources.
    counting: Duration,
    sending: Duration,
}

/// Letters a second: no more than the tally's calls take one after the other on one core, and no
/// more than all calls take on all cores. The calls are made one at a time, on one core, the
/// letters being there already: up to 64 in a call of the tally, a credit in one of a source.
pub fn letters(call: &Call) -> anyhow::Result<f64> {
    let (sources, window) = (call.number("sources")?, call.number("window")?);
    let (size, cores) = (u32::try_from(call.number("size")?)?, available_parallelism()?.get());
    let mut lab = Lab::new(call, sources)?;
    let (figure, _) = sized(call.ms, 160, |count| {
        let (count, window) = (u32::try_from(count)?, u32::try_from(window)?);
        (lab.counting, lab.sending) = Default::default();
        let all = lab.run(&Message::Run { count, size, window, durable: false })?;
        ensure!(all == u64::from(count) * sources, "{all} letters were counted");
        let (counting, sending) = (lab.counting.as_nanos(), lab.sending.as_nanos());
        let ns = counting.max((counting + sending) / cores as u128);
        let figure = Run::rate(all, u64::try_from(ns)?).figure;
        Ok(Run { ns: u64::try_from(counting + sending)?, figure })
    })?;
    Ok(figure)
}

impl Lab {
    fn new(call: &Call, count: u64) -> anyhow::Result<Self> {
        let load = |name| module::Code::load(Path::new(call.text(name)?), Load::default());
        let (mut tally, source) = (load("tally")?.instance(true)?, load("source")?);
        tally.start()?;
        let spawn = Message::Spawn(u32::try_from(count)?);
        tally.give(&mut Letters::of(&serde_ipld_dagcbor::to_vec(&spawn)?, 1), Some(DRIVER))?;
        let mut sources = Vec::new();
        for _ in 0..count {
            let mut guest = source.instance(true)?;
            guest.start()?;
            sources.push(guest);
        }
        Ok(Self { tally, sources, counting: Duration::ZERO, sending: Duration::ZERO })
    }

    /// Has all of them send; gives the number of letters that the tally says to have counted.
    fn run(&mut self, message: &Message) -> anyhow::Result<u64> {
        let mut out = Letters::of(&serde_ipld_dagcbor::to_vec(message)?, 1);
        self.tally.give(&mut out, Some(DRIVER))?;
        let mut due = Letters::default();
        loop {
            let mut credit = Letters::default();
            std::mem::swap(&mut credit, &mut out);
            for (whom, body) in credit.iter() {
                if whom == DRIVER {
                    return Ok(serde_ipld_dagcbor::from_slice::<Took>(body)?.letters);
                }
                self.send(whom, body, &mut due)?;
                if due.len() >= BATCH {
                    self.count(&mut due, &mut out)?;
                }
            }
            ensure!(credit.len() > 0 || due.len() > 0, "nobody has anything to do");
            if due.len() > 0 {
                self.count(&mut due, &mut out)?;
            }
        }
    }

    /// Gives a source its letter; what it sends is added to `due`.
    fn send(&mut self, whom: u32, body: &[u8], due: &mut Letters) -> anyhow::Result<()> {
        let place = whom.checked_sub(Host::SPAWNED + 1).map(|place| place as usize);
        let source = place.and_then(|place| self.sources.get_mut(place));
        let mut letters = Letters::of(body, 1);
        let began = Instant::now();
        source.context("a letter to nobody")?.give(&mut letters, None)?;
        self.sending += began.elapsed();
        letters.iter().for_each(|(whom, body)| due.push(whom, body));
        Ok(())
    }

    /// Gives the tally what is due; what it sends is added to `out`.
    fn count(&mut self, due: &mut Letters, out: &mut Letters) -> anyhow::Result<()> {
        let began = Instant::now();
        self.tally.give(due, None)?;
        self.counting += began.elapsed();
        due.iter().for_each(|(whom, body)| out.push(whom, body));
        due.clear();
        Ok(())
    }
}
