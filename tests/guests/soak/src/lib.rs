//! Full load with an account of every letter: numbered to children that are busy, rest (and are
//! parked), crash and come back, and are stopped in the middle of it; and numbered to the same
//! actor on another node.
//!
//! Granted `kid`, the right to spawn itself; `peer`, the other node's actor, on one of the two. A
//! child is granted `home`.

mod child;
mod kid;

use guest_sdk::{Actor, Address, Answer, Context, Duration, Error, Held, Reason, Result};
use serde::{Deserialize, Serialize};

use child::Child;
use kid::{AFTER, Kid, LETTERS};

pub use kid::{Harm, WINDOW};

/// Children at a time.
const KIDS: usize = 24;
/// Letters under way to the other node.
const FAR_WINDOW: u64 = 64;
/// What goes on is looked at so often.
const TICK: Duration = Duration::from_millis(50);
/// Ticks that a child rests.
const REST: u64 = 6;

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
    /// To a child.
    Take {
        /// The child's number.
        number: u64,
        /// The letter's.
        letter: u64,
    },
    /// To a child, which won't survive it.
    Suffer(Harm),
    /// From a child.
    Taken {
        /// The child's number.
        number: u64,
        /// The letter's.
        letter: u64,
        /// How often it was woken since it last said so.
        woken: u64,
    },
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
    /// Letters to children that are gone by now.
    pub sent: u64,
    /// Letters that children took.
    pub taken: u64,
    /// Letters that no child could survive, and that were set aside.
    pub aside: u64,
    /// Letters that came back, for their child was stopped.
    pub returned: u64,
    /// Letters that were in the mailbox of a child when it was stopped.
    pub left: u64,
    /// Children that were spawned.
    pub spawned: u64,
    /// Children that were stopped with letters under way.
    pub stopped: u64,
    /// Rests that ended with a letter.
    pub rests: u64,
    /// Times that a child was woken after it had been parked.
    pub woken: u64,
    /// Times that a child trapped again and again, and came back.
    pub trapped: u64,
    /// Times that a child was over its budget again and again, and came back.
    pub overran: u64,
    /// Letters to the other node that were taken there.
    pub far: u64,
    /// What should not have been.
    pub faults: Vec<String>,
}

/// The actor, as parent and as child.
#[derive(Default, Serialize, Deserialize)]
pub struct Soak {
    home: Option<Address>,
    child: Child,
    kids: Vec<Kid>,
    peer: Option<Address>,
    far_sent: u64,
    far_seen: u64,
    ticks: u64,
    ends: Option<Duration>,
    reply: Option<Address>,
    report: Report,
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
            Message::Take { number, letter } => self.take(number, letter, cx),
            Message::Suffer(harm) => Self::suffer(harm),
            Message::Taken { number, letter, woken } => self.taken(number, letter, woken, cx),
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
                self.fault(what);
                Ok(())
            }
        }
    }

    fn answered(
        &mut self,
        token: u64,
        outcome: Result<Answer, Reason>,
        cx: &mut Context<Self>,
    ) -> Result {
        match outcome {
            Ok(answer) => self.taken(token / LETTERS, token % LETTERS, answer.decode()?, cx),
            Err(reason) => self.undelivered(token, reason, cx),
        }
    }

    fn undelivered(&mut self, token: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        let (number, letter) = (token / LETTERS, token % LETTERS);
        let said = match self.kids.iter_mut().find(|kid| kid.number == number) {
            Some(kid) => kid.came_back(letter, reason),
            None => Err(format!("letter {letter} to {number} came back too late: {reason}")),
        };
        said.unwrap_or_else(|what| self.fault(what));
        Ok(())
    }

    fn down(&mut self, number: u64, reason: Reason, cx: &mut Context<Self>) -> Result {
        match self.kids.iter_mut().find(|kid| kid.number == number && kid.stopped) {
            Some(kid) if reason == Reason::Stopped => kid.bury(self.ticks, cx),
            _ => self.fault(format!("{number} is gone: {reason}")),
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

    fn taken(&mut self, number: u64, letter: u64, woken: u64, cx: &mut Context<Self>) -> Result {
        let going = self.going(cx);
        self.report.woken += woken;
        let Some(kid) = self.kids.iter_mut().find(|kid| kid.number == number) else {
            self.fault(format!("{letter} was taken by {number}, which is gone"));
            return Ok(());
        };
        let said = kid.took(letter, &mut self.report);
        if !kid.stopped && going {
            if kid.sent < kid.stint {
                kid.send(cx);
            } else if kid.is_even() && cx.random_u64().is_multiple_of(4) {
                kid.stop(&mut self.report, cx)?;
            } else if kid.is_even() {
                kid.rests = Some(self.ticks + REST);
            }
        }
        said.unwrap_or_else(|what| self.fault(format!("{number}: {what}")));
        Ok(())
    }

    fn going(&self, cx: &Context<Self>) -> bool {
        self.ends.is_some_and(|ends| cx.now() < ends)
    }

    /// Wakes who has rested, closes the account of who is gone, spawns who is missing, and ends.
    fn look(&mut self, cx: &mut Context<Self>) -> Result {
        let ticks = self.ticks;
        let is_over = |kid: &mut Kid| kid.gone.is_some_and(|gone| gone + AFTER <= ticks);
        for kid in self.kids.extract_if(.., is_over) {
            cx.release(kid.address);
            if let Err(what) = kid.close(&mut self.report) {
                self.report.faults.push(what);
            }
        }
        if !self.going(cx) {
            return self.end(cx);
        }
        for at in 0..self.kids.len() {
            if self.kids[at].rests.take_if(|until| *until <= ticks).is_some() {
                self.report.rests += 1;
                let harm = self.harm(at, cx);
                match cx.random_u64().is_multiple_of(16) {
                    // It is stopped while it is parked, as a rule.
                    true => self.kids[at].stop(&mut self.report, cx)?,
                    false => self.kids[at].begin(harm, cx),
                }
            }
        }
        while self.kids.iter().filter(|kid| !kid.stopped).count() < KIDS {
            self.report.spawned += 1;
            let number = self.report.spawned;
            let (child, home) = (cx.child("kid")?, Held::from(cx.me()));
            let mut kid = Kid::new(number, cx.spawn(child, &[("home", home)], number)?);
            kid.begin(None, cx);
            self.kids.push(kid);
        }
        self.write(cx);
        Ok(())
    }

    /// What is done to a child in its next stint: once in its life, since it may not be restarted
    /// for ever, and one of them spins at a time, since that takes a whole core.
    fn harm(&self, at: usize, cx: &mut Context<Self>) -> Option<Harm> {
        let chosen = self.kids[at].poison.is_none() && cx.random_u64().is_multiple_of(4);
        let spin = |kid: &Kid| kid.is_down() && matches!(kid.poison, Some((_, Harm::Spin)));
        match self.kids.iter().any(spin) {
            _ if !chosen => None,
            true => Some(Harm::Trap),
            false => Some(Harm::Spin),
        }
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
        for kid in self.kids.iter_mut().filter(|kid| !kid.stopped && kid.is_even()) {
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
