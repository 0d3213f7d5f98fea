//! Reads a manifest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::de::{DeTable, ValueDeserializer};

use super::document::{Entry, Source, Table};
use super::grant::{self, Grant};
use super::{
    ActorConfig, Component, ConfigError, LISTEN, Manifest, NodeConfig, Peer, Restart, When,
};
use crate::limits::Limits;

/// Most restarts within a window: they are remembered one by one.
const RESTARTS: u64 = 1_000;

/// Limits that may be 0: without these a node does less, without the others nothing.
const MAY_BE_ZERO: [&str; 10] = [
    "park-ms",
    "carried",
    "timers",
    "storage-bytes",
    "log-lines",
    "set-aside",
    "peers",
    "handshakes",
    "links",
    "save-bytes",
];

pub(super) fn manifest(
    text: &str,
    folder: &Path,
    data: Option<PathBuf>,
) -> Result<Manifest, ConfigError> {
    let source = Source { text, folder, lines: true };
    let document = DeTable::parse(text).map_err(|error| source.syntax(&error))?;
    let mut root = Table::document(&source, &document);
    let node = root.take("node");
    let limits = root.take("limits").map_or(Ok(Limits::default()), |entry| limits(&entry))?;
    let actors = root.take("actor").map_or(Ok(BTreeMap::new()), |entry| actors(&entry))?;
    let node = node_config(node, data, &limits, &root)?;
    root.finish()?;
    Ok(Manifest { node, limits, actors })
}

fn node_config(
    entry: Option<Entry<'_>>,
    data: Option<PathBuf>,
    limits: &Limits,
    root: &Table<'_>,
) -> Result<NodeConfig, ConfigError> {
    let mut node = NodeConfig { listen: LISTEN, data: PathBuf::new(), peers: Vec::new() };
    let mut named = None;
    if let Some(entry) = entry {
        let mut table = entry.table()?;
        if let Some(listen) = table.take("listen") {
            node.listen = listen.text()?.parse::<SocketAddr>().map_err(|_| {
                listen.error("this is no address to listen on: write \"0.0.0.0:4433\"")
            })?;
        }
        named = table.take("data").map(|data| data.path(data.text()?)).transpose()?;
        if let Some(list) = table.take("peers") {
            node.peers = peers(&list, limits)?;
        }
        table.finish()?;
    }
    let unknown =
        || root.error("no HOME to keep data in: write data = \"/var/lib/edge-host\" in [node]");
    node.data = named.or(data).ok_or_else(unknown)?;
    Ok(node)
}

fn peers(list: &Entry<'_>, limits: &Limits) -> Result<Vec<Peer>, ConfigError> {
    let mut peers = Vec::<Peer>::new();
    for entry in list.list()? {
        let mut table = entry.table()?;
        let id = table.need("id", "what `edge-host id` prints on that node")?;
        let peer = Peer {
            id: id
                .text()?
                .parse()
                .map_err(|why: crate::address::ParseError| id.error(why.to_string()))?,
            at: table.take("at").map(|at| host_and_port(&at)).transpose()?,
        };
        table.finish()?;
        if peers.iter().any(|other| other.id == peer.id) {
            return Err(id.error(format!("peer {} is named twice: write it once", peer.id)));
        }
        peers.push(peer);
    }
    if peers.len() > limits.peers {
        let most = limits.peers;
        let what =
            format!("{} peers, and the limit is {most}: raise `peers` in [limits]", peers.len());
        return Err(list.error(what));
    }
    Ok(peers)
}

fn host_and_port(entry: &Entry<'_>) -> Result<String, ConfigError> {
    let text = entry.text()?;
    let parts = text.rsplit_once(':');
    let good = parts.is_some_and(|(host, port)| {
        let port = port.parse::<u16>().is_ok_and(|port| port > 0);
        port && !host.is_empty() && !host.contains(char::is_whitespace)
    });
    match good {
        true => Ok(text.into()),
        false => Err(entry.error(format!("{text:?} is not host:port: write \"attic.local:4433\""))),
    }
}

fn limits(entry: &Entry<'_>) -> Result<Limits, ConfigError> {
    for (name, value) in entry.table()?.names() {
        if !MAY_BE_ZERO.contains(&name.as_str()) {
            value.number(1)?;
        }
    }
    let limits = Limits::deserialize(ValueDeserializer::from(entry.spanned()))
        .map_err(|error| entry.source.syntax(&error))?;
    if limits.frame_bytes <= limits.letter_bytes {
        let what = format!(
            "a frame must hold a letter: write frame-bytes = {} or more",
            limits.letter_bytes.saturating_add(8 << 10)
        );
        return Err(entry.error(what));
    }
    Ok(limits)
}

fn actors(entry: &Entry<'_>) -> Result<BTreeMap<String, ActorConfig>, ConfigError> {
    let named = entry.table()?.names();
    let names = named.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let mut held = BTreeSet::new();
    let mut actors = BTreeMap::new();
    for (name, entry) in named {
        let actor = actor(&entry)?;
        let lines = entry.table()?.take("grant").map(|grants| grants.table()).transpose()?;
        for (name, entry) in lines.iter().flat_map(Table::names) {
            let Some(grant) = actor.grants.get(&name) else {
                continue;
            };
            grant::exclusive(&entry, grant, &mut held)?;
            if let Grant::Actor(other) = grant
                && !names.contains(other)
            {
                let names = names.join(", ");
                let what = format!("there is no actor {other:?} to grant: there are {names}");
                return Err(entry.error(what));
            }
        }
        actors.insert(grant::name(&entry, &name)?, actor);
    }
    Ok(actors)
}

fn actor(entry: &Entry<'_>) -> Result<ActorConfig, ConfigError> {
    let mut table = entry.table()?;
    let component =
        grant::component(&table.need("component", "a CID, or a path to a .wasm file")?)?;
    let grants = table.take("grant").map_or(Ok(BTreeMap::new()), |entry| grant::grants(&entry))?;
    let actor = budgets(component, grants, &mut table)?;
    table.finish()?;
    Ok(actor)
}

/// Reads what holds for an actor beside its code and grants, from where those were read.
pub(super) fn budgets(
    component: Component,
    grants: BTreeMap<String, Grant>,
    table: &mut Table<'_>,
) -> Result<ActorConfig, ConfigError> {
    let mailbox = table.take("mailbox").map(|entry| entry.number(1)).transpose()?;
    Ok(ActorConfig {
        component,
        grants,
        mailbox: mailbox.map(|size| usize::try_from(size).unwrap_or(usize::MAX)),
        memory: table.take("memory").map(|entry| entry.bytes()).transpose()?,
        turn: table.take("turn").map(|entry| entry.duration()).transpose()?,
        storage: table.take("storage").map(|entry| entry.bytes()).transpose()?,
        restart: table.take("restart").map_or(Ok(Restart::default()), |entry| restart(&entry))?,
    })
}

fn restart(entry: &Entry<'_>) -> Result<Restart, ConfigError> {
    let mut restart = Restart::default();
    let mut table = entry.table()?;
    if let Some(entry) = table.take("when") {
        let words = [("always", When::Always), ("failed", When::Failed), ("never", When::Never)];
        restart.when = entry.word(&words)?;
    }
    if let Some(entry) = table.take("max") {
        let max = entry.number(1)?;
        if max > RESTARTS {
            return Err(
                entry.error(format!("{max} restarts are too many: write {RESTARTS} or fewer"))
            );
        }
        restart.max = max as u32;
    }
    if let Some(entry) = table.take("within") {
        restart.within = entry.duration()?;
    }
    table.finish()?;
    Ok(restart)
}
