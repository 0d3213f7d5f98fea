//! A child's part: it answers for each letter, and falls over those that are poisonous.

use guest_sdk::{Context, Error, Result};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Harm, Message, Soak};

/// What a child remembers; gone with its incarnation.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Child {
    /// Its last letter; 0 if it has had none.
    last: u64,
    woken: Woken,
}

/// How often it was restored since it last said so. Nothing but parking saves a child.
#[derive(Default, Serialize)]
struct Woken(u64);

impl<'de> Deserialize<'de> for Woken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(u64::deserialize(deserializer)? + 1))
    }
}

impl Soak {
    /// A letter from its parent: a question, or else one that is answered by a letter.
    pub(crate) fn take(&mut self, number: u64, letter: u64, cx: &mut Context<Self>) -> Result {
        let home = self.home.ok_or_else(|| Error::new("no child"))?;
        let last = std::mem::replace(&mut self.child.last, letter);
        // What an earlier incarnation took is known to its parent, which looks for gaps as well.
        if last > 0 && letter != last + 1 {
            let what = format!("{number} was sent {letter} after {last}");
            cx.send(home, Message::Fault(what), 0);
        }
        let woken = std::mem::take(&mut self.child.woken.0);
        if !cx.reply(woken) {
            cx.send(home, Message::Taken { number, letter, woken }, 0);
        }
        Ok(())
    }

    /// A letter that no child survives.
    pub(crate) fn suffer(harm: Harm) -> Result {
        match harm {
            Harm::Trap => panic!("told to panic"),
            Harm::Spin => loop {
                std::hint::black_box(());
            },
        }
    }
}
