//! What the simulator and the contract call the same things.

use sim::{Granted, Message, Reason, Refusal};

use crate::wasm::bindings::edge::actor::types as wit;

/// A message for the guest, and its body, if it has one.
pub fn message(message: &Message) -> (wit::Message<'_>, &[u8]) {
    let body: &[u8] = match message {
        Message::Letter(letter) | Message::Answer { outcome: Ok(letter), .. } => &letter.body,
        Message::Timer(body)
        | Message::Link(
            sim::LinkEvent::Data { body, .. } | sim::LinkEvent::Published { body, .. },
        ) => body,
        _ => &[],
    };
    (view(message, wit::Span { start: 0, end: body.len() as u32 }), body)
}

fn view(message: &Message, body: wit::Span) -> wit::Message<'_> {
    let letter = |letter| view_letter(letter, body);
    match message {
        Message::Letter(it) => wit::Message::Letter(letter(it)),
        Message::Answer { token, outcome } => {
            let outcome = outcome.as_ref().map(letter).map_err(|why| reason(*why));
            wit::Message::Answer(wit::Answer { token: *token, outcome })
        }
        Message::Undelivered(it) => wit::Message::Undelivered(notice(it)),
        Message::Timer(_) => wit::Message::Timer(body),
        Message::Down(it) => wit::Message::Down(notice(it)),
        Message::Edge(edge) => wit::Message::Edge(wit::Edge {
            pin: edge.pin,
            level: edge.level,
            at: edge.at,
            sequence: edge.sequence,
            dropped: edge.dropped,
        }),
        Message::Expired(pin) => wit::Message::Expired(*pin),
        Message::Link(event) => wit::Message::Link(link(event, body)),
    }
}

fn view_letter(letter: &sim::Letter, body: wit::Span) -> wit::Letter<'_> {
    let carried = (!letter.carried.is_empty()).then_some(&letter.carried[..]);
    wit::Letter { body, carried, reply: letter.reply }
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
