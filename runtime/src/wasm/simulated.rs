//! Components in the simulator: one as its `Machine`. The same bytes as on a node, over a desk
//! instead of a host; what it asks for is what the same actor asks for natively.

use std::rc::Rc;

use sim::{Desk, Machine, Message};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Module, Store};

use super::bindings::ProtocolPre;
use super::bindings::edge::actor::{effects, links, reads, types};
use super::check::one_line;
use super::guest::{Guest, Linked};
use super::plain::{self, Batch, Space, Spacious};
use super::{ComponentError, Engine, World};

mod convert;
mod host;

/// What an instance works on: the desk of its actor, for the time of a turn, and why that fails.
#[derive(Default)]
struct Seat(Desk, Option<String>, Option<Space>);

/// One incarnation of a component.
pub(super) struct Simulated {
    engine: wasmtime::Engine,
    linked: Linked<Seat>,
    live: Option<(Store<Seat>, Guest)>,
}

/// Epochs that never pass: nothing counts them in a simulation.
const EVER: u64 = u64::MAX / 2;

impl Engine {
    /// A component for the simulator to make incarnations of.
    ///
    /// # Errors
    /// What is no component, or of no world of ours.
    pub fn simulated(&self, bytes: &[u8]) -> Result<sim::Component, ComponentError> {
        let first = Simulated::of(self, bytes)?;
        Ok(Rc::new(move || Box::new(first.another())))
    }
}

impl Simulated {
    /// An incarnation that has not begun.
    pub(super) fn of(Engine { engine, .. }: &Engine, bytes: &[u8]) -> Result<Self, ComponentError> {
        let world = World::of(bytes)?;
        let mut linker = Linker::<Seat>::new(engine);
        let added = reads::add_to_linker::<_, HasSelf<Seat>>(&mut linker, |seat| seat)
            .and_then(|()| effects::add_to_linker::<_, HasSelf<Seat>>(&mut linker, |seat| seat))
            .and_then(|()| links::add_to_linker::<_, HasSelf<Seat>>(&mut linker, |seat| seat));
        added.map_err(ComponentError::engine)?;
        let linked = match super::plain(bytes)? {
            Some(plain) => {
                let module = Module::new(engine, &bytes[plain.module.clone()]);
                let module = module.map_err(ComponentError::compile)?;
                plain.link(&module, plain::contract).map(Linked::Plain)
            }
            None => {
                let component = Component::new(engine, bytes);
                let pre = linker.instantiate_pre(&component.map_err(ComponentError::compile)?);
                pre.and_then(ProtocolPre::new).map(Linked::Layered)
            }
        };
        let linked = linked.map_err(|error| ComponentError::link(world, error))?;
        Ok(Self { engine: engine.clone(), linked, live: None })
    }

    /// One more of the same component.
    fn another(&self) -> Self {
        Self { engine: self.engine.clone(), linked: self.linked.clone(), live: None }
    }

    /// One turn for each message of a batch.
    pub(super) fn turns(
        &mut self,
        now: sim::Now,
        batch: &Batch<'_>,
        desk: &mut Desk,
    ) -> Result<(), String> {
        self.with(desk, |store, guest| {
            store.data_mut().1 = None;
            let called = guest.handle(&mut *store, time(now), batch);
            let why = store.data_mut().1.take();
            called.map(|outcome| outcome.map_err(|()| why.unwrap_or_default()))
        })
    }

    /// Calls the guest with the desk on its seat.
    fn with<T>(
        &mut self,
        desk: &mut Desk,
        call: impl FnOnce(&mut Store<Seat>, &Guest) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<T, String> {
        if self.live.is_none() {
            let mut store = Store::new(&self.engine, Seat::default());
            store.set_epoch_deadline(EVER);
            let guest = self.linked.instantiate(&mut store).map_err(|error| one_line(&error))?;
            self.live = Some((store, guest));
        }
        let Some((store, guest)) = &mut self.live else {
            return Err("no instance".into());
        };
        std::mem::swap(&mut store.data_mut().0, desk);
        let called = call(store, guest);
        std::mem::swap(&mut store.data_mut().0, desk);
        called.map_err(|error| one_line(&error))?
    }
}

impl Machine for Simulated {
    fn start(&mut self, now: sim::Now, desk: &mut Desk) -> Result<(), String> {
        self.live = None;
        self.with(desk, |store, guest| guest.start(store, time(now)))
    }

    fn turn(&mut self, now: sim::Now, message: Message, desk: &mut Desk) -> Result<(), String> {
        convert::give(&message, |batch| self.turns(now, batch, desk))
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        let mut desk = Desk::default();
        self.with(&mut desk, |store, guest| guest.save(store, usize::MAX))
    }

    fn restore(&mut self, now: sim::Now, state: &[u8], desk: &mut Desk) -> Result<(), String> {
        self.live = None;
        self.with(desk, |store, guest| guest.restore(store, time(now), state, ""))
    }
}

impl Spacious for Seat {
    fn space(&mut self) -> &mut Option<Space> {
        &mut self.2
    }
}

fn time(now: sim::Now) -> types::Now {
    types::Now { monotonic: now.monotonic, wall: now.wall, seed: now.seed }
}
