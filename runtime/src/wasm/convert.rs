//! Messages as the guest sees them: addresses become handles of the actor's own table.

use super::bindings::edge::actor::types as wit;
use super::table::{Held, Table};
use crate::mailbox::{Edge, Letter, LinkEvent, Message};
use crate::reason::Reason;

/// The table has no place for what a message carries.
#[derive(Debug)]
pub struct TableFull;

/// Lends what messages carry for the turn: their handles, in order.
pub fn lend(messages: &[Message], table: &mut Table) -> Result<Vec<u32>, TableFull> {
    let mut handles = Vec::new();
    for message in messages {
        match message {
            Message::Letter(letter) | Message::Answer { outcome: Ok(letter), .. } => {
                for address in &letter.carried {
                    handles.push(table.lend(Held::Actor(address.clone())).ok_or(TableFull)?);
                }
                if let Some(reply) = &letter.reply {
                    handles.push(table.lend(Held::Reply(reply.clone())).ok_or(TableFull)?);
                }
            }
            Message::Edge(Edge { pin, .. }) | Message::Expired { pin } => {
                handles.push(table.handle_of(&Held::Pin(*pin)).ok_or(TableFull)?);
            }
            _ => {}
        }
    }
    Ok(handles)
}

/// Messages for the guest, with the handles that [`lend`] gave for them. Nothing is copied here.
pub fn messages<'a>(messages: &'a [Message], mut handles: &'a [u32]) -> Vec<wit::Message<'a>> {
    messages.iter().map(|message| convert(message, &mut handles)).collect()
}

fn convert<'a>(message: &'a Message, handles: &mut &'a [u32]) -> wit::Message<'a> {
    match message {
        Message::Letter(letter) => wit::Message::Letter(view(letter, handles)),
        Message::Answer { token, outcome } => {
            let outcome = match outcome {
                Ok(letter) => Ok(view(letter, handles)),
                Err(why) => Err(reason(*why)),
            };
            wit::Message::Answer(wit::Answer { token: *token, outcome })
        }
        Message::Undelivered { token, reason: why } => {
            wit::Message::Undelivered(wit::Notice { token: *token, reason: reason(*why) })
        }
        Message::Timer { body, .. } => wit::Message::Timer(body),
        Message::Down { token, reason: why } => {
            wit::Message::Down(wit::Notice { token: *token, reason: reason(*why) })
        }
        Message::Edge(edge) => wit::Message::Edge(wit::Edge {
            pin: next(handles, 1)[0],
            level: edge.level,
            at: edge.at,
            sequence: edge.sequence,
            dropped: edge.dropped,
        }),
        Message::Expired { .. } => wit::Message::Expired(next(handles, 1)[0]),
        Message::Link(event) => wit::Message::Link(link(event)),
    }
}

fn view<'a>(letter: &'a Letter, handles: &mut &'a [u32]) -> wit::Letter<'a> {
    let carried = next(handles, letter.carried.len());
    let reply = letter.reply.as_ref().map(|_| next(handles, 1)[0]);
    wit::Letter { body: &letter.body, carried, reply }
}

/// The next handles: [`lend`] gave one for each thing that is asked for here.
fn next<'a>(handles: &mut &'a [u32], count: usize) -> &'a [u32] {
    let (next, rest) = handles.split_at(count);
    *handles = rest;
    next
}

fn link(event: &LinkEvent) -> wit::LinkEvent<'_> {
    match event {
        LinkEvent::Reachable(node) => wit::LinkEvent::Reachable(&node.0),
        LinkEvent::Up { link, node } => {
            wit::LinkEvent::Up(wit::LinkUp { link: *link, node: &node.0 })
        }
        LinkEvent::Down { link, node, reason: why } => {
            wit::LinkEvent::Down(wit::LinkDown { link: *link, node: &node.0, reason: reason(*why) })
        }
        LinkEvent::Data { link, body } => wit::LinkEvent::Data(wit::LinkData { link: *link, body }),
        LinkEvent::Rtt { link, rtt } => {
            wit::LinkEvent::Rtt(wit::LinkRtt { link: *link, rtt: *rtt })
        }
        LinkEvent::Writable(link) => wit::LinkEvent::Writable(*link),
        LinkEvent::Published { topic, body } => {
            wit::LinkEvent::Published(wit::Publication { topic: &topic.0, body })
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
