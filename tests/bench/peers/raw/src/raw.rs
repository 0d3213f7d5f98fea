//! The two ways to call a guest without a host around it: see [`crate::component`] and
//! [`crate::module`]. On both the imports do as little as they can.

use std::path::Path;

use wasmtime::{Config, ProfilingStrategy};

/// Where an answer goes if none is wanted: a handle that is never given.
pub const NO_REPLY: u32 = u32::MAX;

/// How code is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// It is a module that is to be a component, and perf gets its functions' names.
    pub names: bool,
    /// So many memories are kept, to be zeroed and used again when an instance is dropped; 0: each
    /// is mapped anew. The component layer's always are: it is the peer as it was first measured.
    pub reused: u32,
}

/// Code ready to be instantiated.
pub trait Code: Sized + Sync {
    /// Its instances.
    type Guest: Guest;

    /// Compiles a component.
    fn load(file: &Path, load: Load) -> anyhow::Result<Self>;

    /// A new instance in a store of its own.
    fn instance(&self, grants: bool) -> anyhow::Result<Self::Guest>;
}

/// An instance in a store of its own.
pub trait Guest: Sized {
    /// Letters as they are given to it, and as it leaves them.
    type Letters: Letters;

    /// Calls `start`; gives the number of letters that it sent.
    fn start(&mut self) -> anyhow::Result<usize>;

    /// Calls `handle` with these letters; what it sent is in their place afterwards.
    fn give(&mut self, letters: &mut Self::Letters, reply: Option<u32>) -> anyhow::Result<()>;

    /// Calls `save`.
    fn save(&mut self) -> anyhow::Result<Vec<u8>>;

    /// Calls `restore`.
    fn restore(&mut self, state: &[u8]) -> anyhow::Result<()>;
}

/// Some letters.
pub trait Letters: Sized {
    /// So many letters with this body.
    fn of(body: &[u8], count: usize) -> Self;

    /// How many there are.
    fn count(&self) -> usize;
}

/// An engine's configuration, as a node's is that has address space for all that may live.
pub fn config(names: bool) -> Config {
    let mut config = Config::new();
    config.concurrency_support(false);
    config.gc_support(false);
    config.wasm_threads(false);
    config.shared_memory(false);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_relaxed_simd(false);
    config.cranelift_nan_canonicalization(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(256 << 10);
    config.generate_address_map(false);
    config.memory_init_cow(false);
    config.memory_reservation(4 << 30);
    config.memory_guard_size(64 << 10);
    config.memory_reservation_for_growth(0);
    if names {
        config.profiler(ProfilingStrategy::PerfMap);
    }
    config
}
