//! What an actor may know and ask for during a turn.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::Serialize;

use crate::host::{Granted, Kind, Now, Reach};
use crate::stamp::Clock;
use crate::{Address, Bus, Child, Error, Held, Pin, Refusal, Result, Sensor, Stamp, Topic, codec};

mod links;
mod store;
mod timers;

/// A turn's context: reads answer now, writes are effects that leave when the turn ends well.
///
/// What can be refused and gives no `Result` shows otherwise: a refused letter comes to
/// [`undelivered`](crate::Actor::undelivered) (a question to [`answered`](crate::Actor::answered))
/// at the end of the same turn; the rest (a timer over the limit, a name that was not granted) ends
/// the turn with an error.
pub struct Context<'a, A> {
    pub(crate) host: &'a mut Reach<'a>,
    pub(crate) refused: Vec<Refused>,
    now: Now,
    clock: &'a mut Clock,
    chance: Option<ChaCha8Rng>,
    reply: Option<Address>,
    failure: Option<Error>,
    actor: PhantomData<fn(A)>,
}

/// A letter or a question that the host did not take.
pub(crate) enum Refused {
    Letter(u64, Refusal),
    Question(u64, Refusal),
}

/// A topic to publish on: by the name of its grant, or itself.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'n> {
    /// The name of its grant.
    Name(&'n str),
    /// The topic.
    Topic(Topic),
}

impl<'n> From<&'n str> for Subject<'n> {
    fn from(name: &'n str) -> Self {
        Self::Name(name)
    }
}

impl From<Topic> for Subject<'_> {
    fn from(topic: Topic) -> Self {
        Self::Topic(topic)
    }
}

impl<'a, A> Context<'a, A> {
    pub(crate) fn new(host: &'a mut Reach<'a>, clock: &'a mut Clock, now: Now) -> Self {
        // What was decoded in between was another actor's, or a test's.
        codec::take_seen();
        let (refused, actor) = (Vec::new(), PhantomData);
        Self { host, refused, now, clock, chance: None, reply: None, failure: None, actor }
    }

    /// Time since the node started; the turn clock. It stands still during a turn.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now.monotonic)
    }

    /// Time since 1970, if the node knows it.
    pub fn wall(&self) -> Option<Duration> {
        self.now.wall.map(Duration::from_nanos)
    }

    /// The turn's chance: the same seed gives the same numbers.
    pub fn rng(&mut self) -> &mut (impl RngCore + use<A>) {
        self.chance.get_or_insert_with(|| ChaCha8Rng::seed_from_u64(self.now.seed))
    }

    /// A number from the turn's chance.
    pub fn random_u64(&mut self) -> u64 {
        self.rng().next_u64()
    }

    /// A stamp for a write: after all that this actor has made or read from letters and state.
    pub fn stamp(&mut self) -> Stamp {
        self.observe();
        self.clock.stamp(self.now.wall)
    }

    /// What sets this incarnation's stamps apart from all others'.
    pub fn replica(&self) -> u64 {
        self.clock.replica()
    }

    /// The actor's own address.
    pub fn me(&mut self) -> Address {
        Address(self.host.me())
    }

    /// The sensor granted under a name.
    pub fn sensor(&mut self, name: &str) -> Result<Sensor> {
        match self.host.grant(name, Kind::Sensor) {
            Some(Granted::Sensor(handle)) => Ok(Sensor(handle)),
            other => Err(missing(name, "sensor", r#""sensor:thermal:cpu-thermal""#, other)),
        }
    }

    /// The pin granted under a name.
    pub fn pin(&mut self, name: &str) -> Result<Pin> {
        match self.host.grant(name, Kind::Pin) {
            Some(Granted::Pin(handle)) => Ok(Pin(handle)),
            other => Err(missing(name, "pin", r#"{ pin = "gpio:GPIO17", safe = "low" }"#, other)),
        }
    }

    /// The topic granted under a name.
    pub fn topic(&mut self, name: &str) -> Result<Topic> {
        match self.host.grant(name, Kind::Topic) {
            Some(Granted::Topic(handle)) => Ok(Topic(handle)),
            other => Err(missing(name, "topic", &format!("\"topic:{name}\""), other)),
        }
    }

    /// The address granted under a name.
    pub fn address(&mut self, name: &str) -> Result<Address> {
        match self.host.grant(name, Kind::Address) {
            Some(Granted::Address(handle)) => Ok(Address(handle)),
            other => Err(missing(name, "address", &format!("\"actor:{name}\""), other)),
        }
    }

    /// The bus device granted under a name.
    pub fn bus(&mut self, name: &str) -> Result<Bus> {
        match self.host.grant(name, Kind::Bus) {
            Some(Granted::Bus(handle)) => Ok(Bus(handle)),
            other => Err(missing(name, "bus", r#""i2c:1/0x76""#, other)),
        }
    }

    /// The right to spawn granted under a name.
    pub fn child(&mut self, name: &str) -> Result<Child> {
        match self.host.grant(name, Kind::Child) {
            Some(Granted::Child(handle)) => Ok(Child(handle)),
            other => Err(missing(name, "child", &format!("{{ child = \"{name}\" }}"), other)),
        }
    }

    /// Sends a letter. If it can't be delivered, `undelivered(token, …)` is called.
    pub fn send(&mut self, to: Address, message: impl Serialize, token: u64) {
        let host = &mut *self.host;
        match codec::with_letter(&message, |body, carried| host.send(to.0, body, carried, token)) {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => self.refused.push(Refused::Letter(token, refusal)),
            Err(error) => self.fail(error),
        }
    }

    /// Sends a question. `answered(token, …)` is called in any case, at the deadline (from now) at
    /// the latest.
    pub fn ask(&mut self, to: Address, message: impl Serialize, token: u64, deadline: Duration) {
        let (host, deadline) = (&mut *self.host, nanoseconds(deadline));
        let ask = |body: &[u8], carried: &[u32]| host.ask(to.0, body, carried, token, deadline);
        match codec::with_letter(&message, ask) {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => self.refused.push(Refused::Question(token, refusal)),
            Err(error) => self.fail(error),
        }
    }

    /// Answers the question that this turn handles. False: it wanted no answer, or has had it.
    pub fn reply(&mut self, answer: impl Serialize) -> bool {
        let reply = self.take_reply();
        if let Some(to) = reply {
            self.send(to, answer, 0);
        }
        reply.is_some()
    }

    /// Where the answer goes, if this turn handles a question that has none yet. Keep it to answer
    /// in a later turn; let it go, and the asker hears `no-answer`.
    pub fn take_reply(&mut self) -> Option<Address> {
        self.reply.take()
    }

    /// Publishes on a topic: to all its other subscribers. The message carries no addresses.
    pub fn publish<'n>(&mut self, topic: impl Into<Subject<'n>>, message: impl Serialize) {
        let topic = match topic.into() {
            Subject::Topic(topic) => topic,
            Subject::Name(name) => match self.topic(name) {
                Ok(topic) => topic,
                Err(error) => return self.fail(error),
            },
        };
        self.send(Address(topic.0), message, 0);
    }

    /// Keeps an address that came in a letter beyond the turn. Gives the address to use from now
    /// on.
    pub fn keep(&mut self, address: Address) -> Result<Address> {
        Ok(Address(self.host.keep(address.0)?))
    }

    /// Lets go of a kept address.
    pub fn release(&mut self, address: Address) {
        if let Err(refusal) = self.host.release(address.0) {
            self.fail(format_args!("releasing an address: {refusal}"));
        }
    }

    /// Spawns a child that holds these grants. Its address takes letters at once; when it is gone
    /// for good `down(token, …)` is called.
    pub fn spawn(&mut self, child: Child, grants: &[(&str, Held)], token: u64) -> Result<Address> {
        let grants: Vec<_> =
            grants.iter().map(|(name, held)| ((*name).to_owned(), held.0)).collect();
        Ok(Address(self.host.spawn(child.0, &grants, token)?))
    }

    /// Stops a child of this actor, or, given its own address, this actor.
    pub fn stop(&mut self, actor: Address) -> Result {
        Ok(self.host.stop(actor.0)?)
    }

    /// When that actor is gone for good `down(token, …)` is called; at once if it is gone already.
    pub fn monitor(&mut self, actor: Address, token: u64) -> Result {
        Ok(self.host.monitor(actor.0, token)?)
    }

    /// A line in the actor's log, for people.
    pub fn log(&mut self, line: impl AsRef<str>) {
        self.host.log(line.as_ref());
    }

    /// Ends the turn with an error, when its function has returned. The first one counts.
    pub(crate) fn fail(&mut self, error: impl fmt::Display) {
        self.failure.get_or_insert_with(|| Error::new(error));
    }

    pub(crate) fn failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    pub(crate) fn set_reply(&mut self, reply: Option<u32>) {
        self.reply = reply.map(Address);
    }

    /// Puts the clock past all stamps that were decoded in this turn so far.
    pub(crate) fn observe(&mut self) {
        self.clock.observe(codec::take_seen());
    }
}

/// For hosts and tests: a first turn's clock, with a replica id of its own.
pub(crate) fn first_clock(now: Now) -> Clock {
    // Not the turn's own chance, whose numbers are the actor's.
    let mut chance = ChaCha8Rng::seed_from_u64(now.seed);
    chance.set_stream(1);
    Clock::new(chance.next_u64())
}

fn nanoseconds(duration: Duration) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    // Not by way of 128 bits: a guest has those multiplied by a function.
    match duration.as_secs() {
        seconds if seconds < u64::MAX / SECOND => {
            seconds * SECOND + u64::from(duration.subsec_nanos())
        }
        _ => u64::MAX,
    }
}

fn missing(name: &str, kind: &str, example: &str, other: Option<Granted>) -> Error {
    let held = match other {
        Some(_) => "the grant is of another kind",
        None => "it was not granted",
    };
    Error::new(format_args!(
        "no {kind} `{name}`: {held}; write {name} = {example} under the actor's grant in node.toml"
    ))
}
