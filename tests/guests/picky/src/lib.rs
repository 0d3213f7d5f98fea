//! Takes over nobody's state but its own: for swaps that must fail.

use guest_sdk::{Actor, Context, Result};
use serde::{Deserialize, Serialize};

/// Its state is like no other actor's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picky {
    taste: String,
}

impl Actor for Picky {
    type Message = u64;

    fn start(_: &mut Context<Self>) -> Result<Self> {
        Ok(Self { taste: "its own".into() })
    }

    fn handle(&mut self, _: u64, cx: &mut Context<Self>) -> Result {
        cx.reply(&self.taste);
        Ok(())
    }
}
