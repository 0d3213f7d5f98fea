//! Actors as Wasm components: the home of wit-bindgen.
//!
//! A component imports what its code can call, and its imports make its world: an actor that uses
//! a bus is a driver, one that uses links a protocol.

mod batch;

use std::cell::RefCell;

use crate::host::{Granted, Kind, Message};
use crate::turn::Instance;
use crate::{Actor, BusError, Class, Refusal};

/// The world `actor`: its imports, and the export of `behaviour` that all worlds have alike.
#[allow(missing_docs, unsafe_code, reason = "generated")]
pub mod actor {
    wit_bindgen::generate!({
        path: "../wit",
        world: "actor",
        pub_export_macro: true,
        export_macro_name: "export_actor",
        generate_all,
    });
    pub use export_actor as export;
}

/// What the worlds `driver` and `protocol` import beyond `actor`.
#[allow(missing_docs, unsafe_code, reason = "generated")]
mod more {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package edge:sdk;
            world more {
                import edge:actor/i2c@0.1.0;
                import edge:actor/links@0.1.0;
            }
        ",
        world: "edge:sdk/more",
        with: { "edge:actor/types@0.1.0": crate::component::actor::edge::actor::types },
        generate_all,
    });
}

use actor::edge::actor::{effects, reads, types};
pub use batch::Batch;
use more::edge::actor::{i2c, links};
pub use types::{Now, Sole};

/// The component's one actor.
pub struct Incarnation<A>(RefCell<Option<Instance<A>>>);

impl<A: Actor> Incarnation<A> {
    pub const fn none() -> Self {
        Self(RefCell::new(None))
    }

    pub fn start(&self, host: &mut Imports, now: Now) -> Result<(), String> {
        let started = Instance::start(host, turn(now, 0)).map_err(|error| error.to_string())?;
        self.0.replace(Some(started));
        Ok(())
    }

    /// Apart from the export: what that does about events would leave no registers for letters.
    #[inline(never)]
    pub fn handle(&self, host: &mut Imports, now: Now, mut batch: Batch) -> Result<(), ()> {
        let mut instance = self.0.borrow_mut();
        let Some(instance) = instance.as_mut() else {
            effects::fail("a message before the first turn");
            return Err(());
        };
        for index in 0.. {
            let now = turn(now, index);
            let body = match batch.letter() {
                Some(body) => body,
                None => match batch.event() {
                    None => break,
                    Some(Ok(Message::Body(body))) => body,
                    Some(Ok(Message::Event(event))) => {
                        ended(instance.event(host, now, event))?;
                        continue;
                    }
                    Some(Err(error)) => return ended(Err(error)),
                },
            };
            ended(instance.body(host, now, body))?;
        }
        Ok(())
    }

    pub fn save(&self) -> Result<Vec<u8>, String> {
        let instance = self.0.borrow();
        let instance = instance.as_ref().ok_or("nothing to save before the first turn")?;
        instance.save().map_err(|error| error.to_string())
    }

    pub fn restore(&self, state: &[u8]) -> Result<(), String> {
        let restored = Instance::restore(state).map_err(|error| error.to_string())?;
        self.0.replace(Some(restored));
        Ok(())
    }
}

/// Says why a turn has failed.
fn ended(turn: crate::Result) -> Result<(), ()> {
    #[cold]
    fn fail(error: &crate::Error) {
        effects::fail(&error.to_string());
    }
    turn.map_err(|error| fail(&error))
}

fn turn(now: Now, index: u32) -> crate::host::Now {
    let seed = now.seed.wrapping_add(u64::from(index));
    crate::host::Now { monotonic: now.monotonic, wall: now.wall, seed }
}

/// The host, as a trait of the same name has it for tests. What an actor calls of this, its
/// component imports.
pub struct Imports;

impl Imports {
    pub(crate) fn grant(&mut self, name: &str, _: Kind) -> Option<Granted> {
        reads::grant(name).map(granted)
    }

    pub(crate) fn me(&mut self) -> u32 {
        reads::me()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        reads::get(key)
    }

    pub(crate) fn range(&self, first: &[u8], end: &[u8], limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        reads::range(first, end, limit)
    }

    pub(crate) fn last(&self, sensor: u32) -> Option<(f64, u64)> {
        reads::last(sensor).map(|reading| (reading.value, reading.at))
    }

    pub(crate) fn level(&self, pin: u32) -> Option<bool> {
        reads::level(pin)
    }

    pub(crate) fn send(
        &mut self,
        to: u32,
        body: &[u8],
        carried: &[u32],
        token: u64,
    ) -> Result<(), Refusal> {
        effects::send(to, body, carried, token).map_err(refusal)
    }

    pub(crate) fn ask(
        &mut self,
        to: u32,
        body: &[u8],
        carried: &[u32],
        token: u64,
        deadline: u64,
    ) -> Result<(), Refusal> {
        effects::ask(to, body, carried, token, deadline).map_err(refusal)
    }

    pub(crate) fn keep(&mut self, address: u32) -> Result<u32, Refusal> {
        effects::keep(address).map_err(refusal)
    }

    pub(crate) fn release(&mut self, address: u32) -> Result<(), Refusal> {
        effects::release(address).map_err(refusal)
    }

    pub(crate) fn arm(
        &mut self,
        key: u64,
        body: &[u8],
        after: u64,
        every: u64,
    ) -> Result<(), Refusal> {
        effects::arm(key, body, after, every).map_err(refusal)
    }

    pub(crate) fn disarm(&mut self, key: u64) {
        effects::disarm(key);
    }

    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        effects::put(key, value).map_err(refusal)
    }

    pub(crate) fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        effects::delete(key).map_err(refusal)
    }

    pub(crate) fn drive(&mut self, pin: u32, high: bool) -> Result<(), Refusal> {
        effects::drive(pin, high).map_err(refusal)
    }

    pub(crate) fn spawn(
        &mut self,
        child: u32,
        grants: &[(String, u32)],
        token: u64,
    ) -> Result<u32, Refusal> {
        effects::spawn(child, grants, token).map_err(refusal)
    }

    pub(crate) fn stop(&mut self, actor: u32) -> Result<(), Refusal> {
        effects::stop(actor).map_err(refusal)
    }

    pub(crate) fn monitor(&mut self, actor: u32, token: u64) -> Result<(), Refusal> {
        effects::monitor(actor, token).map_err(refusal)
    }

    pub(crate) fn log(&mut self, line: &str) {
        effects::log(line);
    }
}

/// The worlds `driver` and `protocol` add these.
impl Imports {
    pub(crate) fn transfers(&mut self) -> Option<&mut Self> {
        Some(self)
    }

    pub(crate) fn links(&mut self) -> Option<&mut Self> {
        Some(self)
    }

    pub(crate) fn write_read(
        &mut self,
        bus: u32,
        write: &[u8],
        read: u32,
    ) -> Result<Vec<u8>, BusError> {
        i2c::write_read(bus, write, read).map_err(|error| match error {
            i2c::Error::Denied => BusError::Denied,
            i2c::Error::NoAcknowledge => BusError::NoAcknowledge,
            i2c::Error::ArbitrationLoss => BusError::ArbitrationLoss,
            i2c::Error::Bus => BusError::Bus,
            i2c::Error::Timeout => BusError::Timeout,
            i2c::Error::Overrun => BusError::Overrun,
        })
    }

    pub(crate) fn connect(&mut self, node: &[u8]) -> Result<(), Refusal> {
        links::connect(node).map_err(refusal)
    }

    pub(crate) fn disconnect(&mut self, link: u32) -> Result<(), Refusal> {
        links::disconnect(link).map_err(refusal)
    }

    pub(crate) fn transmit(&mut self, link: u32, class: Class, body: &[u8]) -> Result<(), Refusal> {
        let class = match class {
            Class::Control => types::Class::Control,
            Class::Command => types::Class::Command,
            Class::State => types::Class::State,
            Class::Bulk => types::Class::Bulk,
        };
        links::transmit(link, class, body).map_err(refusal)
    }

    pub(crate) fn deliver(&mut self, topic: &[u8], body: &[u8]) -> Result<(), Refusal> {
        links::deliver(topic, body).map_err(refusal)
    }
}

fn granted(granted: types::Granted) -> Granted {
    match granted {
        types::Granted::Address(handle) => Granted::Address(handle),
        types::Granted::Topic(handle) => Granted::Topic(handle),
        types::Granted::Pin(handle) => Granted::Pin(handle),
        types::Granted::Sensor(handle) => Granted::Sensor(handle),
        types::Granted::Bus(handle) => Granted::Bus(handle),
        types::Granted::Child(handle) => Granted::Child(handle),
    }
}

fn refusal(refusal: types::Refusal) -> Refusal {
    match refusal {
        types::Refusal::BadHandle => Refusal::BadHandle,
        types::Refusal::MailboxFull => Refusal::MailboxFull,
        types::Refusal::OverLimit => Refusal::OverLimit,
        types::Refusal::OverQuota => Refusal::OverQuota,
        types::Refusal::Denied => Refusal::Denied,
    }
}
