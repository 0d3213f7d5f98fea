//! Reads grants of sensors, pins and buses.

use std::time::Duration;

use super::super::{
    BusLine, BusSpec, Direction, Edges, PinLine, PinSpec, ProcReading, Pull, SensorSource,
    SensorSpec,
};
use super::{name, topic_name};
use crate::config::document::{Entry, Table};
use crate::config::{ConfigError, units};

/// How often a sensor is sampled if its grant does not say.
const EVERY: Duration = Duration::from_secs(1);
/// Shortest period of a sensor: the device thread also watches leases.
const SHORTEST: Duration = Duration::from_millis(1);

const SENSORS: &str = "sensor:bench:FILE.csv/COLUMN, sensor:hwmon:CHIP/INPUT, \
                       sensor:thermal:ZONE, sensor:proc:READING or sensor:topic:NAME";

/// `BACKEND:REST?every=10s`, what follows `sensor:`. What is published comes when it comes.
pub(super) fn sensor(entry: &Entry<'_>, text: &str) -> Result<SensorSpec, ConfigError> {
    if let Some(topic) = text.strip_prefix("topic:") {
        let source = SensorSource::Topic { name: topic_name(entry, topic)? };
        return Ok(SensorSpec { source, every: Duration::ZERO });
    }
    let (text, every) = match text.rsplit_once('?') {
        None => (text, EVERY),
        Some((text, option)) => (text, period(entry, option)?),
    };
    let Some((backend, rest)) = text.split_once(':') else {
        let what = format!("there is no driver {text:?} in this version: write {SENSORS}");
        return Err(entry.error(what));
    };
    let parts = rest.rsplit_once('/').filter(|(a, b)| !a.is_empty() && !b.is_empty());
    let wrong = |form: &str| entry.error(format!("sensor:{backend}:{rest}: write {form}"));
    let source = match backend {
        "bench" => {
            let (file, column) = parts.ok_or_else(|| wrong("sensor:bench:FILE.csv/COLUMN"))?;
            SensorSource::Bench { file: entry.path(file)?, column: column.into() }
        }
        "hwmon" => {
            let (chip, input) = parts.ok_or_else(|| wrong("sensor:hwmon:CHIP/INPUT"))?;
            let (chip, input) = (word(entry, chip)?, word(entry, input)?);
            SensorSource::Hwmon { chip, input }
        }
        "thermal" => SensorSource::Thermal { zone: word(entry, rest)? },
        "proc" => SensorSource::Proc(match (rest, parts) {
            ("loadavg", _) => ProcReading::LoadAverage,
            ("uptime", _) => ProcReading::Uptime,
            ("cpu", _) => ProcReading::Processor,
            (_, Some(("meminfo", key))) => ProcReading::Memory(word(entry, key)?),
            _ => {
                return Err(wrong("sensor:proc:loadavg, uptime, cpu or meminfo/MemAvailable"));
            }
        }),
        _ => {
            let what = format!("there is no sensor backend {backend:?}: write {SENSORS}");
            return Err(entry.error(what));
        }
    };
    Ok(SensorSpec { source, every })
}

/// The rest of a table whose `pin` is `line`.
pub(super) fn pin(line: &Entry<'_>, table: &mut Table<'_>) -> Result<PinSpec, ConfigError> {
    let text = line.text()?;
    let input = table.take("input");
    let safe = table.take("safe");
    match (input, safe) {
        (Some(input), None) => {
            let (line, script) = input_line(line, text)?;
            let words = [
                ("rising", Edges::Rising),
                ("falling", Edges::Falling),
                ("both", Edges::Both),
                ("none", Edges::None),
            ];
            let pulls = [("up", Some(Pull::Up)), ("down", Some(Pull::Down)), ("none", None)];
            let edges = input.word(&words)?;
            let pull = table.take("pull").map_or(Ok(None), |entry| entry.word(&pulls))?;
            let debounce = table.take("debounce").map(|entry| entry.duration()).transpose()?;
            let direction = Direction::Input { edges, pull, debounce, script };
            Ok(PinSpec { line, direction })
        }
        (None, Some(safe)) => {
            let safe = safe.word(&[("low", false), ("high", true)])?;
            let lease = table.take("lease").map(|entry| entry.duration()).transpose()?;
            let line = pin_line(line, text)?;
            Ok(PinSpec { line, direction: Direction::Output { safe, lease } })
        }
        (None, None) => Err(line.error(
            "an output needs a safe level, an input its edges: write safe = \"low\" or \"high\", \
             or input = \"both\"",
        )),
        (Some(_), Some(_)) => {
            Err(line.error("a pin is an input or an output: write `input` or `safe`, not both"))
        }
    }
}

/// The rest of a table whose `i2c` is `line`.
pub(super) fn bus(line: &Entry<'_>, table: &mut Table<'_>) -> Result<BusSpec, ConfigError> {
    let entry = table.need("at", "the device's address, at = 0x76")?;
    // 7-bit addresses outside of this range are reserved (I²C specification, UM10204, 3.1.12).
    let at = u8::try_from(entry.number(0)?).ok().filter(|at| (0x08..=0x77).contains(at));
    let at = at.ok_or_else(|| entry.error("no such address: write one from 0x08 to 0x77"))?;
    let text = line.text()?;
    let line = match text.strip_prefix("bench:") {
        Some(rest) => {
            let (bus, file) = option(line, rest, "registers")?;
            BusLine::Bench { name: name(line, bus)?, registers: file }
        }
        None if text.starts_with("/dev/") => BusLine::Linux(text.into()),
        None => {
            let what = format!("{text:?} is no bus: write \"bench:NAME\" or \"/dev/i2c-1\"");
            return Err(line.error(what));
        }
    };
    Ok(BusSpec { line, at })
}

fn period(entry: &Entry<'_>, option: &str) -> Result<Duration, ConfigError> {
    let Some(text) = option.strip_prefix("every=") else {
        let what = format!("a sensor has no option {option:?}: write ?every=10s, or nothing");
        return Err(entry.error(what));
    };
    let every = units::duration(text).map_err(|what| entry.error(what))?;
    if every < SHORTEST {
        return Err(entry.error(format!("every={text} is too often: write 1ms or more")));
    }
    Ok(every)
}

fn pin_line(entry: &Entry<'_>, text: &str) -> Result<PinLine, ConfigError> {
    if let Some(bench) = text.strip_prefix("bench:") {
        return name(entry, bench).map(PinLine::Bench);
    }
    let Some(line) = text.strip_prefix("gpio:") else {
        let what = format!("{text:?} is no pin: write \"gpio:GPIO17\" or \"bench:NAME\"");
        return Err(entry.error(what));
    };
    let (chip, line) = match line.split_once('/') {
        Some((chip, line)) => (Some(word(entry, chip)?), word(entry, line)?),
        None => (None, word(entry, line)?),
    };
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if chip.as_deref().and_then(|chip| chip.strip_prefix("gpiochip")).is_some_and(number) {
        let what = "chips change their numbers: write the label that `gpiodetect` shows, \
                    \"gpio:pinctrl-bcm2711/17\"";
        return Err(entry.error(what));
    }
    if chip.is_none() && number(&line) {
        let what = format!(
            "line {line} of which chip? write its name, \"gpio:GPIO{line}\", or \
                            \"gpio:LABEL/{line}\""
        );
        return Err(entry.error(what));
    }
    Ok(PinLine::Gpio { chip, line })
}

fn input_line(
    entry: &Entry<'_>,
    text: &str,
) -> Result<(PinLine, Option<std::path::PathBuf>), ConfigError> {
    let (line, script) = option(entry, text, "script")?;
    let line = pin_line(entry, line)?;
    if script.is_some() && !matches!(line, PinLine::Bench(_)) {
        return Err(entry.error("only a bench pin plays a script: write \"bench:NAME?script=…\""));
    }
    Ok((line, script))
}

/// Splits off `?key=path`, the only option that a simulated line has.
fn option<'t>(
    entry: &Entry<'_>,
    text: &'t str,
    key: &str,
) -> Result<(&'t str, Option<std::path::PathBuf>), ConfigError> {
    let Some((text, option)) = text.split_once('?') else {
        return Ok((text, None));
    };
    match option.strip_prefix(key).and_then(|rest| rest.strip_prefix('=')) {
        Some(file) => Ok((text, Some(entry.path(file)?))),
        None => Err(entry.error(format!("there is no option {option:?} here: write ?{key}=FILE"))),
    }
}

/// A name given by the kernel: short, and nothing that leads out of a folder.
fn word(entry: &Entry<'_>, text: &str) -> Result<String, ConfigError> {
    let bad = |c: char| c.is_control() || c == '/';
    if text.is_empty() || text.len() > 128 || text.starts_with('.') || text.contains(bad) {
        return Err(
            entry.error(format!("{text:?} is no name of a device: write it as the kernel does"))
        );
    }
    Ok(text.into())
}
