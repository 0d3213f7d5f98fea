//! What the simulator and the contract call the same things.

use sim::{Granted, Message, Reason, Refusal};

use crate::wasm::bindings::edge::actor::types as wit;
use crate::wasm::convert::sole;
use crate::wasm::plain::{Batch, NO_REPLY};

/// Gives a message as the guest has it.
pub fn give<T>(message: &Message, to: impl FnOnce(&Batch<'_>) -> T) -> T {
    let (bytes, handles): (&[u8], &[u32]) = match message {
        Message::Letter(letter) | Message::Answer { outcome: Ok(letter), .. } => {
            (&letter.body, &letter.carried)
        }
        Message::Timer(body)
        | Message::Link(
            sim::LinkEvent::Data { body, .. } | sim::LinkEvent::Published { body, .. },
        ) => (body, &[]),
        _ => (&[], &[]),
    };
    let body = wit::Span { start: 0, end: bytes.len() as u32 };
    let view = |letter: &sim::Letter| wit::Letter {
        body,
        carried: wit::Span { start: 0, end: handles.len() as u32 },
        reply: letter.reply.unwrap_or(NO_REPLY),
    };
    let event = match message {
        Message::Letter(letter) => {
            let sole = wit::Sole::Letter(letter.reply.unwrap_or(NO_REPLY));
            return to(&Batch { sole, letters: &[], events: &[], handles, bytes });
        }
        Message::Answer { token, outcome } => {
            let outcome = outcome.as_ref().map(view).map_err(|why| reason(*why));
            wit::Event::Answer(wit::Answer { token: *token, outcome })
        }
        Message::Undelivered(it) => wit::Event::Undelivered(notice(it)),
        Message::Timer(_) => wit::Event::Timer(body),
        Message::Down(it) => wit::Event::Down(notice(it)),
        Message::Edge(edge) => wit::Event::Edge(wit::Edge {
            pin: edge.pin,
            level: edge.level,
            at: edge.at,
            sequence: edge.sequence,
            dropped: edge.dropped,
        }),
        Message::Expired(pin) => wit::Event::Expired(*pin),
        Message::Link(event) => wit::Event::Link(link(event, body)),
    };
    let list = [(0, event)];
    let (sole, events): (_, &[_]) = match sole(&list[0].1) {
        Some(sole) => (sole, &[]),
        None => (wit::Sole::None, &list),
    };
    to(&Batch { sole, letters: &[], events, handles, bytes })
}

fn notice(notice: &sim::Notice) -> wit::Notice {
    wit::Notice { token: notice.token, reason: reason(notice.reason) }
}

fn link(event: &sim::LinkEvent, body: wit::Span) -> wit::LinkEvent<'_> {
    use sim::LinkEvent as From;
    match event {
        From::Reachable(node) => wit::LinkEvent::Reachable(node),
        From::Up { link, node } => wit::LinkEvent::Up(wit::LinkUp { link: *link, node }),
        From::Down { link, node, reason: why } => {
            wit::LinkEvent::Down(wit::LinkDown { link: *link, node, reason: reason(*why) })
        }
        From::Data { link, .. } => wit::LinkEvent::Data(wit::LinkData { link: *link, body }),
        From::Rtt { link, rtt } => wit::LinkEvent::Rtt(wit::LinkRtt { link: *link, rtt: *rtt }),
        From::Writable(link) => wit::LinkEvent::Writable(*link),
        From::Published { topic, .. } => {
            wit::LinkEvent::Published(wit::Publication { topic, body })
        }
    }
}

fn reason(reason: Reason) -> wit::Reason {
    match reason {
        Reason::NoActor => wit::Reason::NoActor,
        Reason::Stopped => wit::Reason::Stopped,
        Reason::Trapped => wit::Reason::Trapped,
        Reason::OverBudget => wit::Reason::OverBudget,
        Reason::MailboxFull => wit::Reason::MailboxFull,
        Reason::Refused => wit::Reason::Refused,
        Reason::Unreachable => wit::Reason::Unreachable,
        Reason::Deadline => wit::Reason::Deadline,
        Reason::Unknown => wit::Reason::Unknown,
        Reason::NoAnswer => wit::Reason::NoAnswer,
    }
}

pub fn refusal(refusal: Refusal) -> wit::Refusal {
    match refusal {
        Refusal::BadHandle => wit::Refusal::BadHandle,
        Refusal::MailboxFull => wit::Refusal::MailboxFull,
        Refusal::OverLimit => wit::Refusal::OverLimit,
        Refusal::OverQuota => wit::Refusal::OverQuota,
        Refusal::Denied => wit::Refusal::Denied,
    }
}

pub fn granted(granted: Granted) -> wit::Granted {
    match granted {
        Granted::Address(handle) => wit::Granted::Address(handle),
        Granted::Topic(handle) => wit::Granted::Topic(handle),
        Granted::Pin(handle) => wit::Granted::Pin(handle),
        Granted::Sensor(handle) => wit::Granted::Sensor(handle),
        Granted::Bus(handle) => wit::Granted::Bus(handle),
        Granted::Child(handle) => wit::Granted::Child(handle),
    }
}

pub fn class(class: wit::Class) -> sim::Class {
    match class {
        wit::Class::Control => sim::Class::Control,
        wit::Class::Command => sim::Class::Command,
        wit::Class::State => sim::Class::State,
        wit::Class::Bulk => sim::Class::Bulk,
    }
}
