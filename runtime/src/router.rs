//! Where letters go: to a mailbox of this node, to another node, to a topic's subscribers, or back
//! with the reason why not.
//!
//! One call for local and remote. On this node a question carries the place where its asker waits;
//! one that leaves the node carries a fresh id that only its receiver is shown. An answer, or the
//! reason there is none, comes in any case.

pub mod blobs;
pub mod large;
mod links;
mod remote;
mod topics;
mod watch;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::{DashMap, Entry};
use tokio::sync::oneshot;

use crate::address::{ActorId, Address, IdHash, NodeId};
use crate::clock::{Alarm, Clock};
use crate::device::Devices;
use crate::mailbox::{Inlet, Letter, Mail, Mailbox, Message, Place, Question, Reply, Timer, To};
use crate::net::Net;
use crate::reason::Reason;

use large::Large;
use links::Links;
use topics::Topics;
use watch::Watches;

/// What falls due on a node's clock.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// A timer of an actor.
    Tick {
        /// Whose.
        actor: ActorId,
        /// Under which key.
        key: u64,
        /// Which arming of that key.
        generation: u64,
    },
    /// An administrator's question has waited long enough: its reply id.
    Deadline(ActorId),
    /// An actor may have questions that have waited long enough.
    Overdue(ActorId),
    /// An actor's back-off is over.
    Restart(ActorId),
}

/// Routes the letters of one node. Shared by all who send.
pub struct Router {
    me: NodeId,
    clock: Clock<Due>,
    net: OnceLock<Net>,
    devices: OnceLock<Arc<Devices>>,
    inlets: DashMap<ActorId, Inlet, IdHash>,
    /// Who waits for an answer that comes under an id.
    askers: DashMap<ActorId, Asker, IdHash>,
    topics: Topics,
    links: Links,
    large: OnceLock<Arc<Large>>,
    watches: Watches,
}

/// Where letters go.
enum Way {
    Here(Local),
    There(NodeId, ActorId),
}

/// Where letters go on this node.
enum Local {
    Actor(Inlet),
    Asker(Question),
    /// Who waits for an answer under this id, or nobody.
    Other(ActorId),
}

/// Who waits for an answer.
enum Asker {
    Actor(Question),
    Administrator { answer: oneshot::Sender<Result<Letter, Reason>>, alarm: Alarm },
}

impl Router {
    /// A router that knows nobody yet.
    pub fn new(me: NodeId, clock: Clock<Due>) -> Self {
        Self {
            me,
            clock,
            net: OnceLock::new(),
            devices: OnceLock::new(),
            inlets: DashMap::default(),
            askers: DashMap::default(),
            topics: Topics::default(),
            links: Links::default(),
            large: OnceLock::new(),
            watches: Watches::default(),
        }
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The way to other nodes, without which all of them are unreachable; to sensors that are
    /// topics; and to what protocols can't carry.
    pub fn connect(&self, net: Net, devices: Arc<Devices>, large: Arc<Large>) {
        // A second one would be a bug of the node's wiring, and the first stays good.
        let _ = (self.net.set(net), self.devices.set(devices), self.large.set(large));
    }

    /// Makes an actor reachable. What waits for it, if it was expected, is its own.
    pub fn register(&self, inlet: Inlet) {
        match self.inlets.entry(inlet.owner()) {
            Entry::Vacant(place) => drop(place.insert(inlet)),
            Entry::Occupied(mut place) => {
                // Nobody finds either mailbox meanwhile, so that letters stay in their order.
                for mail in place.get().mailbox().close(Reason::NoActor) {
                    if let Mail::Message(message) = mail {
                        inlet.inherit(message);
                    }
                }
                place.insert(inlet);
            }
        }
    }

    /// The way to an actor of this node.
    pub fn find(&self, actor: ActorId) -> Option<Inlet> {
        self.inlets.get(&actor).map(|entry| entry.clone())
    }

    /// The ways to all actors of this node.
    pub fn inlets(&self) -> impl Iterator<Item = Inlet> {
        self.inlets.iter().map(|entry| entry.clone())
    }

    /// An actor is gone for good: nobody reaches it, and whoever watched it is told why. False: it
    /// could not be reached before.
    pub fn remove(&self, actor: ActorId, reason: Reason) -> bool {
        let was_here = self.inlets.remove(&actor).is_some();
        self.watches.note_gone(actor, reason);
        self.tell_watchers(actor, reason);
        was_here
    }

    /// Sends a letter. If it can't be delivered, the sender gets a notice with the token.
    pub fn send(&self, sender: &Inlet, to: To, letter: Letter, token: u64) {
        let brought = match self.way(to) {
            Way::There(node, id) => {
                return self.send_away(node, id, sender, [letter].into_iter(), &[token]);
            }
            Way::Here(local) => self.bring(&local, letter),
        };
        if let Err(reason) = brought {
            undelivered(sender, &[token], reason);
        }
    }

    /// Sends letters to one receiver, in their order; otherwise as [`Router::send`].
    pub fn send_all(
        &self,
        sender: &Inlet,
        to: To,
        letters: impl ExactSizeIterator<Item = Letter>,
        tokens: &[u64],
    ) {
        let local = match self.way(to) {
            Way::There(node, id) => return self.send_away(node, id, sender, letters, tokens),
            Way::Here(local) => local,
        };
        if let Err((taken, reason)) = self.bring_all(&local, letters) {
            undelivered(sender, &tokens[taken..], reason);
        }
    }

    /// Sends a question. What comes of it goes to the asker's place for it.
    pub fn ask(&self, asker: &Inlet, place: Place, to: To, mut letter: Letter) {
        let question = || Question { asker: asker.clone(), place };
        let asked = match self.way(to) {
            Way::There(node, id) => self.ask_away(node, id, &question(), letter),
            Way::Here(local) => {
                letter.reply = Some(Reply::Here(question()));
                self.bring(&local, letter)
            }
        };
        if let Err(reason) = asked {
            // An asker that is gone has nobody to tell.
            let _ = question().answer(Err(reason));
        }
    }

    /// An administrator's question; the answer comes through the receiver.
    pub fn ask_as_administrator(
        &self,
        to: &Address,
        body: Vec<u8>,
        deadline: Duration,
    ) -> oneshot::Receiver<Result<Letter, Reason>> {
        let (answer, receiver) = oneshot::channel();
        let id = ActorId::random();
        let reply = Address::new(id, self.me);
        // The entry is held meanwhile: a deadline that is over at once still finds its question.
        self.askers.entry(id).or_insert_with(|| {
            let alarm = self.clock.arm(deadline, Due::Deadline(id));
            Asker::Administrator { answer, alarm }
        });
        let to = To::Actor(Box::new(to.clone()));
        let asked = match self.way(to) {
            Way::There(node, to) => self.ask_away_as_administrator(node, to, reply, body),
            Way::Here(local) => {
                let reply = Some(Reply::There(Box::new(reply)));
                self.bring(&local, Letter { body, carried: Vec::new(), reply })
            }
        };
        if let Err(reason) = asked {
            self.answer(id, Err(reason));
        }
        receiver
    }

    /// What came of a question, by its reply id; false if nobody waits for it.
    pub fn answer(&self, reply: ActorId, outcome: Result<Letter, Reason>) -> bool {
        match self.askers.remove(&reply) {
            Some((_, Asker::Actor(question))) => question.answer(outcome).is_ok(),
            Some((_, Asker::Administrator { answer, alarm })) => {
                self.clock.cancel(alarm);
                // An administrator who went away no longer wants to know.
                answer.send(outcome).is_ok()
            }
            None => false,
        }
    }

    /// The address under which other nodes, or other actors, answer a question.
    pub fn make_known(&self, question: &Question) -> Address {
        let id = ActorId::random();
        self.askers.insert(id, Asker::Actor(question.clone()));
        question.asker.mailbox().make_known(question.place, id);
        Address::new(id, self.me)
    }

    /// Questions that no longer wait are not known under their ids any more.
    pub fn forget_known(&self, ids: Vec<ActorId>) {
        for id in ids {
            self.askers.remove(&id);
        }
    }

    /// A reply address died unused: whoever asked is told so.
    pub fn unanswered(&self, reply: &Reply, reason: Reason) {
        let address = match reply {
            Reply::Here(question) => {
                // An asker that is gone has nobody to tell.
                let _ = question.answer(Err(reason));
                return;
            }
            Reply::There(address) => address,
        };
        if !self.answer(address.id, Err(reason))
            && let Some(node) = self.elsewhere(address)
            && let Some(net) = self.net.get()
        {
            // Without a connection the asker's own node has told it already.
            let _ = net.unanswered(node, address.id, reason);
        }
    }

    /// A timer of an actor is due.
    pub fn tick(&self, actor: ActorId, key: u64, generation: u64) {
        let Some(inlet) = self.find(actor) else { return };
        if let Some(next) = inlet.tick(key, generation) {
            self.wind(inlet.mailbox(), key, generation, next);
        }
    }

    /// Arms a timer of an actor.
    pub fn arm(&self, mailbox: &Mailbox, key: u64, timer: Timer) {
        let after = timer.after;
        let (generation, void) = mailbox.arm(key, timer);
        void.into_iter().for_each(|alarm| self.clock.cancel(alarm));
        self.wind(mailbox, key, generation, after);
    }

    /// Disarms a timer of an actor.
    pub fn disarm(&self, mailbox: &Mailbox, key: u64) {
        mailbox.disarm(key).into_iter().for_each(|alarm| self.clock.cancel(alarm));
    }

    fn wind(&self, mailbox: &Mailbox, key: u64, generation: u64, after: Duration) {
        let actor = mailbox.owner();
        let alarm = self.clock.arm(after, Due::Tick { actor, key, generation });
        if !mailbox.set_alarm(key, generation, alarm) {
            self.clock.cancel(alarm);
        }
    }

    /// Where letters go now. An actor is here if it is, whatever its address says.
    #[inline]
    fn way(&self, to: To) -> Way {
        let address = match to {
            To::Reply(Reply::Here(question)) => return Way::Here(Local::Asker(question)),
            To::Here(inlet) if inlet.mailbox().closed().is_none() => {
                return Way::Here(Local::Actor(inlet));
            }
            // It may live again, in another mailbox under the same id.
            To::Here(inlet) => return Way::Here(self.local(inlet.owner())),
            To::Actor(address) | To::Reply(Reply::There(address)) => address,
        };
        match self.elsewhere(&address) {
            Some(node) if !self.inlets.contains_key(&address.id) => Way::There(node, address.id),
            _ => Way::Here(self.local(address.id)),
        }
    }

    fn local(&self, id: ActorId) -> Local {
        self.find(id).map_or(Local::Other(id), Local::Actor)
    }

    /// Gives a letter to whom it is for, or the reason why it can't be given.
    #[inline]
    fn bring(&self, local: &Local, letter: Letter) -> Result<(), Reason> {
        match local {
            Local::Actor(inlet) => inlet.post(letter),
            Local::Asker(question) => question.answer(Ok(letter)),
            Local::Other(id) if self.answer(*id, Ok(letter)) => Ok(()),
            Local::Other(id) => Err(self.watches.why_gone(*id)),
        }
    }

    /// The same for several. The error says how many were given before the reason came up.
    fn bring_all(
        &self,
        local: &Local,
        mut letters: impl ExactSizeIterator<Item = Letter>,
    ) -> Result<(), (usize, Reason)> {
        match local {
            Local::Actor(inlet) if letters.len() > 1 => inlet.post_all(letters),
            _ => (0..letters.len()).zip(&mut letters).try_for_each(|(at, letter)| {
                self.bring(local, letter).map_err(|reason| (at, reason))
            }),
        }
    }
}

/// Tells the sender of letters that never left its node.
fn undelivered(sender: &Inlet, tokens: &[u64], reason: Reason) {
    sender.mailbox().reserve(tokens.len());
    for token in tokens {
        sender.notify(Message::Undelivered { token: *token, reason });
    }
}
