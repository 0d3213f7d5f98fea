//! The guest's allocator: talc, over what the linked memory leaves free before it asks for more.
//!
//! Growing a memory that has no reservation copies it whole at the host (75 times the cost of a
//! first message, 18 times the memory), so an actor should start in the memory it was linked with.

#![allow(unsafe_code, reason = "an allocator owns raw memory; its safety is argued at each use")]

use core::alloc::Layout;
use core::arch::wasm32::{memory_grow, memory_size};
use core::ptr::NonNull;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

#[global_allocator]
static ALLOCATOR: TalcSyncCell<InPlace, WasmBinning> =
    TalcSyncCell::new_wasm(InPlace { end: None });

const PAGE: usize = 64 << 10;
/// More than an allocation's own bytes that a heap needs to fit it.
const SLACK: usize = 64;

/// Gives the allocator first the linked memory's free part, and then one growing piece after it.
#[derive(Debug)]
struct InPlace {
    end: Option<NonNull<u8>>,
}

// SAFETY: allocates nothing itself.
unsafe impl Source for InPlace {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        let Some(end) = talc.source.end else {
            let base = heap_base();
            let free = memory_size::<0>() * PAGE - base as usize;
            // SAFETY: the linker puts nothing after `__heap_base`, and this runs once: nothing else
            // of the guest's uses that memory. A piece too small for talc gives `None`, and the
            // next call comes here again.
            talc.source.end = unsafe { talc.claim(base, free) };
            if talc.source.end.is_some() {
                return Ok(());
            }
            return grow(talc, layout, None);
        };
        grow(talc, layout, Some(end))
    }
}

fn grow<B: Binning>(
    talc: &mut Talc<InPlace, B>,
    layout: Layout,
    end: Option<NonNull<u8>>,
) -> Result<(), ()> {
    let pages = layout.size().saturating_add(layout.align() + SLACK).div_ceil(PAGE);
    let before = memory_grow::<0>(pages);
    if before == usize::MAX {
        return Err(());
    }
    let base = (before * PAGE) as *mut u8;
    let new_end = base.wrapping_add(pages * PAGE);
    talc.source.end = match end {
        // SAFETY: `end` is what talc gave for its heap, and the memory up to `new_end` is fresh.
        // Only this allocator grows the memory, so the two pieces touch.
        Some(end) => Some(unsafe { talc.extend(end, new_end) }),
        // SAFETY: fresh memory, as above.
        None => unsafe { talc.claim(base, pages * PAGE) },
    };
    Ok(())
}

fn heap_base() -> *mut u8 {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    (&raw const __heap_base).cast_mut()
}
