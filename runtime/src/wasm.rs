//! Components: which are accepted, how they become native code, and how a turn is called. The home
//! of `wasmtime`.

pub mod ahead;
mod bindings;
mod check;
pub mod compile;
mod contract;
mod convert;
pub mod effects;
mod guest;
mod instance;
mod memory;
mod plain;
mod simulated;
pub mod table;
pub mod turn;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Module, Precompiled};

pub use check::{ComponentError, World};
pub use contract::encode;
pub use instance::{Failure, Instance, NoInstance, Now};
pub use memory::{Bytes, Layout};

use crate::store::Cid;
use guest::Linked;
use memory::Memories;
use plain::{Import, Plain};
use turn::Turn;

/// How often a running guest looks whether its time is over.
pub const TICK: Duration = Duration::from_millis(1);
/// Native stack that a guest may use, in bytes. A worker's own stack must have this and 256 KiB.
pub const GUEST_STACK_BYTES: usize = 256 << 10;
/// Counts changes of what is compiled of a component.
const FORM: u32 = 1;
/// Bytes that one call of a guest may have the host copy.
const COPY_BYTES: usize = 8 << 20;

/// Compiles, loads and links components. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    layout: Layout,
    linkers: Arc<[Linker<Turn>; 3]>,
    memories: Memories,
}

/// A component's native code, linked to its world.
pub struct Code {
    /// Its name.
    pub cid: Cid,
    /// The world it was written for.
    pub world: World,
    engine: wasmtime::Engine,
    linked: Linked<Turn>,
    memories: Memories,
}

impl Engine {
    /// An engine with the configuration of every node whose guests' memories lie so: see the
    /// decisions in ARCHITECTURE.md.
    pub fn new(layout: Layout) -> Result<Self, ComponentError> {
        let mut config = wasmtime::Config::new();
        config.concurrency_support(false);
        config.gc_support(false);
        config.wasm_threads(false);
        config.shared_memory(false);
        config.wasm_memory64(false);
        config.wasm_multi_memory(false);
        config.wasm_relaxed_simd(false);
        // The same inputs give the same effects on any machine.
        config.cranelift_nan_canonicalization(true);
        config.epoch_interruption(true);
        config.max_wasm_stack(GUEST_STACK_BYTES);
        config.generate_address_map(false);
        let memories = Memories::new();
        config.with_host_memory(Arc::new(memories.clone()));
        layout.configure(&mut config);
        let engine = wasmtime::Engine::new(&config).map_err(ComponentError::engine)?;
        let linker = |add: fn(&mut Linker<Turn>) -> wasmtime::Result<()>| {
            let mut linker = Linker::new(&engine);
            add(&mut linker).map(|()| linker).map_err(ComponentError::engine)
        };
        let linkers = [linker(link_actor)?, linker(link_driver)?, linker(link_protocol)?];
        Ok(Self { engine, layout, linkers: Arc::new(linkers), memories })
    }

    /// Tells engines whose native code can't be shared apart.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        FORM.hash(&mut hasher);
        // Code that was made of another contract's component is made again, and refused then.
        contract::TEXT.hash(&mut hasher);
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    /// Compiles a component's bytes in this process: of a plain one its module, of others all.
    pub fn compile(&self, bytes: &[u8]) -> Result<Vec<u8>, ComponentError> {
        let compiled = match plain(bytes)? {
            Some(plain) => self.engine.precompile_module(&bytes[plain.module]),
            None => self.engine.precompile_component(bytes),
        };
        compiled.map_err(ComponentError::compile)
    }

    /// Links native code made by [`Engine::compile`] on this node from the component `bytes`.
    pub fn load(&self, cid: Cid, bytes: &[u8], native: &Path) -> Result<Code, ComponentError> {
        let world = World::of(bytes)?;
        let linked = match self.map(native).map_err(ComponentError::engine)? {
            Native::Module(module) => match Plain::of(bytes) {
                Some(plain) => plain.link(&module, define(world)).map(Linked::Plain),
                None => Err(wasmtime::format_err!("its native code is another component's")),
            },
            Native::Component(component) => {
                let pre = self.linkers[world as usize].instantiate_pre(&component);
                pre.and_then(bindings::ProtocolPre::new).map(Linked::Layered)
            }
        };
        let linked = linked.map_err(|error| ComponentError::link(world, error))?;
        let (engine, memories) = (self.engine.clone(), self.memories.clone());
        Ok(Code { cid, world, engine, linked, memories })
    }

    // The file comes from this node's own cache, a 0700 directory, and was checked against its sum.
    #[allow(unsafe_code)]
    fn map(&self, native: &Path) -> wasmtime::Result<Native> {
        Ok(match wasmtime::Engine::detect_precompiled_file(native)? {
            // SAFETY: made by `compile` on this node; nothing else writes there.
            Some(Precompiled::Module) => {
                Native::Module(unsafe { Module::deserialize_file(&self.engine, native)? })
            }
            // SAFETY: as above; what is neither is refused.
            _ => Native::Component(unsafe { Component::deserialize_file(&self.engine, native)? }),
        })
    }

    /// Keeps some memories of dropped instances for the next ones, in the room of the `live` ones
    /// that there may be at once.
    pub fn keep_memories(&self, live: usize) {
        self.memories.keep(live);
    }

    /// Bounds what this process takes: past it there is no new instance, and a turn that asks for
    /// more waits for others to make room, as long as it may take.
    pub fn bound_memories(&self, bytes: Bytes) {
        self.memories.supply(bytes);
    }

    /// Gives back memories that no instance took for a while, or all; to be called now and then.
    pub fn trim_memories(&self, all: bool) {
        self.memories.trim(all);
    }

    /// Lets running guests look whether their time is over; called every [`TICK`].
    pub fn tick(&self) {
        self.engine.increment_epoch();
    }
}

/// What a file of native code holds.
enum Native {
    Module(Module),
    Component(Component),
}

/// The parts of a component that can be called without wasmtime's component layer, if it has no
/// others. One of other types than the contract's is refused here: wasmtime would let it in, and
/// fail each instance.
fn plain(bytes: &[u8]) -> Result<Option<Plain>, ComponentError> {
    contract::fits(bytes, World::of(bytes)?)?;
    Ok(Plain::of(bytes))
}

/// Gives a plain component's module the imports of its world.
fn define(world: World) -> fn(&mut wasmtime::Linker<Turn>, &Import) -> wasmtime::Result<()> {
    match world {
        World::Actor | World::Protocol => plain::contract,
        World::Driver => |linker, import| match import.interface() {
            "i2c" => plain::bus(linker, import),
            _ => plain::contract(linker, import),
        },
    }
}

fn link_actor(linker: &mut Linker<Turn>) -> wasmtime::Result<()> {
    use bindings::edge::actor::{effects, reads};
    reads::add_to_linker::<_, HasSelf<Turn>>(linker, |turn| turn)?;
    effects::add_to_linker::<_, HasSelf<Turn>>(linker, |turn| turn)
}

fn link_driver(linker: &mut Linker<Turn>) -> wasmtime::Result<()> {
    link_actor(linker)?;
    bindings::driver::edge::actor::i2c::add_to_linker::<_, HasSelf<Turn>>(linker, |turn| turn)
}

fn link_protocol(linker: &mut Linker<Turn>) -> wasmtime::Result<()> {
    link_actor(linker)?;
    bindings::edge::actor::links::add_to_linker::<_, HasSelf<Turn>>(linker, |turn| turn)
}
