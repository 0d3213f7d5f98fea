//! The contract's functions over a simulated desk.

use sim::Effect;

use super::{Seat, convert, effects, links, reads, types};
use types::{Class, Granted, Handle, Reading, Refusal};

impl Seat {
    fn take(&mut self, effect: Effect) -> Result<Handle, Refusal> {
        self.0.apply(effect).map_err(convert::refusal)
    }
}

impl types::Host for Seat {}

impl reads::Host for Seat {
    fn grant(&mut self, name: String) -> Option<Granted> {
        self.0.grant(&name).map(convert::granted)
    }

    fn me(&mut self) -> Handle {
        self.0.me()
    }

    fn get(&mut self, key: Vec<u8>) -> Option<Vec<u8>> {
        self.0.get(&key)
    }

    fn range(&mut self, first: Vec<u8>, end: Vec<u8>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.range(&first, &end, limit)
    }

    fn last(&mut self, sensor: Handle) -> Option<Reading> {
        self.0.last(sensor).map(|reading| Reading { value: reading.value, at: reading.at })
    }

    fn level(&mut self, pin: Handle) -> Option<bool> {
        self.0.level(pin)
    }
}

impl effects::Host for Seat {
    fn send(
        &mut self,
        to: Handle,
        body: Vec<u8>,
        carried: Vec<Handle>,
        token: u64,
    ) -> Result<(), Refusal> {
        self.take(Effect::Send { to, body, carried, token }).map(drop)
    }

    fn ask(
        &mut self,
        to: Handle,
        body: Vec<u8>,
        carried: Vec<Handle>,
        token: u64,
        deadline: u64,
    ) -> Result<(), Refusal> {
        self.take(Effect::Ask { to, body, carried, token, deadline }).map(drop)
    }

    fn keep(&mut self, address: Handle) -> Result<Handle, Refusal> {
        self.take(Effect::Keep { address })
    }

    fn release(&mut self, address: Handle) -> Result<(), Refusal> {
        self.take(Effect::Release { address }).map(drop)
    }

    fn arm(&mut self, key: u64, body: Vec<u8>, after: u64, every: u64) -> Result<(), Refusal> {
        self.take(Effect::Arm { key, body, after, every }).map(drop)
    }

    fn disarm(&mut self, key: u64) {
        // Refused only past the limit of effects, when the turn's end is near.
        let _ = self.take(Effect::Disarm { key });
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Refusal> {
        self.take(Effect::Put { key, value }).map(drop)
    }

    fn delete(&mut self, key: Vec<u8>) -> Result<(), Refusal> {
        self.take(Effect::Delete { key }).map(drop)
    }

    fn drive(&mut self, pin: Handle, high: bool) -> Result<(), Refusal> {
        self.take(Effect::Drive { pin, high }).map(drop)
    }

    fn spawn(
        &mut self,
        child: Handle,
        grants: Vec<(String, Handle)>,
        token: u64,
    ) -> Result<Handle, Refusal> {
        self.take(Effect::Spawn { child, grants, token })
    }

    fn stop(&mut self, actor: Handle) -> Result<(), Refusal> {
        self.take(Effect::Stop { actor }).map(drop)
    }

    fn monitor(&mut self, actor: Handle, token: u64) -> Result<(), Refusal> {
        self.take(Effect::Monitor { actor, token }).map(drop)
    }

    fn log(&mut self, line: String) {
        // As `disarm`.
        let _ = self.take(Effect::Log { line });
    }

    fn fail(&mut self, why: String) {
        self.1.get_or_insert(why);
    }
}

impl links::Host for Seat {
    fn connect(&mut self, node: Vec<u8>) -> Result<(), Refusal> {
        self.take(Effect::Connect { node }).map(drop)
    }

    fn disconnect(&mut self, link: u32) -> Result<(), Refusal> {
        self.take(Effect::Disconnect { link }).map(drop)
    }

    fn transmit(&mut self, link: u32, class: Class, body: Vec<u8>) -> Result<(), Refusal> {
        self.take(Effect::Transmit { link, class: convert::class(class), body }).map(drop)
    }

    fn deliver(&mut self, topic: Vec<u8>, body: Vec<u8>) -> Result<(), Refusal> {
        self.take(Effect::Deliver { topic, body }).map(drop)
    }
}
