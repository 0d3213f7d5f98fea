//! What only some worlds have: a protocol's links, a driver's bus.

use super::{Call, LINK_FRAME_BYTES, Turn};
use crate::address::{NodeId, TopicId};
use crate::device::BusError;
use crate::wasm::bindings::driver::edge::actor::i2c;
use crate::wasm::bindings::edge::actor::links;
use crate::wasm::bindings::edge::actor::types::{Class, Handle, Refusal};
use crate::wasm::effects::LinkEffect;
use crate::wasm::table::Held;

impl links::Host for Turn {
    fn connect(&mut self, node: Vec<u8>) -> Result<(), Refusal> {
        self.count()?;
        let node = node.try_into().map(NodeId).map_err(|_| Refusal::BadHandle)?;
        self.effects.links.push(LinkEffect::Connect(node));
        Ok(())
    }

    fn disconnect(&mut self, link: u32) -> Result<(), Refusal> {
        self.count()?;
        self.effects.links.push(LinkEffect::Disconnect(link));
        Ok(())
    }

    fn transmit(&mut self, link: u32, class: Class, body: Vec<u8>) -> Result<(), Refusal> {
        self.count()?;
        let class = class as u8;
        let queued = self.effects.queued.entry((link, class)).or_default();
        let bytes = *queued + body.len() + LINK_FRAME_BYTES;
        let room = self.reads.room(self.inlet.owner(), link, class);
        if body.len() > self.budget.node.letter_bytes || bytes > room {
            return Err(Refusal::OverLimit);
        }
        *queued = bytes;
        self.effects.links.push(LinkEffect::Transmit { link, class, body });
        Ok(())
    }

    fn deliver(&mut self, topic: Vec<u8>, body: Vec<u8>) -> Result<(), Refusal> {
        self.count()?;
        if body.len() > self.budget.node.letter_bytes {
            return Err(Refusal::OverLimit);
        }
        let topic = topic.try_into().map(TopicId).map_err(|_| Refusal::BadHandle)?;
        self.effects.links.push(LinkEffect::Deliver { topic, body });
        Ok(())
    }
}

impl i2c::Host for Turn {
    fn write_read(
        &mut self,
        device: Handle,
        write: Vec<u8>,
        read: u32,
    ) -> Result<Vec<u8>, i2c::Error> {
        use i2c::Error;
        let Some(Held::Bus(bus)) = self.holds.table.find(device) else { return Err(Error::Denied) };
        // Transfers may block: only its turns have a thread for that.
        if self.call != Call::Turn {
            return Err(Error::Denied);
        }
        if read as usize > self.budget.node.letter_bytes {
            return Err(Error::Overrun);
        }
        self.reads.transfer(*bus, &write, read as usize).map_err(|error| match error {
            BusError::Denied => Error::Denied,
            BusError::Overrun => Error::Overrun,
        })
    }
}
