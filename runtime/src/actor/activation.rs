//! One activation: commands, then a start or a batch of turns; and what follows from a failure.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::asks::Asks;
use super::parking::Press;
use super::status::Doing;
use super::worker::SLICE;
use super::{Actor, Body, Phase, Scheduler, lock};
use crate::address::ActorId;
use crate::mailbox::{Mail, Message, Place, Reply};
use crate::reason::Reason;
use crate::router::Due;
use crate::supervisor::{self, Exit};
use crate::wasm::table::Holdings;
use crate::wasm::turn::Turn;
use crate::wasm::{Code, Failure, Instance, NoInstance, Now};

/// How long an actor rests whose turn had to end for want of memory.
const STARVED: Duration = Duration::from_secs(1);
/// Components whose crashes are remembered, past it only those in quarantine; and components of
/// which people were told something.
const COMPONENTS: usize = 1024;

impl Scheduler {
    pub(super) fn activate(&self, actor: &Arc<Actor>, now: Now) {
        let mut body = lock(&actor.body);
        self.run(actor, &mut body, now);
        body.inbox.rest();
    }

    fn run(&self, actor: &Arc<Actor>, body: &mut Body, now: Now) {
        match body.phase {
            Phase::Gone | Phase::Committing => return,
            Phase::BackingOff(_) | Phase::Ready => {}
        }
        actor.is_active(now.monotonic);
        if body.inbox.is_empty() {
            self.fill(actor, body, now.monotonic);
        }
        for wish in actor.take_wishes() {
            self.grant_wish(actor, body, wish, now);
        }
        match body.phase {
            Phase::Gone | Phase::Committing => return,
            Phase::BackingOff(until) if now.monotonic < until => {
                return self.back_off(actor, body, until, now.monotonic);
            }
            Phase::BackingOff(_) => body.phase = Phase::Ready,
            Phase::Ready => {}
        }
        if body.parked.is_some() && body.inbox.is_empty() {
            return self.rest(actor, body);
        }
        if body.instance.is_none() && self.waits_for_room(actor, body, now.monotonic) {
            return;
        }
        if let Err(why) = self.wake(actor, body, now) {
            return self.not_made(actor, body, &why, now);
        }
        if body.instance.is_none() {
            self.begin(actor, body, now);
        } else {
            self.take_turns(actor, body, now);
        }
    }

    /// Ends an activation: back into the run queue if there is more to do.
    pub(super) fn rest(&self, actor: &Arc<Actor>, body: &mut Body) {
        if self.limits.park_ms == 0 {
            self.park(actor, body);
        }
        if !body.inbox.is_empty() || !actor.mailbox.rest() {
            self.enqueue(actor);
        }
    }

    /// Takes what came, and looks for questions that have waited long enough.
    pub(super) fn fill(&self, actor: &Actor, body: &mut Body, now: Duration) {
        let Body { inbox, asks, .. } = body;
        let mut nudged = false;
        let mut settled = false;
        actor.mailbox.take(|mail| match mail {
            Mail::Message(message) => inbox.push(message),
            Mail::Answer { place, outcome } => {
                settled = true;
                // After its deadline an answer comes to nobody.
                if let Some(token) = asks.settle(place) {
                    inbox.push(Message::Answer { token, outcome });
                }
            }
            Mail::Nudge => nudged = true,
        });
        // The worker's reading may be older than the clock that nudged.
        let now = if nudged { self.clock.now() } else { now };
        if asks.alarm().is_some_and(|at| at <= now) {
            asks.take_alarm();
            for token in asks.overdue(now) {
                settled = true;
                let outcome = Err(Reason::Deadline);
                inbox.push(Message::Answer { token, outcome });
            }
            if let Some(earliest) = asks.earliest() {
                self.alarm_at(actor.id(), asks, earliest, now);
            }
        }
        if settled {
            let waits = |place: Place| body.asks.waits(place);
            self.router.forget_known(actor.mailbox.forget_known(waits));
        }
    }

    /// Has the clock say when a question is overdue, unless it will anyway before.
    pub(super) fn alarm_at(
        &self,
        asker: ActorId,
        asks: &mut Asks,
        deadline: Duration,
        now: Duration,
    ) {
        if asks.alarm().is_some_and(|at| at <= deadline) {
            return;
        }
        if let Some(later) = asks.take_alarm() {
            self.clock.cancel(later);
        }
        let after = deadline.saturating_sub(now);
        asks.set_alarm(self.clock.arm(after, Due::Overdue(asker)));
    }

    fn begin(&self, actor: &Arc<Actor>, body: &mut Body, now: Now) {
        let holds = Holdings::new(actor.grants(), &self.limits);
        let made = self.instance(actor, &body.code, holds);
        if !matches!(made, Err(NoInstance::NotNow(_))) {
            actor.count_incarnation();
        }
        let begun = made.and_then(|mut instance| {
            instance.start(now).map_err(NoInstance::Failed)?;
            Ok(instance)
        });
        match begun {
            Ok(instance) => {
                self.put_instance(actor, body, instance);
                self.commit(actor, body, 0, now.monotonic);
            }
            Err(why) => self.not_made(actor, body, &why, now),
        }
    }

    fn take_turns(&self, actor: &Arc<Actor>, body: &mut Body, now: Now) {
        let most = if body.single > 0 { 1 } else { self.limits.batch };
        let count = most.min(body.inbox.len());
        let Some(instance) = body.instance.as_mut().filter(|_| count > 0) else {
            return self.rest(actor, body);
        };
        let messages = body.inbox.first(count);
        actor.mailbox.handed(messages);
        match instance.handle(now, body.asks.len(), messages) {
            Ok(()) => {
                if instance.grew_at_first() {
                    self.tell_of_growth(actor, &body.code);
                }
                if let Some(grown) = instance.has_grown() {
                    self.note_growth(actor, grown);
                    actor.knows(instance);
                }
                // Only the guest knows where a turn ends and the next begins: those of an actor
                // that takes long are timed one by one.
                body.single = match instance.ticks() {
                    0..SLICE => body.single.saturating_sub(1),
                    SLICE.. => u32::try_from(self.limits.batch).unwrap_or(u32::MAX),
                };
                actor.ahead.know_table(instance.table());
                body.crashes = 0;
                self.commit(actor, body, count, now.monotonic);
            }
            Err(failure) => self.failed(actor, body, &failure, count, now),
        }
    }

    /// A component that doesn't start in the memory it was linked with works, but costs much more:
    /// people are told once.
    fn tell_of_growth(&self, actor: &Actor, code: &Code) {
        let mut told = lock(&self.told);
        if told.len() < COMPONENTS && told.insert(code.cid) {
            actor.journal().write(
                "its memory grew by its first message, which takes a call of the system, and where \
                memories are packed a copy of it all: link it with an --initial-memory that holds \
                what it needs, and an allocator that starts in it, as guest-sdk does",
            );
        }
    }

    pub(super) fn instance(
        &self,
        actor: &Arc<Actor>,
        code: &Arc<Code>,
        holds: Holdings,
    ) -> Result<Instance, NoInstance> {
        let stored = match actor.stored() {
            Some(stored) => stored,
            None => self.count_stored(actor)?,
        };
        actor.has_stored(stored);
        let turn =
            Turn::new(holds, stored, actor.spec.budget.clone(), actor.inlet(), self.reads.clone());
        let made = Instance::new(code, turn);
        if let Err(NoInstance::NotNow(_)) = made {
            self.press(Press::All);
        }
        made
    }

    fn count_stored(&self, actor: &Actor) -> Result<u64, NoInstance> {
        let mut stored = 0;
        let counted = self.state.values(actor.id(), b"", b"", |key, value| {
            stored += (key.len() + value.len()) as u64;
            true
        });
        counted.map(|()| stored).map_err(|error| NoInstance::NotNow(error.to_string()))
    }

    /// An activation of the first `count` messages left no effect: they wait again, and the
    /// supervisor decides.
    pub(super) fn failed(
        &self,
        actor: &Arc<Actor>,
        body: &mut Body,
        failure: &Failure,
        count: usize,
        now: Now,
    ) {
        self.drop_instance(actor, body, count, failure.reason);
        actor.pins().for_each(|pin| self.make_safe(actor, pin));
        self.stop_children(actor);
        actor.mailbox.put_back(body.inbox.first(count));
        actor.note_failure(&failure.why);
        if count > 1 {
            // Which of them it was shows when each is given alone; that is no failure yet.
            actor.journal().write(format!(
                "{} in a batch of {count} messages, which are given again one at a time: {}",
                failure.reason, failure.why
            ));
            body.single = u32::try_from(count).unwrap_or(u32::MAX);
            return self.enqueue(actor);
        }
        actor.journal().write(format!("{}: {}", failure.reason, failure.why));
        let (name, reason, why) = (actor.name(), failure.reason, &failure.why);
        tracing::info!(actor = &*name, %reason, "an incarnation failed: {why}");
        if count == 1 {
            self.blame(actor, body, failure);
        }
        if failure.starved {
            // No restart of its own making: it never stops for good for that.
            let now = self.clock.now();
            actor.does(Doing::WaitingForRoom);
            return self.back_off(actor, body, now + STARVED, now);
        }
        self.count_crash(body);
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
        self.supervise(actor, body, Exit::Failed, failure.reason, now);
    }

    /// Ends an incarnation. Whoever waits for an answer that it kept for later is told why none
    /// comes; a question among the first `again` messages is given again, and may have one yet.
    pub(super) fn drop_instance(
        &self,
        actor: &Actor,
        body: &mut Body,
        again: usize,
        reason: Reason,
    ) {
        let instance = body.instance.take();
        let parked = self.unpark(body);
        if instance.is_some() {
            self.count_out(actor);
        }
        let again = body.inbox.first(again);
        let held = instance.iter().flat_map(|instance| instance.turn().questions());
        let held = held.chain(parked.iter().flat_map(|parked| parked.holds.questions()));
        self.not_answered(held, again, reason);
    }

    /// Tells whoever waits for these answers why none comes, but not those whose question is given
    /// `again`.
    pub(super) fn not_answered<'a>(
        &self,
        replies: impl Iterator<Item = &'a Reply>,
        again: &[Message],
        reason: Reason,
    ) {
        let given_again = |reply| again.iter().any(|message| message.reply() == Some(reply));
        for reply in replies.filter(|reply| !given_again(reply)) {
            self.router.unanswered(reply, reason);
        }
    }

    pub(super) fn back_off(
        &self,
        actor: &Arc<Actor>,
        body: &mut Body,
        until: Duration,
        now: Duration,
    ) {
        body.phase = Phase::BackingOff(until);
        actor.backing_off.store(true, Ordering::Release);
        self.clock.arm(until.saturating_sub(now), Due::Restart(actor.id()));
        // A command that came before the flag was up found the actor scheduled, and waits.
        if actor.has_wishes() && actor.backing_off.swap(false, Ordering::AcqRel) {
            self.enqueue(actor);
        }
    }

    fn count_crash(&self, body: &Body) {
        let mut crashes = lock(&self.crashes);
        let now = self.clock.now();
        if crashes.len() >= COMPONENTS {
            crashes.retain(|_, crashes| supervisor::quarantine(crashes, &self.limits, now));
        }
        crashes.entry(body.code.cid).or_default().note(now, &self.limits);
        drop(crashes);
    }
}
