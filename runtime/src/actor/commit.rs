//! How a turn's effects leave: durable writes first, in one transaction, then everything else.
//!
//! Commits of several actors share one flush. A worker never waits for the disk: the actor rests
//! with the committer until its writes are safe, and only then do its letters leave.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::{Actor, Body, Phase, Scheduler, lock};
use crate::device::PinId;
use crate::mailbox::{Letter, Message};
use crate::reason::Reason;
use crate::store::state::Commit;
use crate::wasm::effects::{Effects, LinkEffect, Outgoing};

/// Activations that share one flush.
const GROUP: usize = 256;

/// Between two tries to commit to a disk that refuses.
const DISK_PATIENCE: Duration = Duration::from_secs(1);

/// An activation that waits for the disk.
pub(super) struct Committing {
    actor: Arc<Actor>,
    effects: Effects,
    messages: Vec<Message>,
}

impl Scheduler {
    /// Ends an activation that went well.
    pub(super) fn commit(
        &self,
        actor: &Arc<Actor>,
        body: &mut Body,
        effects: Effects,
        messages: Vec<Message>,
    ) {
        if effects.writes.is_empty() {
            let handled = messages.len();
            self.release(actor, effects, handled);
            return self.rest(actor);
        }
        body.phase = Phase::Committing;
        let committing = Committing { actor: actor.clone(), effects, messages };
        let sender = lock(&self.committing).clone();
        // The channel has room for every actor there can be, and each is in it once.
        let unsent = match sender {
            Some(sender) => sender.send(committing).err().map(|error| error.0),
            None => Some(committing),
        };
        if let Some(committing) = unsent {
            self.not_committed(actor, body, committing, "the node is stopping");
        }
    }

    /// The disk refused. That is no fault of the actor or its messages: they wait until it takes
    /// them, and the reason shows.
    fn not_committed(&self, actor: &Arc<Actor>, body: &mut Body, lost: Committing, why: &str) {
        self.undo(actor, &lost.effects);
        self.drop_instance(body, &lost.messages, Reason::NoAnswer);
        actor.mailbox.put_back(lost.messages);
        body.stored = None;
        for pin in actor.pins() {
            self.make_safe(actor, pin);
        }
        self.stop_children(actor);
        actor.journal.write(format!("not committed, to be tried again: {why}"));
        actor.note(|status| {
            status.last_failure = Some(why.into());
            status.state = "backing-off".into();
        });
        self.back_off(actor, body, self.clock.now() + DISK_PATIENCE);
    }

    /// Lets a committed activation's effects out into the world.
    fn release(&self, actor: &Arc<Actor>, effects: Effects, handled: usize) {
        actor.note(|status| {
            status.handled += handled as u64;
            status.stored = effects.stored;
        });
        for (pin, high) in effects.drives {
            if let Err(error) = self.devices.drive(PinId(pin), high) {
                actor.journal.write(error.to_string());
            }
        }
        for line in effects.log {
            actor.journal.write(line);
        }
        for change in effects.family {
            self.change_family(actor, change);
        }
        for letter in effects.letters {
            self.dispatch(actor, letter);
        }
        for reply in effects.dead {
            self.router.unanswered(&reply, Reason::NoAnswer);
        }
        for (key, timer) in effects.timers {
            match timer {
                Some(timer) => self.router.arm(&actor.mailbox, key, timer),
                None => self.router.disarm(&actor.mailbox, key),
            }
        }
        for effect in effects.links {
            self.drive_link(actor, effect);
        }
    }

    fn drive_link(&self, actor: &Actor, effect: LinkEffect) {
        match effect {
            LinkEffect::Connect(node) => self.router.link_connect(&actor.mailbox, node),
            LinkEffect::Disconnect(link) => self.router.link_disconnect(actor.id, link),
            LinkEffect::Transmit { link, class, body } => {
                self.router.link_send(actor.id, link, class, &body);
            }
            LinkEffect::Deliver { topic, body } => self.router.deliver(topic, &body),
        }
    }

    fn dispatch(&self, actor: &Actor, letter: Outgoing) {
        match letter {
            Outgoing::Send { to, body, carried, token } => {
                let letter = Letter { body, carried, reply: None };
                self.router.send(&actor.mailbox, &to, letter, token);
            }
            Outgoing::Ask { to, body, carried, token, deadline } => {
                let letter = Letter { body, carried, reply: None };
                let deadline = Duration::from_nanos(deadline);
                self.router.ask(&actor.mailbox, &to, letter, token, deadline);
            }
            Outgoing::Publish { topic, body } => self.router.publish(actor.id, topic, body),
        }
    }
}

/// The committer's thread.
pub(super) fn run_committer(scheduler: &Scheduler, commits: &Receiver<Committing>) {
    while let Ok(first) = commits.recv() {
        let mut group = vec![first];
        group.extend(commits.try_iter().take(GROUP - 1));
        let mut commit = Commit::default();
        for committing in &group {
            let id = committing.actor.id;
            for (key, value) in &committing.effects.writes {
                commit.value(id, key, value.clone());
            }
        }
        let outcome = scheduler.state.commit(commit);
        for committing in group {
            let actor = committing.actor.clone();
            let mut body = lock(&actor.body);
            match &outcome {
                Ok(()) => {
                    body.phase = Phase::Ready;
                    body.stored = Some(committing.effects.stored);
                    let handled = committing.messages.len();
                    scheduler.release(&actor, committing.effects, handled);
                    scheduler.rest(&actor);
                }
                Err(error) => {
                    scheduler.not_committed(&actor, &mut body, committing, &error.to_string());
                }
            }
        }
    }
}
