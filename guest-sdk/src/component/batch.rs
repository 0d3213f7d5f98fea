//! The messages of one call, as the actor sees them.

use std::time::Duration;
use std::vec::IntoIter;

use super::types::{self, Letter, Sole, Span};
use crate::host::{Body, Event, Message};
use crate::{Edge, LinkEvent, NodeId, Pin, Reason, TopicId};

/// The messages of one call.
pub struct Batch {
    /// Until it is taken.
    sole: Sole,
    letters: IntoIter<Letter>,
    /// Letters that were taken.
    taken: u32,
    events: IntoIter<(u32, types::Event)>,
    carried: Carried,
}

/// What messages carry, and their bodies.
struct Carried {
    handles: Vec<u32>,
    bytes: Vec<u8>,
}

impl Batch {
    pub fn new(
        sole: Sole,
        letters: Vec<Letter>,
        events: Vec<(u32, types::Event)>,
        handles: Vec<u32>,
        bytes: Vec<u8>,
    ) -> Self {
        let (letters, events) = (letters.into_iter(), events.into_iter());
        Self { sole, letters, taken: 0, events, carried: Carried { handles, bytes } }
    }

    /// The next message, if that is a letter. Written out where it is called, as all of a letter's
    /// way is: each call of a function costs a guest some 40 instructions.
    #[inline(always)]
    pub(super) fn letter(&mut self) -> Option<Body<'_>> {
        if let Sole::Letter(reply) = self.sole {
            self.sole = Sole::None;
            let carried = Some(std::mem::take(&mut self.carried.handles));
            return Some(Body { bytes: &self.carried.bytes, carried, reply: wanted(reply) });
        }
        if self.events.as_slice().first().is_some_and(|(before, _)| *before <= self.taken) {
            return None;
        }
        let letter = self.letters.next()?;
        self.taken += 1;
        Some(Body {
            bytes: self.carried.body(letter.body),
            carried: Some(self.carried.handles(letter.carried)),
            reply: wanted(letter.reply),
        })
    }

    /// The next event.
    #[inline(always)]
    pub(super) fn event(&mut self) -> Option<crate::Result<Message<'_>>> {
        if let Sole::Answer(token) = self.sole {
            self.sole = Sole::None;
            let outcome = Ok((&self.carried.bytes[..], &self.carried.handles[..]));
            return Some(Ok(Message::Event(Event::Answer { token, outcome })));
        }
        // Most often there is none, and then no function is called.
        if self.events.as_slice().is_empty() { None } else { self.next_event() }
    }

    #[inline(never)]
    fn next_event(&mut self) -> Option<crate::Result<Message<'_>>> {
        let (_, event) = self.events.next()?;
        Some(self.carried.event(event))
    }
}

/// Where an answer goes, if one is wanted: see the WIT's `letter`.
fn wanted(reply: u32) -> Option<u32> {
    (reply != u32::MAX).then_some(reply)
}

impl Carried {
    fn body(&self, span: Span) -> &[u8] {
        part(&self.bytes, span)
    }

    #[inline(always)]
    fn handles(&self, span: Span) -> Vec<u32> {
        #[inline(never)]
        fn some(handles: &[u32], span: Span) -> Vec<u32> {
            part(handles, span).to_vec()
        }
        if span.start == span.end { Vec::new() } else { some(&self.handles, span) }
    }

    fn event(&self, event: types::Event) -> crate::Result<Message<'_>> {
        Ok(Message::Event(match event {
            types::Event::Timer(span) => {
                let body = Body { bytes: self.body(span), carried: None, reply: None };
                return Ok(Message::Body(body));
            }
            types::Event::Answer(answer) => {
                let parts =
                    |letter: Letter| (self.body(letter.body), part(&self.handles, letter.carried));
                let outcome = answer.outcome.map(parts).map_err(reason);
                Event::Answer { token: answer.token, outcome }
            }
            types::Event::Undelivered(notice) => {
                Event::Undelivered { token: notice.token, reason: reason(notice.reason) }
            }
            types::Event::Down(notice) => {
                Event::Down { token: notice.token, reason: reason(notice.reason) }
            }
            types::Event::Edge(edge) => Event::Edge(Edge {
                pin: Pin(edge.pin),
                level: edge.level,
                at: Duration::from_nanos(edge.at),
                sequence: edge.sequence,
                dropped: edge.dropped,
            }),
            types::Event::Expired(pin) => Event::Expired(pin),
            types::Event::Link(event) => Event::Link(link(event, |span| self.body(span))?),
        }))
    }
}

fn part<T>(all: &[T], span: Span) -> &[T] {
    &all[span.start as usize..span.end as usize]
}

fn link<'a>(event: types::LinkEvent, body: impl Fn(Span) -> &'a [u8]) -> crate::Result<LinkEvent> {
    let id = |bytes: Vec<u8>| NodeId::try_from(&bytes[..]);
    Ok(match event {
        types::LinkEvent::Reachable(node) => LinkEvent::Reachable(id(node)?),
        types::LinkEvent::Up(up) => LinkEvent::Up { link: up.link, node: id(up.node)? },
        types::LinkEvent::Down(down) => {
            let reason = reason(down.reason);
            LinkEvent::Down { link: down.link, node: id(down.node)?, reason }
        }
        types::LinkEvent::Data(data) => {
            LinkEvent::Data { link: data.link, body: body(data.body).to_vec() }
        }
        types::LinkEvent::Rtt(rtt) => {
            LinkEvent::Rtt { link: rtt.link, rtt: Duration::from_nanos(rtt.rtt) }
        }
        types::LinkEvent::Writable(link) => LinkEvent::Writable(link),
        types::LinkEvent::Published(published) => {
            let topic = TopicId::try_from(&published.topic[..])?;
            LinkEvent::Published { topic, body: body(published.body).to_vec() }
        }
    })
}

fn reason(reason: types::Reason) -> Reason {
    match reason {
        types::Reason::NoActor => Reason::NoActor,
        types::Reason::Stopped => Reason::Stopped,
        types::Reason::Trapped => Reason::Trapped,
        types::Reason::OverBudget => Reason::OverBudget,
        types::Reason::MailboxFull => Reason::MailboxFull,
        types::Reason::Refused => Reason::Refused,
        types::Reason::Unreachable => Reason::Unreachable,
        types::Reason::Deadline => Reason::Deadline,
        types::Reason::Unknown => Reason::Unknown,
        types::Reason::NoAnswer => Reason::NoAnswer,
    }
}
