//! Guests' linear memories: each mapped at its size and no more, and used again while it is warm.
//!
//! A kernel takes longer to map a memory, to fill its first pages and to take them away than
//! wasmtime to instantiate a component in it. So some memories outlive their instances. Which of
//! their pages were ever touched stands in `/proc/self/pagemap` (proc_pid_pagemap(5)); those are
//! zeroed, and the next instance finds them there. A memory that grows is copied by it, too.

#![allow(
    unsafe_code,
    reason = "wasmtime's interface for memories; its safety is argued at each use"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use wasmtime::{LinearMemory, MemoryCreator, MemoryType};

/// One with more bytes is not kept: its pages take longer to look through.
const KEPT_BYTES: usize = 1 << 20;
/// One with more touched bytes is not kept: it would hold too much.
const KEPT_TOUCHED_BYTES: usize = 96 << 10;
/// Those that may wait, mostly of 8 to 12 kB each.
const KEPT: usize = 1024;
/// Those that nobody took for so long are given back to the kernel.
const PATIENCE: Duration = Duration::from_secs(2);

/// Makes all linear memories of an engine. Cheap to clone.
#[derive(Clone)]
pub(super) struct Memories(Arc<Shared>);

struct Shared {
    /// Bytes of a page of the kernel.
    page: usize,
    /// Which pages were touched; `None` if that is not to be had, and no memory is used again.
    pagemap: Option<File>,
    spare: Mutex<Spare>,
}

/// Zeroed memories that wait for an instance.
struct Spare {
    /// So many may there be, those in use included.
    most: usize,
    used: usize,
    /// By their size.
    mappings: BTreeMap<usize, Vec<Mapping>>,
    count: usize,
    /// The fewest there were since then: nobody missed those.
    fewest: usize,
    since: Instant,
}

/// A private anonymous mapping, readable and writable.
struct Mapping {
    base: NonNull<u8>,
    bytes: usize,
}

struct Memory {
    mapping: Mapping,
    /// What the guest sees of it.
    bytes: usize,
    grown: bool,
    shared: Arc<Shared>,
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

    /// Gives back what nobody took for a while; to be called now and then.
    pub(super) fn trim(&self) {
        let mut unused = Vec::new();
        let mut spare = self.0.spare();
        if spare.since.elapsed() < PATIENCE {
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
        }
    }

    fn spare(&self) -> MutexGuard<'_, Spare> {
        // Each change under it is whole.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A zeroed mapping of so many bytes, which are whole pages, to be used from now on.
    fn mapping(&self, bytes: usize) -> rustix::io::Result<Mapping> {
        let mut spare = self.spare();
        spare.used += 1;
        if let Some(mapping) = spare.mappings.get_mut(&bytes).and_then(Vec::pop) {
            spare.count -= 1;
            spare.fewest = spare.fewest.min(spare.count);
            return Ok(mapping);
        }
        drop(spare);
        Mapping::new(bytes).inspect_err(|_| self.spare().used -= 1)
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
            spare.mappings.entry(mapping.bytes).or_default().push(mapping);
        }
    }

    /// Tries the pagemap. It must not be believed blindly, or one actor sees what another one held:
    /// under an emulator (QEMU's user mode) it may be of other addresses than these.
    fn sees_what_is_touched(&self) -> bool {
        let Ok(mapping) = Mapping::new(4 * self.page) else { return false };
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

// SAFETY: `new_memory` gives zeroed memory of its own. Of the reservations and guards that may be
// asked for there are none: the engine is configured without, and others are refused.
unsafe impl MemoryCreator for Memories {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        _: Option<usize>,
        reserved: Option<usize>,
        guard: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        if guard != 0 || reserved.is_some_and(|reserved| reserved > minimum) {
            return Err("memories have no guard and no reservation".into());
        }
        let shared = self.0.clone();
        let bytes = minimum.max(1).next_multiple_of(shared.page);
        let mapping = shared.mapping(bytes);
        let mapping = mapping.map_err(|error| format!("no memory of {minimum} bytes: {error}"))?;
        Ok(Box::new(Memory { mapping, bytes: minimum, grown: false, shared }))
    }
}

// SAFETY: the mapping has `byte_capacity` bytes at `as_ptr`, and moves only in `grow_to`.
unsafe impl LinearMemory for Memory {
    fn byte_size(&self) -> usize {
        self.bytes
    }

    fn byte_capacity(&self) -> usize {
        self.mapping.bytes
    }

    fn grow_to(&mut self, bytes: usize) -> wasmtime::Result<()> {
        if bytes > self.mapping.bytes {
            // Not mremap(2): what it moved has no common mapping with its new neighbours, and a
            // process may have some 65,000 mappings.
            let larger = Mapping::new(bytes.next_multiple_of(self.shared.page))?;
            let page = self.shared.page;
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
        let nothing = Mapping { base: NonNull::dangling(), bytes: 0 };
        // One that has grown has a size that hardly anybody begins with.
        self.shared.give_back(std::mem::replace(&mut self.mapping, nothing), !self.grown);
    }
}

impl Mapping {
    fn new(bytes: usize) -> rustix::io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: where the kernel likes, so that nothing is mapped over.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE) }?;
        let base = NonNull::new(base.cast()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { base, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.bytes > 0 {
            // SAFETY: mapped in `new`, and nobody has a reference into it any more.
            let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.bytes) };
            debug_assert!(unmapped.is_ok(), "{unmapped:?}");
        }
    }
}

// SAFETY: it owns its mapping as a box owns its bytes.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared references give nothing but its place and size.
unsafe impl Sync for Mapping {}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: usize = 128 << 10;

    fn memory(memories: &Memories, bytes: usize) -> Box<dyn LinearMemory> {
        memories.new_memory(MemoryType::new(1, None), bytes, None, Some(0), 0).unwrap()
    }

    fn bytes(memory: &mut dyn LinearMemory) -> &mut [u8] {
        // SAFETY: all of it is mapped, and the reference lives no longer than the one to `memory`.
        unsafe { std::slice::from_raw_parts_mut(memory.as_ptr(), memory.byte_size()) }
    }

    fn count(memories: &Memories) -> usize {
        memories.0.spare().count
    }

    #[test]
    fn a_memory_used_again_has_nothing_of_what_it_held() {
        let memories = Memories::new();
        memories.keep(1);
        let mut first = memory(&memories, BYTES);
        let place = first.as_ptr();
        for at in [0, 5000, BYTES - 1] {
            bytes(&mut *first)[at] = 7;
        }
        drop(first);
        let mut second = memory(&memories, BYTES);
        assert_eq!((second.as_ptr(), second.byte_size()), (place, BYTES));
        assert!(bytes(&mut *second).iter().all(|byte| *byte == 0));
        let mut third = memory(&memories, BYTES);
        assert_ne!(third.as_ptr(), place);
        assert!(bytes(&mut *third).iter().all(|byte| *byte == 0));
    }

    #[test]
    fn no_more_are_kept_than_may_be_and_none_that_is_large_or_full_or_has_grown() {
        let memories = Memories::new();
        drop(memory(&memories, BYTES));
        assert_eq!(count(&memories), 0, "none may be kept yet");
        memories.keep(2);
        drop(memory(&memories, 2 << 20));
        let mut full = memory(&memories, BYTES);
        bytes(&mut *full).fill(1);
        drop(full);
        let mut grown = memory(&memories, BYTES);
        grown.grow_to(2 * BYTES).unwrap();
        drop(grown);
        assert_eq!(count(&memories), 0);
        let several: Vec<_> = (0..3).map(|_| memory(&memories, BYTES)).collect();
        drop(several);
        assert_eq!(count(&memories), 2);
    }

    #[test]
    fn those_in_use_and_those_kept_share_the_room() {
        let memories = Memories::new();
        memories.keep(3);
        let used = [memory(&memories, BYTES), memory(&memories, BYTES)];
        let several: Vec<_> = (0..2).map(|_| memory(&memories, BYTES)).collect();
        drop(several);
        assert_eq!(count(&memories), 1, "beside the two in use");
        drop(used);
        assert_eq!(count(&memories), 3);
    }

    #[test]
    fn a_pagemap_that_does_not_show_what_was_touched_is_not_believed() {
        let believed = |pagemap| Shared::new(pagemap).sees_what_is_touched();
        assert!(believed("/proc/self/pagemap"));
        for other in ["/dev/zero", "/proc/self/maps", "/proc/self/none"] {
            assert!(!believed(other), "{other}");
        }
    }

    #[test]
    fn growing_keeps_what_was_written_and_adds_zeros() {
        let untold = Memories(Arc::new(Shared::new("/proc/self/none")));
        for memories in [Memories::new(), untold] {
            let mut memory = memory(&memories, BYTES);
            for at in [1, 9000, BYTES - 1] {
                bytes(&mut *memory)[at] = 7;
            }
            memory.grow_to(3 * BYTES).unwrap();
            let now = bytes(&mut *memory);
            assert_eq!(now.len(), 3 * BYTES);
            let written: Vec<_> = (0..now.len()).filter(|at| now[*at] != 0).collect();
            assert_eq!(written, [1, 9000, BYTES - 1]);
        }
    }

    #[test]
    fn without_a_pagemap_no_memory_is_used_again() {
        let memories = Memories(Arc::new(Shared::new("/proc/self/none")));
        memories.keep(8);
        drop(memory(&memories, BYTES));
        assert_eq!(count(&memories), 0);
    }

    #[test]
    fn what_nobody_takes_is_given_back() {
        let memories = Memories::new();
        memories.keep(8);
        let several: Vec<_> = (0..4).map(|_| memory(&memories, BYTES)).collect();
        drop(several);
        let long_ago = || Instant::now() - 2 * PATIENCE;
        memories.0.spare().since = long_ago();
        memories.trim();
        assert_eq!(count(&memories), 4, "they came since it was last looked");
        drop(memory(&memories, BYTES));
        memories.trim();
        assert_eq!(count(&memories), 4, "not yet");
        memories.0.spare().since = long_ago();
        memories.trim();
        assert_eq!(count(&memories), 1, "one was used meanwhile");
    }
}
