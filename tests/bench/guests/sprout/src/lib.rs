//! The smallest actor: says that it lives if someone wants to know, and answers once.
//!
//! Granted `home`, it tells of its first turn.

use guest_sdk::{Actor, Context, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// An actor that hardly does anything.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sprout {
    asked: u64,
    #[serde(with = "serde_bytes")]
    ballast: Vec<u8>,
}

/// What it understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Answered with the payload.
    Ask(ByteArray<64>),
    /// As `Ask`, and then it stops itself.
    Last(ByteArray<64>),
    /// Keep so many bytes from now on; answered with their number.
    Grow(usize),
}

/// What it tells `home`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum News {
    /// Its first turn takes place.
    Started,
}

impl Actor for Sprout {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        if let Ok(home) = cx.address("home") {
            cx.send(home, News::Started, 0);
        }
        Ok(Self { asked: 0, ballast: Vec::new() })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        self.asked += 1;
        match message {
            Message::Ask(payload) => drop(cx.reply(payload)),
            Message::Last(payload) => {
                cx.reply(payload);
                let me = cx.me();
                cx.stop(me)?;
            }
            Message::Grow(bytes) => {
                self.ballast = vec![7; bytes];
                cx.reply(bytes);
            }
        }
        Ok(())
    }
}
