//! Where letters go: to a mailbox of this node, to another node, to a topic's subscribers, or back
//! with the reason why not.
//!
//! One call for local and remote. A question's reply address is a fresh id that only its receiver
//! is shown; its answer, or the reason there is none, comes in any case.

mod links;
mod remote;
mod topics;
mod watch;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::oneshot;

use crate::address::{ActorId, Address, NodeId};
use crate::clock::{Alarm, Clock};
use crate::mailbox::{Letter, Mailbox, Message, Timer};
use crate::net::{Net, Ticket};
use crate::reason::Reason;

use links::Links;
use topics::Topics;
use watch::Watches;

/// Stopped actors whose reason is remembered, so that `stopped` can be told from `no-actor`.
const REMEMBERED: usize = 1024;

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
    /// A question has waited long enough: its reply id.
    Deadline(ActorId),
    /// An actor's back-off is over.
    Restart(ActorId),
}

/// Routes the letters of one node. Shared by all who send.
pub struct Router {
    me: NodeId,
    clock: Clock<Due>,
    net: OnceLock<Net>,
    mailboxes: DashMap<ActorId, Arc<Mailbox>>,
    gone: DashMap<ActorId, Reason>,
    questions: DashMap<ActorId, Question>,
    topics: Topics,
    links: Links,
    watches: Watches,
}

/// A question without an answer yet.
struct Question {
    asker: Asker,
    alarm: Alarm,
}

/// Who waits for an answer.
enum Asker {
    Actor { mailbox: Arc<Mailbox>, token: u64 },
    Administrator(oneshot::Sender<Result<Letter, Reason>>),
}

impl Router {
    /// A router that knows nobody yet.
    pub fn new(me: NodeId, clock: Clock<Due>) -> Self {
        Self {
            me,
            clock,
            net: OnceLock::new(),
            mailboxes: DashMap::new(),
            gone: DashMap::new(),
            questions: DashMap::new(),
            topics: Topics::default(),
            links: Links::default(),
            watches: Watches::default(),
        }
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The way to other nodes; without one, all of them are unreachable.
    pub fn connect(&self, net: Net) {
        // A second one would be a bug of the node's wiring, and the first stays good.
        let _ = self.net.set(net);
    }

    /// Makes an actor reachable.
    pub fn register(&self, mailbox: Arc<Mailbox>) {
        self.gone.remove(&mailbox.owner());
        self.mailboxes.insert(mailbox.owner(), mailbox);
    }

    /// An actor is gone for good: nobody reaches it, and whoever watched it is told why.
    pub fn remove(&self, actor: ActorId, reason: Reason) {
        let mailbox = self.mailboxes.remove(&actor).map(|(_, mailbox)| mailbox);
        // Nobody waits for the answers any more.
        if mailbox.is_some_and(|mailbox| mailbox.reserved() > 0) {
            self.questions.retain(|_, question| match &question.asker {
                Asker::Actor { mailbox, .. } if mailbox.owner() == actor => {
                    self.clock.cancel(question.alarm);
                    false
                }
                _ => true,
            });
        }
        self.topics.forget(actor);
        self.close_links(actor);
        if self.gone.len() >= REMEMBERED {
            let oldest = self.gone.iter().next().map(|entry| *entry.key());
            oldest.map(|actor| self.gone.remove(&actor));
        }
        self.gone.insert(actor, reason);
        self.tell_watchers(actor, reason);
    }

    /// Sends a letter; the sender's reserved place is given back or holds the notice.
    pub fn send(&self, sender: &Arc<Mailbox>, to: &Address, letter: Letter, token: u64) {
        let ticket = || remote::letter(sender, token);
        match self.dispatch(sender.owner(), to, letter, ticket) {
            Some(Ok(())) => sender.unreserve(1),
            Some(Err(reason)) => sender.notify(Message::Undelivered { token, reason }),
            None => {}
        }
    }

    /// Sends a question; the sender's reserved place is for the answer.
    pub fn ask(
        &self,
        sender: &Arc<Mailbox>,
        to: &Address,
        letter: Letter,
        token: u64,
        deadline: Duration,
    ) {
        let asker = Asker::Actor { mailbox: sender.clone(), token };
        self.question(sender.owner(), asker, to, letter, deadline);
    }

    /// An administrator's question; the answer comes through the receiver.
    pub fn ask_as_administrator(
        &self,
        to: &Address,
        body: Vec<u8>,
        deadline: Duration,
    ) -> oneshot::Receiver<Result<Letter, Reason>> {
        let (answer, receiver) = oneshot::channel();
        let letter = Letter { body, carried: Vec::new(), reply: None };
        let asker = Asker::Administrator(answer);
        self.question(ActorId::random(), asker, to, letter, deadline);
        receiver
    }

    /// A letter for an actor, or a reply id, of this node.
    pub fn post(&self, to: ActorId, letter: Letter) -> Result<(), Reason> {
        if let Some(mailbox) = self.mailboxes.get(&to).map(|entry| entry.clone()) {
            return mailbox.post(letter);
        }
        if self.answer(to, Ok(letter)) {
            return Ok(());
        }
        Err(self.gone.get(&to).map_or(Reason::NoActor, |reason| *reason))
    }

    /// What came of a question, by its reply id; false if nobody waits for it.
    pub fn answer(&self, reply: ActorId, outcome: Result<Letter, Reason>) -> bool {
        let Some((_, Question { asker, alarm })) = self.questions.remove(&reply) else {
            return false;
        };
        self.clock.cancel(alarm);
        match asker {
            Asker::Actor { mailbox, token } => {
                mailbox.notify(Message::Answer { token, outcome });
                true
            }
            // An administrator who went away no longer wants to know.
            Asker::Administrator(answer) => answer.send(outcome).is_ok(),
        }
    }

    /// A reply address died unused: whoever asked is told so.
    pub fn unanswered(&self, reply: &Address, reason: Reason) {
        if !self.answer(reply.id, Err(reason))
            && let Some(node) = self.elsewhere(reply)
            && let Some(net) = self.net.get()
        {
            // Without a connection the asker's own node has told it already.
            let _ = net.unanswered(node, reply.id, reason);
        }
    }

    /// A timer of an actor is due.
    pub fn tick(&self, actor: ActorId, key: u64, generation: u64) {
        let Some(mailbox) = self.mailboxes.get(&actor).map(|entry| entry.clone()) else { return };
        if let Some(next) = mailbox.tick(key, generation) {
            self.wind(&mailbox, key, generation, next);
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

    fn question(
        &self,
        from: ActorId,
        asker: Asker,
        to: &Address,
        mut letter: Letter,
        deadline: Duration,
    ) {
        let reply = ActorId::random();
        letter.reply = Some(Address::new(reply, self.me));
        // The entry is held meanwhile: a deadline that is over at once still finds its question.
        self.questions.entry(reply).or_insert_with(|| {
            let alarm = self.clock.arm(deadline, Due::Deadline(reply));
            Question { asker, alarm }
        });
        if let Some(Err(reason)) = self.dispatch(from, to, letter, || remote::question(reply)) {
            self.answer(reply, Err(reason));
        }
    }

    /// `None`: on its way to another node, and the ticket will be settled.
    fn dispatch(
        &self,
        from: ActorId,
        to: &Address,
        letter: Letter,
        ticket: impl FnOnce() -> Ticket,
    ) -> Option<Result<(), Reason>> {
        let node = match self.elsewhere(to) {
            Some(node) if !self.mailboxes.contains_key(&to.id) => node,
            _ => return Some(self.post(to.id, letter)),
        };
        self.send_away(node, from, to.id, letter, ticket()).err().map(Err)
    }
}
