//! A component's one core module called directly: the limit that rows are held against, and what a
//! node does with the same component.
//!
//! The letters are lowered by hand, as the Canonical ABI has it (the component model's
//! `CanonicalABI.md`), and nothing is done for the sake of a host: no handle is looked up, no limit
//! is kept, what is sent stays in one buffer. Pointers are checked, since an unchecked one is
//! `unsafe`.

mod imports;
mod letters;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use wasmparser::{Parser, Payload};
use wasmtime::{
    Enabled, Engine, Extern, Instance, InstanceAllocationStrategy, InstancePre, Linker, Memory,
    Module, ModuleExport, PoolingAllocationConfig, Store, TypedFunc, WasmParams, WasmResults,
};

use crate::bindings::edge::actor::types::Sole;
use crate::raw::{self, Load, NO_REPLY, config};
pub use imports::{Asked, Host};
pub use letters::Letters;

/// What wit-component names the exports of an actor's module after.
const BEHAVIOUR: &str = "edge:actor/behaviour@0.1.0";
/// Largest memory of those that are used again.
const REUSED_BYTES: usize = 1 << 20;

/// A module ready to be instantiated, on an engine configured as every node's is.
#[derive(Clone)]
pub struct Code {
    engine: Engine,
    pre: InstancePre<Host>,
    exports: Arc<Exports>,
}

/// Where its exports are.
struct Exports {
    memory: ModuleExport,
    realloc: ModuleExport,
    handle: ModuleExport,
    start: Export,
    save: Export,
    restore: Export,
}

/// A function, and what is to be called when its result was read.
struct Export {
    function: ModuleExport,
    after: Option<ModuleExport>,
}

/// An empty list may lie anywhere.
const EMPTY: (u32, u32) = (8, 0);

/// `cabi_realloc`: old place and size, alignment, new size.
type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;
/// Monotonic time, whether there is wall time, wall time, seed.
type Time = (u64, u32, u64, u64);
/// The same, the sole message's case and what that has, and four lists: place and length of each.
type Batch = (u64, u32, u64, u64, u32, u64, u32, u32, u32, u32, u32, u32, u32, u32);
/// Time, and two lists.
type Lists = (u64, u32, u64, u64, u32, u32, u32, u32);

/// An instance in a store of its own.
pub struct Guest {
    store: Store<Host>,
    instance: Instance,
    memory: Memory,
    realloc: Realloc,
    handle: TypedFunc<Batch, u32>,
    exports: Arc<Exports>,
    turns: u64,
}

impl raw::Code for Code {
    type Guest = Guest;

    fn load(file: &Path, load: Load) -> anyhow::Result<Self> {
        let mut config = config(load.names);
        if load.reused > 0 {
            config.allocation_strategy(pool(load.reused));
        }
        let engine = Engine::new(&config)?;
        let bytes = std::fs::read(file).with_context(|| format!("{}", file.display()))?;
        let module = Module::new(&engine, main_module(&bytes)?)?;
        let mut linker = Linker::new(&engine);
        imports::define(&mut linker)?;
        let pre = linker.instantiate_pre(&module)?;
        Ok(Self { engine, pre, exports: Arc::new(Exports::of(&module)?) })
    }

    fn instance(&self, grants: bool) -> anyhow::Result<Guest> {
        let mut store = Store::new(&self.engine, Host::new(grants));
        store.epoch_deadline_trap();
        store.set_epoch_deadline(1000);
        let instance = self.pre.instantiate(&mut store)?;
        let memory = instance.get_module_export(&mut store, &self.exports.memory);
        let memory = memory.and_then(Extern::into_memory).context("its memory is none")?;
        store.data_mut().memory = Some(memory);
        let realloc = function(&mut store, &instance, &self.exports.realloc)?;
        let handle = function(&mut store, &instance, &self.exports.handle)?;
        let exports = self.exports.clone();
        Ok(Guest { store, instance, memory, realloc, handle, exports, turns: 0 })
    }
}

/// Memories that are zeroed and used again, where the kernel tells which pages were touched.
fn pool(slots: u32) -> InstanceAllocationStrategy {
    let told = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(slots).total_memories(slots).total_tables(slots);
    pool.total_gc_heaps(0).max_memory_size(REUSED_BYTES).table_elements(256);
    pool.pagemap_scan(if told { Enabled::Yes } else { Enabled::No });
    pool.linear_memory_keep_resident(if told { REUSED_BYTES } else { 32 << 10 });
    pool.table_keep_resident(4 << 10).max_unused_warm_slots(slots);
    InstanceAllocationStrategy::Pooling(pool)
}

/// The module itself, or the first of a component's: wit-component's helpers come after it.
fn main_module(bytes: &[u8]) -> anyhow::Result<&[u8]> {
    if Parser::is_core_wasm(bytes) {
        return Ok(bytes);
    }
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::ModuleSection { unchecked_range, .. } = payload? {
            return bytes.get(unchecked_range).context("its module is cut off");
        }
    }
    bail!("a component without a module")
}

impl Exports {
    fn of(module: &Module) -> anyhow::Result<Self> {
        let find = |name: &str| {
            module.get_export_index(name).with_context(|| format!("it exports no {name:?}"))
        };
        let export = |name: &str| -> anyhow::Result<Export> {
            let after = module.get_export_index(&format!("cabi_post_{BEHAVIOUR}#{name}"));
            Ok(Export { function: find(&format!("{BEHAVIOUR}#{name}"))?, after })
        };
        Ok(Self {
            memory: find("memory")?,
            realloc: find("cabi_realloc")?,
            handle: find(&format!("{BEHAVIOUR}#handle"))?,
            start: export("start")?,
            save: export("save")?,
            restore: export("restore")?,
        })
    }
}

impl raw::Guest for Guest {
    type Letters = Letters;

    fn start(&mut self) -> anyhow::Result<usize> {
        let now = self.now();
        let exports = self.exports.clone();
        let start: TypedFunc<Time, u32> =
            function(&mut self.store, &self.instance, &exports.start.function)?;
        let gave = start.call(&mut self.store, now)?;
        self.went_well(gave)?;
        self.after(&exports.start, gave)?;
        let sent = &mut self.store.data_mut().sent;
        let count = sent.len();
        sent.clear();
        Ok(count)
    }

    fn give(&mut self, letters: &mut Letters, reply: Option<u32>) -> anyhow::Result<()> {
        let body = self.realloc.call(&mut self.store, (0, 0, 1, letters.bytes()?))?;
        let (sole, list) = match letters.len() {
            1 => (Sole::Letter(reply.unwrap_or(NO_REPLY)), EMPTY),
            several => {
                let room = (0, 0, 4, letters.lowered_size()?);
                let list = self.realloc.call(&mut self.store, room)?;
                let bytes = self.memory.data_mut(&mut self.store);
                letters.lower(bytes, list, reply)?;
                (Sole::None, (list, u32::try_from(several)?))
            }
        };
        letters.lower_bodies(self.memory.data_mut(&mut self.store), body)?;
        self.handle(sole, list, (body, letters.bytes()?))?;
        letters.clear();
        std::mem::swap(letters, &mut self.store.data_mut().sent);
        Ok(())
    }

    fn save(&mut self) -> anyhow::Result<Vec<u8>> {
        let exports = self.exports.clone();
        let save: TypedFunc<(), u32> =
            function(&mut self.store, &self.instance, &exports.save.function)?;
        let gave = save.call(&mut self.store, ())?;
        self.went_well(gave)?;
        let [place, length] = self.words(gave as usize + 4)?;
        let state = self.memory.data(&self.store).get(place as usize..);
        let state = state.and_then(|rest| rest.get(..length as usize)).context("no such list")?;
        let state = state.to_vec();
        self.after(&exports.save, gave)?;
        Ok(state)
    }

    fn restore(&mut self, state: &[u8]) -> anyhow::Result<()> {
        let (monotonic, has_wall, wall, seed) = self.now();
        let exports = self.exports.clone();
        let restore: TypedFunc<Lists, u32> =
            function(&mut self.store, &self.instance, &exports.restore.function)?;
        let length = u32::try_from(state.len())?;
        let at = self.realloc.call(&mut self.store, (0, 0, 1, length))?;
        self.memory.write(&mut self.store, at as usize, state)?;
        let lists = (monotonic, has_wall, wall, seed, at, length, EMPTY.0, EMPTY.1);
        let gave = restore.call(&mut self.store, lists)?;
        self.went_well(gave)?;
        self.after(&exports.restore, gave)
    }
}

impl Guest {
    /// Calls `handle` with an answer to the last question that it asked; `letters` holds it, and
    /// afterwards what the guest sent. Gives what it asked this time.
    pub fn answer(&mut self, letters: &mut Letters, token: u64) -> anyhow::Result<Option<Asked>> {
        let body = self.realloc.call(&mut self.store, (0, 0, 1, letters.bytes()?))?;
        letters.lower_bodies(self.memory.data_mut(&mut self.store), body)?;
        self.handle(Sole::Answer(token), EMPTY, (body, letters.bytes()?))?;
        letters.clear();
        std::mem::swap(letters, &mut self.store.data_mut().sent);
        Ok(self.asked())
    }

    /// What it asked in its last call, if it asked.
    pub fn asked(&mut self) -> Option<Asked> {
        self.store.data_mut().asked.take()
    }

    fn handle(&mut self, sole: Sole, letters: (u32, u32), bytes: (u32, u32)) -> anyhow::Result<()> {
        let (monotonic, has_wall, wall, seed) = self.now();
        self.store.set_epoch_deadline(1000);
        let (case, of) = match sole {
            Sole::None => (0, 0),
            Sole::Letter(reply) => (1, reply.into()),
            Sole::Answer(token) => (2, token),
        };
        let (a, b, c, d) = (letters, EMPTY, EMPTY, bytes);
        let batch =
            (monotonic, has_wall, wall, seed, case, of, a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1);
        match self.handle.call(&mut self.store, batch)? {
            0 => Ok(()),
            _ => bail!("a turn failed: {}", self.store.data().why),
        }
    }

    fn now(&mut self) -> Time {
        self.turns += 1;
        (self.turns, 0, 0, self.turns)
    }

    fn words<const N: usize>(&self, at: usize) -> anyhow::Result<[u32; N]> {
        let mut words = [0; N];
        for (place, word) in (at..).step_by(4).zip(&mut words) {
            let mut bytes = [0; 4];
            self.memory.read(&self.store, place, &mut bytes)?;
            *word = u32::from_le_bytes(bytes);
        }
        Ok(words)
    }

    /// Whether the `result` at this place is no error.
    fn went_well(&self, at: u32) -> anyhow::Result<()> {
        match self.memory.data(&self.store).get(at as usize) {
            Some(0) => Ok(()),
            _ => bail!("it gave an error"),
        }
    }

    fn after(&mut self, export: &Export, gave: u32) -> anyhow::Result<()> {
        let Some(after) = &export.after else { return Ok(()) };
        let after: TypedFunc<u32, ()> = function(&mut self.store, &self.instance, after)?;
        Ok(after.call(&mut self.store, gave)?)
    }
}

fn function<P: WasmParams, R: WasmResults>(
    store: &mut Store<Host>,
    instance: &Instance,
    export: &ModuleExport,
) -> anyhow::Result<TypedFunc<P, R>> {
    let function = instance.get_module_export(&mut *store, export).and_then(Extern::into_func);
    Ok(function.context("an export is no function")?.typed(store)?)
}
