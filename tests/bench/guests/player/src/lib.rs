//! An actor of a ring: passes tokens on to the next, and answers questions.
//!
//! Granted `next`, whom tokens go to (or told by [`Message::Next`]), and `home`, who hears when a
//! token has no hops left.

use guest_sdk::{Actor, Address, Context, Error, Reason, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// What a token or a question carries: 64 bytes.
pub type Payload = ByteArray<64>;

/// One place in the ring.
#[derive(Debug, Serialize, Deserialize)]
pub struct Player {
    next: Option<Address>,
    home: Option<Address>,
}

/// What it understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A token with so many hops left.
    Token(u64, Payload),
    /// Answered with its own payload.
    Ask(Payload),
    /// Whom tokens go to from now on.
    Next(Address),
}

/// What it tells `home`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum News {
    /// A token has no hops left.
    Done,
    /// A token was lost, and why.
    Lost(Reason),
}

impl Actor for Player {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        Ok(Self { next: cx.address("next").ok(), home: cx.address("home").ok() })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Token(0, _) => cx.send(to(self.home)?, News::Done, 0),
            Message::Token(left, payload) => {
                cx.send(to(self.next)?, Message::Token(left - 1, payload), 0);
            }
            Message::Ask(payload) => drop(cx.reply(payload)),
            Message::Next(next) => self.next = Some(cx.keep(next)?),
        }
        Ok(())
    }

    fn undelivered(&mut self, _: u64, reason: Reason, cx: &mut Context<Self>) -> Result {
        cx.send(to(self.home)?, News::Lost(reason), 0);
        Ok(())
    }
}

fn to(address: Option<Address>) -> Result<Address> {
    address.ok_or_else(|| Error::new("it was granted neither `next` nor `home`"))
}
