//! Actors at rest give their memory back: saved, instance dropped, and restored for their next
//! message.
//!
//! Nothing is lost by it: timers, questions and monitors belong to the actor; what it holds is kept
//! as it is; the rest is what its component saves, as for a swap. A component that can't save stays
//! as it is.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::status::Doing;
use super::{Actor, Body, Phase, Scheduler, lock};
use crate::wasm::table::{Holdings, Rested};
use crate::wasm::{Instance, NoInstance, Now};

/// Between two looks for room by an actor that finds none.
const FULL_PATIENCE: Duration = Duration::from_millis(50);
/// Of as many instances as fit, the parker makes room for one in so many when they are reached, or
/// when the system has no memory for more.
const ROOM: usize = 10;

/// What is left of an actor whose instance was dropped.
pub(super) struct Parked {
    pub holds: Rested,
    /// As its component saved it.
    state: Box<[u8]>,
}

/// Who is to make room for others.
#[derive(Clone, Copy)]
pub(super) enum Press {
    /// Nobody.
    None,
    /// Those that have grown.
    Grown,
    /// Those, and then all others.
    All,
}

/// An actor with an instance.
pub(super) struct Live {
    actor: Arc<Actor>,
    /// Bytes that its memory has grown to, beyond what each is planned with.
    grown: usize,
}

impl Scheduler {
    /// Parks an actor that has nothing to do.
    pub(super) fn park(&self, actor: &Arc<Actor>, body: &mut Body) {
        let Some(mut instance) = body.instance.take() else { return };
        match instance.save() {
            Ok(state) if !self.room_for_saved(state.len()) => {
                body.instance = Some(instance);
                self.note_growth(actor, 0);
            }
            Ok(state) => {
                let holds = instance.into_holdings().rest();
                self.keep(body, Parked { holds, state: state.into() });
                self.count_out(actor);
                actor.does(Doing::Parked);
            }
            Err(failure) => {
                let broken = instance.is_broken();
                body.instance = Some(instance);
                // Others are asked before it, until it has grown again.
                self.note_growth(actor, 0);
                if broken {
                    actor.journal().write(format!("it can't be saved for parking: {failure}"));
                    actor.note_failure(&failure.why);
                    // The next message begins it again from its durable state.
                    self.drop_instance(actor, body, 0, failure.reason);
                }
            }
        }
    }

    fn keep(&self, body: &mut Body, parked: Parked) {
        self.saved.fetch_add(parked.state.len() as u64, Ordering::Relaxed);
        body.parked = Some(Box::new(parked));
    }

    /// Takes what is left of a parked actor.
    pub(super) fn unpark(&self, body: &mut Body) -> Option<Box<Parked>> {
        let parked = body.parked.take()?;
        self.saved.fetch_sub(parked.state.len() as u64, Ordering::Relaxed);
        Some(parked)
    }

    /// Puts an instance in the place of a parked one, if it is parked.
    #[inline]
    pub(super) fn wake(
        &self,
        actor: &Arc<Actor>,
        body: &mut Body,
        now: Now,
    ) -> Result<(), NoInstance> {
        match body.parked {
            None => Ok(()),
            Some(_) => self.wake_parked(actor, body, now),
        }
    }

    fn wake_parked(&self, actor: &Arc<Actor>, body: &mut Body, now: Now) -> Result<(), NoInstance> {
        let code = body.code.clone();
        let grants = Holdings::new(actor.grants(), &self.limits);
        let mut instance = self.instance(actor, &code, grants)?;
        // Not before there is who takes it up.
        let Some(parked) = self.unpark(body) else { return Ok(()) };
        let Parked { holds, state } = *parked;
        instance.take_up(holds);
        let restored = instance.restore(now, &state, &code.cid.to_string());
        if let Err(failure) = &restored
            && failure.starved
        {
            let holds = instance.into_holdings().rest();
            self.keep(body, Parked { holds, state });
            self.press(Press::Grown);
            return Err(NoInstance::NotNow(failure.why.clone()));
        }
        self.put_instance(actor, body, instance);
        restored.map_err(NoInstance::Failed)
    }

    /// There is no instance: as after a failed turn, if that is the component's fault.
    pub(super) fn not_made(&self, actor: &Arc<Actor>, body: &mut Body, why: &NoInstance, now: Now) {
        match why {
            NoInstance::Failed(failure) => self.failed(actor, body, failure, 0, now),
            NoInstance::NotNow(why) => {
                if actor.does(Doing::WaitingForRoom) && actor.parent().is_none() {
                    actor.journal().write(format!("it waits for an instance: {why}"));
                }
                self.wait_for_room(actor, body, now.monotonic);
            }
        }
    }

    /// True if there is no room for one more instance: the actor waits until another is parked.
    pub(super) fn waits_for_room(
        &self,
        actor: &Arc<Actor>,
        body: &mut Body,
        now: Duration,
    ) -> bool {
        let most = self.limits.live + self.limits.live / ROOM;
        let live = lock(&self.instances).len();
        if live < most {
            return false;
        }
        // Of children there may be very many, and each log takes more than its actor.
        if actor.does(Doing::WaitingForRoom) && actor.parent().is_none() {
            actor.journal().write(format!(
                "it waits until another actor is parked: {live} live, and the memory plan or the \
                limit `live` allows no more"
            ));
        }
        self.wait_for_room(actor, body, now);
        true
    }

    fn wait_for_room(&self, actor: &Arc<Actor>, body: &mut Body, now: Duration) {
        self.wake_parker();
        self.back_off(actor, body, now + FULL_PATIENCE, now);
    }

    pub(super) fn put_instance(&self, actor: &Arc<Actor>, body: &mut Body, instance: Instance) {
        let live = Live { actor: actor.clone(), grown: instance.grown() };
        actor.knows(body.instance.insert(Box::new(instance)));
        actor.does(Doing::Ready);
        let mut instances = lock(&self.instances);
        instances.insert(actor.id(), live);
        let live = instances.len();
        drop(instances);
        if live == self.limits.live {
            self.wake_parker();
        }
    }

    /// The memory of an actor has another size than it had.
    pub(super) fn note_growth(&self, actor: &Actor, grown: usize) {
        if let Some(live) = lock(&self.instances).get_mut(&actor.id()) {
            live.grown = grown;
        }
    }

    /// Parks those that have had nothing to do for long, and, when no more instances fit, those
    /// that have had nothing to do for longest: if it is memory that is missing, first of all those
    /// that have more of it than most. No worker has to do it, so that a turn which waits for
    /// memory gets it even if it keeps the last one waiting.
    pub(super) fn run_parker(self: Arc<Self>) {
        *lock(&self.parker) = Some(thread::current());
        let after = Duration::from_millis(self.limits.park_ms);
        // A park may be late by a quarter of its time.
        let look = (after / 4).max(Duration::from_millis(100));
        while lock(&self.committing).is_some() {
            let press = self.pressed.swap(Press::None as u8, Ordering::Relaxed);
            let missing = press > Press::None as u8;
            self.engine.trim_memories(press == Press::All as u8);
            let now = self.clock.now();
            let live = lock(&self.instances).len();
            let mut resting = self.resting(now);
            let most = if missing { live } else { self.limits.live };
            let pressed = match live >= most {
                true => (live + most.div_ceil(ROOM)).saturating_sub(most),
                false => 0,
            };
            if pressed > 0 && resting.len() > pressed {
                // Those that rest for longest come first.
                resting.select_nth_unstable_by_key(pressed, |(idle, grown, _)| {
                    Reverse((missing && *grown > 0, *idle))
                });
            }
            let resting = resting.into_iter().enumerate();
            let only_grown = press == Press::Grown as u8 && live < self.limits.live;
            let chosen = resting.filter(|(number, (idle, grown, _))| {
                *idle >= after || *number < pressed && (*grown > 0 || !only_grown)
            });
            let mut chosen = chosen.map(|(_, (.., actor))| actor).peekable();
            if chosen.peek().is_some() {
                self.threads.begin_work();
                chosen.for_each(|actor| self.park_at_rest(&actor));
                self.threads.end_work();
            }
            thread::park_timeout(look);
        }
    }

    /// Parks an actor if it has nothing to do at all.
    fn park_at_rest(&self, actor: &Arc<Actor>) {
        if !actor.inlet().claim() {
            return;
        }
        let mut body = lock(&actor.body);
        let now = self.clock.now();
        // It was chosen, even if it can't be parked.
        actor.is_active(now);
        self.fill(actor, &mut body, now);
        let idle = body.inbox.is_empty() && !actor.has_wishes();
        if idle && body.phase == Phase::Ready {
            self.park(actor, &mut body);
        }
        if !idle || !actor.mailbox.rest() {
            self.enqueue(actor);
        }
        body.inbox.rest();
    }

    /// Those with an instance and nothing to do, since when, and what they have grown to. Of the
    /// parked, which may be many times more, none is looked at.
    fn resting(&self, now: Duration) -> Vec<(Duration, usize, Arc<Actor>)> {
        let instances = lock(&self.instances);
        let idle = |live: &Live| Some((live.actor.idle_for(now)?, live.grown, live.actor.clone()));
        instances.values().filter_map(idle).collect()
    }

    /// An actor has no instance any more.
    pub(super) fn count_out(&self, actor: &Actor) {
        actor.ahead.know(None, 0);
        lock(&self.instances).remove(&actor.id());
    }

    /// There is too little memory: the parker is to make room, and more than there would be.
    pub(super) fn press(&self, press: Press) {
        if self.pressed.fetch_max(press as u8, Ordering::Relaxed) < press as u8 {
            self.wake_parker();
        }
    }

    pub(super) fn wake_parker(&self) {
        if let Some(parker) = lock(&self.parker).as_ref() {
            parker.unpark();
        }
    }
}
