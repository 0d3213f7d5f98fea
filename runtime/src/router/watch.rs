//! Who is told when an actor is gone for good, on this node and on others.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

use super::Router;
use crate::address::{ActorId, Address, IdHash, NodeId};
use crate::mailbox::{Inlet, Message};
use crate::reason::Reason;

/// Stopped actors whose reason is remembered.
const REMEMBERED: usize = 1024;

#[derive(Default)]
pub(super) struct Watches {
    /// By the actor that is watched here.
    here: DashMap<ActorId, Vec<Watcher>, IdHash>,
    /// By the number given to the other node.
    elsewhere: DashMap<u64, Remote>,
    next: AtomicU64,
    gone: Mutex<Gone>,
}

/// Those that stopped last, so that `stopped` can be told from `no-actor`.
#[derive(Default)]
struct Gone {
    /// An actor that lives again and stops again has its last reason.
    reasons: HashMap<ActorId, Reason, IdHash>,
    /// The oldest first; each is here once.
    order: VecDeque<ActorId>,
}

enum Watcher {
    Actor { inlet: Inlet, token: u64 },
    Node { node: NodeId, number: u64 },
}

struct Remote {
    node: NodeId,
    inlet: Inlet,
    token: u64,
}

impl Watches {
    pub(super) fn note_gone(&self, actor: ActorId, reason: Reason) {
        let mut gone = self.gone();
        if gone.reasons.insert(actor, reason).is_some() {
            return;
        }
        gone.order.push_back(actor);
        if gone.order.len() > REMEMBERED
            && let Some(oldest) = gone.order.pop_front()
        {
            gone.reasons.remove(&oldest);
        }
    }

    /// Why an actor that isn't here can't be reached.
    pub(super) fn why_gone(&self, actor: ActorId) -> Reason {
        self.gone().reasons.get(&actor).copied().unwrap_or(Reason::NoActor)
    }

    fn gone(&self) -> MutexGuard<'_, Gone> {
        // Each change under it is whole enough: at worst one is remembered for too long.
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Router {
    /// Tells a watcher with a `down` when the actor is gone; at once if it is.
    pub fn monitor(&self, watcher: &Inlet, whom: &Address, token: u64) {
        let (inlet, id) = (watcher.clone(), whom.id);
        match self.elsewhere(whom) {
            Some(node) if !self.inlets.contains_key(&id) => {
                let number = self.watches.next.fetch_add(1, Ordering::Relaxed);
                self.watches.elsewhere.insert(number, Remote { node, inlet, token });
                let sent = self.net.get().is_some_and(|net| net.monitor(node, id, number).is_ok());
                if !sent {
                    self.down(number, Reason::Unreachable);
                }
            }
            _ => self.watch(id, Watcher::Actor { inlet, token }),
        }
    }

    /// Another node watches an actor here.
    pub fn monitor_for(&self, node: NodeId, whom: ActorId, number: u64) {
        self.watch(whom, Watcher::Node { node, number });
    }

    /// Another node says that an actor watched from here is gone.
    pub fn down(&self, number: u64, reason: Reason) {
        if let Some((_, Remote { inlet, token, .. })) = self.watches.elsewhere.remove(&number) {
            inlet.mailbox().unwatch(1);
            inlet.signal(Message::Down { token, reason });
        }
    }

    /// A node can't be reached: as far as anyone here can tell, its actors are down.
    pub fn node_down(&self, lost: NodeId) {
        let numbers: Vec<u64> = self
            .watches
            .elsewhere
            .iter()
            .filter(|entry| entry.value().node == lost)
            .map(|entry| *entry.key())
            .collect();
        for number in numbers {
            self.down(number, Reason::Unreachable);
        }
        self.watches.here.retain(|_, watchers| {
            watchers
                .retain(|watcher| !matches!(watcher, Watcher::Node { node, .. } if *node == lost));
            !watchers.is_empty()
        });
    }

    fn watch(&self, whom: ActorId, watcher: Watcher) {
        self.watches.here.entry(whom).or_default().push(watcher);
        // Looked at after the watcher is in place: an actor that goes meanwhile is seen once.
        if !self.inlets.contains_key(&whom) {
            self.tell_watchers(whom, self.watches.why_gone(whom));
        }
    }

    pub(super) fn tell_watchers(&self, whom: ActorId, reason: Reason) {
        let Some((_, watchers)) = self.watches.here.remove(&whom) else { return };
        for watcher in watchers {
            match watcher {
                Watcher::Actor { inlet, token } => {
                    inlet.mailbox().unwatch(1);
                    inlet.signal(Message::Down { token, reason });
                }
                Watcher::Node { node, number } => {
                    if let Some(net) = self.net.get() {
                        // Without a connection that node knows already that it can't tell.
                        let _ = net.down(node, number, reason);
                    }
                }
            }
        }
    }
}
