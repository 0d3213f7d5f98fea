//! Letters to and from other nodes: which node, which lane, and what became of each.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;

use super::Router;
use crate::address::{ActorId, Address, NodeId};
use crate::mailbox::{Letter, Mailbox, Message};
use crate::net::wire;
use crate::reason::Reason;

/// Letters on their way to other nodes.
#[derive(Default)]
pub(super) struct Tickets {
    waiting: DashMap<u64, Ticket>,
    next: AtomicU64,
}

/// What to do when a letter on its way to another node is settled.
pub(super) enum Ticket {
    Letter { sender: Arc<Mailbox>, token: u64 },
    Question(ActorId),
}

impl Router {
    /// A letter from another node.
    pub fn arrive(&self, letter: wire::Letter) -> Result<(), Reason> {
        let wire::Letter { to, body, carried, reply } = letter;
        self.post(to, Letter { body, carried, reply })
    }

    /// A letter to another node was taken, or not.
    pub fn settled(&self, ticket: u64, outcome: Result<(), Reason>) {
        match (self.tickets.waiting.remove(&ticket), outcome) {
            (Some((_, Ticket::Letter { sender, .. })), Ok(())) => sender.unreserve(1),
            (Some((_, Ticket::Letter { sender, token })), Err(reason)) => {
                sender.notify(Message::Undelivered { token, reason });
            }
            (Some((_, Ticket::Question(reply))), Err(reason)) => {
                self.answer(reply, Err(reason));
            }
            (Some((_, Ticket::Question(_))) | None, _) => {}
        }
    }

    /// Queues a letter for another node; once it is, the ticket will be settled.
    pub(super) fn send_away(
        &self,
        node: NodeId,
        from: ActorId,
        to: ActorId,
        letter: Letter,
        ticket: Ticket,
    ) -> Result<(), Reason> {
        let net = self.net.get().ok_or(Reason::Unreachable)?;
        let number = self.tickets.next.fetch_add(1, Ordering::Relaxed);
        self.tickets.waiting.insert(number, ticket);
        let Letter { body, carried, reply } = letter;
        let letter = wire::Letter { to, body, carried, reply };
        net.send(node, lane_of(from), &letter, number).map_err(|unsent| {
            self.tickets.waiting.remove(&number);
            unsent.into()
        })
    }

    /// The other node where an address was last seen.
    pub(super) fn elsewhere(&self, address: &Address) -> Option<NodeId> {
        address.hints.first().copied().filter(|node| *node != self.me)
    }
}

/// All letters of one sender keep to one lane, so that each of its pairs is ordered, answers to
/// questions included. A lane stalls only if the whole node it leads to does.
fn lane_of(sender: ActorId) -> u64 {
    let mut hasher = DefaultHasher::new();
    sender.hash(&mut hasher);
    hasher.finish()
}
