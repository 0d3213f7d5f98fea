//! Messages as the guest sees them: addresses become handles of the actor's own table, and bodies
//! lie one after another.

use std::borrow::Cow;
use std::slice;

use super::bindings::edge::actor::types as wit;
use super::plain::{Batch, NO_REPLY};
use super::table::{Held, Table};
use crate::mailbox::{Letter, LinkEvent, Message};
use crate::reason::Reason;

/// The table has no place for what a message carries.
#[derive(Debug)]
pub struct TableFull;

/// Messages as the guest sees them, and what they carry, lent for the turn.
pub struct Given<'a> {
    messages: Messages<'a>,
    handles: Vec<u32>,
    bytes: Cow<'a, [u8]>,
}

/// A single one is by far the most common batch, and has no list to be allocated.
enum Messages<'a> {
    Sole(wit::Sole),
    Event((u32, wit::Event<'a>)),
    Several(Vec<wit::Letter>, Vec<(u32, wit::Event<'a>)>),
}

enum One<'a> {
    Letter(wit::Letter),
    Event((u32, wit::Event<'a>)),
}

impl<'a> Given<'a> {
    /// Lends what the messages carry. The body of a single one is not copied.
    pub fn lend(messages: &'a [Message], table: &mut Table) -> Result<Self, TableFull> {
        let mut view = View { table, handles: Vec::new(), bytes: Cow::Borrowed(&[]) };
        let messages = match messages {
            [only] => view.only(only)?,
            several => {
                let bytes = several.iter().map(Message::body_len).sum();
                view.bytes = Cow::Owned(Vec::with_capacity(bytes));
                let (mut letters, mut events) = (Vec::with_capacity(several.len()), Vec::new());
                for message in several {
                    match view.message(message, letters.len())? {
                        One::Letter(letter) => letters.push(letter),
                        One::Event(event) => events.push(event),
                    }
                }
                Messages::Several(letters, events)
            }
        };
        Ok(Self { messages, handles: view.handles, bytes: view.bytes })
    }

    /// The lists.
    pub fn batch(&self) -> Batch<'_> {
        let (sole, letters, events): (_, &[_], &[_]) = match &self.messages {
            Messages::Sole(sole) => (*sole, &[], &[]),
            Messages::Event(event) => (wit::Sole::None, &[], slice::from_ref(event)),
            Messages::Several(letters, events) => (wit::Sole::None, letters, events),
        };
        Batch { sole, letters, events, handles: &self.handles, bytes: &self.bytes }
    }
}

/// The addresses that letters carry, and all bodies so far.
struct View<'a, 't> {
    table: &'t mut Table,
    handles: Vec<u32>,
    bytes: Cow<'a, [u8]>,
}

impl<'a> View<'a, '_> {
    /// A message by itself.
    fn only(&mut self, message: &'a Message) -> Result<Messages<'a>, TableFull> {
        Ok(match self.message(message, 0)? {
            One::Letter(letter) => Messages::Sole(wit::Sole::Letter(letter.reply)),
            One::Event((_, event)) => match sole(&event) {
                Some(sole) => Messages::Sole(sole),
                None => Messages::Event((0, event)),
            },
        })
    }

    /// A message that comes after so many letters.
    fn message(&mut self, message: &'a Message, before: usize) -> Result<One<'a>, TableFull> {
        let event = match message {
            Message::Letter(letter) => return Ok(One::Letter(self.letter(letter)?)),
            Message::Answer { token, outcome } => {
                let outcome = match outcome {
                    Ok(letter) => Ok(self.letter(letter)?),
                    Err(why) => Err(reason(*why)),
                };
                wit::Event::Answer(wit::Answer { token: *token, outcome })
            }
            Message::Undelivered { token, reason: why } => {
                wit::Event::Undelivered(wit::Notice { token: *token, reason: reason(*why) })
            }
            Message::Timer { body, .. } => wit::Event::Timer(self.body(body)),
            Message::Down { token, reason: why } => {
                wit::Event::Down(wit::Notice { token: *token, reason: reason(*why) })
            }
            Message::Edge(edge) => wit::Event::Edge(wit::Edge {
                pin: self.pin(edge.pin)?,
                level: edge.level,
                at: edge.at,
                sequence: edge.sequence,
                dropped: edge.dropped,
            }),
            Message::Expired { pin } => wit::Event::Expired(self.pin(*pin)?),
            Message::Link(event) => wit::Event::Link(self.link(event)),
        };
        Ok(One::Event((before as u32, event)))
    }

    #[inline]
    fn letter(&mut self, letter: &'a Letter) -> Result<wit::Letter, TableFull> {
        let start = self.handles.len() as u32;
        for address in &letter.carried {
            let lent = self.table.lend(Held::Actor(address.clone()));
            self.handles.push(lent.ok_or(TableFull)?);
        }
        let carried = wit::Span { start, end: self.handles.len() as u32 };
        let reply = match &letter.reply {
            Some(reply) => self.table.lend(Held::Reply(reply.clone())).ok_or(TableFull)?,
            None => NO_REPLY,
        };
        Ok(wit::Letter { body: self.body(&letter.body), carried, reply })
    }

    fn pin(&mut self, pin: u64) -> Result<u32, TableFull> {
        self.table.handle_of(&Held::Pin(pin)).ok_or(TableFull)
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

/// An event that needs no list if it is all of a batch: an answer that wants none itself.
pub(super) fn sole(event: &wit::Event<'_>) -> Option<wit::Sole> {
    match event {
        wit::Event::Answer(wit::Answer { token, outcome: Ok(letter) }) => {
            (letter.reply == NO_REPLY).then_some(wit::Sole::Answer(*token))
        }
        _ => None,
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
