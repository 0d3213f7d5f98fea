//! Turns as every driver runs them: a host's event becomes a call of the actor.

use serde::{Deserialize, Serialize};

use crate::codec::Fault;
use crate::context::{Refused, first_clock};
use crate::host::{Body, Event, Now, Reach};
use crate::stamp::Clock;
use crate::{Actor, Answer, Context, Error, Pin, Result, codec};

/// One incarnation: the actor, and what the SDK remembers for it.
#[derive(Debug)]
pub struct Instance<A> {
    pub actor: A,
    clock: Clock,
}

/// Bytes of saved state that a node takes, if its limits don't say otherwise.
const SAVED: usize = 4 << 20;
/// The form of saved state. The actor's own part is its serialisation: fields that a later version
/// adds need `#[serde(default)]`.
const FORM: u8 = 0;

/// The fields stand in DAG-CBOR's order, or the whole state would be moved.
#[derive(Serialize)]
struct Saving<'a, A> {
    v: u8,
    actor: &'a A,
    clock: &'a Clock,
}

/// Read first: the rest may be anything.
#[derive(Deserialize)]
struct Form {
    v: u8,
}

#[derive(Deserialize)]
struct Saved<A> {
    clock: Clock,
    actor: A,
}

impl<A: Actor> Instance<A> {
    /// The first turn.
    pub fn start(host: &mut Reach<'_>, now: Now) -> Result<Self> {
        let mut clock = first_clock(now);
        let mut cx = Context::new(host, &mut clock, now);
        let mut actor = A::start(&mut cx)?;
        finish(&mut actor, &mut cx)?;
        Ok(Self { actor, clock })
    }

    /// One letter, or what a timer was armed with: one turn.
    ///
    /// A component comes here from one place, so that this and what it calls become part of its
    /// loop over a call's messages: each call of a function costs a guest some 40 instructions.
    #[inline]
    pub fn body(&mut self, host: &mut Reach<'_>, now: Now, body: Body<'_>) -> Result {
        self.by_hand(host, now, |actor, cx| {
            cx.set_reply(body.reply);
            let armed = body.carried.is_none();
            match codec::decode_body(body.bytes, body.carried) {
                Ok(message) => actor.handle(message, cx),
                Err(fault) => {
                    no_message(cx, armed, body.bytes.len(), fault);
                    Ok(())
                }
            }
        })
    }

    /// One message of another kind, one turn.
    #[inline(never)]
    pub fn event(&mut self, host: &mut Reach<'_>, now: Now, event: Event<'_>) -> Result {
        self.by_hand(host, now, |actor, cx| match event {
            Event::Answer { token, outcome } => {
                let outcome = outcome.map(|(body, carried)| Answer { body, carried });
                actor.answered(token, outcome, cx)
            }
            Event::Undelivered { token, reason } => actor.undelivered(token, reason, cx),
            Event::Down { token, reason } => actor.down(token, reason, cx),
            Event::Edge(edge) => actor.edge(edge, cx),
            Event::Expired(pin) => actor.expired(Pin(pin), cx),
            Event::Link(event) => actor.link(event, cx),
        })
    }

    /// One turn of any function.
    #[inline]
    pub fn by_hand(
        &mut self,
        host: &mut Reach<'_>,
        now: Now,
        turn: impl FnOnce(&mut A, &mut Context<A>) -> Result,
    ) -> Result {
        let mut cx = Context::new(host, &mut self.clock, now);
        turn(&mut self.actor, &mut cx)?;
        finish(&mut self.actor, &mut cx)
    }

    /// The volatile state.
    pub fn save(&self) -> Result<Vec<u8>> {
        // One that has grown is not to grow step by step once more, each time by as much as all
        // before; nor by as much as it has, each time that it is tried to save it.
        let buffer = Vec::with_capacity(grown().min(SAVED));
        codec::encode_in(buffer, &Saving { v: FORM, actor: &self.actor, clock: &self.clock })
    }

    /// Takes up saved state in place of `start`.
    pub fn restore(state: &[u8]) -> Result<Self> {
        codec::take_seen();
        let unfit = |error| Error::new(format_args!("the saved state doesn't fit: {error}"));
        let Form { v } = codec::decode(state).map_err(unfit)?;
        if v != FORM {
            return Err(Error::new(format_args!(
                "saved state has form {v}, and this component reads form {FORM}"
            )));
        }
        let Saved { mut clock, actor } = codec::decode::<Saved<A>>(state).map_err(unfit)?;
        clock.observe(codec::take_seen());
        Ok(Self { actor, clock })
    }
}

/// Bytes of this actor's memory, if they are more than it began with: its state is hardly larger.
#[cfg(target_arch = "wasm32")]
fn grown() -> usize {
    crate::memory::grown()
}

/// As above, where a process has it.
#[cfg(not(target_arch = "wasm32"))]
fn grown() -> usize {
    0
}

/// A letter is outside input, and a timer may have been armed by another version of this actor: no
/// reason to end the turn badly.
#[cold]
fn no_message<A>(cx: &mut Context<A>, armed: bool, length: usize, fault: Fault) {
    match armed {
        true => cx.log(format!("a timer's message is no longer one: {fault}")),
        false => cx.log(format!("a letter of {length} bytes is no message: {fault}")),
    }
}

/// Ends a turn whose function has ended well.
#[inline]
fn finish<A: Actor>(actor: &mut A, cx: &mut Context<A>) -> Result {
    if !cx.refused.is_empty() {
        give_back(actor, cx)?;
    }
    cx.observe();
    cx.failure().map_or(Ok(()), Err)
}

/// Hands what was refused back to the actor.
#[cold]
fn give_back<A: Actor>(actor: &mut A, cx: &mut Context<A>) -> Result {
    for refused in std::mem::take(&mut cx.refused) {
        match refused {
            Refused::Letter(token, refusal) => actor.undelivered(token, refusal.into(), cx)?,
            Refused::Question(token, refusal) => {
                actor.answered(token, Err(refusal.into()), cx)?;
            }
        }
    }
    // What is refused while hearing of refusals would go on for ever.
    for refused in std::mem::take(&mut cx.refused) {
        let (Refused::Letter(token, refusal) | Refused::Question(token, refusal)) = refused;
        cx.log(format!("letter {token} was not taken: {refusal}"));
    }
    Ok(())
}
