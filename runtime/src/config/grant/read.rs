//! Reads grants: from the values of a manifest's `grant` tables, and from command lines.

mod device;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::Spanned;
use toml::de::DeValue;

use super::{ChildSpec, Grant};
use crate::config::document::{Entry, Source, Table};
use crate::config::read::budgets;
use crate::config::{Component, ConfigError};

/// Longest name of an actor, a grant, a topic or a simulated line, in bytes: it travels in logs
/// and over the admin protocol.
const NAME_BYTES: usize = 64;
/// Longest topic, in bytes: longer than a name, for people put paths into them.
const TOPIC_BYTES: usize = 256;
/// How deep children of children may be written: the reader's stack is finite.
const CHILD_DEPTH: usize = 8;

const FORMS: &str = "sensor:…, topic:NAME, actor:NAME, edge:… (an address), links, \
                     { pin = … }, { i2c = … }, { spawn = … } or { topic = …, subscribe = false }";

pub(in crate::config) fn grants(entry: &Entry<'_>) -> Result<BTreeMap<String, Grant>, ConfigError> {
    nested(entry, 0)
}

/// Reads the grant of a command line.
pub(super) fn grant_text(text: &str, folder: &Path) -> Result<Grant, ConfigError> {
    let source = Source { text, folder, lines: false };
    let value = if text.trim_start().starts_with('{') {
        DeValue::parse(text.trim()).map_err(|error| source.syntax(&error))?
    } else {
        Spanned::new(0..text.len(), DeValue::String(Cow::Borrowed(text)))
    };
    grant(&Entry::new(&source, &value, "grant"), 0)
}

/// A name that is used in commands and logs.
pub(in crate::config) fn name(entry: &Entry<'_>, name: &str) -> Result<String, ConfigError> {
    check_name(name).map_err(|what| entry.error(what))?;
    Ok(name.into())
}

/// Whether this can be a name; if not, what to write.
pub(in crate::config) fn check_name(name: &str) -> Result<(), String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > NAME_BYTES || !name.chars().all(good) {
        return Err(format!(
            "{name:?} is no name: write 1 to {NAME_BYTES} letters, digits, `-`, `_` or `.`"
        ));
    }
    Ok(())
}

/// A CID or a path; what looks like a CID and is none is refused, lest a clipped one be a path.
pub(in crate::config) fn component(entry: &Entry<'_>) -> Result<Component, ConfigError> {
    let text = entry.text()?;
    if !text.starts_with("bafk") || text.contains(['/', '.']) {
        return entry.path(text).map(Component::Path);
    }
    // CIDv1, raw, sha2-256: 36 bytes in base 32, after the letter that says so.
    let base32 = |c: char| matches!(c, 'a'..='z' | '2'..='7');
    if !text.starts_with("bafkrei") || text.len() != 59 || !text.chars().all(base32) {
        let what =
            format!("{text:?} is not a whole CID: copy all 59 characters, or write ./ for a file");
        return Err(entry.error(what));
    }
    Ok(Component::Cid(text.into()))
}

fn nested(entry: &Entry<'_>, depth: usize) -> Result<BTreeMap<String, Grant>, ConfigError> {
    let mut grants = BTreeMap::new();
    for (key, value) in entry.table()?.names() {
        grants.insert(name(&value, &key)?, grant(&value, depth)?);
    }
    Ok(grants)
}

fn grant(entry: &Entry<'_>, depth: usize) -> Result<Grant, ConfigError> {
    if !entry.is_table() {
        return text_grant(entry);
    }
    let mut table = entry.table()?;
    let grant = if let Some(line) = table.take("pin") {
        Grant::Pin(device::pin(&line, &mut table)?)
    } else if let Some(line) = table.take("i2c") {
        Grant::Bus(device::bus(&line, &mut table)?)
    } else if let Some(code) = table.take("spawn") {
        Grant::Child(child(&code, &mut table, depth)?)
    } else if let Some(topic) = table.take("topic") {
        let subscribe = table.take("subscribe").map_or(Ok(true), |entry| entry.bool())?;
        Grant::Topic { name: topic_name(&topic, topic.text()?)?, subscribe }
    } else {
        return Err(entry.error(format!("this table grants nothing: a grant is {FORMS}")));
    };
    table.finish()?;
    Ok(grant)
}

fn text_grant(entry: &Entry<'_>) -> Result<Grant, ConfigError> {
    let text = entry.text()?;
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "sensor" => device::sensor(entry, rest).map(Grant::Sensor),
        "topic" => Ok(Grant::Topic { name: topic_name(entry, rest)?, subscribe: true }),
        "actor" => name(entry, rest).map(Grant::Actor),
        "edge" => text
            .parse()
            .map(Grant::Address)
            .map_err(|why: crate::address::ParseError| entry.error(why.to_string())),
        "links" if text == "links" => Ok(Grant::Links { name: None }),
        "links" => Ok(Grant::Links { name: Some(name(entry, rest)?) }),
        "gpio" | "pin" => Err(entry.error(format!(
            "{text:?} does not say what the pin is for: write {{ pin = \"gpio:GPIO17\", \
             safe = \"low\" }} or {{ pin = \"gpio:GPIO17\", input = \"both\" }}"
        ))),
        _ => Err(entry.error(format!("{text:?} is no grant: a grant is {FORMS}"))),
    }
}

fn topic_name(entry: &Entry<'_>, name: &str) -> Result<String, ConfigError> {
    if name.is_empty() || name.len() > TOPIC_BYTES || name.chars().any(char::is_control) {
        let what = format!("{name:?} is no topic: write 1 to {TOPIC_BYTES} bytes, no line breaks");
        return Err(entry.error(what));
    }
    Ok(name.into())
}

fn child(code: &Entry<'_>, table: &mut Table<'_>, depth: usize) -> Result<ChildSpec, ConfigError> {
    if depth >= CHILD_DEPTH {
        let what = format!("children are nested deeper than {CHILD_DEPTH}: grant them by address");
        return Err(code.error(what));
    }
    let most = table.need("max", "how many children may live at once, max = 10")?;
    let max = usize::try_from(most.number(1)?).unwrap_or(usize::MAX);
    let grants = table.take("grant").map(|entry| nested(&entry, depth + 1)).transpose()?;
    let actor = budgets(component(code)?, grants.unwrap_or_default(), table)?;
    if let Some(held) = actor.grants.values().find_map(Grant::exclusive) {
        if max > 1 {
            return Err(code.error(format!(
                "{max} children cannot share {held}: write max = 1, or grant it to the parent"
            )));
        }
        // One might still hold it while another's parent, too, is a new one.
        if depth > 0 {
            return Err(code.error(format!(
                "a child's child cannot hold {held}: grant it to the child, or to another actor"
            )));
        }
    }
    Ok(ChildSpec { max, actor })
}

/// Refuses a pin or a bus device that is granted twice; remembers what was seen in `held`.
pub(in crate::config) fn exclusive(
    entry: &Entry<'_>,
    grant: &Grant,
    held: &mut BTreeSet<String>,
) -> Result<(), ConfigError> {
    if let Grant::Child(child) = grant {
        child.actor.grants.values().try_for_each(|grant| exclusive(entry, grant, held))?;
    }
    match grant.exclusive() {
        Some(what) if !held.insert(what.clone()) => Err(entry.error(format!(
            "{what} is granted twice: it has one holder, the others send that actor letters"
        ))),
        _ => Ok(()),
    }
}
