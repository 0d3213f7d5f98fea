//! What the kernel tells of processors, threads and processes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

/// Processors that this process, and what it starts, may use, as the kernel lists them: `0-3,6`
/// (proc_pid_status(5), `Cpus_allowed_list`; sched_setaffinity(2) sets it).
pub fn allowed_processors() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(line.context("no Cpus_allowed_list")?.trim().into())
}

/// Milliseconds of processor time of each thread of a process so far.
pub fn thread_times(pid: u32) -> anyhow::Result<BTreeMap<u32, u64>> {
    let mut times = BTreeMap::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = thread?.path();
        let number = folder.file_name().and_then(|name| name.to_str()?.parse().ok());
        // It may have ended since.
        if let (Some(number), Ok(ms)) = (number, time(&folder.join("stat"))) {
            times.insert(number, ms);
        }
    }
    Ok(times)
}

/// Milliseconds in a `stat` file: fields 14 and 15, in hundredths of a second (proc_pid_stat(5)).
fn time(stat: &Path) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(stat)?;
    let (_, fields) = text.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| -> anyhow::Result<u64> {
        Ok(fields.get(at).context("no times in stat")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) * 10)
}

/// Mappings of a process.
pub fn mappings(pid: u32) -> anyhow::Result<usize> {
    Ok(std::fs::read_to_string(format!("/proc/{pid}/maps"))?.lines().count())
}

/// Mappings that a process may have.
pub fn most_mappings() -> anyhow::Result<usize> {
    Ok(std::fs::read_to_string("/proc/sys/vm/max_map_count")?.trim().parse()?)
}
