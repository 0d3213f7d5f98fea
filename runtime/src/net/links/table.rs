//! The links of one connection, and what is queued on each.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use crate::net::lock;
use crate::net::wire::CLASSES;
use crate::reason::Reason;

/// The links of one connection, by name.
#[derive(Default)]
pub struct Links {
    pub(super) table: Mutex<HashMap<String, Arc<Link>>>,
    /// A link was opened: data that came before its opening may go on.
    pub(super) opened: Notify,
    /// All instances below this one that the other side may have asked for were seen.
    pub(super) seen: AtomicU64,
}

/// One link, from one side.
pub(super) struct Link {
    pub(super) name: String,
    /// Whether this side asked for it.
    pub(super) mine: bool,
    /// The id of its stream; `UNOPENED` while there is none.
    pub(super) instance: AtomicU64,
    pub(super) state: Mutex<State>,
    pub(super) wake: [Notify; CLASSES],
    pub(super) closing: Notify,
}

pub(super) const UNOPENED: u64 = u64::MAX;

#[derive(Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// Why this side closes it.
    pub(super) goodbye: Option<Reason>,
    pub(super) queues: [Queue; CLASSES],
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Asked for by this side.
    #[default]
    Opening,
    Open,
    Closed,
}

#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Vec<u8>>,
    pub(super) bytes: usize,
    /// Whether its writer runs.
    pub(super) started: bool,
    /// Whether somebody was told that it is full.
    pub(super) full: bool,
}

impl Link {
    pub(super) fn new(name: &str, instance: u64, phase: Phase) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            mine: phase == Phase::Opening,
            instance: AtomicU64::new(instance),
            state: Mutex::new(State { phase, ..State::default() }),
            wake: Default::default(),
            closing: Notify::new(),
        })
    }

    pub(super) fn phase(&self) -> Phase {
        lock(&self.state).phase
    }

    /// Whether the other side, which had `seen` so much, asked for a link of this name without
    /// knowing that this side had asked for this one.
    pub(super) fn crossed_by(&self, seen: u64) -> bool {
        self.mine && self.instance.load(Ordering::Acquire) >= seen
    }

    /// Whether the other side's asking took the place of this side's.
    pub(super) fn given_in(&self) -> bool {
        let state = lock(&self.state);
        state.phase == Phase::Closed && state.goodbye.is_none()
    }

    /// Ends it on this side; gives the phase in which it was.
    pub(super) fn close(&self, goodbye: Option<Reason>) -> Phase {
        let mut state = lock(&self.state);
        let before = std::mem::replace(&mut state.phase, Phase::Closed);
        state.goodbye = state.goodbye.or(goodbye);
        drop(state);
        self.wake.iter().for_each(Notify::notify_one);
        self.closing.notify_one();
        before
    }
}

impl Links {
    /// The connection broke: ends all links, gives the names of those that were asked for or open.
    pub fn lose(&self) -> Vec<String> {
        let links: Vec<_> = lock(&self.table).drain().collect();
        let alive = links.into_iter().filter(|(_, link)| link.close(None) != Phase::Closed);
        alive.map(|(name, _)| name).collect()
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Link>> {
        lock(&self.table).get(name).cloned()
    }

    pub(super) fn by_instance(&self, instance: u64) -> Option<Arc<Link>> {
        let table = lock(&self.table);
        table.values().find(|link| link.instance.load(Ordering::Acquire) == instance).cloned()
    }

    pub(super) fn remove(&self, link: &Arc<Link>) {
        let mut table = lock(&self.table);
        if table.get(&link.name).is_some_and(|current| Arc::ptr_eq(current, link)) {
            table.remove(&link.name);
        }
    }
}
