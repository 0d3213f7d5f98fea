//! Full load with an account of every letter: numbered to children that are busy, rest (and are
//! parked), and are stopped in the middle of it, and numbered to the same actor on another node.
//!
//! Granted `kid`, the right to spawn itself; `peer`, the other node's actor, on one of the two. A
//! child is granted `home`.

use guest_sdk::{Actor, Address, Context, Duration, Error, Held, Reason, Result};
use serde::{Deserialize, Serialize};

/// Children at a time.
const KIDS: u64 = 24;
/// Letters under way to one child.
const WINDOW: u64 = 16;
/// Letters under way to the other node.
const FAR_WINDOW: u64 = 64;
/// Letters that a child is sent between two rests.
const STINT: u64 = 100;
/// What goes on is looked at so often.
const TICK: Duration = Duration::from_millis(50);
/// Ticks that a child rests.
const REST: u64 = 6;
/// A token is a child's number times this, and the letter's.
const LETTERS: u64 = 1 << 32;

/// What it understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Go on for so many milliseconds; answered with a [`Report`] when no letter is under way.
    Go(u64),
    /// What is still under way? Answered with a line for people.
    Look,
    /// From its timer.
    Tick,
    /// From the other node's: where that is.
    Hello(Address),
    /// To a child, by its number: the letter's number.
    Take(u64, u64),
    /// From a child.
    Taken(u64, u64),
    /// To the other node's.
    Far(u64),
    /// From the other node's.
    FarTaken(u64),
    /// From a child: what it found wrong.
    Fault(String),
}

/// The account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Letters to children.
    pub sent: u64,
    /// Of these, those that were taken.
    pub taken: u64,
    /// Of these, those that ended with a child that was stopped: at most a window for each.
    pub ended: u64,
    /// Children that were spawned.
    pub spawned: u64,
    /// Rests that ended with a letter.
    pub rests: u64,
    /// Letters to the other node that were taken there.
    pub far: u64,
    /// What should not have been.
    pub faults: Vec<String>,
}

/// The actor, as parent and as child.
#[derive(Default, Serialize, Deserialize)]
pub struct Soak {
    home: Option<Address>,
    /// A child's last letter.
    last: u64,
    kids: Vec<Kid>,
    peer: Option<Address>,
    far_sent: u64,
    far_seen: u64,
    ticks: u64,
    ends: Option<Duration>,
    reply: Option<Address>,
    report: Report,
}

#[derive(Debug, Serialize, Deserialize)]
struct Kid {
    number: u64,
    address: Address,
    sent: u64,
    taken: u64,
    stint: u64,
    /// It rests until this tick.
    rests: Option<u64>,
    stopped: bool,
}

impl Actor for Soak {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        let home = cx.address("home").ok();
        let mut soak = Self { home, ..Self::default() };
        if let Ok(peer) = cx.address("peer") {
            soak.peer = Some(peer);
            let me = cx.me();
            cx.send(peer, Message::Hello(me), u64::MAX);
        }
        Ok(soak)
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Go(ms) => {
                let reply = cx.take_reply().ok_or_else(|| Error::new("ask for it"))?;
                self.reply = Some(cx.keep(reply)?);
                self.ends = Some(cx.now() + Duration::from_millis(ms));
                cx.every(TICK, Message::Tick);
                self.look(cx)
            }
            Message::Look => {
                let far = format!("{} of {} taken afar", self.report.far, self.far_sent);
                cx.reply(format!("{far}; {:?}; {:?}", self.kids, self.report));
                Ok(())
            }
            Message::Tick => {
                self.ticks += 1;
                self.look(cx)
            }
            Message::Hello(peer) => {
                self.peer = Some(cx.keep(peer)?);
                Ok(())
            }
            Message::Take(number, letter) => self.take(number, letter, cx),
            Message::Taken(number, letter) => self.taken(number, letter, cx),
            Message::Far(letter) => {
                self.far_seen = self.next("from afar", self.far_seen, letter);
                self.peer.iter().for_each(|peer| cx.send(*peer, Message::FarTaken(letter), 0));
                Ok(())
            }
            Message::FarTaken(letter) => {
                self.report.far = self.next("taken afar", self.report.far, letter);
                self.write(cx);
                Ok(())
            }
            Message::Fault(what) => {
                self.report.faults.push(what);
                Ok(())
            }
        }
    }

    fn undelivered(&mut self, token: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        let (number, letter) = (token / LETTERS, token % LETTERS);
        let lives = self.kids.iter().any(|kid| kid.number == number && !kid.stopped);
        if lives || number == 0 || number > self.report.spawned {
            self.fault(format!("letter {letter} to {number} came back: {reason}"));
        }
        Ok(())
    }

    fn down(&mut self, number: u64, reason: Reason, cx: &mut Context<Self>) -> Result {
        match self.kids.iter().position(|kid| kid.number == number && kid.stopped) {
            Some(at) => {
                let kid = self.kids.swap_remove(at);
                self.report.ended += kid.sent - kid.taken;
                cx.release(kid.address);
            }
            None => self.fault(format!("{number} is gone: {reason}")),
        }
        self.look(cx)
    }
}

impl Soak {
    fn fault(&mut self, what: String) {
        if self.report.faults.len() < 10 {
            self.report.faults.push(what);
        }
    }

    fn next(&mut self, what: &str, last: u64, letter: u64) -> u64 {
        if letter != last + 1 {
            self.fault(format!("{what}: {letter} after {last}"));
        }
        letter
    }

    /// A child's part.
    fn take(&mut self, number: u64, letter: u64, cx: &mut Context<Self>) -> Result {
        let home = self.home.ok_or_else(|| Error::new("no child"))?;
        if letter != self.last + 1 {
            let what = format!("{number} was sent {letter} after {}", self.last);
            cx.send(home, Message::Fault(what), 0);
        }
        self.last = letter;
        cx.send(home, Message::Taken(number, letter), 0);
        Ok(())
    }

    fn taken(&mut self, number: u64, letter: u64, cx: &mut Context<Self>) -> Result {
        let going = self.going(cx);
        let Some(at) = self.kids.iter().position(|kid| kid.number == number) else {
            self.fault(format!("{letter} was taken by {number}, which is gone"));
            return Ok(());
        };
        self.report.taken += 1;
        let last = self.kids[at].taken;
        self.kids[at].taken = self.next("taken", last, letter);
        let kid = &mut self.kids[at];
        if kid.stopped || !going {
            return Ok(());
        }
        if kid.sent < kid.stint {
            return kid.send(&mut self.report, cx);
        }
        if kid.taken == kid.stint {
            if cx.random_u64().is_multiple_of(4) {
                // In the middle of as many letters as may be under way.
                for _ in 0..WINDOW {
                    kid.send(&mut self.report, cx)?;
                }
                kid.stopped = true;
                return cx.stop(kid.address);
            }
            kid.rests = Some(self.ticks + REST);
        }
        Ok(())
    }

    fn going(&self, cx: &Context<Self>) -> bool {
        self.ends.is_some_and(|ends| cx.now() < ends)
    }

    /// Wakes who has rested, spawns who is missing, and ends.
    fn look(&mut self, cx: &mut Context<Self>) -> Result {
        if !self.going(cx) {
            return self.end(cx);
        }
        for kid in &mut self.kids {
            if kid.rests.is_some_and(|until| until <= self.ticks) {
                kid.rests = None;
                self.report.rests += 1;
                kid.begin(&mut self.report, cx)?;
            }
        }
        while (self.kids.len() as u64) < KIDS {
            self.report.spawned += 1;
            let number = self.report.spawned;
            let (child, home) = (cx.child("kid")?, Held::from(cx.me()));
            let address = cx.spawn(child, &[("home", home)], number)?;
            let (sent, taken, stint, rests, stopped) = (0, 0, 0, None, false);
            let mut kid = Kid { number, address, sent, taken, stint, rests, stopped };
            kid.begin(&mut self.report, cx)?;
            self.kids.push(kid);
        }
        self.write(cx);
        Ok(())
    }

    /// Letters to the other node.
    fn write(&mut self, cx: &mut Context<Self>) {
        let Some(peer) = self.peer.filter(|_| self.going(cx)) else { return };
        while self.far_sent < self.report.far + FAR_WINDOW {
            self.far_sent += 1;
            cx.send(peer, Message::Far(self.far_sent), self.far_sent);
        }
    }

    /// Stops the children, and answers once all is accounted for.
    fn end(&mut self, cx: &mut Context<Self>) -> Result {
        for kid in self.kids.iter_mut().filter(|kid| !kid.stopped && kid.sent == kid.taken) {
            kid.stopped = true;
            cx.stop(kid.address)?;
        }
        if self.kids.is_empty() && self.far_sent == self.report.far {
            cx.cancel(Message::Tick);
            if let Some(reply) = self.reply.take() {
                cx.send(reply, &self.report, 0);
            }
        }
        Ok(())
    }
}

impl Kid {
    fn begin(&mut self, report: &mut Report, cx: &mut Context<Soak>) -> Result {
        self.stint += STINT;
        for _ in 0..WINDOW {
            self.send(report, cx)?;
        }
        Ok(())
    }

    fn send(&mut self, report: &mut Report, cx: &mut Context<Soak>) -> Result {
        self.sent += 1;
        report.sent += 1;
        let letter = Message::Take(self.number, self.sent);
        cx.send(self.address, letter, self.number * LETTERS + self.sent);
        Ok(())
    }
}
