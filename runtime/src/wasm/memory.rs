//! Guests' linear memories: each with all the address space that its guest can name, or mapped at
//! its size and no more; used again while it is warm.
//!
//! A kernel takes longer to map a memory, to fill its first pages and to take them away than
//! wasmtime to instantiate a component in it. So some memories outlive their instances. Which of
//! their pages were ever touched stands in `/proc/self/pagemap` (proc_pid_pagemap(5)); those are
//! zeroed, and the next instance finds them there. A memory that grows is copied by it, too.

#![allow(
    unsafe_code,
    reason = "wasmtime's interface for memories; its safety is argued at each use"
)]

mod supply;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

pub use supply::Bytes;
use supply::Supply;
pub(super) use supply::{Left, PLANNED, Saving, Share, Short};

/// One with more bytes is not kept: its pages take longer to look through.
const KEPT_BYTES: usize = 1 << 20;
/// One with more touched bytes is not kept: it would hold too much.
const KEPT_TOUCHED_BYTES: usize = 96 << 10;
/// Those that may wait, mostly of 8 to 12 kB each.
const KEPT: usize = 1024;
/// Those that nobody took for so long are given back to the kernel.
const PATIENCE: Duration = Duration::from_secs(2);

/// Address space that a guest can name: 32 bits of it.
const NAMED: usize = 4 << 30;
/// What lies behind it: an access whose offset is larger than that is checked by itself.
const GUARD: usize = 64 << 10;

/// How guests' memories lie in the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Each has all that its guest can name to itself: what is not mapped there stops a guest that
    /// goes astray, and no access needs a check: guests are half as fast again, up to twice. But
    /// each takes two of the process's mappings and 8 kB of the kernel's page tables.
    Guarded,
    /// Mapped at their size, side by side: each access is checked, and neighbours share a mapping.
    Packed,
}

/// How the error begins that a memory could not be made: wasmtime takes a text and no type.
const MISSING: &str = "the system gives no memory";

/// Whether that is why a component could not be instantiated.
pub(super) fn is_missing(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.to_string().starts_with(MISSING))
}

/// Makes all linear memories of an engine. Cheap to clone.
#[derive(Clone)]
pub(super) struct Memories(Arc<Shared>);

struct Shared {
    /// Bytes of a page of the kernel.
    page: usize,
    /// Which pages were touched; `None` if that is not to be had, and no memory is used again.
    pagemap: Option<File>,
    spare: Mutex<Spare>,
    supply: Arc<Supply>,
}

/// Zeroed memories that wait for an instance.
struct Spare {
    /// So many may there be, those in use included.
    most: usize,
    used: usize,
    /// By their size and address space.
    mappings: BTreeMap<(usize, usize), Vec<Mapping>>,
    count: usize,
    /// The fewest there were since then: nobody missed those.
    fewest: usize,
    since: Instant,
}

/// Private anonymous memory, readable and writable, and address space behind it where nothing is.
struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
    /// Of both.
    space: usize,
}

struct Memory {
    mapping: Mapping,
    /// What the guest sees of it.
    bytes: usize,
    /// What it may grow to where it lies.
    room: usize,
    grown: bool,
    shared: Arc<Shared>,
}

impl Layout {
    /// How many guarded memories this process can have, of so many mappings at most: the kernel has
    /// been asked for the address space.
    pub fn guarded(mappings: usize) -> usize {
        let fewer = |count: &usize| Some(count - count.div_ceil(8)).filter(|count| *count > 0);
        let mut some = std::iter::successors(Some(mappings / 2), fewer);
        let fits = |count: &usize| Mapping::new(0, count.saturating_mul(NAMED + GUARD)).is_ok();
        some.find(fits).unwrap_or_default()
    }

    /// The configuration of an engine whose memories lie so.
    pub(super) fn configure(self, config: &mut wasmtime::Config) {
        let (reservation, guard) = match self {
            Self::Guarded => (NAMED, GUARD),
            Self::Packed => (0, 0),
        };
        config.memory_init_cow(false);
        config.memory_reservation(reservation as u64);
        config.memory_guard_size(guard as u64);
        config.memory_reservation_for_growth(0);
    }
}

impl Memories {
    pub(super) fn new() -> Self {
        let mut shared = Shared::new("/proc/self/pagemap");
        if !shared.sees_what_is_touched() {
            shared.pagemap = None;
        }
        Self(Arc::new(shared))
    }

    /// From now on memories are kept, as long as there are at most so many with those in use.
    pub(super) fn keep(&self, most: usize) {
        self.0.spare().most = most;
    }

    /// What there is from now on.
    pub(super) fn supply(&self, bytes: Bytes) {
        self.0.supply.set(bytes);
    }

    /// What a new instance takes of them.
    pub(super) fn share(&self) -> Share {
        Share::of(&self.0.supply)
    }

    /// Gives back what nobody took for a while, or all; to be called now and then.
    pub(super) fn trim(&self, all: bool) {
        let mut unused = Vec::new();
        let mut spare = self.0.spare();
        if all {
            spare.fewest = spare.count;
        } else if spare.since.elapsed() < PATIENCE {
            return;
        }
        while spare.fewest > 0 {
            let Some(mapping) = spare.mappings.values_mut().find_map(Vec::pop) else { break };
            unused.push(mapping);
            spare.fewest -= 1;
            spare.count -= 1;
        }
        (spare.fewest, spare.since) = (spare.count, Instant::now());
    }
}

impl Spare {
    fn has_room(&self) -> bool {
        self.count < KEPT && self.count + self.used < self.most
    }
}

impl Shared {
    fn new(pagemap: &str) -> Self {
        let (mappings, since) = (BTreeMap::new(), Instant::now());
        let spare = Spare { most: 0, used: 0, mappings, count: 0, fewest: 0, since };
        Self {
            page: rustix::param::page_size(),
            pagemap: File::open(pagemap).ok(),
            spare: Mutex::new(spare),
            supply: Arc::new(Supply::new()),
        }
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        // Each change under it is whole.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A zeroed mapping of so many bytes in so much space, both in whole pages, to be used now.
    fn mapping(&self, bytes: usize, space: usize) -> rustix::io::Result<Mapping> {
        let mut spare = self.spare();
        spare.used += 1;
        if let Some(mapping) = spare.mappings.get_mut(&(bytes, space)).and_then(Vec::pop) {
            spare.count -= 1;
            spare.fewest = spare.fewest.min(spare.count);
            return Ok(mapping);
        }
        drop(spare);
        Mapping::new(bytes, space).inspect_err(|_| self.spare().used -= 1)
    }

    /// A mapping is no longer used: keeps it for another instance, if it is fit for one and there
    /// is room.
    fn give_back(&self, mapping: Mapping, fit: bool) {
        let mut spare = self.spare();
        spare.used -= 1;
        if !fit || mapping.bytes > KEPT_BYTES || !spare.has_room() {
            return;
        }
        drop(spare);
        let Some(touched) = self.touched(&mapping) else { return };
        if touched.len() * self.page > KEPT_TOUCHED_BYTES {
            return;
        }
        for at in touched {
            // SAFETY: a page of the mapping, which is this function's alone.
            unsafe { ptr::write_bytes(mapping.base.as_ptr().add(at), 0, self.page) };
        }
        let mut spare = self.spare();
        if spare.has_room() {
            spare.count += 1;
            spare.mappings.entry((mapping.bytes, mapping.space)).or_default().push(mapping);
        }
    }

    /// Tries the pagemap. It must not be believed blindly, or one actor sees what another one held:
    /// under an emulator (QEMU's user mode) it may be of other addresses than these.
    fn sees_what_is_touched(&self) -> bool {
        let Ok(mapping) = Mapping::new(4 * self.page, 4 * self.page) else { return false };
        let wanted = [self.page, 3 * self.page];
        for at in wanted {
            // SAFETY: within the mapping, which is this function's alone.
            unsafe { mapping.base.as_ptr().add(at).write_volatile(1) };
        }
        self.touched(&mapping).is_some_and(|touched| touched == wanted)
    }

    /// Where the pages of a mapping begin that may have other bytes than zeros.
    fn touched(&self, mapping: &Mapping) -> Option<Vec<usize>> {
        /// Of an entry: the page is present, or swapped out.
        const PRESENT_OR_SWAPPED: u64 = 0b11 << 62;
        let mut entries = vec![0; mapping.bytes / self.page * size_of::<u64>()];
        let first = mapping.base.as_ptr().addr() / self.page * size_of::<u64>();
        self.pagemap.as_ref()?.read_exact_at(&mut entries, first as u64).ok()?;
        let entries = entries.as_chunks::<{ size_of::<u64>() }>().0.iter().enumerate();
        let touched =
            entries.filter(|(_, entry)| u64::from_ne_bytes(**entry) & PRESENT_OR_SWAPPED != 0);
        Some(touched.map(|(number, _)| number * self.page).collect())
    }
}

// SAFETY: `new_memory` gives zeroed memory of its own, and behind it what is asked for: space that
// it may grow into, then a guard. Both are mapped without any access.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let shared = self.0.clone();
        let bytes = minimum.max(1).next_multiple_of(shared.page);
        let room = reserved.unwrap_or(0).next_multiple_of(shared.page).max(bytes);
        let mapping = shared.mapping(bytes, room + guard.next_multiple_of(shared.page));
        let mapping = mapping.map_err(|error| format!("{MISSING} of {minimum} bytes: {error}"))?;
        Ok(Box::new(Memory { mapping, bytes: minimum, room, grown: false, shared }))
    }
}

// SAFETY: `byte_size` bytes are mapped at `as_ptr`, and move only in a `grow_to` that goes past
// `byte_capacity`.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.room
    }

    fn grow_to(&mut self, bytes: usize) -> wasmtime::Result<()> {
        let page = self.shared.page;
        let wanted = bytes.next_multiple_of(page);
        if wanted > self.mapping.bytes && wanted <= self.room {
            self.mapping.extend(wanted)?;
        } else if wanted > self.mapping.bytes {
            // Not mremap(2): what it moved has no common mapping with its new neighbours, and a
            // process may have some 65,000 mappings.
            let larger = Mapping::new(wanted, wanted)?;
            let touched = self.shared.touched(&self.mapping);
            let all = || (0..self.mapping.bytes).step_by(page).collect();
            for at in touched.unwrap_or_else(all) {
                let from = self.mapping.base.as_ptr();
                // SAFETY: a page of the old mapping, which lies as far into the larger new one.
                unsafe {
                    ptr::copy_nonoverlapping(from.add(at), larger.base.as_ptr().add(at), page);
                };
            }
            self.mapping = larger;
            self.room = wanted;
        }
        self.bytes = bytes;
        self.grown = true;
        Ok(())
    }

    fn as_ptr(&self) -> *mut u8 {
        self.mapping.base.as_ptr()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let nothing = Mapping { base: NonNull::dangling(), bytes: 0, space: 0 };
        // One that has grown has a size that hardly anybody begins with.
        self.shared.give_back(std::mem::replace(&mut self.mapping, nothing), !self.grown);
    }
}

impl Mapping {
    fn new(bytes: usize, space: usize) -> rustix::io::Result<Self> {
        let (access, flags) = match space > bytes {
            true => (ProtFlags::empty(), MapFlags::PRIVATE | MapFlags::NORESERVE),
            false => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE),
        };
        // SAFETY: where the kernel likes, so that nothing is mapped over.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), space, access, flags) }?;
        let base = NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        let mut mapping = Self { base, bytes: space, space };
        if space > bytes {
            mapping.bytes = 0;
            mapping.extend(bytes)?;
        }
        Ok(mapping)
    }

    /// Makes so many bytes of it readable and writable.
    fn extend(&mut self, bytes: usize) -> rustix::io::Result<()> {
        debug_assert!(bytes <= self.space);
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: its own pages, which so far hold what they held or nothing.
        unsafe { mprotect(self.base.as_ptr().cast(), bytes, access) }?;
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.space > 0 {
            // SAFETY: mapped in `new`, and nobody has a reference into it any more.
            let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.space) };
            debug_assert!(unmapped.is_ok(), "{unmapped:?}");
        }
    }
}

// SAFETY: it owns its mapping as a box owns its bytes.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared references give nothing but its place and size.
unsafe impl Sync for Mapping {}

#[cfg(test)]
mod tests;
