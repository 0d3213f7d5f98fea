//! Letters to and from other nodes: which node, which lane, and what became of each.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Router;
use crate::address::{ActorId, Address, NodeId};
use crate::mailbox::{Letter, Mailbox, Message};
use crate::net::{Outcome, Settled, Ticket, wire};
use crate::reason::Reason;

impl Router {
    /// Letters from another node; gives what became of each.
    pub fn arrive(&self, letters: Vec<wire::Letter>) -> impl Iterator<Item = Outcome> {
        letters.into_iter().map(|letter| {
            let wire::Letter { to, body, carried, reply } = letter;
            self.post(to, Letter { body, carried, reply })
        })
    }

    /// Letters to another node were taken, or not.
    pub fn settled(&self, Settled { owner, letters }: Settled) {
        match owner.map(|owner| owner.downcast::<Mailbox>()) {
            Some(Ok(sender)) => {
                let taken = letters.iter().filter(|(_, outcome)| outcome.is_ok()).count();
                sender.unreserve(taken);
                for (token, outcome) in letters {
                    if let Err(reason) = outcome {
                        sender.notify(Message::Undelivered { token: token as u64, reason });
                    }
                }
            }
            // Questions: the answer settles those that were taken.
            _ => {
                for (reply, outcome) in letters {
                    if let Err(reason) = outcome {
                        self.answer(ActorId(reply.to_be_bytes()), Err(reason));
                    }
                }
            }
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
        let Letter { body, carried, reply } = letter;
        let letter = wire::Letter { to, body, carried, reply };
        Ok(net.send(node, lane_of(from), &letter, ticket)?)
    }

    /// The other node where an address was last seen.
    pub(super) fn elsewhere(&self, address: &Address) -> Option<NodeId> {
        address.hints.first().copied().filter(|node| *node != self.me)
    }
}

/// The ticket of a letter: its sender has a place for the notice.
pub(super) fn letter(sender: &Arc<Mailbox>, token: u64) -> Ticket {
    Ticket { owner: Some(sender.clone()), key: u128::from(token) }
}

/// The ticket of a question.
pub(super) fn question(reply: ActorId) -> Ticket {
    Ticket { owner: None, key: u128::from_be_bytes(reply.0) }
}

/// All letters of one sender keep to one lane, so that each of its pairs is ordered, answers to
/// questions included. A lane stalls only if the whole node it leads to does.
fn lane_of(sender: ActorId) -> u64 {
    let mut hasher = DefaultHasher::new();
    sender.hash(&mut hasher);
    hasher.finish()
}
