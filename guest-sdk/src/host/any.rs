//! The host off Wasm: the unit-test bench's, or the simulator's.

use super::{Granted, Kind};
use crate::{BusError, Class, Refusal};

/// The host that a context reaches.
pub type Reach<'a> = dyn Host + 'a;

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

    /// The bus of a driver's world.
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
