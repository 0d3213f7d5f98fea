//! Publishes when it is told to, and knows what it has heard: with it `edge-host sim --real` counts
//! what reaches which node.

use std::collections::BTreeSet;

use guest_sdk::{Actor, Address, Context, Result};
use serde::{Deserialize, Serialize};

/// Publishes on the topic granted as `news`, and hears what others publish there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Ear {
    heard: BTreeSet<u32>,
    twice: u64,
    /// Who waits for which numbers.
    awaits: Option<(Vec<u32>, Address)>,
}

/// What it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Publish one of this number, in a body of so many bytes, or as few as it takes.
    Publish {
        /// Its number: each once.
        number: u32,
        /// Bytes of the body.
        bytes: usize,
    },
    /// What another ear has published.
    News {
        /// Its number.
        number: u32,
        /// What makes it as long as it is to be.
        rest: String,
    },
    /// Say when all these were heard: answered with [`Heard`]. Who asked this before gets no answer
    /// any more.
    Await(Vec<u32>),
    /// Which of these were not heard so far? Answered with [`Heard`].
    Lacks(Vec<u32>),
}

/// What it has heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Those of the numbers asked for that are missing.
    pub missing: Vec<u32>,
    /// How many came again, of all.
    pub twice: u64,
}

/// Numbers remembered: the lowest are forgotten first.
const REMEMBERED: usize = 4096;
/// Bytes of a body besides what fills it up, while that has a length of two bytes.
const ENVELOPE: usize = 27;

impl Actor for Ear {
    type Message = Message;

    fn start(_: &mut Context<Self>) -> Result<Self> {
        Ok(Self::default())
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Publish { number, bytes } => {
                let rest = "z".repeat(bytes.saturating_sub(ENVELOPE));
                cx.publish("news", Message::News { number, rest });
            }
            Message::News { number, .. } => {
                self.twice += u64::from(!self.heard.insert(number));
                if self.heard.len() > REMEMBERED {
                    self.heard.pop_first();
                }
                self.tell(cx);
            }
            Message::Await(numbers) => {
                if let Some(reply) = cx.take_reply() {
                    if let Some((_, gone)) = self.awaits.take() {
                        cx.release(gone);
                    }
                    self.awaits = Some((numbers, cx.keep(reply)?));
                    self.tell(cx);
                }
            }
            Message::Lacks(numbers) => {
                cx.reply(self.heard_of(&numbers));
            }
        }
        Ok(())
    }
}

impl Ear {
    fn heard_of(&self, numbers: &[u32]) -> Heard {
        let missing = numbers.iter().filter(|number| !self.heard.contains(number));
        Heard { missing: missing.copied().collect(), twice: self.twice }
    }

    /// Answers who waits, if nothing is missing any more.
    fn tell(&mut self, cx: &mut Context<Self>) {
        let Some((numbers, _)) = &self.awaits else { return };
        let heard = self.heard_of(numbers);
        if heard.missing.is_empty()
            && let Some((_, reply)) = self.awaits.take()
        {
            // An answer uses the reply address up.
            cx.send(reply, heard, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use guest_sdk::{Bench, Receiver};

    use super::*;

    #[test]
    fn it_says_when_it_has_heard_all_and_what_came_twice() -> Result {
        let mut bench = Bench::new();
        let mut ear = bench.start::<Ear>()?;
        let news = |number| Message::News { number, rest: String::new() };
        bench.handle(&mut ear, news(1))?;
        bench.ask(&mut ear, Message::Await(vec![1, 2]))?;
        assert!(bench.sent().is_empty(), "2 is missing");
        bench.handle(&mut ear, news(1))?;
        let mut ear = bench.reload(ear)?;
        bench.handle(&mut ear, news(2))?;
        let heard = bench.sent().remove(0).decode::<Heard>()?;
        assert_eq!(heard, Heard { missing: Vec::new(), twice: 1 });
        let asker = bench.ask(&mut ear, Message::Lacks(vec![2, 3]))?;
        let sent = bench.sent().remove(0);
        assert_eq!(sent.to, Receiver::Asker(asker));
        assert_eq!(sent.decode::<Heard>()?.missing, [3]);
        Ok(())
    }

    #[test]
    fn a_body_is_as_long_as_it_was_told() -> Result {
        let mut bench = Bench::new();
        let mut ear = bench.start::<Ear>()?;
        bench.handle(&mut ear, Message::Publish { number: 70_000, bytes: 1024 })?;
        let rest = "z".repeat(1024 - ENVELOPE);
        let said = bench.published::<Message>("news")?;
        assert_eq!(said, [Message::News { number: 70_000, rest }]);
        Ok(())
    }
}
