//! What the driver and the peers written in Rust share: how long a run is, and how they speak.
//!
//! A peer is a program. Called with a row's name, the milliseconds that a run should take and
//! `name=value` parameters, it measures once and prints its figure, a number in the row's unit.

use std::collections::BTreeMap;

use anyhow::Context;

/// What one run of some size took, and what it showed.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Nanoseconds.
    pub ns: u64,
    /// The row's figure.
    pub figure: f64,
}

impl Run {
    /// Work done in this time, as a rate per second.
    pub fn rate(work: u64, ns: u64) -> Self {
        Self { ns, figure: work as f64 * 1e9 / ns.max(1) as f64 }
    }
}

/// The size of runs that are to take so long: they grow until one does.
#[derive(Debug)]
pub struct Sizing {
    wanted: u64,
    size: u64,
}

impl Sizing {
    /// For runs of about `ms` milliseconds; the first one has the size `first`.
    pub fn new(ms: u64, first: u64) -> Self {
        Self { wanted: ms * 1_000_000, size: first }
    }

    /// The size of the next run.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Takes a run's outcome. Gives its figure if it was long enough; else the next one is larger.
    /// The first runs also warm up what is measured.
    pub fn done(&mut self, run: Run) -> Option<f64> {
        if run.ns * 2 >= self.wanted {
            return Some(run.figure);
        }
        let grown = self.size as f64 * self.wanted as f64 / run.ns.max(1) as f64;
        self.size = (grown as u64).clamp(self.size + 1, self.size * 8);
        None
    }
}

/// Runs with growing sizes until one takes about `ms` milliseconds; gives its figure, and the size
/// to begin with next time.
pub fn sized(
    ms: u64,
    first: u64,
    mut run: impl FnMut(u64) -> anyhow::Result<Run>,
) -> anyhow::Result<(f64, u64)> {
    let mut sizing = Sizing::new(ms, first);
    loop {
        if let Some(figure) = sizing.done(run(sizing.size())?) {
            return Ok((figure, sizing.size()));
        }
    }
}

/// The value at a part (0.5: the median) of what was measured; sorts it.
pub fn percentile(times: &mut [u64], part: f64) -> u64 {
    times.sort_unstable();
    let at = (times.len() as f64 * part) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Resident bytes of a process.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    status(pid, "VmRSS:")
}

/// Bytes of a process's page tables, which are the kernel's and not among its resident ones.
pub fn page_tables(pid: u32) -> anyhow::Result<u64> {
    status(pid, "VmPTE:")
}

fn status(pid: u32, name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib: u64 = line.context("no such line")?.trim().trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

/// Processor seconds that a process has used so far.
pub fn processor_seconds(pid: u32) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("no such process")?;
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|text| text.parse().ok());
    let (user, system): (f64, f64) = ticks(11).zip(ticks(12)).context("no times in stat")?;
    // Linux shows times in hundredths of a second, whatever the kernel ticks in (proc(5)).
    Ok((user + system) / 100.0)
}

/// What a peer was called with.
#[derive(Debug)]
pub struct Call {
    /// The row.
    pub row: String,
    /// Milliseconds that a run should take.
    pub ms: u64,
    parameters: BTreeMap<String, String>,
}

impl Call {
    /// Reads this process's arguments.
    pub fn read() -> anyhow::Result<Self> {
        let mut arguments = std::env::args().skip(1);
        let row = arguments.next().context("which row?")?;
        let ms = arguments.next().context("how many milliseconds?")?.parse()?;
        let parameters = arguments
            .filter_map(|text| {
                text.split_once('=').map(|(name, value)| (name.into(), value.into()))
            })
            .collect();
        Ok(Self { row, ms, parameters })
    }

    /// A parameter.
    pub fn text(&self, name: &str) -> anyhow::Result<&str> {
        let value = self.parameters.get(name).map(String::as_str);
        value.with_context(|| format!("{name}= is missing"))
    }

    /// A parameter that is a number.
    pub fn number(&self, name: &str) -> anyhow::Result<u64> {
        Ok(self.text(name)?.parse()?)
    }
}
