//! Writes a grant in the form in which it is stored and sent, and read again.

use std::fmt::{Display, Formatter, Result};
use std::path::Path;

use super::{
    BusLine, BusSpec, ChildSpec, Direction, Edges, Grant, PinLine, PinSpec, ProcReading, Pull,
    SensorSource, SensorSpec,
};
use crate::config::units::duration_text;
use crate::config::{ActorConfig, Component, Restart, When};

impl Display for Grant {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Sensor(sensor) => sensor.fmt(f),
            Self::Topic { name, subscribe: true } => write!(f, "topic:{name}"),
            Self::Topic { name, subscribe: false } => {
                write!(f, "{{ topic = {}, subscribe = false }}", quoted(name))
            }
            Self::Actor(name) => write!(f, "actor:{name}"),
            Self::Address(address) => address.fmt(f),
            Self::Pin(pin) => pin.fmt(f),
            Self::Bus(bus) => bus.fmt(f),
            Self::Child(child) => child.fmt(f),
            Self::Links { name: None } => f.write_str("links"),
            Self::Links { name: Some(name) } => write!(f, "links:{name}"),
        }
    }
}

impl Display for SensorSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("sensor:")?;
        match &self.source {
            SensorSource::Bench { file, column } => write!(f, "bench:{}/{column}", path(file))?,
            SensorSource::Hwmon { chip, input } => write!(f, "hwmon:{chip}/{input}")?,
            SensorSource::Thermal { zone } => write!(f, "thermal:{zone}")?,
            SensorSource::Proc(ProcReading::LoadAverage) => f.write_str("proc:loadavg")?,
            SensorSource::Proc(ProcReading::Memory(entry)) => write!(f, "proc:meminfo/{entry}")?,
            SensorSource::Proc(ProcReading::Uptime) => f.write_str("proc:uptime")?,
            SensorSource::Proc(ProcReading::Processor) => f.write_str("proc:cpu")?,
            SensorSource::Topic { name } => return write!(f, "topic:{name}"),
        }
        write!(f, "?every={}", duration_text(self.every))
    }
}

impl Display for PinLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Bench(name) => write!(f, "bench:{name}"),
            Self::Gpio { chip: None, line } => write!(f, "gpio:{line}"),
            Self::Gpio { chip: Some(chip), line } => write!(f, "gpio:{chip}/{line}"),
        }
    }
}

impl Display for PinSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let line = &self.line;
        match &self.direction {
            Direction::Output { safe, lease } => {
                let safe = if *safe { "high" } else { "low" };
                write!(f, "{{ pin = {}, safe = \"{safe}\"", quoted(&line.to_string()))?;
                if let Some(lease) = lease {
                    write!(f, ", lease = \"{}\"", duration_text(*lease))?;
                }
            }
            Direction::Input { edges, pull, debounce, script } => {
                let script = script.as_deref().map(|file| format!("?script={}", path(file)));
                let line = format!("{line}{}", script.unwrap_or_default());
                let edges = match edges {
                    Edges::Rising => "rising",
                    Edges::Falling => "falling",
                    Edges::Both => "both",
                    Edges::None => "none",
                };
                write!(f, "{{ pin = {}, input = \"{edges}\"", quoted(&line))?;
                match pull {
                    Some(Pull::Up) => f.write_str(", pull = \"up\"")?,
                    Some(Pull::Down) => f.write_str(", pull = \"down\"")?,
                    None => {}
                }
                if let Some(debounce) = debounce {
                    write!(f, ", debounce = \"{}\"", duration_text(*debounce))?;
                }
            }
        }
        f.write_str(" }")
    }
}

impl Display for BusLine {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Bench { name, registers: None } => write!(f, "bench:{name}"),
            Self::Bench { name, registers: Some(file) } => {
                write!(f, "bench:{name}?registers={}", path(file))
            }
            Self::Linux(device) => f.write_str(&path(device)),
        }
    }
}

impl Display for BusSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{{ i2c = {}, at = {:#04x} }}", quoted(&self.line.to_string()), self.at)
    }
}

impl Display for ChildSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let ActorConfig { component, grants, mailbox, memory, turn, storage, restart } =
            &self.actor;
        let component = match component {
            Component::Cid(cid) => cid.clone(),
            Component::Path(file) => path(file),
        };
        write!(f, "{{ spawn = {}, max = {}", quoted(&component), self.max)?;
        if let Some(letters) = mailbox {
            write!(f, ", mailbox = {letters}")?;
        }
        for (name, bytes) in [("memory", memory), ("storage", storage)] {
            if let Some(bytes) = bytes {
                write!(f, ", {name} = \"{bytes}B\"")?;
            }
        }
        if let Some(turn) = turn {
            write!(f, ", turn = \"{}\"", duration_text(*turn))?;
        }
        if *restart != Restart::default() {
            let Restart { when, max, within } = restart;
            let within = duration_text(*within);
            write!(f, ", restart = {{ when = {when}, max = {max}, within = \"{within}\" }}")?;
        }
        for (at, (name, grant)) in grants.iter().enumerate() {
            f.write_str(if at == 0 { ", grant = { " } else { ", " })?;
            let text = grant.to_string();
            let value = if text.starts_with('{') { text } else { quoted(&text) };
            write!(f, "{} = {value}", quoted(name))?;
        }
        f.write_str(if grants.is_empty() { " }" } else { " } }" })
    }
}

impl Display for When {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Always => "\"always\"",
            Self::Failed => "\"failed\"",
            Self::Never => "\"never\"",
        })
    }
}

/// A path that was read from TOML is UTF-8, so nothing is lost.
fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
