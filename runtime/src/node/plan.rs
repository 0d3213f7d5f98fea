//! The memory plan: what this machine lets a node hold, worked out at start and printed.

use std::fmt;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use crate::limits::{Limits, Room};
use crate::wasm::{Bytes, Layout};

/// What the node takes before its first actor: code, store, network, threads. A debug build without
/// actors had 22 MB resident (VmRSS of `edge-host run`).
const NODE_BYTES: u64 = 32 << 20;
/// A small live actor (18 kB resident: `make bench ROW=live_bytes`), with slack for what it
/// grows to.
const ACTOR_BYTES: u64 = 96 << 10;
/// Address space of the node before its first actor: thread stacks, mapped files, the allocator's
/// arenas.
const NODE_SPACE: u64 = 320 << 20;
/// Address space of an actor: its linear memory where those are packed, and slack. 200 more sensor
/// actors added 260 kB each (VmSize).
const ACTOR_SPACE: u64 = 512 << 10;
/// A parked actor (0.8 kB resident: `make bench ROW=parked_bytes`); what it saved is counted as it
/// is.
const PARKED_BYTES: u64 = 1 << 10;

/// The kernel's page tables for one memory that is guarded: it shares none with its neighbours.
const TABLES_BYTES: u64 = 8 << 10;
/// The part of memory that those may take.
const TABLES_PART: u64 = 16;
/// Mappings of the node itself: programs, stacks, the allocator's arenas, native code.
const NODE_MAPPINGS: usize = 8 << 10;

/// What there is of each, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Memory that the machine, or a control group that this process is in, gives.
    pub memory: u64,
    /// Address space, if it is limited.
    pub space: Option<u64>,
    /// What the kernel still promises, if it promises no more than it has
    /// (`vm.overcommit_memory = 2`).
    pub commit: Option<u64>,
    /// Linear memories that can lie as [`Layout::Guarded`].
    pub guarded: usize,
    /// Processors.
    pub cores: usize,
}

/// What a node can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it was worked out from.
    pub machine: Machine,
    /// Live and parked actors.
    pub room: Room,
    /// Live actors.
    pub live: usize,
    /// What memory is for.
    pub bytes: Bytes,
    /// What `live` was bounded by.
    pub bound: &'static str,
    /// How the memories of all lie: what is compiled for the one layout is not for the other.
    pub layout: Layout,
}

/// The name of a bound, and what to do about it.
type Bound = (&'static str, &'static str);

const LIMIT: Bound = ("the limit `actors`", "raise it under [limits]");
const MEMORY: Bound = ("memory", "stop some, or give the node more memory");
const SPACE: Bound = ("address space (ulimit -v)", "stop some, or raise `ulimit -v`");
const COMMIT: Bound =
    ("committed memory (vm.overcommit_memory = 2)", "stop some, or raise vm.overcommit_ratio");

impl Machine {
    /// This machine as it is now.
    pub fn this() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let root = Path::new("/");
        let mappings = number(&root.join("proc/sys/vm/max_map_count")).unwrap_or_default();
        let mappings = usize::try_from(mappings).unwrap_or_default();
        let guarded = Layout::guarded(mappings.saturating_sub(NODE_MAPPINGS));
        let (memory, space, commit) = (memory(root), address_space(), commit(root));
        Self { memory, space, commit, guarded, cores }
    }
}

impl Plan {
    /// The plan for a machine.
    pub fn new(machine: Machine, limits: &Limits) -> Self {
        let fits = |all: u64, node: u64, each: u64| all.saturating_sub(node) / each;
        let Machine { memory, space, commit, .. } = machine;
        // Of address space the kernel promises what is writable: about what each actor maps.
        let spaces = [(space, SPACE), (commit, COMMIT)];
        let spaces = spaces.into_iter().filter_map(|(space, bound)| Some((space?, bound)));
        let by_space = |each| move |(space, bound)| (fits(space, NODE_SPACE, each), bound);

        let live_limit = limits.live.min(limits.actors) as u64;
        let live = [
            (live_limit, ("the limit `live`", "")),
            (fits(memory, NODE_BYTES, ACTOR_BYTES), MEMORY),
        ];
        let live = live.into_iter().chain(spaces.clone().map(by_space(ACTOR_SPACE)));
        let (live, (bound, _)) = least(live);
        let tables = live as u64 * TABLES_BYTES;
        let layout = match live <= machine.guarded && tables <= memory / TABLES_PART {
            true => Layout::Guarded,
            false => Layout::Packed,
        };

        // Half of what there is may be taken by those that are parked; live ones have the other
        // half, or make room.
        let parked_bytes = memory / 2;
        let actors = [(limits.actors as u64, LIMIT), (parked_bytes / PARKED_BYTES, MEMORY)];
        let actors = actors.into_iter().chain(spaces.map(by_space(2 * PARKED_BYTES)));
        let (actors, (what, remedy)) = least(actors);
        let actors = actors.max(live).min(limits.actors);
        let room = Room { actors, each: PARKED_BYTES, bytes: parked_bytes, what, remedy };
        // An eighth is for what the kernel has for this process.
        let process = memory - memory / 8;
        let grown = process.saturating_sub(NODE_BYTES);
        let saving = grown / 2;
        let bytes = Bytes { process, guests: grown - saving, saving };
        Self { machine, room, live, bytes, bound, layout }
    }
}

/// The least of several bounds, at least one.
fn least(bounds: impl Iterator<Item = (u64, Bound)>) -> (usize, Bound) {
    let (count, bound) = bounds.min_by_key(|(count, _)| *count).unwrap_or((1, LIMIT));
    (usize::try_from(count).unwrap_or(usize::MAX).max(1), bound)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        let Machine { memory, space, commit, cores, .. } = self.machine;
        write!(f, "{} MiB of memory, ", mib(memory))?;
        match space {
            Some(space) => write!(f, "{} MiB of address space, ", mib(space))?,
            None => f.write_str("address space without limit, ")?,
        }
        if let Some(commit) = commit {
            write!(f, "{} MiB that the kernel promises, ", mib(commit))?;
        }
        let layout = match self.layout {
            Layout::Guarded => "guarded by 4 GiB of address space each",
            Layout::Packed => "packed side by side and checked at each access",
        };
        write!(
            f,
            "{cores} workers; memories mapped on demand, {layout}; at most {} live actors, bounded \
            by {}, with {} MiB to grow to, and {} with those that are parked, bounded by {}",
            self.live,
            self.bound,
            mib(self.bytes.guests),
            self.room.actors,
            self.room.what
        )
    }
}

/// Bytes of address space that this process may have, if they are limited (`ulimit -v`).
fn address_space() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Bytes that may still be committed, where the kernel counts them (its
/// `Documentation/mm/overcommit-accounting.rst`).
fn commit(root: &Path) -> Option<u64> {
    if number(&root.join("proc/sys/vm/overcommit_memory"))? != 2 {
        return None;
    }
    Some(meminfo(root, "CommitLimit:")?.saturating_sub(meminfo(root, "Committed_AS:")?))
}

/// Bytes available to this process: the machine's, or those of one of its control groups if that is
/// less.
fn memory(root: &Path) -> u64 {
    let machine = meminfo(root, "MemAvailable:");
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let groups = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (folder, file) = match controllers {
            "" => ("sys/fs/cgroup", "memory.max"),
            "memory" => ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        // A group has no more than those around it.
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        around.filter_map(|group| number(&root.join(folder).join(group).join(file))).min()
    });
    // Without any of these files a small machine is assumed.
    groups.chain(machine).min().unwrap_or(256 << 20)
}

fn number(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn meminfo(root: &Path, row: &str) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with(row))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PI: Machine =
        Machine { memory: 8 << 30, space: None, commit: None, guarded: 28_000, cores: 4 };

    #[test]
    fn a_small_machine_holds_fewer_actors_and_says_what_bounds_them() {
        let limits = Limits::default();
        let plan = Plan::new(Machine { memory: 128 << 20, cores: 1, ..PI }, &limits);
        assert_eq!((plan.bound, plan.room.what), ("memory", "memory"));
        assert!((100..2000).contains(&plan.live), "{plan}");
        assert!((50_000..100_000).contains(&plan.room.actors), "{plan}");
        let Bytes { process, guests, saving } = plan.bytes;
        assert_eq!((process, guests + saving), (112 << 20, 80 << 20));
        assert!(saving >= 4 * (10 << 20), "an actor of ten MiB can be saved");
        let few = Limits { live: 10, actors: 20, ..Limits::default() };
        let plan = Plan::new(PI, &few);
        assert_eq!((plan.live, plan.bound), (10, "the limit `live`"));
        assert_eq!((plan.room.actors, plan.room.what), (20, "the limit `actors`"));
    }

    #[test]
    fn memories_are_guarded_where_there_is_room_for_that_for_all_that_may_live() {
        let plan = |machine, live| Plan::new(machine, &Limits { live, ..Limits::default() });
        assert_eq!(plan(PI, Limits::default().live).layout, Layout::Guarded);
        let many = plan(PI, 50_000);
        assert_eq!((many.live, many.layout), (50_000, Layout::Packed), "{many}");
        let small = Machine { guarded: 120, ..PI };
        assert_eq!(plan(small, 1000).layout, Layout::Packed);
        assert_eq!(plan(small, 100).layout, Layout::Guarded);
        let small = Machine { memory: 1 << 30, ..PI };
        assert_eq!(
            plan(small, 16_384).layout,
            Layout::Packed,
            "its page tables would be too large"
        );
        assert_eq!(plan(small, 1000).layout, Layout::Guarded);
    }

    #[test]
    fn a_million_at_rest_fit_in_two_gigabytes() {
        let plan = Plan::new(Machine { memory: 2 << 30, ..PI }, &Limits::default());
        assert_eq!(plan.room.actors, 1_000_000);
    }

    #[test]
    fn address_space_bounds_those_that_are_parked_too() {
        for (space, commit) in [(Some(512 << 20), None), (None, Some(512 << 20))] {
            let plan = Plan::new(Machine { space, commit, ..PI }, &Limits::default());
            let wanted = if space.is_some() { SPACE.0 } else { COMMIT.0 };
            assert_eq!((plan.bound, plan.room.what), (wanted, wanted));
            assert!(plan.live > 100, "{plan}");
            assert!((50_000..100_000).contains(&plan.room.actors), "{plan}");
        }
    }

    #[test]
    fn what_was_saved_takes_room() {
        let room = Plan::new(PI, &Limits::default()).room;
        assert_eq!(room.holds(999_999, 0), Ok(()));
        let full = room.holds(1_000_000, 0).unwrap_err().to_string();
        assert!(full.contains("the limit `actors` holds no more: raise it"), "{full}");
        let full = room.holds(1000, 4 << 30).unwrap_err().to_string();
        assert!(full.contains("memory"), "{full}");
    }

    #[test]
    fn what_the_kernel_says_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "proc/meminfo",
            "MemTotal: 4000 kB\nMemAvailable: 2048 kB\nCommitLimit: 300 kB\nCommitted_AS: 100 kB\n",
        );
        assert_eq!(memory(root.path()), 2 << 20);
        write("proc/self/cgroup", "0::/home/pi\n");
        write("sys/fs/cgroup/home/pi/memory.max", "max\n");
        assert_eq!(memory(root.path()), 2 << 20);
        write("sys/fs/cgroup/home/pi/memory.max", "1048576\n");
        assert_eq!(memory(root.path()), 1 << 20);
        write("sys/fs/cgroup/home/memory.max", "524288\n");
        assert_eq!(memory(root.path()), 512 << 10, "the group around it has less");

        write("proc/sys/vm/overcommit_memory", "0\n");
        assert_eq!(commit(root.path()), None);
        write("proc/sys/vm/overcommit_memory", "2\n");
        assert_eq!(commit(root.path()), Some(200 << 10));
    }
}
