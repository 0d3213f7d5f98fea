//! Actors off the component: any `Actor` as the simulator's `Machine`, and a desk as its host.

use sim::{Desk, Effect, Machine, Message};

use crate::host::{self, Body, Event, Granted, Host, Kind, Links, Now, Transfers};
use crate::turn::Instance;
use crate::{Actor, BusError, Class, Edge, LinkEvent, NodeId, Pin, Reason, Refusal, TopicId};

/// One incarnation of an actor, natively.
pub(crate) struct Native<A>(pub Option<Instance<A>>);

impl<A: Actor> Machine for Native<A> {
    fn start(&mut self, now: sim::Now, desk: &mut Desk) -> Result<(), String> {
        let started = Instance::start(desk, now.into());
        self.0 = Some(started.map_err(|error| error.to_string())?);
        Ok(())
    }

    fn turn(&mut self, now: sim::Now, message: Message, desk: &mut Desk) -> Result<(), String> {
        let instance = self.0.as_mut().ok_or("a message before the first turn")?;
        let Some(message) = given(&message) else {
            return Ok(());
        };
        let outcome = match message {
            host::Message::Body(body) => instance.body(desk, now.into(), body),
            host::Message::Event(event) => instance.event(desk, now.into(), event),
        };
        outcome.map_err(|error| error.to_string())
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        let instance = self.0.as_ref().ok_or("nothing to save before the first turn")?;
        instance.save().map_err(|error| error.to_string())
    }

    fn restore(&mut self, _: sim::Now, state: &[u8], _: &mut Desk) -> Result<(), String> {
        self.0 = Some(Instance::restore(state).map_err(|error| error.to_string())?);
        Ok(())
    }
}

impl From<sim::Now> for Now {
    fn from(now: sim::Now) -> Self {
        Self { monotonic: now.monotonic, wall: now.wall, seed: now.seed }
    }
}

impl Host for Desk {
    fn grant(&mut self, name: &str, wanted: Kind) -> Option<Granted> {
        let wanted = match wanted {
            Kind::Address => sim::Kind::Address,
            Kind::Topic => sim::Kind::Topic,
            Kind::Pin => sim::Kind::Pin,
            Kind::Sensor => sim::Kind::Sensor,
            Kind::Bus => sim::Kind::Bus,
            Kind::Child => sim::Kind::Child,
        };
        Some(match self.grant_as(name, wanted)? {
            sim::Granted::Address(handle) => Granted::Address(handle),
            sim::Granted::Topic(handle) => Granted::Topic(handle),
            sim::Granted::Pin(handle) => Granted::Pin(handle),
            sim::Granted::Sensor(handle) => Granted::Sensor(handle),
            sim::Granted::Bus(handle) => Granted::Bus(handle),
            sim::Granted::Child(handle) => Granted::Child(handle),
        })
    }

    fn me(&mut self) -> u32 {
        Desk::me(self)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        Desk::get(self, key)
    }

    fn range(&self, first: &[u8], end: &[u8], limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        Desk::range(self, first, end, limit)
    }

    fn last(&self, sensor: u32) -> Option<(f64, u64)> {
        Desk::last(self, sensor).map(|reading| (reading.value, reading.at))
    }

    fn level(&self, pin: u32) -> Option<bool> {
        Desk::level(self, pin)
    }

    fn send(&mut self, to: u32, body: &[u8], carried: &[u32], token: u64) -> Result<(), Refusal> {
        let (body, carried) = (body.to_vec(), carried.to_vec());
        take(self, Effect::Send { to, body, carried, token })
    }

    fn ask(
        &mut self,
        to: u32,
        body: &[u8],
        carried: &[u32],
        token: u64,
        deadline: u64,
    ) -> Result<(), Refusal> {
        let (body, carried) = (body.to_vec(), carried.to_vec());
        take(self, Effect::Ask { to, body, carried, token, deadline })
    }

    fn keep(&mut self, address: u32) -> Result<u32, Refusal> {
        self.apply(Effect::Keep { address }).map_err(refusal)
    }

    fn release(&mut self, address: u32) -> Result<(), Refusal> {
        take(self, Effect::Release { address })
    }

    fn arm(&mut self, key: u64, body: &[u8], after: u64, every: u64) -> Result<(), Refusal> {
        take(self, Effect::Arm { key, body: body.to_vec(), after, every })
    }

    fn disarm(&mut self, key: u64) {
        // A desk takes any number of these but the one over its limit, and then the turn's end is
        // near.
        let _ = take(self, Effect::Disarm { key });
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        take(self, Effect::Put { key: key.to_vec(), value: value.to_vec() })
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        take(self, Effect::Delete { key: key.to_vec() })
    }

    fn drive(&mut self, pin: u32, high: bool) -> Result<(), Refusal> {
        take(self, Effect::Drive { pin, high })
    }

    fn spawn(&mut self, child: u32, grants: &[(String, u32)], token: u64) -> Result<u32, Refusal> {
        self.apply(Effect::Spawn { child, grants: grants.to_vec(), token }).map_err(refusal)
    }

    fn stop(&mut self, actor: u32) -> Result<(), Refusal> {
        take(self, Effect::Stop { actor })
    }

    fn monitor(&mut self, actor: u32, token: u64) -> Result<(), Refusal> {
        take(self, Effect::Monitor { actor, token })
    }

    fn log(&mut self, line: &str) {
        let _ = take(self, Effect::Log { line: line.to_owned() });
    }

    fn transfers(&mut self) -> Option<&mut dyn Transfers> {
        (self.world == sim::World::Driver).then_some(self)
    }

    fn links(&mut self) -> Option<&mut dyn Links> {
        (self.world == sim::World::Protocol).then_some(self)
    }
}

impl Transfers for Desk {
    fn write_read(&mut self, bus: u32, write: &[u8], read: u32) -> Result<Vec<u8>, BusError> {
        self.transfer(bus, write, read).map_err(|error| match error {
            sim::BusError::Denied => BusError::Denied,
            sim::BusError::NoAcknowledge => BusError::NoAcknowledge,
            sim::BusError::ArbitrationLoss => BusError::ArbitrationLoss,
            sim::BusError::Bus => BusError::Bus,
            sim::BusError::Timeout => BusError::Timeout,
            sim::BusError::Overrun => BusError::Overrun,
        })
    }
}

impl Links for Desk {
    fn connect(&mut self, node: &[u8]) -> Result<(), Refusal> {
        take(self, Effect::Connect { node: node.to_vec() })
    }

    fn disconnect(&mut self, link: u32) -> Result<(), Refusal> {
        take(self, Effect::Disconnect { link })
    }

    fn transmit(&mut self, link: u32, class: Class, body: &[u8]) -> Result<(), Refusal> {
        let class = match class {
            Class::Control => sim::Class::Control,
            Class::Command => sim::Class::Command,
            Class::State => sim::Class::State,
            Class::Bulk => sim::Class::Bulk,
        };
        take(self, Effect::Transmit { link, class, body: body.to_vec() })
    }

    fn deliver(&mut self, topic: &[u8], body: &[u8]) -> Result<(), Refusal> {
        take(self, Effect::Deliver { topic: topic.to_vec(), body: body.to_vec() })
    }
}

/// The simulator's message as the SDK's event. `None`: ids that are none, which it does not make.
pub(crate) fn given(message: &Message) -> Option<host::Message<'_>> {
    Some(host::Message::Event(match message {
        Message::Letter(letter) => {
            let (carried, reply) = (Some(letter.carried.clone()), letter.reply);
            return Some(host::Message::Body(Body { bytes: &letter.body, carried, reply }));
        }
        Message::Answer { token, outcome } => {
            let outcome = match outcome {
                Ok(letter) => Ok((&letter.body[..], &letter.carried[..])),
                Err(why) => Err(reason(*why)),
            };
            Event::Answer { token: *token, outcome }
        }
        Message::Undelivered(notice) => {
            Event::Undelivered { token: notice.token, reason: reason(notice.reason) }
        }
        Message::Timer(body) => {
            return Some(host::Message::Body(Body { bytes: body, carried: None, reply: None }));
        }
        Message::Down(notice) => Event::Down { token: notice.token, reason: reason(notice.reason) },
        Message::Edge(edge) => Event::Edge(Edge {
            pin: Pin(edge.pin),
            level: edge.level,
            at: std::time::Duration::from_nanos(edge.at),
            sequence: edge.sequence,
            dropped: edge.dropped,
        }),
        Message::Expired(pin) => Event::Expired(*pin),
        Message::Link(event) => Event::Link(link(event)?),
    }))
}

fn link(event: &sim::LinkEvent) -> Option<LinkEvent> {
    let id = |bytes: &[u8]| NodeId::try_from(bytes).ok();
    Some(match event {
        sim::LinkEvent::Reachable(node) => LinkEvent::Reachable(id(node)?),
        sim::LinkEvent::Up { link, node } => LinkEvent::Up { link: *link, node: id(node)? },
        sim::LinkEvent::Down { link, node, reason: why } => {
            LinkEvent::Down { link: *link, node: id(node)?, reason: reason(*why) }
        }
        sim::LinkEvent::Data { link, body } => LinkEvent::Data { link: *link, body: body.clone() },
        sim::LinkEvent::Rtt { link, rtt } => {
            LinkEvent::Rtt { link: *link, rtt: std::time::Duration::from_nanos(*rtt) }
        }
        sim::LinkEvent::Writable(link) => LinkEvent::Writable(*link),
        sim::LinkEvent::Published { topic, body } => {
            LinkEvent::Published { topic: TopicId::try_from(&topic[..]).ok()?, body: body.clone() }
        }
    })
}

/// A test's device speaks in the SDK's errors.
pub(crate) fn bus(error: BusError) -> sim::BusError {
    match error {
        BusError::Denied => sim::BusError::Denied,
        BusError::NoAcknowledge => sim::BusError::NoAcknowledge,
        BusError::ArbitrationLoss => sim::BusError::ArbitrationLoss,
        BusError::Bus => sim::BusError::Bus,
        BusError::Timeout => sim::BusError::Timeout,
        BusError::Overrun => sim::BusError::Overrun,
    }
}

fn take(desk: &mut Desk, effect: Effect) -> Result<(), Refusal> {
    desk.apply(effect).map(|_| ()).map_err(refusal)
}

fn refusal(refusal: sim::Refusal) -> Refusal {
    match refusal {
        sim::Refusal::BadHandle => Refusal::BadHandle,
        sim::Refusal::MailboxFull => Refusal::MailboxFull,
        sim::Refusal::OverLimit => Refusal::OverLimit,
        sim::Refusal::OverQuota => Refusal::OverQuota,
        sim::Refusal::Denied => Refusal::Denied,
    }
}

fn reason(reason: sim::Reason) -> Reason {
    match reason {
        sim::Reason::NoActor => Reason::NoActor,
        sim::Reason::Stopped => Reason::Stopped,
        sim::Reason::Trapped => Reason::Trapped,
        sim::Reason::OverBudget => Reason::OverBudget,
        sim::Reason::MailboxFull => Reason::MailboxFull,
        sim::Reason::Refused => Reason::Refused,
        sim::Reason::Unreachable => Reason::Unreachable,
        sim::Reason::Deadline => Reason::Deadline,
        sim::Reason::Unknown => Reason::Unknown,
        sim::Reason::NoAnswer => Reason::NoAnswer,
    }
}
