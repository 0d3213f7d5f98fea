//! Messages as the guest sees them: addresses become handles of the actor's own table.

use super::bindings::edge::actor::types as wit;
use super::table::{Held, Table};
use crate::address::Address;
use crate::mailbox::{Letter, LinkEvent, Message};
use crate::reason::Reason;

/// The table has no place for what a message carries.
#[derive(Debug)]
pub struct TableFull;

/// A message for the guest; what it carries is lent for the turn.
pub fn message(message: &Message, table: &mut Table) -> Result<wit::Message, TableFull> {
    Ok(match message {
        Message::Letter(letter) => wit::Message::Letter(lend(letter, table)?),
        Message::Answer { token, outcome } => {
            let outcome = match outcome {
                Ok(letter) => Ok(lend(letter, table)?),
                Err(why) => Err(reason(*why)),
            };
            wit::Message::Answer(wit::Answer { token: *token, outcome })
        }
        Message::Undelivered { token, reason: why } => {
            wit::Message::Undelivered(wit::Notice { token: *token, reason: reason(*why) })
        }
        Message::Timer { body, .. } => wit::Message::Timer(body.clone()),
        Message::Down { token, reason: why } => {
            wit::Message::Down(wit::Notice { token: *token, reason: reason(*why) })
        }
        Message::Edge(edge) => wit::Message::Edge(wit::Edge {
            pin: pin(edge.pin, table)?,
            level: edge.level,
            at: edge.at,
            sequence: edge.sequence,
            dropped: edge.dropped,
        }),
        Message::Expired { pin: number } => wit::Message::Expired(pin(*number, table)?),
        Message::Link(event) => wit::Message::Link(link(event)),
    })
}

fn lend(letter: &Letter, table: &mut Table) -> Result<wit::Letter, TableFull> {
    let mut handle = |held| table.lend(held).ok_or(TableFull);
    let carried = letter.carried.iter().map(|address| handle(Held::Actor(address.clone())));
    let carried = carried.collect::<Result<Vec<_>, _>>()?;
    let reply =
        letter.reply.clone().map(|reply: Address| handle(Held::Reply(reply))).transpose()?;
    Ok(wit::Letter { body: letter.body.clone(), carried, reply })
}

fn pin(number: u64, table: &mut Table) -> Result<u32, TableFull> {
    let wanted = Held::Pin(number);
    table.handle_of(&wanted).ok_or(TableFull)
}

fn link(event: &LinkEvent) -> wit::LinkEvent {
    let id = |node: &crate::address::NodeId| node.0.to_vec();
    match event {
        LinkEvent::Reachable(node) => wit::LinkEvent::Reachable(id(node)),
        LinkEvent::Up { link, node } => {
            wit::LinkEvent::Up(wit::LinkUp { link: *link, node: id(node) })
        }
        LinkEvent::Down { link, node, reason: why } => wit::LinkEvent::Down(wit::LinkDown {
            link: *link,
            node: id(node),
            reason: reason(*why),
        }),
        LinkEvent::Data { link, body } => {
            wit::LinkEvent::Data(wit::LinkData { link: *link, body: body.clone() })
        }
        LinkEvent::Rtt { link, rtt } => {
            wit::LinkEvent::Rtt(wit::LinkRtt { link: *link, rtt: *rtt })
        }
        LinkEvent::Writable(link) => wit::LinkEvent::Writable(*link),
        LinkEvent::Published { topic, body } => wit::LinkEvent::Published(wit::Publication {
            topic: topic.0.to_vec(),
            body: body.clone(),
        }),
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
