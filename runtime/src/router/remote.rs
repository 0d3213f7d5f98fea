//! Letters to and from other nodes: which node, which lane, and what became of each.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::Router;
use crate::address::{ActorId, Address, NodeId};
use crate::mailbox::{Inlet, Letter, Message, Reply};
use crate::net::{Outcome, Settled, Ticket, wire};
use crate::reason::Reason;

impl Router {
    /// Letters from another node; gives what became of each.
    pub fn arrive(&self, letters: Vec<wire::Letter>) -> impl Iterator<Item = Outcome> {
        letters.into_iter().map(|letter| {
            let wire::Letter { to, body, carried, reply } = letter;
            self.post(to, Letter { body, carried, reply: reply.map(Reply::There) })
        })
    }

    /// Letters to another node were taken, or not.
    pub fn settled(&self, Settled { owner, letters }: Settled) {
        match owner.map(|owner| owner.downcast::<Inlet>()) {
            Some(Ok(sender)) => {
                for (token, outcome) in letters {
                    match outcome {
                        Ok(()) => sender.mailbox().unreserve(),
                        Err(reason) => {
                            let token = token as u64;
                            sender.notify(Message::Undelivered { token, reason });
                        }
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

    /// Queues a letter for another node; once it is, it will be settled.
    pub(super) fn send_away(
        &self,
        node: NodeId,
        from: ActorId,
        to: ActorId,
        letter: Letter,
        sender: Option<(&Inlet, u64)>,
    ) -> Result<(), Reason> {
        let net = self.net.get().ok_or(Reason::Unreachable)?;
        let Letter { body, carried, reply } = letter;
        let reply = reply.map(|reply| match reply {
            Reply::Here(question) => self.make_known(&question),
            Reply::There(address) => address,
        });
        let ticket = match (sender, &reply) {
            (Some((sender, token)), _) => {
                // Its notice holds a place until the other node has settled it.
                sender.mailbox().reserve();
                Ticket { owner: Some(sender.shared()), key: u128::from(token) }
            }
            (None, Some(reply)) => Ticket { owner: None, key: u128::from_be_bytes(reply.id.0) },
            // Nobody is to be told.
            (None, None) => Ticket { owner: None, key: 0 },
        };
        let letter = wire::Letter { to, body, carried, reply };
        net.send(node, lane_of(from), &letter, ticket).map_err(|unsent| {
            if let Some((sender, _)) = sender {
                sender.mailbox().unreserve();
            }
            unsent.into()
        })
    }

    /// The other node where an address was last seen.
    pub(super) fn elsewhere(&self, address: &Address) -> Option<NodeId> {
        address.hints.first().filter(|node| *node != self.me)
    }
}

/// All letters of one sender keep to one lane, so that each of its pairs is ordered, answers to
/// questions included. A lane stalls only if the whole node it leads to does.
fn lane_of(sender: ActorId) -> u64 {
    let mut hasher = DefaultHasher::new();
    sender.hash(&mut hasher);
    hasher.finish()
}
