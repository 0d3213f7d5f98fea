//! What an actor may be given: the typed form of the values in a `grant` table.
//!
//! A grant is a text, `"sensor:proc:loadavg"`, or a TOML table in one line,
//! `{ pin = "gpio:GPIO17", safe = "low" }`. [`Grant`]'s `Display` writes the full form of it, with
//! absolute paths, and that text is also how a grant is stored and sent.

mod read;
mod text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ActorConfig, ConfigError};
use crate::address::Address;

pub(super) use read::{check_name, component, exclusive, grants, name};

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The last published reading of a sensor.
    Sensor(SensorSpec),
    /// A topic's address.
    Topic {
        /// The topic's name.
        name: String,
        /// Whether the actor is given what others publish; it may publish in any case.
        subscribe: bool,
    },
    /// The address of another actor of this node, by its name.
    Actor(String),
    /// An actor's address, wherever it lives.
    Address(Address),
    /// One GPIO line.
    Pin(PinSpec),
    /// One device on an I²C bus.
    Bus(BusSpec),
    /// The right to spawn children of one component.
    Child(ChildSpec),
    /// Protocol channels to the same system actor on neighbouring nodes.
    Links {
        /// The protocol's name, if it is not the actor's.
        name: Option<String>,
    },
}

/// A sensor that the host samples, or is told of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorSpec {
    /// What is read.
    pub source: SensorSource,
    /// How often; for what is published, whenever it is: zero.
    pub every: Duration,
}

/// Where readings come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SensorSource {
    /// A recorded trace: a column of a CSV file with a header.
    Bench {
        /// The file.
        file: PathBuf,
        /// The column's name in the header.
        column: String,
    },
    /// A hardware monitor of the kernel; °C, V, A, W, rpm or % by the input's kind.
    Hwmon {
        /// The monitor's name, such as `coretemp`.
        chip: String,
        /// The input, such as `temp1`.
        input: String,
    },
    /// A thermal zone of the kernel by its type, in °C.
    Thermal {
        /// The zone's type, such as `cpu-thermal`.
        zone: String,
    },
    /// What the kernel tells of the machine's load.
    Proc(ProcReading),
    /// What an actor publishes, on this node or another: the last `{"Reading": {"value": …}}`.
    Topic {
        /// The topic's name.
        name: String,
    },
}

/// A reading from `/proc`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProcReading {
    /// Runnable tasks, averaged over a minute.
    LoadAverage,
    /// An entry of `/proc/meminfo`, in bytes.
    Memory(String),
    /// Seconds since boot.
    Uptime,
    /// Busy processor time since the last sample, in % of all processors.
    Processor,
}

/// A GPIO line and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinSpec {
    /// The line.
    pub line: PinLine,
    /// What it is used for.
    pub direction: Direction,
}

/// Which line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PinLine {
    /// A simulated line of this name.
    Bench(String),
    /// A line of the kernel's.
    Gpio {
        /// The chip's label, such as `pinctrl-bcm2711`; needed if `line` is an offset.
        chip: Option<String>,
        /// The line's name, or its offset on the chip.
        line: String,
    },
}

/// What a pin is used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Driven by the actor.
    Output {
        /// The level (true is high) when nobody answers for the pin.
        safe: bool,
        /// How long a committed `drive` is good for, if it ends at all.
        lease: Option<Duration>,
    },
    /// Read by the actor.
    Input {
        /// Which edges come as messages.
        edges: Edges,
        /// The line's resistor.
        pull: Option<Pull>,
        /// How long a level must last to count.
        debounce: Option<Duration>,
        /// For a bench line: rows of milliseconds since the claim, and level.
        script: Option<PathBuf>,
    },
}

/// Which edges of an input come as messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edges {
    /// From low to high.
    Rising,
    /// From high to low.
    Falling,
    /// All.
    Both,
    /// None: the actor only reads the level.
    None,
}

/// A resistor that holds an open line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// To high.
    Up,
    /// To low.
    Down,
}

/// One device on a bus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusSpec {
    /// The bus.
    pub line: BusLine,
    /// The device's address, 7 bits.
    pub at: u8,
}

/// Which bus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusLine {
    /// A simulated bus.
    Bench {
        /// Its name.
        name: String,
        /// What the device's registers hold at first: rows of register and value.
        registers: Option<PathBuf>,
    },
    /// A bus of the kernel's, `/dev/i2c-1`.
    Linux(PathBuf),
}

/// Children that an actor may spawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSpec {
    /// How many may live at once; at least 1.
    pub max: usize,
    /// What holds for each. Its parent may give it more than these grants.
    pub actor: ActorConfig,
}

/// Reads a grant from a command line, `"sensor:proc:loadavg"` or `{ pin = … }`. Relative paths
/// start from `folder`.
pub fn parse_grant(text: &str, folder: &Path) -> Result<Grant, ConfigError> {
    read::grant_text(text, folder)
}

impl Grant {
    /// What only one grant may hold at a time, as text, if it is such a thing.
    pub fn exclusive(&self) -> Option<String> {
        match self {
            Self::Pin(pin) => Some(pin.line.to_string()),
            Self::Bus(BusSpec { line: BusLine::Bench { name, .. }, at }) => {
                Some(format!("bench:{name} at {at:#04x}"))
            }
            Self::Bus(BusSpec { line: BusLine::Linux(path), at }) => {
                Some(format!("{} at {at:#04x}", path.display()))
            }
            _ => None,
        }
    }
}

impl Serialize for Grant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_grant(&text, Path::new("/")).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
