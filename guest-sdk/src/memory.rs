//! The guest's allocator: talc, over what the linked memory leaves free before it asks for more,
//! and before it a few free pieces of each small size at hand.
//!
//! Growing a memory that has no reservation copies it whole at the host (75 times the cost of a
//! first message, 18 times the memory), so an actor should start in the memory it was linked with.
//! A letter allocates and frees half a dozen small pieces, always of the same sizes: those that
//! were just freed are given again without asking talc.

#![allow(unsafe_code, reason = "an allocator owns raw memory; its safety is argued at each use")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

#[global_allocator]
static ALLOCATOR: AtHand = AtHand {
    talc: TalcSyncCell::new_wasm(InPlace { end: None }),
    free: UnsafeCell::new([Shelf { first: ptr::null_mut(), count: 0 }; SHELVES]),
};

/// Sizes are rounded up to this, which is also the alignment that small pieces have.
const STEP: usize = 16;
/// Pieces of up to `SHELVES * STEP` bytes are kept at hand.
const SHELVES: usize = 32;
/// Pieces of one size that are kept: more go back to talc, which joins them.
const AT_HAND: usize = 16;

/// See the module.
struct AtHand {
    talc: TalcSyncCell<InPlace, WasmBinning>,
    free: UnsafeCell<[Shelf; SHELVES]>,
}

/// Free pieces of one size, each with the next one's place in it.
#[derive(Clone, Copy)]
struct Shelf {
    first: *mut *mut u8,
    count: usize,
}

// SAFETY: a component without the threads proposal has one thread.
unsafe impl Sync for AtHand {}

impl AtHand {
    /// The shelf for a layout, and the layout of its pieces; `None` if it is not a small one.
    fn shelf(layout: Layout) -> Option<(usize, Layout)> {
        let number = layout.size().wrapping_sub(1) / STEP;
        if number >= SHELVES || layout.align() > STEP {
            return None;
        }
        // SAFETY: a power of two, and far from overflowing.
        Some((number, unsafe { Layout::from_size_align_unchecked((number + 1) * STEP, STEP) }))
    }
}

// SAFETY: what is on a shelf came from talc with that shelf's layout and is used by nobody; nothing
// here calls back into itself while a shelf is borrowed.
unsafe impl GlobalAlloc for AtHand {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some((number, piece)) = Self::shelf(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { self.talc.alloc(layout) };
        };
        // SAFETY: see above; the first word of a piece on a shelf is the next one's place.
        unsafe {
            let shelf = &mut (*self.free.get())[number];
            if shelf.first.is_null() {
                return self.talc.alloc(piece);
            }
            let first = shelf.first;
            shelf.first = (*first).cast();
            shelf.count -= 1;
            first.cast()
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let Some((number, piece)) = Self::shelf(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { self.talc.dealloc(at, layout) };
        };
        // SAFETY: see above; a piece has at least 16 bytes, aligned to 16.
        unsafe {
            let shelf = &mut (*self.free.get())[number];
            if shelf.count >= AT_HAND {
                return self.talc.dealloc(at, piece);
            }
            let at = at.cast::<*mut u8>();
            *at = shelf.first.cast();
            shelf.first = at;
            shelf.count += 1;
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise: `size` is not zero and does not overflow with the
        // alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (Self::shelf(layout), Self::shelf(new)) {
            (Some((old, _)), Some((new, _))) if old == new => at,
            // SAFETY: the caller's promise.
            (None, None) => unsafe { self.talc.realloc(at, layout, size) },
            // SAFETY: the caller's promise; the two pieces are different ones.
            _ => unsafe {
                let moved = self.alloc(new);
                if !moved.is_null() {
                    ptr::copy_nonoverlapping(at, moved, layout.size().min(size));
                    self.dealloc(at, layout);
                }
                moved
            },
        }
    }
}

/// WebAssembly's.
const PAGE: usize = 64 << 10;
/// What `edge-host build` links, in bytes.
const LINKED: usize = 256 << 10;
/// What the allocator is given ends at a multiple of this: a page of the host's.
const STRIDE: usize = 4 << 10;
/// More than an allocation's own bytes that a heap needs to fit it, its own lists included.
const SLACK: usize = 1 << 10;

/// Gives the allocator the linked memory's free part in steps, and then what the memory grows by.
///
/// Talc writes to both ends of what it has: given all at once, the last page would be touched by
/// every actor, and a heap that is small would take a page more than it fills.
#[derive(Debug)]
struct InPlace {
    /// What talc has ends here.
    end: Option<NonNull<u8>>,
}

// SAFETY: allocates nothing itself.
unsafe impl Source for InPlace {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let start = talc.source.end.map_or(heap_base(), NonNull::as_ptr);
        let linked = memory_size::<0>() * PAGE;
        let step = |bytes| (start as usize).saturating_add(bytes).checked_next_multiple_of(STRIDE);
        let needed = step(layout.size().saturating_add(layout.align() + SLACK)).ok_or(())?;
        if needed > linked {
            // No more than it takes: past its budget the actor would end.
            let pages = (needed - linked).div_ceil(PAGE);
            if memory_grow::<0>(pages) == usize::MAX {
                return Err(());
            }
        }
        // An eighth more than it has, if that is there: a heap that grows is not given it by pages.
        let had = (start as usize).wrapping_sub(heap_base() as usize);
        let end = step(had / 8).ok_or(())?.min(linked).max(needed);
        let end = end as *mut u8;
        talc.source.end = match talc.source.end {
            // SAFETY: `from` is what talc gave for its heap's end, and nothing else uses what comes
            // after it: the linker puts nothing after `__heap_base`, and nobody else grows memory.
            Some(from) => Some(unsafe { talc.extend(from, end) }),
            // SAFETY: as above. A piece too small for talc gives `None`, and the next call comes
            // here again.
            None => unsafe { talc.claim(start, end as usize - start as usize) },
        };
        talc.source.end.map(drop).ok_or(())
    }
}

/// Bytes of memory, if there are more than `edge-host build` links.
pub fn grown() -> usize {
    Some(memory_size::<0>() * PAGE).filter(|bytes| *bytes > LINKED).unwrap_or(0)
}

fn heap_base() -> *mut u8 {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    (&raw const __heap_base).cast_mut()
}
