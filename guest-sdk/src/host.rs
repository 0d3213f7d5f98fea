//! What an actor's context stands on: the calls to the host, and what the host brings.
//!
//! Three implement it: the component (imports), the unit-test bench and the simulator. The calling
//! shape lives here and nowhere else.

use crate::{BusError, Class, LinkEvent, Reason, Refusal};

/// What was granted under a name. The number is the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granted {
    Address(u32),
    Topic(u32),
    Pin(u32),
    Sensor(u32),
    Bus(u32),
    Child(u32),
}

/// The kinds of [`Granted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Address,
    Topic,
    Pin,
    Sensor,
    Bus,
    Child,
}

/// When a turn takes place, and its only source of chance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    pub monotonic: u64,
    pub wall: Option<u64>,
    pub seed: u64,
}

/// A message of the host's, before the SDK has looked into it.
#[derive(Debug)]
pub enum Event<'a> {
    Letter { body: &'a [u8], carried: Vec<u32>, reply: Option<u32> },
    Answer { token: u64, outcome: Result<(Vec<u8>, Vec<u32>), Reason> },
    Undelivered { token: u64, reason: Reason },
    Timer(&'a [u8]),
    Down { token: u64, reason: Reason },
    Edge(crate::Edge),
    Expired(u32),
    Link(LinkEvent),
}

/// The functions of the WIT's `reads` and `effects`, one for one.
pub trait Host {
    /// `wanted` is for hosts of tests, which may grant what is asked for.
    fn grant(&mut self, name: &str, wanted: Kind) -> Option<Granted>;
    fn me(&mut self) -> u32;
    fn get(&self, key: &[u8]) -> Option<Vec<u8>>;
    fn range(&self, first: &[u8], end: &[u8], limit: u32) -> Vec<(Vec<u8>, Vec<u8>)>;
    /// Value and time.
    fn last(&self, sensor: u32) -> Option<(f64, u64)>;
    fn level(&self, pin: u32) -> Option<bool>;

    fn send(&mut self, to: u32, body: &[u8], carried: &[u32], token: u64) -> Result<(), Refusal>;
    fn ask(
        &mut self,
        to: u32,
        body: &[u8],
        carried: &[u32],
        token: u64,
        deadline: u64,
    ) -> Result<(), Refusal>;
    fn keep(&mut self, address: u32) -> Result<u32, Refusal>;
    fn release(&mut self, address: u32) -> Result<(), Refusal>;
    fn arm(&mut self, key: u64, body: &[u8], after: u64, every: u64) -> Result<(), Refusal>;
    fn disarm(&mut self, key: u64);
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal>;
    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal>;
    fn drive(&mut self, pin: u32, high: bool) -> Result<(), Refusal>;
    fn spawn(&mut self, child: u32, grants: &[(String, u32)], token: u64) -> Result<u32, Refusal>;
    fn stop(&mut self, actor: u32) -> Result<(), Refusal>;
    fn monitor(&mut self, actor: u32, token: u64) -> Result<(), Refusal>;
    fn log(&mut self, line: &str);

    /// The bus of a driver's world. An ordinary component must not even name the import.
    fn transfers(&mut self) -> Option<&mut dyn Transfers> {
        None
    }

    /// The links of a protocol's world.
    fn links(&mut self) -> Option<&mut dyn Links> {
        None
    }
}

/// The WIT's `i2c`.
pub trait Transfers {
    fn write_read(&mut self, bus: u32, write: &[u8], read: u32) -> Result<Vec<u8>, BusError>;
}

/// The WIT's `links`.
pub trait Links {
    fn connect(&mut self, node: &[u8]) -> Result<(), Refusal>;
    fn disconnect(&mut self, link: u32) -> Result<(), Refusal>;
    fn transmit(&mut self, link: u32, class: Class, body: &[u8]) -> Result<(), Refusal>;
    fn deliver(&mut self, topic: &[u8], body: &[u8]) -> Result<(), Refusal>;
}
