//! Loops for ever, once it is told to.

use guest_sdk::{Actor, Context, Result};
use serde::{Deserialize, Serialize};

/// The looping actor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hog {
    rounds: u64,
}

/// What it understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Loop for ever.
    Loop,
}

impl Actor for Hog {
    type Message = Message;

    fn start(_: &mut Context<Self>) -> Result<Self> {
        Ok(Self { rounds: 0 })
    }

    fn handle(&mut self, message: Message, _: &mut Context<Self>) -> Result {
        let Message::Loop = message;
        loop {
            self.rounds = std::hint::black_box(self.rounds.wrapping_add(1));
        }
    }
}
