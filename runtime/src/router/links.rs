//! Links: protocol channels between the same system actor on two neighbouring nodes.
//!
//! The network knows a link by its peer and its name, an actor by a number of its own. Nothing on a
//! link is lost in silence: where there is no room for it, the link goes down and says why.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Router;
use crate::address::{ActorId, NodeId};
use crate::mailbox::{Inlet, LinkEvent};
use crate::reason::Reason;

#[derive(Default)]
pub(super) struct Links {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    protocols: BTreeMap<String, Inlet>,
    numbers: BTreeMap<(NodeId, String), u32>,
    links: BTreeMap<u32, Link>,
    next: u32,
}

#[derive(Clone)]
struct Link {
    node: NodeId,
    name: String,
    inlet: Inlet,
}

impl Links {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn number(&mut self, node: NodeId, name: &str) -> Option<u32> {
        let key = (node, name.to_string());
        if let Some(number) = self.numbers.get(&key) {
            return Some(*number);
        }
        let inlet = self.protocols.get(name)?.clone();
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.links.insert(number, Link { node, name: name.into(), inlet });
        self.numbers.insert(key, number);
        Some(number)
    }

    fn remove(&mut self, node: NodeId, name: &str) -> Option<(u32, Link)> {
        let number = self.numbers.remove(&(node, name.to_string()))?;
        Some((number, self.links.remove(&number)?))
    }

    fn own(&self, number: u32, owner: ActorId) -> Option<&Link> {
        self.links.get(&number).filter(|link| link.inlet.owner() == owner)
    }
}

impl Router {
    /// A protocol takes the links of this name, and carries topics; it hears of every reachable
    /// node.
    pub fn open_links(&self, name: &str, protocol: Inlet) {
        self.carry_topics(protocol.clone());
        self.links.state().protocols.insert(name.into(), protocol.clone());
        for peer in self.net.get().map(|net| net.peers()).unwrap_or_default() {
            if peer.state == crate::net::PeerState::Up {
                protocol.link(LinkEvent::Reachable(peer.id));
            }
        }
    }

    /// A protocol is gone: its links are closed, and it carries no publications.
    pub fn close_links(&self, protocol: ActorId) {
        self.topics.forget_protocol(protocol);
        let mut state = self.links.state();
        state.protocols.retain(|_, inlet| inlet.owner() != protocol);
        let own = state.links.iter().filter(|(_, link)| link.inlet.owner() == protocol);
        let closed: Vec<u32> = own.map(|(number, _)| *number).collect();
        for number in closed {
            let Some(link) = state.links.remove(&number) else { continue };
            state.numbers.remove(&(link.node, link.name.clone()));
            self.close_link(&link, Reason::Stopped);
        }
    }

    /// A node can be reached.
    pub fn node_up(&self, node: NodeId) {
        let protocols: Vec<_> = self.links.state().protocols.values().cloned().collect();
        for protocol in protocols {
            self.must(&protocol, LinkEvent::Reachable(node));
        }
    }

    /// A link is open; either side may have asked for it.
    pub fn link_opened(&self, node: NodeId, name: &str) {
        let mut state = self.links.state();
        let Some(number) = state.number(node, name) else {
            drop(state);
            if let Some(net) = self.net.get() {
                net.link_close(node, name, Reason::NoActor);
            }
            return;
        };
        let inlet = state.links.get(&number).map(|link| link.inlet.clone());
        drop(state);
        if let Some(inlet) = inlet {
            self.must(&inlet, LinkEvent::Up { link: number, node });
        }
    }

    /// A link is closed, or was not opened at all.
    pub fn link_closed(&self, node: NodeId, name: &str, reason: Reason) {
        let removed = self.links.state().remove(node, name);
        if let Some((link, Link { inlet, .. })) = removed {
            self.must(&inlet, LinkEvent::Down { link, node, reason });
        }
    }

    /// Bytes came on a link.
    pub fn link_data(&self, node: NodeId, name: &str, body: Vec<u8>) {
        let Some((number, inlet)) = self.link_of(node, name) else { return };
        if inlet.link(LinkEvent::Data { link: number, body }) {
            return;
        }
        tracing::warn!("link {name} with {node} is closed: its actor's mailbox is full");
        if let Some(net) = self.net.get() {
            net.link_close(node, name, Reason::MailboxFull);
        }
        self.link_closed(node, name, Reason::MailboxFull);
    }

    /// A link has room again.
    pub fn link_writable(&self, node: NodeId, name: &str) {
        if let Some((number, inlet)) = self.link_of(node, name) {
            inlet.link(LinkEvent::Writable(number));
        }
    }

    /// Tells each protocol the round-trip times of its links.
    pub fn tell_rtts(&self) {
        let Some(net) = self.net.get() else { return };
        let links: Vec<_> =
            self.links.state().links.iter().map(|(number, link)| (*number, link.clone())).collect();
        for (link, Link { node, inlet, .. }) in links {
            if let Some(rtt) = net.rtt(node) {
                let rtt = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX);
                inlet.link(LinkEvent::Rtt { link, rtt });
            }
        }
    }

    /// A protocol asks for a link.
    pub fn link_connect(&self, protocol: &Inlet, node: NodeId) {
        let mut state = self.links.state();
        let own = state.protocols.iter().find(|(_, inlet)| inlet.owner() == protocol.owner());
        let Some(name) = own.map(|(name, _)| name.clone()) else { return };
        let Some(link) = state.number(node, &name) else { return };
        drop(state);
        let asked = self.net.get().is_some_and(|net| net.link_open(node, &name).is_ok());
        if !asked {
            self.links.state().remove(node, &name);
            let reason = Reason::Unreachable;
            self.must(protocol, LinkEvent::Down { link, node, reason });
        }
    }

    /// A protocol closes a link.
    pub fn link_disconnect(&self, protocol: ActorId, number: u32) {
        let mut state = self.links.state();
        let Some(link) = state.own(number, protocol).cloned() else { return };
        state.remove(link.node, &link.name);
        drop(state);
        self.close_link(&link, Reason::Stopped);
    }

    /// A protocol sends on a link.
    pub fn link_send(&self, protocol: ActorId, number: u32, class: u8, body: &[u8]) {
        let Some(link) = self.links.state().own(number, protocol).cloned() else { return };
        let Some(net) = self.net.get() else { return };
        match net.link_send(link.node, &link.name, class, body) {
            // Not open any more: its `down` is on the way.
            Ok(()) | Err(crate::net::Unsent::Unreachable) => {}
            Err(unsent) => {
                tracing::warn!("link {} with {} is closed: {unsent}", link.name, link.node);
                self.close_link(&link, Reason::MailboxFull);
                self.link_closed(link.node, &link.name, Reason::MailboxFull);
            }
        }
    }

    /// Bytes that a link of an actor takes now in one class.
    pub fn link_room(&self, protocol: ActorId, number: u32, class: u8) -> usize {
        let link = self.links.state().own(number, protocol).cloned();
        let room = |link: Link| self.net.get()?.link_room(link.node, &link.name, class).ok();
        link.and_then(room).unwrap_or(0)
    }

    fn link_of(&self, node: NodeId, name: &str) -> Option<(u32, Inlet)> {
        let state = self.links.state();
        let number = *state.numbers.get(&(node, name.to_string()))?;
        Some((number, state.links.get(&number)?.inlet.clone()))
    }

    fn close_link(&self, link: &Link, reason: Reason) {
        if let Some(net) = self.net.get() {
            net.link_close(link.node, &link.name, reason);
        }
    }

    /// Ups and downs are few, and a protocol that missed one would be lost: they always go in.
    fn must(&self, protocol: &Inlet, event: LinkEvent) {
        protocol.signal(crate::mailbox::Message::Link(event));
    }
}
