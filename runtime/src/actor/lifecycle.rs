//! What changes an actor's life: commands, restarts, other code, the end.

use std::sync::Arc;

use super::status::Doing;
use super::{Actor, Body, Command, Phase, Scheduler, Spec, Wish};
use crate::device::{BusId, PinId, SensorId};
use crate::mailbox::Mail;
use crate::reason::Reason;
use crate::store::state::Commit;
use crate::supervisor::{self, Decision, Exit, Stop};
use crate::wasm::table::Held;
use crate::wasm::{Code, NoInstance, Now};

impl Scheduler {
    pub(super) fn grant_wish(&self, actor: &Arc<Actor>, body: &mut Body, wish: Wish, now: Now) {
        match wish {
            Wish::Stop => self.end(actor, body, Reason::Stopped, &Stop::Asked.to_string()),
            Wish::End => self.ended(actor, body, now),
            Wish::Command => {
                for command in actor.take_commands() {
                    self.obey(actor, body, command, now);
                }
            }
        }
    }

    fn obey(&self, actor: &Arc<Actor>, body: &mut Body, command: Command, now: Now) {
        match command {
            Command::Stop { done } => {
                self.end(actor, body, Reason::Stopped, &Stop::Asked.to_string());
                // Whoever asked may have gone away.
                let _ = done.send(());
            }
            Command::Swap { code, done } => {
                let swapped = self.put_code(actor, body, code, now);
                // As above.
                let _ = done.send(swapped);
            }
        }
    }

    /// An incarnation is over: another one follows, or none.
    pub(super) fn supervise(
        &self,
        actor: &Arc<Actor>,
        body: &mut Body,
        exit: Exit,
        reason: Reason,
        now: Now,
    ) {
        let jitter = now.seed.wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31);
        let now = self.clock.now();
        let restart = &actor.spec.restart;
        match supervisor::decide(restart, &body.history, exit, now, jitter, &self.limits) {
            Decision::RestartAfter(wait) => {
                body.history.note(now, restart);
                actor.does(Doing::BackingOff);
                self.back_off(actor, body, now + wait, now);
            }
            Decision::Stop(why) => self.end(actor, body, reason, &why.to_string()),
        }
    }

    /// It stopped itself.
    fn ended(&self, actor: &Arc<Actor>, body: &mut Body, now: Now) {
        if body.phase == Phase::Gone {
            return;
        }
        self.drop_instance(actor, body, 0, Reason::Stopped);
        actor.pins().for_each(|pin| self.make_safe(actor, pin));
        self.stop_children(actor);
        actor.journal().write("it stopped itself");
        self.supervise(actor, body, Exit::Ended, Reason::Stopped, now);
    }

    fn put_code(
        &self,
        actor: &Arc<Actor>,
        body: &mut Body,
        code: Arc<Code>,
        now: Now,
    ) -> Result<(), String> {
        if body.phase == Phase::Gone {
            return Err("it has stopped".into());
        }
        if code.world != body.code.world {
            let (new, old) = (code.world.name(), body.code.world.name());
            return Err(format!("the new code is for the {new} world, the actor lives in {old}"));
        }
        if let Err(why) = self.wake(actor, body, now) {
            if let NoInstance::Failed(failure) = &why {
                self.failed(actor, body, failure, 0, now);
            }
            return Err(format!("the old code can't be woken to be saved: {why}"));
        }
        if let Some(mut old) = body.instance.take() {
            let writer = body.code.cid.to_string();
            let renewed = old.save().map_err(|failure| format!("it can't be saved: {failure}"));
            let renewed = renewed.and_then(|state| {
                let holds = old.turn().holds().clone();
                let instance = self.instance(actor, &code, holds);
                let mut new = instance.map_err(|why| why.to_string())?;
                new.restore(now, &state, &writer).map_err(|failure| failure.why)?;
                Ok(new)
            });
            match renewed {
                Ok(new) => {
                    self.note_growth(actor, new.grown());
                    body.instance = Some(Box::new(new));
                }
                Err(why) => {
                    actor.journal().write(format!("not swapped for {}: {why}", code.cid));
                    let broken = old.is_broken();
                    body.instance = Some(old);
                    if broken {
                        // It trapped while it was saved: the old code goes on from its start.
                        self.drop_instance(actor, body, 0, Reason::Trapped);
                    }
                    return Err(format!("the old code goes on: {why}"));
                }
            }
            actor.pins().for_each(|pin| self.make_safe(actor, pin));
            actor.count_incarnation();
        }
        actor.journal().write(format!("swapped: {} gives way to {}", body.code.cid, code.cid));
        actor.note_component(code.cid);
        body.code = code;
        Ok(())
    }

    /// The end of an actor's life.
    pub(super) fn end(&self, actor: &Arc<Actor>, body: &mut Body, reason: Reason, why: &str) {
        if body.phase == Phase::Gone {
            return;
        }
        body.phase = Phase::Gone;
        self.drop_instance(actor, body, 0, reason);
        match actor.parent() {
            None => self.release_devices(&actor.name(), &actor.spec),
            // What its grant gives is its parent's, for the next child.
            Some(_) => actor.pins().for_each(|pin| self.make_safe(actor, pin)),
        }
        let alarms = actor.mailbox.alarms().into_iter().chain(body.asks.take_alarm());
        alarms.for_each(|alarm| self.clock.cancel(alarm));
        let asked = body.inbox.drain(body.inbox.len()).map(Mail::Message);
        let left = self.turn_away(asked.chain(actor.mailbox.close(reason)), reason);
        actor.too_late();
        self.router.forget_known(actor.mailbox.forget_known(|_| false));
        if actor.parent().is_none() {
            actor.journal().write(format!("{reason}: {why}; {left} messages left"));
        }
        actor.stopped(reason);
        self.stop_children(actor);
        let left = actor.stored() != Some(0) || actor.has_set_aside();
        if actor.parent().is_some() && left {
            self.forget_values(actor);
        }
        for topic in &actor.spec.subscriptions {
            self.router.unsubscribe(*topic, actor.id());
        }
        if actor.spec.links.is_some() {
            self.router.close_links(actor.id());
        }
        self.forget(actor, reason);
        self.leave_family(actor, reason);
    }

    /// Tells whoever asked among those whose mail is left; gives how many messages were left.
    pub(super) fn turn_away(&self, mail: impl IntoIterator<Item = Mail>, reason: Reason) -> usize {
        let mut left = 0;
        for mail in mail {
            let reply = match &mail {
                Mail::Message(message) => {
                    left += 1;
                    message.reply()
                }
                Mail::Answer { outcome: Ok(letter), .. } => letter.reply.as_ref(),
                Mail::Answer { .. } | Mail::Nudge => None,
            };
            reply.into_iter().for_each(|reply| self.router.unanswered(reply, reason));
        }
        left
    }

    /// Nobody will have a child's id again: what it stored goes with it.
    fn forget_values(&self, actor: &Actor) {
        let mut commit = Commit::default();
        let listed = self.state.values(actor.id(), b"", b"", |key, _| {
            commit.value(actor.id(), key, None);
            true
        });
        commit.join(self.nothing_aside(actor));
        if let Err(error) = listed.and_then(|()| self.state.commit(commit)) {
            tracing::warn!("what {} stored can't be removed: {error}", actor.name());
        }
    }

    /// Lets go of an actor's devices; pins are driven to their safe level first.
    pub fn release_devices(&self, actor: &str, spec: &Spec) {
        spec.children.values().for_each(|child| self.release_devices(actor, &child.spec));
        for (name, held) in &spec.grants {
            match held {
                Held::Pin(pin) => {
                    if let Err(error) = self.devices.unclaim(PinId(*pin)) {
                        tracing::error!("grant {name} of {actor}: {error}");
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
            actor.journal().write(error.to_string());
        }
    }
}
