//! Letters to and from other nodes: which node, which lane, and what became of each.

use std::hash::BuildHasher;
use std::iter::once;

use super::Router;
use crate::address::{ActorId, Address, IdHash, NodeId};
use crate::mailbox::{Inlet, Letter, Message, Place, Question, Reply};
use crate::net::{Net, Outcome, Sender, Settled, wire};
use crate::reason::Reason;

/// Marks the key of a question; below it is a place, or a letter's token.
const QUESTION: u128 = 1 << 64;

/// Stands for all administrators: their tickets are known by their reply id.
#[derive(Clone, PartialEq)]
struct Administrators;

impl Router {
    /// Letters from another node; gives what became of each.
    pub fn arrive(&self, mut letters: Vec<wire::Letter>) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(letters.len());
        for run in letters.chunk_by_mut(|one, next| one.to == next.to) {
            let local = self.local(run[0].to);
            let came = run.iter_mut().map(|letter| Letter {
                body: std::mem::take(&mut letter.body),
                carried: std::mem::take(&mut letter.carried),
                reply: letter.reply.take().map(Reply::There),
            });
            let brought = self.bring_all(&local, came);
            let taken = brought.map_or_else(|(taken, _)| taken, |()| run.len());
            outcomes.extend(std::iter::repeat_n(Ok(()), taken));
            outcomes
                .extend(std::iter::repeat_n(brought.map_err(|(_, why)| why), run.len() - taken));
        }
        outcomes
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
        let mut delivered = 0;
        for (key, outcome) in letters {
            match (key & QUESTION != 0, outcome) {
                (false, Ok(())) => delivered += 1,
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
        sender.mailbox().unreserve(delivered);
    }

    /// Queues letters for an actor of another node, each of which will be settled.
    pub(super) fn send_away(
        &self,
        node: NodeId,
        to: ActorId,
        sender: &Inlet,
        letters: impl ExactSizeIterator<Item = Letter>,
        mut tokens: &[u64],
    ) {
        // Its notice holds a place until the other node has settled a letter.
        sender.mailbox().reserve(tokens.len());
        let keys = tokens.iter().map(|token| u128::from(*token));
        let leaving = letters.map(|Letter { body, carried, reply: _ }| wire::Letter {
            to,
            body,
            carried,
            reply: None,
        });
        let mut leaving = leaving.zip(keys);
        while let Err((queued, reason)) = self.queue(node, sender.owner(), sender, leaving.by_ref())
        {
            let Some((refused, rest)) = tokens[queued..].split_first() else { return };
            sender.notify(Message::Undelivered { token: *refused, reason });
            tokens = rest;
            // Where there is no connection none was looked at.
            while leaving.len() > tokens.len() {
                leaving.next();
            }
        }
    }

    /// Queues a question for an actor of another node.
    pub(super) fn ask_away(
        &self,
        node: NodeId,
        to: ActorId,
        question: &Question,
        letter: Letter,
    ) -> Result<(), Reason> {
        let Question { asker, place } = question;
        let key = QUESTION | u128::from(place.at) << 32 | u128::from(place.generation);
        let Letter { body, carried, .. } = letter;
        let reply = Some(Box::new(self.make_known(question)));
        let letter = wire::Letter { to, body, carried, reply };
        self.queue(node, asker.owner(), asker, once((letter, key))).map_err(|(_, reason)| reason)
    }

    /// The same for an administrator, who waits under an id.
    pub(super) fn ask_away_as_administrator(
        &self,
        node: NodeId,
        to: ActorId,
        reply: Address,
        body: Vec<u8>,
    ) -> Result<(), Reason> {
        let (from, key) = (reply.id, u128::from_be_bytes(reply.id.0));
        let reply = Some(Box::new(reply));
        let letter = wire::Letter { to, body, carried: Vec::new(), reply };
        let queued = self.queue(node, from, &Administrators, once((letter, key)));
        self.flush();
        queued.map_err(|(_, reason)| reason)
    }

    fn queue(
        &self,
        node: NodeId,
        from: ActorId,
        owner: &impl Sender,
        letters: impl Iterator<Item = (wire::Letter, u128)>,
    ) -> Result<(), (usize, Reason)> {
        let net = self.net.get().ok_or((0, Reason::Unreachable))?;
        let queued = net.queue(node, lane_of(from), owner, letters);
        queued.map_err(|(count, unsent)| (count, unsent.into()))
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
