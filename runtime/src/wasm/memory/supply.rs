//! How much memory there is for guests: what they have grown to, and what the process really has.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// What every guest may have without being counted by itself: the memory plan bounds how many there
/// are, and guest-sdk's begin with as much and touch some 8 kB of it.
pub(in crate::wasm) const PLANNED: usize = 256 << 10;
/// One new instance in so many has what the process really has looked at.
const LOOK: usize = 16;

/// Bytes of memory, and what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// All that this process may have to itself.
    pub process: u64,
    /// What guests may grow to of that, all together.
    pub guests: u64,
    /// What one guest may take of it while it is saved.
    pub saving: u64,
}

/// What there is for guests.
pub(in crate::wasm) struct Supply {
    process: AtomicU64,
    guests: AtomicU64,
    saving: AtomicU64,
    /// A guest that has grown is being saved: one at a time may take so much for that.
    saves: AtomicBool,
    /// What they have so, touched or not: what it has, a guest touches without asking.
    grown: AtomicU64,
    /// Instances so far.
    made: AtomicUsize,
    /// The process had too much when it was last looked at: it is at each instance then.
    full: AtomicBool,
    /// `/proc/self/statm` (proc_pid_statm(5)).
    statm: Option<File>,
    page: u64,
}

/// How much is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::wasm) enum Left {
    /// Enough.
    Plenty,
    /// An eighth and less of what guests may grow to: those that have grown are to be parked.
    LittleToGrow,
    /// An eighth and less of what the process may have: others are to be parked.
    Little,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wasm) enum Short {
    /// Others have grown.
    Grown,
    /// The process has too much.
    Full,
    /// There is not so much for all of them.
    Ever {
        /// Bytes that there are.
        most: u64,
    },
}

/// What one instance has taken; given back with it.
pub(in crate::wasm) struct Share {
    supply: Arc<Supply>,
    bytes: u64,
}

impl Supply {
    pub(super) fn new() -> Self {
        Self {
            process: AtomicU64::new(u64::MAX),
            guests: AtomicU64::new(u64::MAX),
            saving: AtomicU64::new(u64::MAX / 2),
            saves: AtomicBool::new(false),
            grown: AtomicU64::new(0),
            made: AtomicUsize::new(0),
            full: AtomicBool::new(false),
            statm: File::open("/proc/self/statm").ok(),
            page: rustix::param::page_size() as u64,
        }
    }

    pub(super) fn set(&self, bytes: Bytes) {
        self.process.store(bytes.process, Ordering::Relaxed);
        self.guests.store(bytes.guests, Ordering::Relaxed);
        self.saving.store(bytes.saving, Ordering::Relaxed);
    }

    /// Bytes that this process has to itself: resident, and of no file. None if the kernel doesn't
    /// say.
    fn own(&self) -> Option<u64> {
        let mut text = [0; 128];
        let length = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let mut fields = std::str::from_utf8(&text[..length]).ok()?.split_ascii_whitespace();
        let resident = fields.nth(1)?.parse::<u64>().ok()?;
        let shared = fields.next()?.parse::<u64>().ok()?;
        Some(resident.saturating_sub(shared) * self.page)
    }

    /// What is left when the process has so many more. What one may take to be saved is not for
    /// those that grow.
    fn left(&self, more: u64) -> Result<Left, Short> {
        let process = self.process.load(Ordering::Relaxed);
        let kept = if more > 0 { self.saving.load(Ordering::Relaxed) } else { 0 };
        let own = self.own().unwrap_or(0);
        self.full.store(own > process, Ordering::Relaxed);
        match left(process.saturating_sub(kept), own.saturating_add(more)) {
            Some(is_little) => Ok(if is_little { Left::Little } else { Left::Plenty }),
            None => Err(Short::Full),
        }
    }
}

/// Whether little is left of so much when so much is taken; `None` if there is not so much.
fn left(most: u64, taken: u64) -> Option<bool> {
    (taken <= most).then_some(taken > most - most / 8)
}

impl Share {
    pub(super) fn of(supply: &Arc<Supply>) -> Self {
        Self { supply: supply.clone(), bytes: 0 }
    }

    /// A guest's memory is to have `wanted` bytes, and has `current`.
    pub(in crate::wasm) fn grow(&mut self, current: usize, wanted: usize) -> Result<Left, Short> {
        let more = beyond(wanted) - beyond(current).min(beyond(wanted));
        let supply = &self.supply;
        if more == 0 {
            let is_new = current == 0;
            let looks = is_new
                && (supply.made.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK)
                    || supply.full.load(Ordering::Relaxed));
            return if looks { supply.left(0) } else { Ok(Left::Plenty) };
        }
        let most = supply.guests.load(Ordering::Relaxed);
        if self.bytes + more > most {
            return Err(Short::Ever { most });
        }
        let of_process = supply.left(more)?;
        let add = |grown: u64| grown.checked_add(more).filter(|grown| *grown <= most);
        match supply.grown.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
            Ok(before) => {
                self.bytes += more;
                let is_little = left(most, before + more) != Some(false);
                Ok(of_process.max(if is_little { Left::LittleToGrow } else { Left::Plenty }))
            }
            Err(_) => Err(Short::Grown),
        }
    }

    /// As [`Share::grow`], whether there is so much or not.
    pub(in crate::wasm) fn overdraw(&mut self, current: usize, wanted: usize) {
        let more = beyond(wanted) - beyond(current).min(beyond(wanted));
        self.supply.grown.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }

    /// A guest whose memory has so many bytes is to be saved, which may take `more` meanwhile.
    pub(in crate::wasm) fn save(&self, memory: usize, more: usize) -> Result<Saving, Short> {
        let most = self.supply.saving.load(Ordering::Relaxed);
        match beyond(memory) {
            0 => Ok(Saving(None)),
            _ if more as u64 > most => Err(Short::Ever { most }),
            _ if self.supply.saves.swap(true, Ordering::Acquire) => Err(Short::Grown),
            _ => Ok(Saving(Some(self.supply.clone()))),
        }
    }
}

/// A guest is being saved.
pub(in crate::wasm) struct Saving(Option<Arc<Supply>>);

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(supply) = &self.0 {
            supply.saves.store(false, Ordering::Release);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.supply.grown.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// What of a memory of so many bytes is counted by itself.
fn beyond(bytes: usize) -> u64 {
    bytes.saturating_sub(PLANNED) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn supply(process: u64, guests: u64) -> Arc<Supply> {
        let supply = Supply::new();
        supply.set(Bytes { process, guests, saving: guests.min(4 << 20) });
        Arc::new(supply)
    }

    #[test]
    fn what_guests_have_beyond_their_plan_is_bounded_and_comes_back() {
        let supply = supply(u64::MAX, 4 << 20);
        let (mut one, mut other) = (Share::of(&supply), Share::of(&supply));
        assert_eq!(one.grow(0, PLANNED), Ok(Left::Plenty));
        assert_eq!(one.grow(PLANNED, PLANNED + 3 * MIB), Ok(Left::Plenty));
        assert_eq!(other.grow(0, 2 * MIB), Err(Short::Grown), "the first has three of four");
        assert_eq!(other.grow(0, PLANNED + MIB), Ok(Left::LittleToGrow));
        assert_eq!(other.grow(0, 8 * MIB), Err(Short::Ever { most: 4 << 20 }));
        assert_eq!(
            one.grow(PLANNED + 3 * MIB, PLANNED + 5 * MIB),
            Err(Short::Ever { most: 4 << 20 })
        );
        other.overdraw(PLANNED + MIB, PLANNED + 2 * MIB);
        drop(one);
        let half = PLANNED + 2 * MIB + MIB / 2;
        assert_eq!(other.grow(PLANNED + 2 * MIB, half), Ok(Left::Plenty));
        assert_eq!(other.grow(PLANNED + 2 * MIB, PLANNED + 3 * MIB), Ok(Left::Plenty));
        drop(other);
        assert_eq!(supply.grown.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_at_a_time_takes_more_to_be_saved() {
        let supply = supply(u64::MAX, 4 << 20);
        let share = Share::of(&supply);
        let small = share.save(PLANNED, PLANNED).unwrap();
        let large = share.save(2 * MIB, 4 * MIB).unwrap();
        assert_eq!(share.save(2 * MIB, 4 * MIB).err(), Some(Short::Grown));
        assert!(share.save(PLANNED, PLANNED).is_ok());
        drop((small, large));
        assert!(share.save(2 * MIB, 4 * MIB).is_ok());
        assert_eq!(share.save(3 * MIB, 6 * MIB).err(), Some(Short::Ever { most: 4 << 20 }));
    }

    #[test]
    fn what_the_process_has_bounds_new_instances_and_growth() {
        let own = Supply::new().own().unwrap();
        assert!(own > 0);
        let lefts = [70, 71, 81].map(|taken| left(80, taken));
        assert_eq!(lefts, [Some(false), Some(true), None]);
        let supply = supply(own / 2, u64::MAX);
        let grown = |_| Share::of(&supply).grow(0, PLANNED);
        assert!((0..LOOK).map(grown).all(|left| left == Err(Short::Full)), "none passes by chance");
        assert_eq!(Share::of(&supply).grow(PLANNED, 2 * PLANNED), Err(Short::Full));
    }
}
