//! For protocols: links to other nodes, and the local ends of topics. An actor that was not
//! granted links finds them `Denied`.

use super::Context;
use crate::{Class, NodeId, Refusal, TopicId};

impl<A> Context<'_, A> {
    /// Asks for a link to a node: `Up` or `Down` comes. Asking twice is asking once.
    pub fn connect(&mut self, node: NodeId) -> Result<(), Refusal> {
        self.host.links().ok_or(Refusal::Denied)?.connect(&node.0)
    }

    /// Closes a link.
    pub fn disconnect(&mut self, link: u32) -> Result<(), Refusal> {
        self.host.links().ok_or(Refusal::Denied)?.disconnect(link)
    }

    /// Sends bytes on a link, in order. `OverLimit`: its queue is full, wait for `Writable`.
    pub fn transmit(&mut self, link: u32, class: Class, body: &[u8]) -> Result<(), Refusal> {
        self.host.links().ok_or(Refusal::Denied)?.transmit(link, class, body)
    }

    /// Gives a topic's body to this node's subscribers.
    pub fn deliver(&mut self, topic: TopicId, body: &[u8]) -> Result<(), Refusal> {
        self.host.links().ok_or(Refusal::Denied)?.deliver(&topic.0, body)
    }
}
