//! The unit-test bench: one actor, no network, turns by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use sim::{ActorKey, Desk, Thing, World};

use crate::host::{Body, Event, Now};
use crate::turn::Instance;
use crate::{
    Actor, Address, BusError, Context, Edge, Error, LinkEvent, Pin, Reason, Result, codec, native,
};

mod seen;

use seen::Seen;
pub use seen::{Receiver, Sent};

/// An actor's surroundings in a unit test.
///
/// It grants pins, sensors and the like under any name, unless it is [`strict`](Bench::strict).
/// What the actor asked for is seen as it would leave: after turns that ended well.
///
/// ```
/// # use guest_sdk::*;
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] struct Lamp { pin: Pin }
/// # impl Actor for Lamp {
/// #     type Message = bool;
/// #     fn start(cx: &mut Context<Self>) -> Result<Self> { Ok(Self { pin: cx.pin("lamp")? }) }
/// #     fn handle(&mut self, on: bool, cx: &mut Context<Self>) -> Result {
/// #         self.pin.set(on, cx);
/// #         Ok(())
/// #     }
/// # }
/// # fn main() -> Result {
/// let mut bench = Bench::new();
/// let mut lamp = bench.start::<Lamp>()?;
/// bench.handle(&mut lamp, true)?;
/// assert!(bench.pin("lamp"));
/// # Ok(())
/// # }
/// ```
pub struct Bench {
    desk: Desk,
    now: Now,
    names: Vec<String>,
    asked: u64,
    seen: Seen,
}

/// The actor under test; others are on another node.
const ME: ActorKey = ActorKey { node: 0, number: 0 };
/// Bytes that a link takes on a bench.
const LINK_ROOM: usize = 256 << 10;

/// An actor on the bench. Looks like the actor itself.
#[derive(Debug)]
pub struct Benched<A>(Instance<A>);

impl<A> std::ops::Deref for Benched<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.0.actor
    }
}

impl<A> std::ops::DerefMut for Benched<A> {
    fn deref_mut(&mut self) -> &mut A {
        &mut self.0.actor
    }
}

impl Bench {
    /// A bench for an ordinary actor, at time 0. Its chance is the same in each test.
    pub fn new() -> Self {
        let desk = Desk::new(ME, World::Actor, true, BTreeMap::new());
        Self { desk, now: Now::default(), names: Vec::new(), asked: 0, seen: Seen::default() }
    }

    /// A bench for a driver: with [`device`](Bench::device)s on buses.
    pub fn driver() -> Self {
        let mut bench = Self::new();
        bench.desk.world = World::Driver;
        bench
    }

    /// A bench for a protocol: with links.
    pub fn protocol() -> Self {
        let mut bench = Self::new();
        bench.desk.world = World::Protocol;
        bench
    }

    /// Grants only what this bench was given by name, from now on.
    pub fn strict(&mut self) {
        self.desk.open = false;
    }

    /// A sensor's reading, taken now.
    pub fn sensor(&mut self, name: &str, value: f64) {
        let at = self.now.monotonic;
        self.desk.sensors.insert(name.to_owned(), sim::Reading { value, at });
        self.desk.grants.insert(name.to_owned(), Thing::Sensor(name.to_owned()));
    }

    /// The address of some other actor, granted under its name.
    pub fn address(&mut self, name: &str) -> Address {
        let at = self.names.iter().position(|known| known == name);
        let number = at.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        let thing = Thing::Actor(ActorKey { node: 1, number: number as u64 });
        self.desk.grants.insert(name.to_owned(), thing);
        match self.desk.grant(name) {
            Some(sim::Granted::Address(handle)) => Address(handle),
            _ => panic!("the actor's table is full"),
        }
    }

    /// A device on a bus, granted under its name: from what is written, and how many bytes are to
    /// be read, to what is read.
    pub fn device(
        &mut self,
        name: &str,
        mut device: impl FnMut(&[u8], usize) -> Result<Vec<u8>, BusError> + 'static,
    ) {
        let transfer = move |write: &[u8], read: usize| device(write, read).map_err(native::bus);
        self.desk.devices.insert(name.to_owned(), Box::new(transfer));
        self.desk.grants.insert(name.to_owned(), Thing::Bus(name.to_owned()));
    }

    /// Lets time pass. Timers don't fire: give their messages to [`handle`](Bench::handle).
    pub fn pass(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.now.monotonic = self.now.monotonic.saturating_add(nanoseconds);
        self.now.wall = self.now.wall.map(|wall| wall.saturating_add(nanoseconds));
    }

    /// Sets the wall clock; without it the node doesn't know the time.
    pub fn wall(&mut self, since_1970: Duration) {
        self.now.wall = u64::try_from(since_1970.as_nanos()).ok();
    }

    /// The first turn.
    pub fn start<A: Actor>(&mut self) -> Result<Benched<A>> {
        self.desk.begin();
        self.run(|desk, now| Instance::start(desk, now)).map(Benched)
    }

    /// A turn with a message, by way of its bytes: as a letter, or a timer's.
    pub fn handle<A: Actor>(&mut self, actor: &mut Benched<A>, message: A::Message) -> Result {
        self.give(actor, &message, None)
    }

    /// A turn with a message that wants an answer. Gives the number that the answer's
    /// [`Receiver::Asker`] bears.
    pub fn ask<A: Actor>(&mut self, actor: &mut Benched<A>, message: A::Message) -> Result<u64> {
        self.asked += 1;
        self.give(actor, &message, Some(Thing::Reply(ME, self.asked)))?;
        Ok(self.asked)
    }

    /// A turn with a letter of any bytes.
    pub fn letter<A: Actor>(&mut self, actor: &mut Benched<A>, body: &[u8]) -> Result {
        self.desk.begin();
        let body = Body { bytes: body, carried: Some(Vec::new()), reply: None };
        self.run(|desk, now| actor.0.body(desk, now, body))
    }

    /// A turn with what came of an `ask`.
    pub fn answer<A: Actor, T: Serialize>(
        &mut self,
        actor: &mut Benched<A>,
        token: u64,
        outcome: Result<T, Reason>,
    ) -> Result {
        let letter = match outcome {
            Ok(answer) => Ok(codec::encode_letter(&answer)?),
            Err(reason) => Err(reason),
        };
        let outcome = letter.as_ref().map(|(body, carried)| (&body[..], &carried[..]));
        self.event(actor, Event::Answer { token, outcome: outcome.map_err(|reason| *reason) })
    }

    /// A turn with the notice of a failed `send`.
    pub fn undelivered<A: Actor>(
        &mut self,
        actor: &mut Benched<A>,
        token: u64,
        reason: Reason,
    ) -> Result {
        self.event(actor, Event::Undelivered { token, reason })
    }

    /// A turn with the news that a monitored or spawned actor is gone.
    pub fn down<A: Actor>(&mut self, actor: &mut Benched<A>, token: u64, reason: Reason) -> Result {
        self.event(actor, Event::Down { token, reason })
    }

    /// A turn with a change on an input pin that the actor holds.
    pub fn edge<A: Actor>(&mut self, actor: &mut Benched<A>, pin: &str, level: bool) -> Result {
        let (pin, at) = (self.held_pin(pin)?, Duration::from_nanos(self.now.monotonic));
        self.seen.edges += 1;
        let edge = Edge { pin, level, at, sequence: self.seen.edges, dropped: 0 };
        self.event(actor, Event::Edge(edge))
    }

    /// A turn with the news that a pin's lease ran out: it is low now.
    pub fn expire<A: Actor>(&mut self, actor: &mut Benched<A>, pin: &str) -> Result {
        let handle = self.held_pin(pin)?;
        self.desk.pins.insert(pin.to_owned(), false);
        self.event(actor, Event::Expired(handle.0))
    }

    /// A turn with something about a link. A link that comes up here can be transmitted on.
    pub fn link<A: Actor>(&mut self, actor: &mut Benched<A>, event: LinkEvent) -> Result {
        match &event {
            LinkEvent::Up { link, .. } => drop(self.desk.links.insert(*link, LINK_ROOM)),
            LinkEvent::Down { link, .. } => drop(self.desk.links.remove(link)),
            _ => {}
        }
        self.event(actor, Event::Link(event))
    }

    /// Saves an actor and takes its state up again, as parking and swapping do.
    pub fn reload<A: Actor>(&mut self, actor: Benched<A>) -> Result<Benched<A>> {
        self.swap(actor)
    }

    /// Puts other code in an actor's place: saved by the one, restored by the other.
    pub fn swap<A: Actor, B: Actor>(&mut self, actor: Benched<A>) -> Result<Benched<B>> {
        Instance::restore(&actor.0.save()?).map(Benched)
    }

    /// A pin's level; false where nothing has driven it.
    pub fn pin(&self, name: &str) -> bool {
        self.desk.pins.get(name).copied().unwrap_or(false)
    }

    /// A turn that is any function of the actor and its context.
    pub fn by_hand<A: Actor>(
        &mut self,
        actor: &mut Benched<A>,
        turn: impl FnOnce(&mut A, &mut Context<A>) -> Result,
    ) -> Result {
        self.desk.begin();
        self.run(|desk, now| actor.0.by_hand(desk, now, turn))
    }

    fn held_pin(&self, name: &str) -> Result<Pin> {
        let handle = self.desk.find(&Thing::Pin(name.to_owned()));
        handle.map(Pin).ok_or_else(|| Error::new(format_args!("the actor holds no pin `{name}`")))
    }

    fn give<A: Actor>(
        &mut self,
        actor: &mut Benched<A>,
        message: &A::Message,
        reply: Option<Thing>,
    ) -> Result {
        let (body, carried) = codec::encode_letter(message)?;
        self.desk.begin();
        let mut bring =
            |thing| self.desk.bring(thing).ok_or_else(|| Error::new("the actor's table is full"));
        let reply = reply.map(&mut bring).transpose()?;
        // The letter brings these anew: they die with the turn unless kept.
        let carried = carried
            .into_iter()
            .map(|handle| self.desk.named(handle).cloned())
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| {
                Error::new("the message names an address that this bench did not make")
            })?;
        let carried = carried.into_iter().map(|thing| self.desk.bring(thing));
        let carried = carried.collect::<Option<Vec<_>>>();
        let carried = carried.ok_or_else(|| Error::new("the actor's table is full"))?;
        let body = Body { bytes: &body, carried: Some(carried), reply };
        self.run(|desk, now| actor.0.body(desk, now, body))
    }

    fn event<A: Actor>(&mut self, actor: &mut Benched<A>, event: Event) -> Result {
        self.desk.begin();
        self.run(|desk, now| actor.0.event(desk, now, event))
    }

    fn run<T>(&mut self, turn: impl FnOnce(&mut Desk, Now) -> Result<T>) -> Result<T> {
        self.now.seed += 1;
        let outcome = turn(&mut self.desk, self.now);
        match outcome {
            Ok(_) => {
                let (seen, names) = (&mut self.seen, &self.names);
                self.desk.commit(|desk, effects| {
                    effects.iter().for_each(|effect| seen.note(effect, desk, names));
                });
            }
            Err(_) => self.desk.undo(),
        }
        outcome
    }
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Bench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("now", &self.now).field("desk", &self.desk).finish()
    }
}
