//! Counts the letters of many sources, and checks their order.
//!
//! Its mailbox is bounded, so sources send on credit: it gives each new credit for what it has
//! counted. Granted `source`, the right to spawn sources, where they are to be its own.

use guest_sdk::{Actor, Address, Context, Duration, Error, Held, Reason, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

/// The counting actor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tally {
    sources: Vec<Seen>,
    work: Option<Work>,
}

/// What is known of one source.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    address: Address,
    credit: u32,
    next: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Work {
    reply: Address,
    began: Duration,
    left: u64,
    all: u64,
    /// Each turn writes how many are left to the store.
    durable: bool,
}

/// What it understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A source's next letter: its place among the sources, its number, and what it carries.
    Letter(u32, u32, ByteBuf),
    /// A source that is not a child: its letters follow on credit, so many on each.
    Hello(Address, u32),
    /// Spawn so many sources.
    Spawn(u32),
    /// Have every source send so many letters of so many bytes, at most so many on their way;
    /// answered with [`Took`].
    Run {
        /// Letters of each.
        count: u32,
        /// Bytes of each letter.
        size: u32,
        /// Letters of one source that may be on their way.
        window: u32,
        /// Whether each turn makes the count durable before its effects leave.
        #[serde(default)]
        durable: bool,
    },
}

/// What a run took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Took {
    /// Nanoseconds.
    pub ns: u64,
    /// Letters counted.
    pub letters: u64,
}

impl Actor for Tally {
    type Message = Message;

    fn start(_: &mut Context<Self>) -> Result<Self> {
        Ok(Self { sources: Vec::new(), work: None })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Letter(from, number, _) => self.count(from, number, cx),
            Message::Hello(address, credit) => {
                let address = cx.keep(address)?;
                let place = self.sources.len() as u32;
                self.sources.push(Seen { address, credit, next: 0 });
                cx.send(address, source::Message::Credit { place, more: 2 * credit }, 0);
                Ok(())
            }
            Message::Spawn(count) => {
                let child = cx.child("source")?;
                for _ in 0..count {
                    let home = Held::from(cx.me());
                    let address = cx.spawn(child, &[("home", home)], 0)?;
                    self.sources.push(Seen { address, credit: 0, next: 0 });
                }
                cx.reply(count);
                Ok(())
            }
            Message::Run { count, size, window, durable } => {
                let reply = cx.take_reply().ok_or_else(|| Error::new("ask for it"))?;
                let all = u64::from(count) * self.sources.len() as u64;
                let (reply, began) = (cx.keep(reply)?, cx.now());
                self.work = Some(Work { reply, began, left: all, all, durable });
                self.run(count, size, window, cx);
                Ok(())
            }
        }
    }

    fn undelivered(&mut self, _: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        Err(Error::new(format_args!("credit was not delivered: {reason}")))
    }
}

impl Tally {
    fn run(&mut self, count: u32, size: u32, window: u32, cx: &mut Context<Self>) {
        for (place, source) in (0..).zip(&mut self.sources) {
            (source.credit, source.next) = (window / 2, 0);
            cx.send(source.address, source::Message::Begin { place, count, size, window }, 0);
        }
    }

    fn count(&mut self, from: u32, number: u32, cx: &mut Context<Self>) -> Result {
        let source = self.sources.get_mut(from as usize);
        let source = source.ok_or_else(|| Error::new(format_args!("no source {from}")))?;
        if number != source.next {
            let due = source.next;
            return Err(Error::new(format_args!("letter {number} of {from}, {due} was due")));
        }
        source.next += 1;
        if source.next % source.credit == 0 {
            let credit = source::Message::Credit { place: from, more: source.credit };
            cx.send(source.address, credit, 0);
        }
        let Some(work) = &mut self.work else { return Ok(()) };
        work.left -= 1;
        if work.durable {
            cx.put("left", work.left)?;
        }
        if work.left == 0 {
            let ns = (cx.now() - work.began).as_nanos() as u64;
            cx.send(work.reply, Took { ns, letters: work.all }, 0);
            self.work = None;
        }
        Ok(())
    }
}
