//! Pins, sensors and buses of this machine, and a bench that simulates them.
//!
//! Calls answer at once. One thread of its own samples the sensors, ends the leases and waits for
//! edges; what happens comes out of a bounded channel.

mod backend;
mod bench;
mod bus;
mod gpio;
mod hwmon;
mod lease;
mod pins;
mod proc;
mod rows;
mod sensors;
mod thermal;
mod thread;
mod topic;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::address::{ActorId, TopicId};
use crate::config::grant::{BusSpec, Direction, PinLine, PinSpec, SensorSource, SensorSpec};
use crate::limits::Limits;
use backend::{Line, Probe};
pub use bus::BusError;
use thread::{Shared, lock};

/// A held pin; a number is not used again while the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinId(pub u64);

/// A sensor that is sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SensorId(pub u64);

/// A held device on a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusId(pub u64);

/// What happened to a pin. A full channel loses no count: the latest edge of a pin waits for room,
/// and tells in `dropped` how many it stands for beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An input changed.
    Edge {
        /// The pin.
        pin: PinId,
        /// The new level; true is high.
        level: bool,
        /// When, since the node's start.
        at: Duration,
        /// Counts the pin's edges since it was claimed, those dropped included; the first is 1.
        sequence: u64,
        /// Edges lost just before this one, by the kernel or for want of room.
        dropped: u64,
    },
    /// An output's lease ran out, and it was driven to its safe level.
    Expired {
        /// The pin.
        pin: PinId,
    },
}

/// What a sensor read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// In the unit that the sensor's grant names.
    pub value: f64,
    /// When, since the node's start.
    pub at: Duration,
}

/// A held pin, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinState {
    /// The pin.
    pub pin: PinId,
    /// Its holder.
    pub owner: ActorId,
    /// Its line, direction and safe level.
    pub spec: PinSpec,
    /// Its level, if it can be read.
    pub level: Option<bool>,
    /// What is left of its lease, if one runs.
    pub lease_left: Option<Duration>,
    /// Edges since it was claimed, those dropped included.
    pub edges: u64,
}

/// Why a device cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// It is not there, or this machine does not give it.
    #[error("grant {grant}: {why}")]
    Open {
        /// The grant, as it would stand in a manifest.
        grant: String,
        /// Why, and what to do.
        why: String,
    },
    /// Somebody holds it.
    #[error("grant {grant}: held by actor {owner}: stop that actor, or grant another line")]
    Taken {
        /// The grant.
        grant: String,
        /// The holder.
        owner: ActorId,
    },
    /// A limit.
    #[error("grant {grant}: the node has {most} already: raise {limit} = {most} in [limits]")]
    TooMany {
        /// The grant.
        grant: String,
        /// The limit's name.
        limit: &'static str,
        /// Its size.
        most: usize,
    },
    /// No such pin.
    #[error("pin {} is not held: claim it first", .0.0)]
    NotHeld(PinId),
    /// An input cannot be driven.
    #[error("grant {grant}: an input is not driven: write safe = \"low\" in place of input")]
    Input {
        /// The grant.
        grant: String,
    },
    /// The line failed.
    #[error("grant {grant}: the line failed ({why}): look at its wiring and driver")]
    Failed {
        /// The grant.
        grant: String,
        /// What the kernel said.
        why: String,
    },
    /// No thread for the devices.
    #[error("the device thread cannot start ({0}): give the node more threads or memory")]
    Start(#[from] std::io::Error),
}

/// The devices of this node. Open them once, [`Devices::close`] them before the process ends.
pub struct Devices {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    limits: Limits,
    root: PathBuf,
}

impl Devices {
    /// Starts the device thread. Times are counted from `start`, the node's start.
    pub fn open(
        limits: &Limits,
        start: Instant,
    ) -> Result<(Self, mpsc::Receiver<Event>), DeviceError> {
        Self::open_at(Path::new("/"), limits, start)
    }

    /// As [`Devices::open`], with the kernel's `/proc` and `/sys` under another root.
    pub fn open_at(
        root: &Path,
        limits: &Limits,
        start: Instant,
    ) -> Result<(Self, mpsc::Receiver<Event>), DeviceError> {
        let (events, received) = mpsc::channel(limits.device_events.max(1));
        let (shared, poll) = Shared::new(limits, events, start)?;
        let shared = Arc::new(shared);
        let seen = shared.clone();
        let thread = std::thread::Builder::new().name("devices".into());
        let thread = Mutex::new(Some(thread.spawn(move || seen.run(poll))?));
        let (limits, root) = (limits.clone(), root.into());
        Ok((Self { shared, thread, limits, root }, received))
    }

    /// Takes a pin for its one holder. An output is at its safe level when this returns.
    pub fn claim(&self, owner: ActorId, spec: &PinSpec) -> Result<PinId, DeviceError> {
        let open = |why| DeviceError::Open { grant: spec.to_string(), why };
        let now = self.shared.now();
        let mut pins = lock(&self.shared.pins);
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(open("the node is stopping: start it again".into()));
        }
        let (key, line): (_, Box<dyn Line>) = match (&spec.line, &spec.direction) {
            (PinLine::Gpio { chip, line }, direction) => {
                let found = gpio::find(chip.as_deref(), line).map_err(open)?;
                pins.free(spec, &found.key())?;
                let line = gpio::Gpio::open(&found, direction, self.limits.line_edges);
                (found.key(), Box::new(line.map_err(open)?))
            }
            (PinLine::Bench(_), Direction::Output { safe, .. }) => {
                (spec.line.to_string(), Box::new(bench::Output::new(*safe)))
            }
            (PinLine::Bench(_), Direction::Input { edges, pull, debounce, script }) => {
                let (most, how) = (self.limits.trace_bytes, (*edges, *pull, *debounce));
                let input = bench::Input::open(script.as_deref(), how, most, now).map_err(open)?;
                (spec.line.to_string(), Box::new(input))
            }
        };
        pins.free(spec, &key)?;
        self.shared.listen(pins.next(), &*line).map_err(|why| open(why.to_string()))?;
        let pin = pins.hold(owner, spec, key, line);
        drop(pins);
        self.shared.wake();
        Ok(pin)
    }

    /// Drives an output, and renews its lease: for committed turns only.
    pub fn drive(&self, pin: PinId, high: bool) -> Result<(), DeviceError> {
        let starts = lock(&self.shared.pins).drive(pin, high, self.shared.now())?;
        if starts {
            self.shared.wake();
        }
        Ok(())
    }

    /// Drives an output to its safe level and ends its lease; the claim stays. For when the holder
    /// stops, traps or is swapped. A line that fails is tried again until it is safe.
    pub fn safe(&self, pin: PinId) -> Result<(), DeviceError> {
        let done = lock(&self.shared.pins).safe(pin, self.shared.now());
        self.shared.wake();
        done
    }

    /// Drives an output to its safe level and lets go of the line, even if that failed.
    pub fn unclaim(&self, pin: PinId) -> Result<(), DeviceError> {
        lock(&self.shared.pins).release(pin, self.shared.now())
    }

    /// A pin's level: true is high; `None` if it is not held or cannot be read.
    pub fn level(&self, pin: PinId) -> Option<bool> {
        lock(&self.shared.pins).level(pin, self.shared.now())
    }

    /// Whether a pin is held and can be driven.
    pub fn is_output(&self, pin: PinId) -> bool {
        lock(&self.shared.pins).is_output(pin)
    }

    /// The holder of a pin.
    pub fn owner(&self, pin: PinId) -> Option<ActorId> {
        lock(&self.shared.pins).owner(pin)
    }

    /// All held pins.
    pub fn pins(&self) -> Vec<PinState> {
        lock(&self.shared.pins).states(self.shared.now())
    }

    /// One more user of a sensor; users with an equal spec share it. It is read once before this
    /// returns, so this may block for as long as its hardware takes.
    pub fn sensor(&self, spec: &SensorSpec) -> Result<SensorId, DeviceError> {
        if let Some(id) = lock(&self.shared.sensors).share(spec) {
            return Ok(id);
        }
        let open = |why| DeviceError::Open { grant: spec.to_string(), why };
        let now = self.shared.now();
        let mut probe: Box<dyn Probe> = match &spec.source {
            SensorSource::Topic { .. } => {
                return lock(&self.shared.sensors).add(spec, None, None, now);
            }
            SensorSource::Bench { file, column } => {
                let (most, every) = (self.limits.trace_bytes, spec.every);
                Box::new(bench::Trace::open((file, column), every, most, now).map_err(open)?)
            }
            SensorSource::Hwmon { chip, input } => {
                Box::new(hwmon::open(&self.root, chip, input).map_err(open)?)
            }
            SensorSource::Thermal { zone } => {
                Box::new(thermal::open(&self.root, zone).map_err(open)?)
            }
            SensorSource::Proc(reading) => Box::new(proc::Proc::open(&self.root, reading)),
        };
        let first = probe.read(now).map_err(open)?;
        let id = lock(&self.shared.sensors).add(spec, Some(probe), first, now)?;
        self.shared.wake();
        Ok(id)
    }

    /// A sensor's last reading, if there is one yet.
    pub fn last(&self, sensor: SensorId) -> Option<Reading> {
        lock(&self.shared.sensors).last(sensor)
    }

    /// Something was published on a topic: if it is a reading, sensors that are that topic read it.
    pub fn published(&self, topic: TopicId, body: &[u8]) {
        if let Some(value) = topic::value(body) {
            let reading = Reading { value, at: self.shared.now() };
            lock(&self.shared.sensors).tell(topic, reading);
        }
    }

    /// One user less of a sensor; without users it is not sampled any more.
    pub fn drop_sensor(&self, sensor: SensorId) {
        lock(&self.shared.sensors).drop_user(sensor);
    }

    /// Takes a device on a bus for its one holder.
    pub fn claim_bus(&self, owner: ActorId, spec: &BusSpec) -> Result<BusId, DeviceError> {
        lock(&self.shared.buses).claim(owner, spec)
    }

    /// Writes bytes, then reads `read` bytes, in one transaction. It may block for as long as the
    /// bus takes: for the threads of drivers only.
    pub fn transfer(&self, bus: BusId, write: &[u8], read: usize) -> Result<Vec<u8>, BusError> {
        lock(&self.shared.buses).transfer(bus, write, read)
    }

    /// Lets go of a device on a bus.
    pub fn unclaim_bus(&self, bus: BusId) {
        lock(&self.shared.buses).release(bus);
    }

    /// Drives every output to its safe level, lets go of all lines and ends the thread.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        let mut pins = lock(&self.shared.pins);
        pins.all_safe(self.shared.now());
        pins.clear();
        drop(pins);
        self.shared.wake();
        if let Some(thread) = lock(&self.thread).take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
