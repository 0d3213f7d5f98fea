//! A component called through wasmtime's component layer: the peer that rows are held against.
//! A node leaves that layer out where it can, so this is no limit; [`crate::module`] is.

use std::path::Path;

use anyhow::Context;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};

use crate::bindings::edge::actor::types::{
    Granted, Handle, Letter, Now, Reading, Refusal, Sole, Span,
};
use crate::bindings::edge::actor::{effects, reads, types};
use crate::bindings::{Actor, ActorPre};
use crate::raw::{self, Load, NO_REPLY, config};

/// A component ready to be instantiated, on an engine configured as every node's is.
#[derive(Clone)]
pub struct Code {
    engine: Engine,
    pre: ActorPre<Host>,
}

/// What the imports see.
#[derive(Default)]
pub struct Host {
    /// Bodies of letters sent since the last call.
    sent: Vec<Vec<u8>>,
    /// Every name is granted as an address.
    grants: bool,
}

/// An instance in a store of its own.
pub struct Guest {
    store: Store<Host>,
    actor: Actor,
    turns: u64,
}

impl raw::Code for Code {
    type Guest = Guest;

    fn load(file: &Path, Load { names, .. }: Load) -> anyhow::Result<Self> {
        let engine = Engine::new(&config(names))?;
        let mut linker = Linker::new(&engine);
        reads::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        effects::add_to_linker::<_, HasSelf<Host>>(&mut linker, |host| host)?;
        let bytes = std::fs::read(file).with_context(|| format!("{}", file.display()))?;
        let bytes = match names {
            true => wit_component::ComponentEncoder::default().module(&bytes)?.encode()?,
            false => bytes,
        };
        let component = Component::new(&engine, bytes)?;
        let pre = ActorPre::new(linker.instantiate_pre(&component)?)?;
        Ok(Self { engine, pre })
    }

    fn instance(&self, grants: bool) -> anyhow::Result<Guest> {
        let mut store = Store::new(&self.engine, Host { sent: Vec::new(), grants });
        store.set_hostcall_fuel(8 << 20);
        store.epoch_deadline_trap();
        store.set_epoch_deadline(1000);
        let actor = self.pre.instantiate(&mut store)?;
        Ok(Guest { store, actor, turns: 0 })
    }
}

impl raw::Letters for Vec<Vec<u8>> {
    fn of(body: &[u8], count: usize) -> Self {
        vec![body.to_vec(); count]
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl raw::Guest for Guest {
    type Letters = Vec<Vec<u8>>;

    fn start(&mut self) -> anyhow::Result<usize> {
        let now = self.now();
        let behaviour = self.actor.edge_actor_behaviour();
        behaviour.call_start(&mut self.store, now)?.map_err(anyhow::Error::msg)?;
        Ok(std::mem::take(&mut self.store.data_mut().sent).len())
    }

    fn give(&mut self, letters: &mut Vec<Vec<u8>>, reply: Option<u32>) -> anyhow::Result<()> {
        let mut bytes = Vec::with_capacity(letters.iter().map(Vec::len).sum());
        let mut letter = |body: Vec<u8>| {
            let start = bytes.len() as u32;
            bytes.extend(body);
            let body = Span { start, end: bytes.len() as u32 };
            let carried = Span { start: 0, end: 0 };
            Letter { body, carried, reply: reply.unwrap_or(NO_REPLY) }
        };
        let given: Vec<Letter> = letters.drain(..).map(&mut letter).collect();
        let (sole, given) = match &given[..] {
            [only] => (Sole::Letter(only.reply), &[][..]),
            several => (Sole::None, several),
        };
        let now = self.now();
        self.store.set_epoch_deadline(1000);
        let behaviour = self.actor.edge_actor_behaviour();
        let handled = behaviour.call_handle(&mut self.store, now, sole, given, &[], &[], &bytes)?;
        *letters = std::mem::take(&mut self.store.data_mut().sent);
        handled.map_err(|()| anyhow::anyhow!("a turn failed"))
    }

    fn save(&mut self) -> anyhow::Result<Vec<u8>> {
        let behaviour = self.actor.edge_actor_behaviour();
        behaviour.call_save(&mut self.store)?.map_err(anyhow::Error::msg)
    }

    fn restore(&mut self, state: &[u8]) -> anyhow::Result<()> {
        let now = self.now();
        let behaviour = self.actor.edge_actor_behaviour();
        let restored = behaviour.call_restore(&mut self.store, now, state, "")?;
        restored.map_err(anyhow::Error::msg)
    }
}

impl Guest {
    fn now(&mut self) -> Now {
        self.turns += 1;
        Now { monotonic: self.turns, wall: None, seed: self.turns }
    }
}

impl types::Host for Host {}

impl reads::Host for Host {
    fn grant(&mut self, _: String) -> Option<Granted> {
        self.grants.then_some(Granted::Address(1))
    }

    fn me(&mut self) -> Handle {
        0
    }

    fn get(&mut self, _: Vec<u8>) -> Option<Vec<u8>> {
        None
    }

    fn range(&mut self, _: Vec<u8>, _: Vec<u8>, _: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        Vec::new()
    }

    fn last(&mut self, _: Handle) -> Option<Reading> {
        None
    }

    fn level(&mut self, _: Handle) -> Option<bool> {
        None
    }
}

impl effects::Host for Host {
    fn send(&mut self, _: Handle, body: Vec<u8>, _: Vec<Handle>, _: u64) -> Result<(), Refusal> {
        self.sent.push(body);
        Ok(())
    }

    fn ask(
        &mut self,
        _: Handle,
        body: Vec<u8>,
        _: Vec<Handle>,
        _: u64,
        _: u64,
    ) -> Result<(), Refusal> {
        self.sent.push(body);
        Ok(())
    }

    fn keep(&mut self, address: Handle) -> Result<Handle, Refusal> {
        Ok(address)
    }

    fn release(&mut self, _: Handle) -> Result<(), Refusal> {
        Ok(())
    }

    fn arm(&mut self, _: u64, _: Vec<u8>, _: u64, _: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn disarm(&mut self, _: u64) {}

    fn put(&mut self, _: Vec<u8>, _: Vec<u8>) -> Result<(), Refusal> {
        Ok(())
    }

    fn delete(&mut self, _: Vec<u8>) -> Result<(), Refusal> {
        Ok(())
    }

    fn drive(&mut self, _: Handle, _: bool) -> Result<(), Refusal> {
        Err(Refusal::Denied)
    }

    fn spawn(&mut self, _: Handle, _: Vec<(String, Handle)>, _: u64) -> Result<Handle, Refusal> {
        Err(Refusal::Denied)
    }

    fn stop(&mut self, _: Handle) -> Result<(), Refusal> {
        Ok(())
    }

    fn monitor(&mut self, _: Handle, _: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn fail(&mut self, _: String) {}

    fn log(&mut self, _: String) {}
}
