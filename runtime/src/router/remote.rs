//! Letters to and from other nodes: which node, which lane, and what became of each.

use std::hash::BuildHasher;

use super::Router;
use crate::address::{ActorId, Address, IdHash, NodeId};
use crate::mailbox::{Inlet, Letter, Message, Place, Question, Reply};
use crate::net::{Net, Outcome, Settled, Unsent, wire};
use crate::reason::Reason;

/// Marks the key of a question; below it is a place, or a letter's token.
const QUESTION: u128 = 1 << 64;

/// What to do when a letter on its way to another node is settled.
pub(super) enum Ticket {
    Letter { sender: Inlet, token: u64 },
    Question(Question),
    Administrator(ActorId),
}

/// Stands for all administrators: their tickets are known by their reply id.
#[derive(Clone, PartialEq)]
struct Administrators;

impl Router {
    /// Letters from another node; gives what became of each.
    pub fn arrive(&self, letters: Vec<wire::Letter>) -> impl Iterator<Item = Outcome> {
        letters.into_iter().map(|letter| {
            let wire::Letter { to, body, carried, reply } = letter;
            self.post(to, Letter { body, carried, reply: reply.map(Box::new).map(Reply::There) })
        })
    }

    /// Letters to another node were taken, or not.
    pub fn settled(&self, Settled { owner, letters }: Settled) {
        let Some(sender) = owner.downcast_ref::<Inlet>() else {
            for (id, outcome) in letters {
                if let Err(reason) = outcome {
                    self.answer(ActorId(id.to_be_bytes()), Err(reason));
                }
            }
            return;
        };
        for (key, outcome) in letters {
            match (key & QUESTION != 0, outcome) {
                (false, Ok(())) => sender.mailbox().unreserve(),
                (false, Err(reason)) => {
                    sender.notify(Message::Undelivered { token: key as u64, reason });
                }
                // The answer will settle it.
                (true, Ok(())) => {}
                (true, Err(reason)) => {
                    let place = Place { at: (key >> 32) as u32, generation: key as u32 };
                    // An asker that is gone has nobody to tell.
                    let _ = Question { asker: sender.clone(), place }.answer(Err(reason));
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
        ticket: Ticket,
    ) -> Result<(), Reason> {
        let net = self.net.get().ok_or(Reason::Unreachable)?;
        let Letter { body, carried, reply } = letter;
        let reply = reply.map(|reply| match reply {
            Reply::Here(question) => self.make_known(&question),
            Reply::There(address) => *address,
        });
        let letter = wire::Letter { to, body, carried, reply };
        let lane = lane_of(from);
        let sent: Result<(), Unsent> = match ticket {
            Ticket::Letter { sender, token } => {
                // Its notice holds a place until the other node has settled it.
                sender.mailbox().reserve();
                net.queue(node, lane, &letter, &sender, u128::from(token)).inspect_err(|_| {
                    sender.mailbox().unreserve();
                })
            }
            Ticket::Question(Question { asker, place }) => {
                let place = u128::from(place.at) << 32 | u128::from(place.generation);
                net.queue(node, lane, &letter, &asker, QUESTION | place)
            }
            Ticket::Administrator(id) => {
                let key = u128::from_be_bytes(id.0);
                net.queue(node, lane, &letter, &Administrators, key).inspect(|()| net.flush())
            }
        };
        Ok(sent?)
    }

    /// Has the letters sent so far leave for other nodes.
    pub fn flush(&self) {
        if let Some(net) = self.net.get() {
            net.flush();
        }
    }

    /// The way to other nodes, if there is one.
    pub fn net(&self) -> Option<&Net> {
        self.net.get()
    }

    /// The other node where an address was last seen.
    pub(super) fn elsewhere(&self, address: &Address) -> Option<NodeId> {
        address.hints.first().filter(|node| *node != self.me)
    }
}

/// All letters of one sender keep to one lane, so that each of its pairs is ordered, answers to
/// questions included. A lane stalls only if the whole node it leads to does.
fn lane_of(sender: ActorId) -> u64 {
    IdHash::default().hash_one(sender)
}
