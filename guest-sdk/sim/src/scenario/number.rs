//! How scenarios write numbers of nodes, shares, and times.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// How many nodes: a whole number says how many, one with a point which share of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// So many.
    Nodes(usize),
    /// This share of those that are up.
    Share(f64),
}

/// No time in a scenario is longer: a simulation of more takes days itself.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Number {
    /// How many of so many. A share is rounded.
    pub fn of(self, nodes: usize) -> usize {
        let count = match self {
            Self::Nodes(count) => count,
            Self::Share(share) => (nodes as f64 * share).round() as usize,
        };
        count.min(nodes)
    }

    /// Whether it makes sense among so many nodes.
    pub(super) fn check(self, nodes: usize) -> Result<(), String> {
        match self {
            Self::Nodes(count) if (1..=nodes).contains(&count) => Ok(()),
            Self::Share(share) if share > 0.0 && share <= 1.0 => Ok(()),
            Self::Nodes(count) => Err(format!(
                "{count} of {nodes} nodes can't be had: write 1 to {nodes}, or a share"
            )),
            Self::Share(share) => Err(format!(
                "{share:?} is no share: write more than 0 and up to 1.0, or a whole number of nodes"
            )),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nodes(count) => write!(f, "{count}"),
            // With its point: 1.0 is all, not one.
            Self::Share(share) => write!(f, "{share:?}"),
        }
    }
}

impl FromStr for Number {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = || text.parse().map(Self::Share);
        text.parse().map(Self::Nodes).or_else(|_| share()).map_err(|_| {
            format!("{text:?} is no number: write how many nodes, or a share of them like 0.5")
        })
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Float(share) => Ok(Self::Share(share)),
            toml::Value::Integer(count) if count >= 0 => Ok(Self::Nodes(count as usize)),
            other => Err(D::Error::custom(format!(
                "{other} is no number of nodes: write how many, or a share of them like 0.5"
            ))),
        }
    }
}

/// A share of links. A whole number isn't one: 1 may mean one, or all.
pub(super) fn share_if<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::Float(share) => Ok(Some(share)),
        other => Err(D::Error::custom(format!(
            "{other} is no share of the links: write one with a point, like 0.5, or 1.0 for all"
        ))),
    }
}

fn parse(text: &str) -> Result<Duration, String> {
    let at = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is no time, like \"50ms\""))?;
    let time = match unit {
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err(format!("{text:?} is no time: write us, ms, s or m after the number")),
    };
    if time > LONGEST {
        let most = LONGEST.as_secs() / 60;
        return Err(format!("{text:?} is too long: a day, \"{most}m\", is the most"));
    }
    Ok(time)
}

pub(super) fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(Error::custom)
}

pub(super) fn span_if<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    span(deserializer).map(Some)
}

pub(super) fn spans<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(Duration, Duration), D::Error> {
    let (least, most) = <(String, String)>::deserialize(deserializer)?;
    let parse = |text: &str| parse(text).map_err(Error::custom);
    Ok((parse(&least)?, parse(&most)?))
}
