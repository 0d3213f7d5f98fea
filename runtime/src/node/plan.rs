//! The memory plan: what this machine lets a node hold, worked out at start and printed.

use std::fmt;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::limits::Limits;

/// What the node takes before its first actor: code, store, network, threads. A debug build without
/// actors had 22 MB resident (VmRSS of `edge-host run`).
const NODE_BYTES: u64 = 32 << 20;
/// A small live actor (18 kB resident: `make bench ROW=live_bytes`), with slack for what it
/// grows to.
const ACTOR_BYTES: u64 = 96 << 10;
/// Address space of the node before its first actor: thread stacks, mapped files, the allocator's
/// arenas.
const NODE_SPACE: u64 = 320 << 20;
/// Address space of an actor: its linear memory as mapped, without reservation or guard, and slack.
/// 200 more sensor actors added 260 kB each (VmSize).
const ACTOR_SPACE: u64 = 512 << 10;

/// A parked actor (0.8 kB resident: `make bench ROW=parked_bytes`), with some saved state.
const PARKED_BYTES: u64 = 4 << 10;

/// What a node can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes that the machine, or its cgroup, gives.
    pub memory: u64,
    /// Bytes of address space, if they are limited.
    pub space: Option<u64>,
    /// Threads for actors.
    pub workers: usize,
    /// Actors, live or parked.
    pub actors: usize,
    /// Live actors.
    pub live: usize,
    /// What `live` was bounded by.
    pub bound: &'static str,
}

impl Plan {
    /// The plan for this machine as it is now.
    pub fn of_this_machine(limits: &Limits) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new(memory(Path::new("/")), address_space(), cores, limits)
    }

    /// The plan for a machine with so many bytes of memory and address space, and so many cores.
    pub fn new(memory: u64, space: Option<u64>, cores: usize, limits: &Limits) -> Self {
        let fits = |all: u64, node: u64, each: u64| all.saturating_sub(node) / each;
        let by_memory = fits(memory, NODE_BYTES, ACTOR_BYTES);
        let by_space = space.map_or(u64::MAX, |space| fits(space, NODE_SPACE, ACTOR_SPACE));
        let by_limit = limits.live.min(limits.actors) as u64;
        let (live, bound) = [
            (by_limit, "the limit `live`"),
            (by_memory, "memory"),
            (by_space, "address space (ulimit -v)"),
        ]
        .into_iter()
        .min()
        .unwrap_or((by_limit, "the limit `live`"));
        let live = usize::try_from(live).unwrap_or(limits.live).max(1);
        // Half of the memory may be taken by those that are parked; live ones have the other half,
        // or make room.
        let parked = usize::try_from(memory / 2 / PARKED_BYTES).unwrap_or(limits.actors);
        let actors = limits.actors.min(parked.max(live));
        Self { memory, space, workers: cores, actors, live, bound }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        write!(f, "{} MiB of memory, ", mib(self.memory))?;
        match self.space {
            Some(space) => write!(f, "{} MiB of address space, ", mib(space))?,
            None => f.write_str("address space without limit, ")?,
        }
        write!(
            f,
            "{} workers; memory mapped on demand without reservation; at most {} live actors, \
            bounded by {}, and {} with those that are parked",
            self.workers, self.live, self.bound, self.actors
        )
    }
}

/// Bytes of address space that this process may have, if they are limited (`ulimit -v`).
pub fn address_space() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Bytes available to this process: the machine's, or its cgroup's if that is less.
fn memory(root: &Path) -> u64 {
    let number = |path: &str| -> Option<u64> {
        std::fs::read_to_string(root.join(path)).ok()?.trim().parse().ok()
    };
    let machine = std::fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
    });
    let cgroup = std::fs::read_to_string(root.join("proc/self/cgroup")).ok().and_then(|text| {
        text.lines()
            .filter_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (controllers, path) = rest.split_once(':')?;
                match controllers {
                    "" => number(&format!("sys/fs/cgroup{path}/memory.max")),
                    "memory" => {
                        number(&format!("sys/fs/cgroup/memory{path}/memory.limit_in_bytes"))
                    }
                    _ => None,
                }
            })
            .min()
    });
    let bounds = [machine, cgroup, number("sys/fs/cgroup/memory/memory.limit_in_bytes")];
    // Without any of these files a small machine is assumed.
    bounds.into_iter().flatten().min().unwrap_or(256 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_pi_holds_fewer_actors_and_says_what_bounds_them() {
        let limits = Limits::default();
        let plan = Plan::new(128 << 20, None, 1, &limits);
        assert_eq!(plan.bound, "memory");
        assert!((100..2000).contains(&plan.live), "{plan}");
        let plan = Plan::new(8 << 30, Some(512 << 20), 4, &limits);
        assert_eq!(plan.bound, "address space (ulimit -v)");
        assert!(plan.live > 100 && plan.actors >= plan.live, "{plan}");
        let few = Limits { live: 10, ..Limits::default() };
        assert_eq!(Plan::new(8 << 30, None, 4, &few).bound, "the limit `live`");
    }

    #[test]
    fn a_cgroup_smaller_than_the_machine_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/meminfo", "MemTotal: 4000 kB\nMemAvailable: 2048 kB\n");
        assert_eq!(memory(root.path()), 2 << 20);
        write("proc/self/cgroup", "0::/pi\n");
        write("sys/fs/cgroup/pi/memory.max", "max\n");
        assert_eq!(memory(root.path()), 2 << 20);
        write("sys/fs/cgroup/pi/memory.max", "1048576\n");
        assert_eq!(memory(root.path()), 1 << 20);
    }
}
