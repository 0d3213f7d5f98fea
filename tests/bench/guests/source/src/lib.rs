//! Sends numbered letters to one actor, `home`, as fast as that takes them: on its credit.

use guest_sdk::{Actor, Address, Context, Duration, Error, Reason, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

/// Letters sent in one turn: within the limit on a turn's effects, and in bytes on a link's queue.
const AT_ONCE: u32 = 256;
/// Bytes sent in one turn.
const BYTES_AT_ONCE: u32 = 1 << 20;

/// The sending actor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Source {
    place: u32,
    next: u32,
    end: u32,
    credit: u32,
    payload: ByteBuf,
    going: bool,
    /// Who wants to hear when the last letter was counted, and when that was asked.
    asked: Option<(Address, Duration)>,
}

/// What it understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// From a tally that spawned it: so many letters of so many bytes.
    Begin {
        /// Its place among the tally's sources.
        place: u32,
        /// How many letters.
        count: u32,
        /// Bytes of each.
        size: u32,
        /// Letters that may be on their way.
        window: u32,
    },
    /// From outside: the same, to a tally elsewhere; answered with [`Took`] when all are counted.
    Stream {
        /// How many letters: a multiple of half the window.
        count: u32,
        /// Bytes of each.
        size: u32,
        /// Letters that may be on their way.
        window: u32,
    },
    /// From the tally: so many more.
    Credit {
        /// Its place among the tally's sources.
        place: u32,
        /// How many.
        more: u32,
    },
    /// Go on with what does not fit in one turn.
    Go,
}

/// What a source sends to its tally.
#[derive(Serialize)]
enum Out<'a> {
    Letter(u32, u32, &'a Bytes),
    Hello(Address, u32),
}

/// What a stream took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Took {
    /// Nanoseconds.
    pub ns: u64,
    /// Letters counted at the other end.
    pub letters: u64,
}

impl Actor for Source {
    type Message = Message;

    fn start(_: &mut Context<Self>) -> Result<Self> {
        let payload = ByteBuf::new();
        Ok(Self { place: 0, next: 0, end: 0, credit: 0, payload, going: false, asked: None })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Begin { place, count, size, window } => {
                self.place = place;
                self.prepare(count, size);
                self.credit = window;
            }
            Message::Stream { count, size, window } => {
                let reply = cx.take_reply().ok_or_else(|| Error::new("ask for it"))?;
                self.asked = Some((cx.keep(reply)?, cx.now()));
                self.prepare(count, size);
                self.credit = 0;
                let (home, me) = (cx.address("home")?, cx.me());
                cx.send(home, Out::Hello(me, window / 2), 0);
            }
            Message::Credit { place, more } => {
                self.place = place;
                self.credit += more;
                if let Some((reply, began)) = self.asked
                    && self.is_counted(more)
                {
                    let ns = (cx.now() - began).as_nanos() as u64;
                    cx.send(reply, Took { ns, letters: u64::from(self.end) }, 0);
                    self.asked = None;
                }
            }
            Message::Go => self.going = false,
        }
        self.send(cx)
    }

    fn undelivered(&mut self, _: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        Err(Error::new(format_args!("a letter was not delivered: {reason}")))
    }
}

impl Source {
    fn prepare(&mut self, count: u32, size: u32) {
        (self.next, self.end) = (0, count);
        self.payload = ByteBuf::from(vec![7; size as usize]);
    }

    /// All credit is back: the last letter has been counted.
    fn is_counted(&self, half: u32) -> bool {
        self.next == self.end && self.credit == 2 * half
    }

    fn send(&mut self, cx: &mut Context<Self>) -> Result {
        let size = (self.payload.len() as u32).max(1);
        let at_once = AT_ONCE.min(BYTES_AT_ONCE / size).max(1);
        let home = cx.address("home")?;
        let count = self.credit.min(self.end - self.next).min(at_once);
        for number in self.next..self.next + count {
            cx.send(home, Out::Letter(self.place, number, Bytes::new(&self.payload)), 0);
        }
        self.next += count;
        self.credit -= count;
        if self.credit > 0 && self.next < self.end && !self.going {
            self.going = true;
            let me = cx.me();
            cx.send(me, Message::Go, 0);
        }
        Ok(())
    }
}
