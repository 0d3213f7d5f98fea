//! One activation: commands, then a start or a batch of turns; and what follows from a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Actor, Body, Command, Phase, Scheduler, Spec, lock};
use crate::address::Address;
use crate::device::{BusId, PinId, SensorId};
use crate::mailbox::Message;
use crate::reason::Reason;
use crate::router::Due;
use crate::store::state::Commit;
use crate::supervisor::{self, Decision, Exit, Stop};
use crate::wasm::effects::Effects;
use crate::wasm::table::Held;
use crate::wasm::turn::Turn;
use crate::wasm::{Code, Failure, Instance};

/// Components whose crashes are remembered; past it only those in quarantine are.
const CRASHED_COMPONENTS: usize = 1024;

impl Scheduler {
    pub(super) fn activate(&self, actor: &Arc<Actor>) {
        let mut body = lock(&actor.body);
        match body.phase {
            Phase::Gone | Phase::Committing => return,
            Phase::BackingOff(_) | Phase::Ready => {}
        }
        let commands = std::mem::take(&mut *lock(&actor.commands));
        for command in commands {
            self.obey(actor, &mut body, command);
        }
        match body.phase {
            Phase::Gone | Phase::Committing => return,
            Phase::BackingOff(until) if self.clock.now() < until => {
                return self.back_off(actor, &mut body, until);
            }
            Phase::BackingOff(_) => body.phase = Phase::Ready,
            Phase::Ready => {}
        }
        if body.instance.is_none() {
            self.begin(actor, &mut body);
        } else {
            self.take_turns(actor, &mut body);
        }
    }

    /// Ends an activation: back into the run queue if there is more to do.
    pub(super) fn rest(&self, actor: &Actor) {
        if actor.mailbox.rest() {
            self.enqueue(actor);
        } else if !lock(&actor.commands).is_empty() {
            actor.mailbox.wake();
        }
    }

    fn begin(&self, actor: &Arc<Actor>, body: &mut Body) {
        let now = self.now();
        let begun = self.instance(actor, body, &body.code.clone()).and_then(|mut instance| {
            let effects = instance.start(now)?;
            Ok((instance, effects))
        });
        actor.note(|status| status.incarnations += 1);
        match begun {
            Ok((instance, effects)) => {
                body.instance = Some(instance);
                actor.note(|status| status.state = "ready".into());
                self.commit(actor, body, effects, Vec::new());
            }
            Err(failure) => self.failed(actor, body, &failure, Vec::new()),
        }
    }

    fn take_turns(&self, actor: &Arc<Actor>, body: &mut Body) {
        let most = if body.single > 0 { 1 } else { self.limits.batch };
        let messages = actor.mailbox.take(most);
        let Some(instance) = body.instance.as_mut().filter(|_| !messages.is_empty()) else {
            return self.rest(actor);
        };
        match instance.handle(self.now(), &messages) {
            Ok(effects) => {
                body.single = body.single.saturating_sub(1);
                body.crashes = 0;
                self.commit(actor, body, effects, messages);
            }
            Err(failure) => self.failed(actor, body, &failure, messages),
        }
    }

    fn instance(
        &self,
        actor: &Actor,
        body: &mut Body,
        code: &Arc<Code>,
    ) -> Result<Instance, Failure> {
        let stored = match body.stored {
            Some(stored) => stored,
            None => self.count_stored(actor)?,
        };
        body.stored = Some(stored);
        let turn = Turn::new(
            Address::new(actor.id, self.router.me()),
            actor.spec.grants.clone(),
            stored,
            actor.spec.budget.clone(),
            actor.mailbox.clone(),
            self.reads.clone(),
        );
        Instance::new(code, turn)
    }

    fn count_stored(&self, actor: &Actor) -> Result<u64, Failure> {
        let mut stored = 0;
        let counted = self.state.values(actor.id, b"", b"", |key, value| {
            stored += (key.len() + value.len()) as u64;
            true
        });
        let failure = |error| Failure { reason: Reason::Trapped, why: format!("{error}") };
        counted.map(|()| stored).map_err(failure)
    }

    /// An activation left no effect: its messages wait again, and the supervisor decides.
    pub(super) fn failed(
        &self,
        actor: &Arc<Actor>,
        body: &mut Body,
        failure: &Failure,
        messages: Vec<Message>,
    ) {
        self.drop_instance(body, &messages, failure.reason);
        actor.pins().for_each(|pin| self.make_safe(actor, pin));
        self.stop_children(actor);
        if messages.len() > 1 {
            // Which of them it was shows when each is given alone; that is no failure yet.
            body.single = messages.len();
            actor.mailbox.put_back(messages);
            return self.enqueue(actor);
        }
        actor.journal.write(format!("{}: {}", failure.reason, failure.why));
        actor.note(|status| status.last_failure = Some(failure.why.clone()));
        if let Some(message) = messages.into_iter().next() {
            self.blame(actor, body, message, failure);
        }
        self.count_crash(actor, body);
        if self.quarantined(&body.code.cid) {
            let why = format!(
                "{} crashed {} times within {} s on this node and is in quarantine: mend it, \
                then start it again",
                body.code.cid,
                self.limits.quarantine_crashes,
                self.limits.quarantine_ms / 1000
            );
            return self.end(actor, body, failure.reason, &why);
        }
        self.supervise(actor, body, Exit::Failed, failure.reason);
    }

    /// An incarnation is over: another one follows, or none.
    fn supervise(&self, actor: &Arc<Actor>, body: &mut Body, exit: Exit, reason: Reason) {
        let jitter = self.now().seed.wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31);
        let now = self.clock.now();
        let restart = &actor.spec.restart;
        match supervisor::decide(restart, &body.history, exit, now, jitter, &self.limits) {
            Decision::RestartAfter(wait) => {
                body.history.note(now, restart);
                actor.note(|status| status.state = "backing-off".into());
                self.back_off(actor, body, now + wait);
            }
            Decision::Stop(why) => self.end(actor, body, reason, &why.to_string()),
        }
    }

    /// It stopped itself.
    fn ended(&self, actor: &Arc<Actor>, body: &mut Body) {
        if body.phase == Phase::Gone {
            return;
        }
        self.drop_instance(body, &[], Reason::Stopped);
        actor.pins().for_each(|pin| self.make_safe(actor, pin));
        self.stop_children(actor);
        actor.journal.write("it stopped itself");
        self.supervise(actor, body, Exit::Ended, Reason::Stopped);
    }

    /// Ends an incarnation. Whoever waits for an answer that it kept for later is told why none
    /// comes; a question that is given `again` may have one yet.
    pub(super) fn drop_instance(&self, body: &mut Body, again: &[Message], reason: Reason) {
        let Some(instance) = body.instance.take() else { return };
        let given_again = |reply: &Address| {
            again.iter().any(|message| match message {
                Message::Letter(letter) => letter.reply.as_ref() == Some(reply),
                _ => false,
            })
        };
        for reply in instance.turn().questions().filter(|reply| !given_again(reply)) {
            self.router.unanswered(reply, reason);
        }
    }

    /// Lets go of an actor's devices; pins are driven to their safe level first.
    pub fn release_devices(&self, spec: &Spec) {
        let children = spec.children.values().map(|child| &*child.spec);
        for (name, held) in children.chain([spec]).flat_map(|spec| &spec.grants) {
            match held {
                Held::Pin(pin) => {
                    if let Err(error) = self.devices.unclaim(PinId(*pin)) {
                        tracing::error!("grant {name} of {}: {error}", spec.name);
                    }
                }
                Held::Sensor(sensor) => self.devices.drop_sensor(SensorId(*sensor)),
                Held::Bus(bus) => self.devices.unclaim_bus(BusId(*bus)),
                _ => {}
            }
        }
    }

    /// Drives a pin to its safe level; the device tries again by itself if the line fails.
    pub(super) fn make_safe(&self, actor: &Actor, pin: u64) {
        if let Err(error) = self.devices.safe(PinId(pin)) {
            actor.journal.write(error.to_string());
        }
    }

    pub(super) fn back_off(&self, actor: &Actor, body: &mut Body, until: std::time::Duration) {
        body.phase = Phase::BackingOff(until);
        actor.backing_off.store(true, Ordering::Release);
        self.clock.arm(until.saturating_sub(self.clock.now()), Due::Restart(actor.id));
        // A command that came before the flag was up found the actor scheduled, and waits.
        if !lock(&actor.commands).is_empty() {
            self.nudge(actor);
        }
    }

    fn count_crash(&self, actor: &Actor, body: &Body) {
        let mut crashes = lock(&self.crashes);
        let now = self.clock.now();
        if crashes.len() >= CRASHED_COMPONENTS {
            crashes.retain(|_, crashes| supervisor::quarantine(crashes, &self.limits, now));
        }
        crashes.entry(body.code.cid).or_default().note(now, &self.limits);
        drop(crashes);
        tracing::info!(actor = actor.spec.name, "an incarnation failed");
    }

    fn obey(&self, actor: &Arc<Actor>, body: &mut Body, command: Command) {
        match command {
            Command::Stop { done } => {
                self.end(actor, body, Reason::Stopped, &Stop::Asked.to_string());
                // Whoever asked may have gone away.
                done.map(|done| done.send(()));
            }
            Command::End => self.ended(actor, body),
            Command::Swap { code, done } => {
                let swapped = self.put_code(actor, body, code);
                // As above.
                let _ = done.send(swapped);
            }
        }
    }

    fn put_code(&self, actor: &Arc<Actor>, body: &mut Body, code: Arc<Code>) -> Result<(), String> {
        if body.phase == Phase::Gone {
            return Err("it has stopped".into());
        }
        if code.world != body.code.world {
            let (new, old) = (code.world.name(), body.code.world.name());
            return Err(format!("the new code is for the {new} world, the actor lives in {old}"));
        }
        if let Some(mut old) = body.instance.take() {
            let writer = body.code.cid.to_string();
            let renewed = old.save().map_err(|failure| format!("it can't be saved: {failure}"));
            let renewed = renewed.and_then(|state| {
                let instance = self.instance(actor, body, &code);
                let mut new = instance.map_err(|failure| failure.why)?;
                new.restore(self.now(), &old, &state, &writer).map_err(|failure| failure.why)?;
                Ok(new)
            });
            match renewed {
                Ok(new) => body.instance = Some(new),
                Err(why) => {
                    actor.journal.write(format!("not swapped for {}: {why}", code.cid));
                    let broken = old.is_broken();
                    body.instance = Some(old);
                    if broken {
                        // It trapped while it was saved: the old code goes on from its start.
                        self.drop_instance(body, &[], Reason::Trapped);
                    }
                    return Err(format!("the old code goes on: {why}"));
                }
            }
            actor.pins().for_each(|pin| self.make_safe(actor, pin));
            actor.note(|status| status.incarnations += 1);
        }
        actor.journal.write(format!("swapped: {} gives way to {}", body.code.cid, code.cid));
        actor.note(|status| status.component = code.cid.to_string());
        body.code = code;
        Ok(())
    }

    /// The end of an actor's life.
    pub(super) fn end(&self, actor: &Arc<Actor>, body: &mut Body, reason: Reason, why: &str) {
        if body.phase == Phase::Gone {
            return;
        }
        body.phase = Phase::Gone;
        self.drop_instance(body, &[], reason);
        match actor.spec.parent {
            None => self.release_devices(&actor.spec),
            // What its grant gives is its parent's, for the next child.
            Some(_) => actor.pins().for_each(|pin| self.make_safe(actor, pin)),
        }
        actor.mailbox.alarms().into_iter().for_each(|alarm| self.clock.cancel(alarm));
        let waiting = actor.mailbox.close(reason);
        actor.journal.write(format!("{reason}: {why}; {} messages left", waiting.len()));
        actor.note(|status| {
            status.state = "stopped".into();
            status.reason = Some(reason);
        });
        for message in waiting {
            if let Message::Letter(letter) = message
                && let Some(reply) = letter.reply
            {
                self.router.unanswered(&reply, reason);
            }
        }
        self.stop_children(actor);
        let left = body.stored != Some(0) || actor.status().set_aside > 0;
        if actor.spec.parent.is_some() && left {
            self.forget_values(actor);
        }
        self.forget(actor);
        self.router.remove(actor.id, reason);
        if let Some(parent) = &actor.spec.parent {
            parent.mailbox.signal(Message::Down { token: parent.token, reason });
        }
    }

    /// Nobody will have a child's id again: what it stored goes with it.
    fn forget_values(&self, actor: &Actor) {
        let mut commit = Commit::default();
        let listed = self.state.values(actor.id, b"", b"", |key, _| {
            commit.value(actor.id, key, None);
            true
        });
        commit.join(self.nothing_aside(actor));
        if let Err(error) = listed.and_then(|()| self.state.commit(commit)) {
            tracing::warn!("what {} stored can't be removed: {error}", actor.spec.name);
        }
    }

    pub(super) fn undo(&self, actor: &Actor, effects: &Effects) {
        let reserved = effects.letters.iter().filter(|letter| letter.reserved()).count();
        actor.mailbox.unreserve(reserved);
        let watched = effects.family.iter().filter(|change| change.watches()).count();
        actor.mailbox.unwatch(watched);
    }
}
