//! How a turn's effects leave: durable writes first, in one transaction, then everything else.
//!
//! Commits of several actors share one flush. A worker never waits for the disk: the actor rests
//! with the committer until its writes are safe, and only then do its letters leave.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use super::asks::Asks;
use super::status::Doing;
use super::{Actor, Body, Phase, Scheduler, lock};
use crate::device::PinId;
use crate::mailbox::{Inlet, Letter, Message};
use crate::reason::Reason;
use crate::store::state::Commit;
use crate::wasm::effects::{Effects, LinkEffect, Run, Way};

/// Activations that share one flush.
const GROUP: usize = 256;

/// Between two tries to commit to a disk that refuses.
const DISK_PATIENCE: Duration = Duration::from_secs(1);

/// An activation that waits for the disk.
pub(super) struct Committing {
    actor: Arc<Actor>,
    effects: Box<Effects>,
    messages: Vec<Message>,
}

impl Scheduler {
    /// Ends an activation of the first `count` messages that went well.
    pub(super) fn commit(&self, actor: &Arc<Actor>, body: &mut Body, count: usize, now: Duration) {
        let Body { instance, asks, .. } = body;
        let Some(instance) = instance else { return };
        let effects = instance.take_effects();
        if effects.writes.is_empty() {
            self.release(actor, instance.turn().inlet(), asks, effects, count, now);
            body.inbox.done(count);
            return self.rest(actor, body);
        }
        body.phase = Phase::Committing;
        let messages = body.inbox.drain(count).collect();
        let committing = Committing { actor: actor.clone(), effects, messages };
        let sender = lock(&self.committing).clone();
        // Each actor is in it once: the channel is bounded by how many there can be.
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
        let watched = lost.effects.family.iter().filter(|change| change.watches()).count();
        actor.mailbox.unwatch(watched);
        actor.mailbox.put_back(&lost.messages);
        let again = lost.messages.len();
        body.inbox.put_back(lost.messages);
        self.drop_instance(actor, body, again, Reason::NoAnswer);
        let replies = lost.effects.replies();
        self.not_answered(replies, body.inbox.first(again), Reason::NoAnswer);
        actor.count_stored_again();
        for pin in actor.pins() {
            self.make_safe(actor, pin);
        }
        self.stop_children(actor);
        actor.journal().write(format!("not committed, to be tried again: {why}"));
        actor.note_failure(why);
        actor.does(Doing::BackingOff);
        let now = self.clock.now();
        self.back_off(actor, body, now + DISK_PATIENCE, now);
    }

    /// Lets a committed activation's effects out into the world; `inlet` is the actor's own.
    fn release(
        &self,
        actor: &Arc<Actor>,
        inlet: &Inlet,
        asks: &mut Asks,
        mut effects: Box<Effects>,
        handled: usize,
        now: Duration,
    ) {
        actor.count_handled(handled, effects.stored);
        each(&mut effects.drives, |(pin, high)| {
            if let Err(error) = self.devices.drive(PinId(pin), high) {
                actor.journal().write(error.to_string());
            }
        });
        each(&mut effects.log, |line| actor.journal().write(line));
        each(&mut effects.family, |change| self.change_family(actor, change));
        self.dispatch_all(inlet, asks, &mut effects, now);
        each(&mut effects.dead, |reply| self.router.unanswered(&reply, Reason::NoAnswer));
        each(&mut effects.timers, |(key, timer)| match timer {
            Some(timer) => self.router.arm(&actor.mailbox, key, timer),
            None => self.router.disarm(&actor.mailbox, key),
        });
        each(&mut effects.links, |effect| self.drive_link(actor, effect));
        effects.done();
    }

    fn drive_link(&self, actor: &Arc<Actor>, effect: LinkEffect) {
        match effect {
            LinkEffect::Connect(node) => self.router.link_connect(&actor.inlet(), node),
            LinkEffect::Disconnect(link) => self.router.link_disconnect(actor.id(), link),
            LinkEffect::Transmit { link, class, body } => {
                self.router.link_send(actor.id(), link, class, &body);
            }
            LinkEffect::Deliver { topic, body } => self.router.deliver(topic, &body),
        }
    }

    fn dispatch_all(&self, sender: &Inlet, asks: &mut Asks, effects: &mut Effects, now: Duration) {
        let Effects { letters, tokens, runs, .. } = effects;
        if letters.len() < 2 {
            // Most often there is one, and draining lists costs as much as that.
            if let (Some(run), Some(letter), Some(token)) =
                (runs.pop(), letters.pop(), tokens.pop())
            {
                self.dispatch(sender, asks, run.way, letter, token, now);
            }
            return;
        }
        let (mut letters, mut tokens) = (letters.drain(..), &tokens[..]);
        for Run { way, count } in runs.drain(..) {
            let (own, others) = tokens.split_at(count);
            tokens = others;
            match (way, own) {
                (way, [token]) => {
                    if let Some(letter) = letters.next() {
                        self.dispatch(sender, asks, way, letter, *token, now);
                    }
                }
                (Way::Send(to), _) => {
                    let run = letters.by_ref().take(count);
                    self.router.send_all(sender, to, run, own);
                    // Those that found no room are still there.
                    while letters.len() > tokens.len() {
                        letters.next();
                    }
                }
                // Of others a run has one.
                (Way::Ask { .. } | Way::Publish(_), _) => {}
            }
        }
    }

    fn dispatch(
        &self,
        sender: &Inlet,
        asks: &mut Asks,
        way: Way,
        letter: Letter,
        token: u64,
        now: Duration,
    ) {
        match way {
            Way::Send(to) => self.router.send(sender, to, letter, token),
            Way::Ask { to, deadline } => {
                let deadline = now.saturating_add(Duration::from_nanos(deadline));
                let place = asks.open(token, deadline);
                self.alarm_at(sender.owner(), asks, deadline, now);
                self.router.ask(sender, place, to, letter);
            }
            Way::Publish(topic) => self.router.publish(sender.owner(), topic, letter.body),
        }
    }
}

/// Takes out each of what is mostly none: even then a `drain` costs some nanoseconds.
fn each<T>(effects: &mut Vec<T>, leave: impl FnMut(T)) {
    if !effects.is_empty() {
        effects.drain(..).for_each(leave);
    }
}

/// The committer's thread.
pub(super) fn run_committer(scheduler: &Scheduler, commits: &Receiver<Committing>) {
    while let Ok(first) = commits.recv() {
        let mut group = vec![first];
        group.extend(commits.try_iter().take(GROUP - 1));
        let mut commit = Commit::default();
        for committing in &group {
            let id = committing.actor.id();
            for (key, value) in &committing.effects.writes {
                commit.value(id, key, value.clone());
            }
        }
        let outcome = scheduler.state.commit(commit);
        let now = scheduler.clock.now();
        for committing in group {
            let actor = committing.actor.clone();
            let mut body = lock(&actor.body);
            match &outcome {
                Ok(()) => {
                    body.phase = Phase::Ready;
                    let (effects, handled) = (committing.effects, committing.messages.len());
                    let (inlet, asks) = (actor.inlet(), &mut body.asks);
                    scheduler.release(&actor, &inlet, asks, effects, handled, now);
                    // To be parked at once calls the guest, and would hold other commits up.
                    match scheduler.limits.park_ms {
                        0 => scheduler.enqueue(&actor),
                        _ => scheduler.rest(&actor, &mut body),
                    }
                }
                Err(error) => {
                    scheduler.not_committed(&actor, &mut body, committing, &error.to_string());
                }
            }
        }
        scheduler.router.flush();
    }
}
