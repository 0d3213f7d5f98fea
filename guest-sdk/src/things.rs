//! What an actor may hold: addresses, topics, pins, sensors, buses and the right to spawn.
//!
//! Each is a place in the actor's own table at the host. They serialise with the actor, and an
//! [`Address`] travels in letters; the others stay.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{BusError, Context, codec};

macro_rules! thing {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u32);

        impl From<$name> for Held {
            fn from(thing: $name) -> Held {
                Held(thing.0)
            }
        }
    };
}

/// Anything an actor holds, as a child's grant.
#[derive(Clone, Copy, Debug)]
pub struct Held(pub(crate) u32);

thing! {
    /// An actor's address. One that came in a letter dies with the turn unless
    /// [kept](crate::Context::keep); a reply's address is used up by its first use.
    Address
}

thing! {
    /// A topic: stands for all its subscribers.
    #[derive(Serialize, Deserialize)]
    Topic
}

thing! {
    /// A pin. An output's lease is renewed by each turn that sets it.
    #[derive(Serialize, Deserialize)]
    Pin
}

thing! {
    /// A sensor, read by a driver elsewhere.
    #[derive(Serialize, Deserialize)]
    Sensor
}

thing! {
    /// One device on a bus, for drivers.
    #[derive(Serialize, Deserialize)]
    Bus
}

thing! {
    /// The right to spawn children of one component.
    #[derive(Serialize, Deserialize)]
    Child
}

/// A sensor's last published reading.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// In the unit that the sensor's grant names.
    pub value: f32,
    /// The same, unrounded.
    pub exact: f64,
    /// When it was taken, on the turn clock ([`Context::now`]).
    pub at: Duration,
}

impl Address {
    #[cfg(test)]
    pub(crate) fn from_handle(handle: u32) -> Self {
        Self(handle)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(codec::address_out(self.0))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        let missing = || D::Error::custom(format!("the letter carries no address {number}"));
        codec::address_in(number).map(Self).ok_or_else(missing)
    }
}

impl Sensor {
    /// The last reading, if there is one yet.
    pub fn last<A>(self, cx: &mut Context<A>) -> Option<Reading> {
        let (exact, at) = cx.host.last(self.0)?;
        Some(Reading { value: exact as f32, exact, at: Duration::from_nanos(at) })
    }
}

impl Pin {
    /// Drives an output high or low, when the turn ends well. A pin that can't be driven (an input,
    /// say) ends the turn with an error.
    pub fn set<A>(self, high: bool, cx: &mut Context<A>) {
        if let Err(refusal) = cx.host.drive(self.0, high) {
            cx.fail(format_args!("driving a pin: {refusal}"));
        }
    }

    /// An output's level as last driven, an input's as last seen.
    pub fn level<A>(self, cx: &mut Context<A>) -> Option<bool> {
        cx.host.level(self.0)
    }
}

impl Bus {
    /// Writes, then reads `read` bytes, in one transaction; either may be empty. It takes place at
    /// once. In another world than a driver's: [`BusError::Denied`].
    pub fn write_read<A>(
        self,
        write: &[u8],
        read: usize,
        cx: &mut Context<A>,
    ) -> Result<Vec<u8>, BusError> {
        let read = u32::try_from(read).map_err(|_| BusError::Overrun)?;
        let transfers = cx.host.transfers().ok_or(BusError::Denied)?;
        transfers.write_read(self.0, write, read)
    }

    /// For drivers written with embedded-hal. The device's own address is in the grant: the one
    /// that such a driver names is not looked at.
    pub fn hal<'c, 'a, A>(self, cx: &'c mut Context<'a, A>) -> HalBus<'c, 'a, A> {
        HalBus { bus: self, cx }
    }
}

/// An embedded-hal I²C bus with one device on it, for the length of a turn.
pub struct HalBus<'c, 'a, A> {
    bus: Bus,
    cx: &'c mut Context<'a, A>,
}

impl embedded_hal::i2c::Error for BusError {
    fn kind(&self) -> embedded_hal::i2c::ErrorKind {
        use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
        match self {
            Self::NoAcknowledge => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            Self::ArbitrationLoss => ErrorKind::ArbitrationLoss,
            Self::Bus => ErrorKind::Bus,
            Self::Overrun => ErrorKind::Overrun,
            Self::Denied | Self::Timeout => ErrorKind::Other,
        }
    }
}

impl<A> embedded_hal::i2c::ErrorType for HalBus<'_, '_, A> {
    type Error = BusError;
}

impl<A> embedded_hal::i2c::I2c for HalBus<'_, '_, A> {
    /// Writes before reads; a write that follows a read would be a second transaction on the bus,
    /// and is refused ([`BusError::Overrun`]).
    fn transaction(
        &mut self,
        _address: u8,
        operations: &mut [embedded_hal::i2c::Operation<'_>],
    ) -> Result<(), BusError> {
        use embedded_hal::i2c::Operation;
        let (mut write, mut read) = (Vec::new(), 0);
        for operation in operations.iter() {
            match operation {
                Operation::Write(bytes) if read == 0 => write.extend_from_slice(bytes),
                Operation::Write(_) => return Err(BusError::Overrun),
                Operation::Read(buffer) => read += buffer.len(),
            }
        }
        let bytes = self.bus.write_read(&write, read, self.cx)?;
        let mut rest = bytes.get(..read).ok_or(BusError::Bus)?;
        for operation in operations {
            if let Operation::Read(buffer) = operation {
                let (now, later) = rest.split_at(buffer.len());
                buffer.copy_from_slice(now);
                rest = later;
            }
        }
        Ok(())
    }
}
