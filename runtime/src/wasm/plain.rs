//! Plain components: one core module, whose imports are the contract's functions and whose exports
//! are the behaviour's. Most languages' tools make such, guest-sdk among them.
//!
//! wasmtime's component layer takes two to three times as long for a letter as the same module
//! called by hand, and each instance has two modules' worth more of memory
//! (`tests/bench/README.md` has the figures). So the module of a plain component is
//! instantiated by itself, and what the layer would do is done here: the contract's functions
//! by the Canonical ABI (the component model's `CanonicalABI.md`). [`lower`] has how messages
//! lie in a guest's memory, [`imports`] how it calls the host. What a guest can do is the same,
//! and so is what it can't: each pointer that it gives is checked, and while the host asks it
//! for room, or tells it that what it gave was read, it can call nothing.

mod ends;
mod imports;
mod layout;
mod lower;
mod outline;
#[cfg(test)]
mod tests;
mod wiring;

use std::ops::Range;
use std::sync::Arc;

use wasmtime::{Extern, Func, InstancePre, Linker, Memory, Module, ModuleExport, Store, TypedFunc};
use wasmtime::{WasmParams, WasmResults};

use super::ahead::Places;
use super::bindings::edge::actor::types as wit;
use ends::Ends;
pub(super) use imports::{bus, contract};
use layout::open;
pub use lower::{Batch, NO_REPLY};

/// A plain component's module, and what is what of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Plain {
    /// Where the module stands in the component's bytes.
    pub module: Range<usize>,
    imports: Vec<Import>,
    memory: String,
    realloc: String,
    start: Lifted,
    handle: Lifted,
    save: Lifted,
    restore: Lifted,
    ends: Ends,
}

/// An import of the module, and the function of the contract that it is.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    from: String,
    name: String,
    interface: String,
    function: String,
}

/// A function of the behaviour as the module exports it, and what is to be called afterwards.
#[derive(Debug, PartialEq, Eq)]
struct Lifted {
    name: String,
    after: Option<String>,
}

/// What an instance's store holds beside the host's own: where its lists lie, and what makes room
/// for them.
#[derive(Clone, Copy)]
pub struct Space {
    memory: Memory,
    realloc: Func,
    /// It may call no import now.
    shut: bool,
}

/// `cabi_realloc`: old place and size, alignment, new size.
type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;
/// Monotonic time, whether there is wall time, wall time, seed.
type Time = (u64, u32, u64, u64);
/// The same, the sole message's case and what that has, and four lists: place and length of each.
type Handle = (u64, u32, u64, u64, u32, u64, u32, u32, u32, u32, u32, u32, u32, u32);
/// Time, and two lists.
type Restore = (u64, u32, u64, u64, u32, u32, u32, u32);

/// A store's data that can be given a space.
pub trait Spacious: 'static {
    /// The instance's, once there is one.
    fn space(&mut self) -> &mut Option<Space>;
}

/// A module with its imports, to be instantiated many times.
pub struct Linked<T: 'static> {
    pre: InstancePre<T>,
    exports: Arc<Exports>,
}

impl<T> Clone for Linked<T> {
    fn clone(&self) -> Self {
        Self { pre: self.pre.clone(), exports: self.exports.clone() }
    }
}

/// Where a module's exports are.
struct Exports {
    memory: ModuleExport,
    realloc: ModuleExport,
    start: Export,
    handle: Export,
    save: Export,
    restore: Export,
    ends: Ends,
}

struct Export {
    function: ModuleExport,
    after: Option<ModuleExport>,
}

/// A live instance.
pub struct Guest {
    instance: wasmtime::Instance,
    handle: TypedFunc<Handle, u32>,
    realloc: Realloc,
    exports: Arc<Exports>,
}

/// Whether an export's name is the behaviour's, of whatever version.
fn is_behaviour(name: &str) -> bool {
    name.starts_with("edge:actor/behaviour@")
}

impl Plain {
    /// Reads a component; `None` if it is not plain.
    pub fn of(component: &[u8]) -> Option<Self> {
        wiring::of(component)
    }

    /// Links the module. `define` gives the linker one import.
    pub fn link<T: Spacious>(
        &self,
        module: &Module,
        define: impl Fn(&mut Linker<T>, &Import) -> wasmtime::Result<()>,
    ) -> wasmtime::Result<Linked<T>> {
        let mut linker = Linker::new(module.engine());
        for import in &self.imports {
            define(&mut linker, import)?;
        }
        let find = |name: &str| {
            let missing = || wasmtime::format_err!("its module exports no {name:?}");
            module.get_export_index(name).ok_or_else(missing)
        };
        let export = |lifted: &Lifted| -> wasmtime::Result<Export> {
            let after = lifted.after.as_deref().map(find).transpose()?;
            Ok(Export { function: find(&lifted.name)?, after })
        };
        let exports = Exports {
            memory: find(&self.memory)?,
            realloc: find(&self.realloc)?,
            start: export(&self.start)?,
            handle: export(&self.handle)?,
            save: export(&self.save)?,
            restore: export(&self.restore)?,
            ends: self.ends,
        };
        Ok(Linked { pre: linker.instantiate_pre(module)?, exports: Arc::new(exports) })
    }
}

impl<T: Spacious> Linked<T> {
    /// A new instance in a store of its own.
    pub fn instantiate(&self, store: &mut Store<T>) -> wasmtime::Result<Guest> {
        let instance = self.pre.instantiate(&mut *store)?;
        let exports = &self.exports;
        let memory = instance.get_module_export(&mut *store, &exports.memory);
        let Some(memory) = memory.and_then(Extern::into_memory) else {
            wasmtime::bail!("its memory is none");
        };
        let realloc: Realloc = function(&instance, store, &exports.realloc)?;
        let handle = function(&instance, store, &exports.handle.function)?;
        *store.data_mut().space() = Some(Space { memory, realloc: *realloc.func(), shut: false });
        Ok(Guest { instance, handle, realloc, exports: exports.clone() })
    }
}

impl Guest {
    /// What each call touches; until its memory grows.
    pub fn places<T: Spacious>(&self, store: &mut Store<T>) -> Places {
        let function = self.handle.func().to_raw(&mut *store).addr();
        let memory = store.data_mut().space().as_ref().map(|space| space.memory);
        let memory = memory.map_or(0, |memory| memory.data_ptr(&*store).addr());
        let Ends { stack, heap } = self.exports.ends;
        Places {
            store: std::ptr::from_ref(store.data()).addr(),
            function,
            stack: memory.wrapping_add(stack as usize),
            heap: memory.wrapping_add(heap as usize),
        }
    }

    /// `start` of the behaviour.
    pub fn start<T: Spacious>(
        &self,
        store: &mut Store<T>,
        now: wit::Now,
    ) -> wasmtime::Result<Result<(), String>> {
        let start = &self.exports.start;
        let function: TypedFunc<Time, u32> = function(&self.instance, store, &start.function)?;
        let at = function.call(&mut *store, lower::time(now))?;
        let outcome = self.outcome(store, at)?.map(drop);
        self.after(store, start, at)?;
        Ok(outcome)
    }

    /// `handle` of the behaviour.
    pub fn handle<T: Spacious>(
        &self,
        store: &mut Store<T>,
        now: wit::Now,
        batch: &Batch<'_>,
    ) -> wasmtime::Result<Result<(), ()>> {
        let [a, b, c, d] = lower::batch(&mut *store, &self.realloc, batch)?;
        let (monotonic, has_wall, wall, seed) = lower::time(now);
        let (case, of) = lower::sole(batch.sole);
        let parameters =
            (monotonic, has_wall, wall, seed, case, of, a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1);
        let failed = self.handle.call(&mut *store, parameters)?;
        self.after(store, &self.exports.handle, failed)?;
        match failed {
            0 => Ok(Ok(())),
            1 => Ok(Err(())),
            _ => wasmtime::bail!("`handle` gave {failed}, which is no result"),
        }
    }

    /// `save` of the behaviour; a state of more bytes is not copied.
    pub fn save<T: Spacious>(
        &self,
        store: &mut Store<T>,
        most: usize,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        let save = &self.exports.save;
        let function: TypedFunc<(), u32> = function(&self.instance, store, &save.function)?;
        let at = function.call(&mut *store, ())?;
        let outcome = match self.outcome(store, at)? {
            Ok((place, length)) => match too_large(length as usize, most) {
                None => Ok(open(&mut *store)?.1.list(place, length)?.to_vec()),
                Some(why) => Err(why),
            },
            Err(why) => Err(why),
        };
        self.after(store, save, at)?;
        Ok(outcome)
    }

    /// `restore` of the behaviour.
    pub fn restore<T: Spacious>(
        &self,
        store: &mut Store<T>,
        now: wit::Now,
        state: &[u8],
        writer: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        let restore = &self.exports.restore;
        let function: TypedFunc<Restore, u32> = function(&self.instance, store, &restore.function)?;
        let (monotonic, has_wall, wall, seed) = lower::time(now);
        let (state_at, state_length) = lower::bytes(&mut *store, &self.realloc, state)?;
        let writer = writer.as_bytes();
        let (writer_at, writer_length) = lower::bytes(&mut *store, &self.realloc, writer)?;
        let lists =
            (monotonic, has_wall, wall, seed, state_at, state_length, writer_at, writer_length);
        let at = function.call(&mut *store, lists)?;
        let outcome = self.outcome(store, at)?.map(drop);
        self.after(store, restore, at)?;
        Ok(outcome)
    }

    /// Reads a `result` whose error is a string; if it went well, place and length of a list that
    /// may be there.
    fn outcome<T: Spacious>(
        &self,
        store: &mut Store<T>,
        at: u32,
    ) -> wasmtime::Result<Result<(u32, u32), String>> {
        let (_, mut guest) = open(&mut *store)?;
        let [outcome, place, length] = guest.words(at)?;
        match outcome.to_le_bytes()[0] {
            0 => Ok(Ok((place, length))),
            1 => Ok(Err(guest.string(place, length)?)),
            other => wasmtime::bail!("it gave {other}, which is no result"),
        }
    }

    /// Most functions have nothing to be called afterwards, and then nothing is.
    #[inline]
    fn after<T: Spacious>(
        &self,
        store: &mut Store<T>,
        export: &Export,
        gave: u32,
    ) -> wasmtime::Result<()> {
        match &export.after {
            None => Ok(()),
            Some(after) => self.call_after(store, after, gave),
        }
    }

    fn call_after<T: Spacious>(
        &self,
        store: &mut Store<T>,
        after: &ModuleExport,
        gave: u32,
    ) -> wasmtime::Result<()> {
        let after: TypedFunc<u32, ()> = function(&self.instance, store, after)?;
        lower::shut(store, |store| after.call(store, gave))
    }
}

/// Why saved state of so many bytes is not taken.
pub fn too_large(length: usize, most: usize) -> Option<String> {
    (length > most).then(|| format!("its saved state has {length} bytes, over save-bytes = {most}"))
}

/// A function that an instance exports.
fn function<T, P: WasmParams, R: WasmResults>(
    instance: &wasmtime::Instance,
    store: &mut Store<T>,
    export: &ModuleExport,
) -> wasmtime::Result<TypedFunc<P, R>> {
    let function = instance.get_module_export(&mut *store, export).and_then(Extern::into_func);
    function
        .ok_or_else(|| wasmtime::format_err!("no function is where one should be"))?
        .typed(store)
}
