//! One incarnation of an actor: a component's instance in a store of its own, called turn by turn.
//!
//! After a [`Failure`] the instance must be dropped: nothing of it may be used again.

use std::time::Duration;

use wasmtime::{Store, Trap, UpdateDeadline};

use super::ahead::Places;
use super::bindings::edge::actor::types as wit;
use super::check::one_line;
use super::convert::Given;
use super::effects::Effects;
use super::guest::Guest;
use super::memory::PLANNED;
use super::table::{Holdings, Rested};
use super::turn::{Call, Turn, nanoseconds};
use super::{COPY_BYTES, Code, memory};
use crate::mailbox::Message;
use crate::reason::Reason;

/// When a turn takes place, and its only source of chance.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since the node started.
    pub monotonic: Duration,
    /// Since 1970, if the node knows.
    pub wall: Option<Duration>,
    /// The seed of the first message's turn.
    pub seed: u64,
}

/// Why an activation left no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// `Trapped` or `OverBudget`.
    pub reason: Reason,
    /// For people, one line.
    pub why: String,
    /// The node had not enough memory: no fault of the component's.
    pub starved: bool,
}

/// Why there is no instance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoInstance {
    /// The component failed, as in a turn.
    #[error("{0}")]
    Failed(Failure),
    /// The node has no memory for it now, or can't read what it must know. No fault of the
    /// component's; for people, one line.
    #[error("{0}")]
    NotNow(String),
}

/// A live instance.
pub struct Instance {
    store: Store<Turn>,
    guest: Guest,
    /// A call trapped: it can't be entered again.
    broken: bool,
    /// No message has been handled yet.
    fresh: bool,
}

impl Instance {
    /// Instantiates a component for an actor.
    pub fn new(code: &Code, mut turn: Turn) -> Result<Self, NoInstance> {
        turn.share = Some(code.memories.share());
        let mut store = Store::new(&code.engine, turn);
        store.limiter(|turn| turn);
        store.set_hostcall_fuel(COPY_BYTES);
        // Only the host's own data is touched here: changing the store was CVE-2026-104855.
        store.epoch_deadline_callback(|mut context| {
            let goes_on = context.data_mut().ticked();
            Ok(if goes_on { UpdateDeadline::Continue(1) } else { UpdateDeadline::Interrupt })
        });
        store.set_epoch_deadline(1);
        let guest = match code.linked.instantiate(&mut store) {
            Ok(guest) => guest,
            Err(error) if memory::is_missing(&error) => {
                return Err(NoInstance::NotNow(one_line(&error)));
            }
            Err(error) => {
                let failure = failure(store.data(), &error);
                return Err(match failure.starved {
                    true => NoInstance::NotNow(failure.why),
                    false => NoInstance::Failed(failure),
                });
            }
        };
        Ok(Self { store, guest, broken: false, fresh: true })
    }

    /// What each call touches, until its memory grows.
    pub fn places(&mut self) -> Option<Places> {
        self.guest.places(&mut self.store)
    }

    /// Where what its actor holds lies, until that is more.
    pub fn table(&self) -> usize {
        self.store.data().holds.table.address()
    }

    /// The first turn of a fresh incarnation.
    pub fn start(&mut self, now: Now) -> Result<(), Failure> {
        self.begin(Call::Turn);
        let called = self.guest.start(&mut self.store, time(now));
        self.end(called)
    }

    /// One turn for each message; on a failure none of them took place. `open` is the number of
    /// questions that still wait for their answer.
    pub fn handle(&mut self, now: Now, open: usize, messages: &[Message]) -> Result<(), Failure> {
        self.begin(Call::Turn);
        let turn = self.store.data_mut();
        turn.waits = open;
        turn.turns = u32::try_from(messages.len()).unwrap_or(u32::MAX).max(1);
        let Ok(given) = Given::lend(messages, &mut turn.holds.table) else {
            let why = "no place left in its table of handles: release what it no longer needs";
            return self.fail(Failure::over_budget(why));
        };
        let called = self.guest.handle(&mut self.store, time(now), &given.batch());
        if let Ok(Ok(())) = called
            && self.store.data().fault.is_none()
        {
            self.store.data_mut().finish();
            return Ok(());
        }
        self.not_handled(called)
    }

    #[cold]
    fn not_handled(&mut self, called: wasmtime::Result<Result<(), ()>>) -> Result<(), Failure> {
        let failed =
            |turn: &mut Turn| turn.failing.take().unwrap_or_else(|| "no reason given".into());
        let called = called.map(|outcome| outcome.map_err(|()| failed(self.store.data_mut())));
        self.end(called)
    }

    /// The volatile state.
    pub fn save(&mut self) -> Result<Vec<u8>, Failure> {
        self.begin(Call::Save);
        let _saving = self.store.data_mut().saves()?;
        let most = self.store.data().budget.node.save_bytes;
        // It can't be saved again if the host refuses to copy that.
        self.store.set_hostcall_fuel(COPY_BYTES.max(self.store.data().most));
        let called = self.guest.save(&mut self.store, most);
        self.store.set_hostcall_fuel(COPY_BYTES);
        // What it took is no sign of what the actor needs.
        self.store.data_mut().growth_is_news = false;
        self.answer(called)
    }

    /// Takes up saved state, in place of `start`.
    pub fn restore(&mut self, now: Now, state: &[u8], writer: &str) -> Result<(), Failure> {
        self.begin(Call::Restore);
        // The guest may have the saved state beside what it reads from it, and a list that grows
        // thereby twice more.
        let turn = self.store.data_mut();
        turn.most = turn.budget.memory.saturating_add(4 * state.len());
        let called = self.guest.restore(&mut self.store, time(now), state, writer);
        self.answer(called)
    }

    /// Its actor held more than its grants before it was parked.
    pub fn take_up(&mut self, holds: Rested) {
        self.store.data_mut().holds.wake(holds);
    }

    /// Ends the instance; what its actor holds stays.
    pub fn into_holdings(self) -> Holdings {
        self.store.into_data().holds
    }

    /// A call trapped: all that is left is to drop it.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether its memory has grown by the end of its first message; asked once, true at most once.
    pub fn grew_at_first(&mut self) -> bool {
        std::mem::take(&mut self.fresh) && self.store.data().grown
    }

    /// Bytes of its memory beyond what each instance is planned with.
    pub fn grown(&self) -> usize {
        self.store.data().memory.saturating_sub(PLANNED)
    }

    /// The same, if it has another size than when this was asked last.
    pub fn has_grown(&mut self) -> Option<usize> {
        let turn = self.store.data_mut();
        std::mem::take(&mut turn.growth_is_news).then(|| self.grown())
    }

    /// Ticks that the last activation took.
    pub fn ticks(&self) -> u64 {
        self.store.data().ticks
    }

    /// What the last activation asks of the world. [`Effects::done`] has the buffer used again.
    pub fn take_effects(&mut self) -> Box<Effects> {
        self.store.data_mut().effects.take()
    }

    /// The actor's side of the contract.
    pub fn turn(&self) -> &Turn {
        self.store.data()
    }

    fn begin(&mut self, call: Call) {
        let turn = self.store.data_mut();
        turn.call = call;
        turn.fault = None;
        turn.failing = None;
        turn.ticks = 0;
        turn.turns = 1;
        turn.waits = 0;
        self.store.set_epoch_deadline(1);
    }

    fn end(&mut self, called: wasmtime::Result<Result<(), String>>) -> Result<(), Failure> {
        match self.answer(called) {
            Ok(()) => {
                self.store.data_mut().finish();
                Ok(())
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn fail<T>(&mut self, failure: Failure) -> Result<T, Failure> {
        self.store.data_mut().undo();
        Err(failure)
    }

    fn answer<T>(&mut self, called: wasmtime::Result<Result<T, String>>) -> Result<T, Failure> {
        let answer = match called {
            Ok(answer) => answer.map_err(|why| Failure::trapped(why.replace('\n', " "))),
            Err(error) => {
                self.broken = true;
                Err(failure(self.store.data(), &error))
            }
        };
        match self.store.data_mut().fault.take() {
            Some(why) => Err(Failure::trapped(why)),
            None => answer,
        }
    }
}

impl Failure {
    pub(super) fn trapped(why: impl Into<String>) -> Self {
        Self { reason: Reason::Trapped, why: why.into(), starved: false }
    }

    pub(super) fn over_budget(why: impl Into<String>) -> Self {
        Self { reason: Reason::OverBudget, why: why.into(), starved: false }
    }
}

fn time(now: Now) -> wit::Now {
    wit::Now {
        monotonic: nanoseconds(now.monotonic),
        wall: now.wall.map(nanoseconds),
        seed: now.seed,
    }
}

fn failure(turn: &Turn, error: &wasmtime::Error) -> Failure {
    if let Some(refused) = &turn.refused {
        return Failure::clone(refused);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) if !turn.is_over() => Failure::over_budget(
            "cut off to let others run: as many turns as may had gone past their slice, and this \
            for the longest; do less per message",
        ),
        Some(Trap::Interrupt) if turn.call == Call::Save => Failure::over_budget(format!(
            "took more than save-ms = {} to be saved: save less, or raise it under [limits]",
            turn.budget.node.save_ms
        )),
        Some(Trap::Interrupt) => Failure::over_budget(format!(
            "ran for more than its turn budget of {} ms: raise `turn` in its manifest entry, or do \
            less per message",
            turn.budget.turn.as_millis()
        )),
        Some(trap) => Failure::trapped(format!("trapped: {trap}")),
        None => Failure::trapped(one_line(error)),
    }
}
