//! What the kernel tells of a machine's load, from `/proc` (proc(5)).

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::backend::Probe;
use crate::config::grant::ProcReading;

/// Entries named in an error: enough to find the right one, on one line.
const NAMED: usize = 24;

/// One reading of `/proc`.
pub(super) struct Proc {
    file: PathBuf,
    reading: ProcReading,
    /// Busy and all ticks at the last sample.
    ticks: Option<(u64, u64)>,
}

impl Proc {
    /// A reading under `root`, `/` but in tests.
    pub fn open(root: &Path, reading: &ProcReading) -> Self {
        let file = root.join("proc").join(match reading {
            ProcReading::LoadAverage => "loadavg",
            ProcReading::Memory(_) => "meminfo",
            ProcReading::Uptime => "uptime",
            ProcReading::Processor => "stat",
        });
        Self { file, reading: reading.clone(), ticks: None }
    }
}

impl Probe for Proc {
    fn read(&mut self, _now: Duration) -> Result<Option<f64>, String> {
        let shown = self.file.display();
        let text = std::fs::read_to_string(&self.file).map_err(|why| format!("{shown}: {why}"))?;
        let wrong = || format!("{shown} is not as proc(5) says: use another sensor");
        match &self.reading {
            ProcReading::LoadAverage | ProcReading::Uptime => {
                let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
                first.map(Some).ok_or_else(wrong)
            }
            ProcReading::Memory(entry) => memory(&text, entry).map(Some),
            ProcReading::Processor => {
                let (busy, all) = ticks(&text).ok_or_else(wrong)?;
                let before = self.ticks.replace((busy, all));
                Ok(before.and_then(|(busy_before, all_before)| {
                    let all = all.checked_sub(all_before).filter(|ticks| *ticks > 0)?;
                    Some(100.0 * busy.saturating_sub(busy_before) as f64 / all as f64)
                }))
            }
        }
    }
}

fn memory(text: &str, entry: &str) -> Result<f64, String> {
    let entries = || text.lines().filter_map(|line| line.split_once(':'));
    let Some((_, value)) = entries().find(|(name, _)| *name == entry) else {
        let names = entries().map(|(name, _)| name).take(NAMED).collect::<Vec<_>>().join(", ");
        return Err(format!("/proc/meminfo has no {entry}: it has {names} and more"));
    };
    let mut words = value.split_whitespace();
    let number = words.next().and_then(|word| word.parse::<f64>().ok());
    let scale = if words.next() == Some("kB") { 1024.0 } else { 1.0 };
    number.map(|number| number * scale).ok_or_else(|| format!("{entry} is {value:?}, no number"))
}

/// Busy and all ticks: user, nice, system, idle, iowait, irq, softirq, steal. Guests' ticks are
/// in user's.
fn ticks(text: &str) -> Option<(u64, u64)> {
    let fields = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks = fields.split_whitespace().take(8).map(str::parse);
    let ticks = ticks.collect::<Result<Vec<u64>, _>>().ok()?;
    let idle = ticks.get(3)?.checked_add(*ticks.get(4)?)?;
    let all = ticks.iter().try_fold(0_u64, |sum, ticks| sum.checked_add(*ticks))?;
    Some((all.checked_sub(idle)?, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_its_load() {
        let read = |reading| Proc::open(Path::new("/"), &reading).read(Duration::ZERO);
        assert!(read(ProcReading::LoadAverage).unwrap().unwrap() >= 0.0);
        assert!(read(ProcReading::Uptime).unwrap().unwrap() > 0.0);
        assert!(read(ProcReading::Memory("MemAvailable".into())).unwrap().unwrap() > 1e6);
        let error = read(ProcReading::Memory("Memory".into())).unwrap_err();
        assert!(error.contains("MemTotal, MemFree"), "{error}");
        assert_eq!(read(ProcReading::Processor), Ok(None));
    }

    #[test]
    fn busy_time_is_what_passed_since_the_last_sample() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        let stat = root.path().join("proc/stat");
        let mut sensor = Proc::open(root.path(), &ProcReading::Processor);
        std::fs::write(&stat, "cpu  10 0 10 70 10 0 0 0 5 0\ncpu0 1 2\n").unwrap();
        assert_eq!(sensor.read(Duration::ZERO), Ok(None));
        std::fs::write(&stat, "cpu  30 0 15 140 15 0 0 0 5 0\n").unwrap();
        assert_eq!(sensor.read(Duration::ZERO), Ok(Some(25.0)));
        std::fs::write(&stat, "cpu  30\n").unwrap();
        assert!(sensor.read(Duration::ZERO).unwrap_err().contains("proc(5)"));
    }
}
