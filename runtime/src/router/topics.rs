//! Who on this node gets what is published on a topic.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Router;
use crate::address::{ActorId, TopicId};
use crate::mailbox::{Inlet, Letter, LinkEvent};

/// Subscribers of topics, and the protocols that carry publications to other nodes.
#[derive(Default)]
pub(super) struct Topics {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    subscribers: BTreeMap<TopicId, Vec<Inlet>>,
    protocols: Vec<Inlet>,
}

impl Topics {
    pub(super) fn forget_protocol(&self, protocol: ActorId) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.protocols.retain(|inlet| inlet.owner() != protocol);
    }

    pub(super) fn subscribers(&self, topic: TopicId) -> Vec<Inlet> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.subscribers.get(&topic).cloned().unwrap_or_default()
    }

    fn is_carried(&self) -> bool {
        !self.state.read().unwrap_or_else(PoisonError::into_inner).protocols.is_empty()
    }

    pub(super) fn protocols(&self) -> Vec<Inlet> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).protocols.clone()
    }
}

impl Router {
    /// An actor wants what is published on a topic.
    pub fn subscribe(&self, topic: TopicId, inlet: Inlet) {
        let mut state = self.topics.state.write().unwrap_or_else(PoisonError::into_inner);
        let inlets = state.subscribers.entry(topic).or_default();
        if inlets.iter().all(|known| known.owner() != inlet.owner()) {
            inlets.push(inlet);
        }
    }

    /// An actor wants nothing of that topic any more.
    pub fn unsubscribe(&self, topic: TopicId, actor: ActorId) {
        let mut state = self.topics.state.write().unwrap_or_else(PoisonError::into_inner);
        let Some(inlets) = state.subscribers.get_mut(&topic) else { return };
        inlets.retain(|inlet| inlet.owner() != actor);
        if inlets.is_empty() {
            state.subscribers.remove(&topic);
        }
    }

    /// A protocol carries publications to other nodes.
    pub fn carry_topics(&self, protocol: Inlet) {
        let mut state = self.topics.state.write().unwrap_or_else(PoisonError::into_inner);
        state.protocols.push(protocol);
    }

    /// A publication of an actor here: to all other subscribers here, and to the protocols.
    pub fn publish(self: &Arc<Self>, from: ActorId, topic: TopicId, body: Vec<u8>) {
        self.deliver_but(Some(from), topic, &body);
        if self.topics.is_carried() {
            self.spread(topic, body);
        }
    }

    /// Gives a body to the protocols.
    pub(super) fn carry(&self, topic: TopicId, body: &[u8]) {
        for protocol in self.topics.protocols() {
            let event = LinkEvent::Published { topic, body: body.to_vec() };
            if !protocol.link(event) {
                protocol.count_missed();
                tracing::warn!(
                    "a publication on {topic} is not carried on: the protocol's mailbox is full"
                );
            }
        }
    }

    pub(super) fn deliver_but(&self, from: Option<ActorId>, topic: TopicId, body: &[u8]) {
        if let Some(devices) = self.devices.get() {
            devices.published(topic, body);
        }
        for inlet in self.topics.subscribers(topic) {
            if Some(inlet.owner()) == from {
                continue;
            }
            let letter = Letter { body: body.to_vec(), carried: Vec::new(), reply: None };
            if let Err(reason) = inlet.post(letter) {
                inlet.count_missed();
                tracing::warn!("a publication on {topic} missed {}: {reason}", inlet.owner());
            }
        }
    }
}
