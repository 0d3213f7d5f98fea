//! Messages as the guest sees them: addresses become handles of the actor's own table, and bodies
//! lie one after another.

use std::borrow::Cow;

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

/// Gives messages as the guest sees them, with the handles that [`lend`] gave for them, and all
/// their bodies. A single one allocates nothing, and its body is not copied here.
pub fn give<T>(
    messages: &[Message],
    handles: &[u32],
    to: impl FnOnce(&[wit::Message<'_>], &[u8]) -> T,
) -> T {
    match messages {
        [only] => {
            let mut view = View { handles, bytes: Cow::Borrowed(&[]) };
            let only = view.message(only);
            to(&[only], &view.bytes)
        }
        several => {
            let bytes = Vec::with_capacity(several.iter().map(Message::body_len).sum());
            let mut view = View { handles, bytes: Cow::Owned(bytes) };
            let several: Vec<_> = several.iter().map(|message| view.message(message)).collect();
            to(&several, &view.bytes)
        }
    }
}

/// What is left of the handles, and the bodies so far.
struct View<'a> {
    handles: &'a [u32],
    bytes: Cow<'a, [u8]>,
}

impl<'a> View<'a> {
    fn message(&mut self, message: &'a Message) -> wit::Message<'a> {
        match message {
            Message::Letter(letter) => wit::Message::Letter(self.letter(letter)),
            Message::Answer { token, outcome } => {
                let outcome = match outcome {
                    Ok(letter) => Ok(self.letter(letter)),
                    Err(why) => Err(reason(*why)),
                };
                wit::Message::Answer(wit::Answer { token: *token, outcome })
            }
            Message::Undelivered { token, reason: why } => {
                wit::Message::Undelivered(wit::Notice { token: *token, reason: reason(*why) })
            }
            Message::Timer { body, .. } => wit::Message::Timer(self.body(body)),
            Message::Down { token, reason: why } => {
                wit::Message::Down(wit::Notice { token: *token, reason: reason(*why) })
            }
            Message::Edge(edge) => wit::Message::Edge(wit::Edge {
                pin: self.handles(1)[0],
                level: edge.level,
                at: edge.at,
                sequence: edge.sequence,
                dropped: edge.dropped,
            }),
            Message::Expired { .. } => wit::Message::Expired(self.handles(1)[0]),
            Message::Link(event) => wit::Message::Link(self.link(event)),
        }
    }

    fn letter(&mut self, letter: &'a Letter) -> wit::Letter<'a> {
        let carried = self.handles(letter.carried.len());
        let reply = letter.reply.as_ref().map(|_| self.handles(1)[0]);
        let carried = (!carried.is_empty()).then_some(carried);
        wit::Letter { body: self.body(&letter.body), carried, reply }
    }

    fn link(&mut self, event: &'a LinkEvent) -> wit::LinkEvent<'a> {
        match event {
            LinkEvent::Reachable(node) => wit::LinkEvent::Reachable(&node.0),
            LinkEvent::Up { link, node } => {
                wit::LinkEvent::Up(wit::LinkUp { link: *link, node: &node.0 })
            }
            LinkEvent::Down { link, node, reason: why } => wit::LinkEvent::Down(wit::LinkDown {
                link: *link,
                node: &node.0,
                reason: reason(*why),
            }),
            LinkEvent::Data { link, body } => {
                wit::LinkEvent::Data(wit::LinkData { link: *link, body: self.body(body) })
            }
            LinkEvent::Rtt { link, rtt } => {
                wit::LinkEvent::Rtt(wit::LinkRtt { link: *link, rtt: *rtt })
            }
            LinkEvent::Writable(link) => wit::LinkEvent::Writable(*link),
            LinkEvent::Published { topic, body } => wit::LinkEvent::Published(wit::Publication {
                topic: &topic.0,
                body: self.body(body),
            }),
        }
    }

    /// The next handles: [`lend`] gave one for each thing that is asked for here.
    fn handles(&mut self, count: usize) -> &'a [u32] {
        let (next, rest) = self.handles.split_at(count);
        self.handles = rest;
        next
    }

    fn body(&mut self, body: &'a [u8]) -> wit::Span {
        let start = self.bytes.len();
        match &mut self.bytes {
            Cow::Borrowed(only) => *only = body,
            Cow::Owned(all) => all.extend_from_slice(body),
        }
        // A batch of letters is bounded far below 4 GiB: a guest could not take more.
        wit::Span { start: start as u32, end: self.bytes.len() as u32 }
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
