//! An actor of a ring: passes tokens on to the next, and answers questions.
//!
//! Granted `next`, whom tokens go to (or told by [`Message::Next`]), and `home`, who hears when a
//! token has no hops left.

use guest_sdk::{Actor, Address, Context, Duration, Error, Reason, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// What a token or a question carries: 64 bytes.
pub type Payload = ByteArray<64>;

/// One place in the ring.
#[derive(Debug, Serialize, Deserialize)]
pub struct Player {
    next: Option<Address>,
    home: Option<Address>,
    seen: Seen,
    /// When the last activation took place.
    last: Duration,
}

/// What a player has done so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Seen {
    /// Tokens that it was given.
    pub tokens: u64,
    /// Activations in which it was given them: the host gives the turns of one the same time.
    pub activations: u64,
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
    /// Answered with what it has [`Seen`].
    Seen,
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
        let (next, home) = (cx.address("next").ok(), cx.address("home").ok());
        Ok(Self { next, home, seen: Seen::default(), last: Duration::ZERO })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        if let Message::Token(..) = message {
            self.seen.tokens += 1;
            self.seen.activations += u64::from(cx.now() != self.last);
            self.last = cx.now();
        }
        match message {
            Message::Token(0, _) => cx.send(to(self.home)?, News::Done, 0),
            Message::Token(left, payload) => {
                cx.send(to(self.next)?, Message::Token(left - 1, payload), 0);
            }
            Message::Ask(payload) => drop(cx.reply(payload)),
            Message::Seen => drop(cx.reply(self.seen)),
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
