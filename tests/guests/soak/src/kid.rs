//! A child as its parent sees it, with the account of its letters.
//!
//! What is promised, and looked for here: letters are taken in the order they were sent, each once.
//! One on which its actor crashes again and again is set aside, and no other one is lost by that.
//! What a stopped child had taken into its mailbox and not handled goes with it; whatever comes
//! after its end comes back `stopped`, once. So of a stopped child's letters the first were taken,
//! the last came back, and those between, no more than were under way, are gone. A question has an
//! outcome in any case: of these nothing is gone.

use guest_sdk::{Address, Context, Duration, Reason, Result};
use serde::{Deserialize, Serialize};

use crate::{Message, Report, Soak};

/// Letters under way to one child.
pub const WINDOW: u64 = 16;
/// Letters that a child is sent between two rests.
const STINT: u64 = 100;
/// Ticks after which all that is sent in a turn has come back from one that is gone. A tick is only
/// sent once the one before was taken: the next may be taken in the activation of that turn, and
/// the one behind it sent before that one's letters leave, but not a third.
pub const AFTER: u64 = 3;
/// Letters that are sent to one that is gone.
const LATE: u64 = 2;
/// Longest wait for an answer: the end of it would be a fault.
const PATIENCE: Duration = Duration::from_secs(300);
/// A token is a child's number times this, and the letter's.
pub const LETTERS: u64 = 1 << 32;

/// How a child is harmed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Harm {
    /// It panics.
    Trap,
    /// It never ends the turn.
    Spin,
}

impl Harm {
    /// What is told of a question that did this.
    fn reason(self) -> Reason {
        match self {
            Self::Trap => Reason::Trapped,
            Self::Spin => Reason::OverBudget,
        }
    }
}

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Kid {
    pub number: u64,
    pub address: Address,
    /// Whether its letters are questions.
    asked: bool,
    pub sent: u64,
    /// The number of the last that was taken.
    pub last: u64,
    taken: u64,
    /// Those that came back: how many, and the last of them.
    returned: u64,
    last_returned: u64,
    pub stint: u64,
    /// The number of the letter that it can't survive, and why.
    pub poison: Option<(u64, Harm)>,
    /// The outcome of that has come, if it was a question.
    settled: bool,
    /// It rests until this tick.
    pub rests: Option<u64>,
    pub stopped: bool,
    /// It was gone by this tick: what was under way then is here after [`AFTER`] more.
    pub gone: Option<u64>,
}

impl Kid {
    pub fn new(number: u64, address: Address) -> Self {
        Self {
            number,
            address,
            asked: number.is_multiple_of(2),
            sent: 0,
            last: 0,
            taken: 0,
            returned: 0,
            last_returned: 0,
            stint: 0,
            poison: None,
            settled: false,
            rests: None,
            stopped: false,
            gone: None,
        }
    }

    /// A stint begins; in the middle of its first letters there may be harm.
    pub fn begin(&mut self, harm: Option<Harm>, cx: &mut Context<Soak>) {
        self.stint += STINT;
        for place in 0..WINDOW {
            match harm {
                Some(harm) if place == WINDOW / 2 => {
                    self.poison = Some((self.sent + 1, harm));
                    self.post(Message::Suffer(harm), cx);
                }
                _ => self.send(cx),
            }
        }
    }

    pub fn send(&mut self, cx: &mut Context<Soak>) {
        self.post(Message::Take { number: self.number, letter: self.sent + 1 }, cx);
    }

    fn post(&mut self, message: Message, cx: &mut Context<Soak>) {
        self.sent += 1;
        let token = self.number * LETTERS + self.sent;
        if self.asked {
            cx.ask(self.address, message, token, PATIENCE);
        } else {
            cx.send(self.address, message, token);
        }
    }

    /// Stops it in the middle of as many letters as may be under way.
    pub fn stop(&mut self, report: &mut Report, cx: &mut Context<Soak>) -> Result {
        (0..WINDOW).for_each(|_| self.send(cx));
        report.stopped += 1;
        self.stopped = true;
        cx.stop(self.address)
    }

    /// It is gone. What is sent to it from now on comes back.
    pub fn bury(&mut self, tick: u64, cx: &mut Context<Soak>) {
        self.gone = Some(tick);
        (0..LATE).for_each(|_| self.send(cx));
    }

    /// All that it was sent has come to its end.
    pub fn is_even(&self) -> bool {
        self.last == self.sent
    }

    /// It was harmed, and has not taken a letter since.
    pub fn is_down(&self) -> bool {
        self.poison.is_some_and(|(poison, _)| self.last < poison)
    }

    /// It took a letter; an error says what is wrong with that.
    pub fn took(&mut self, letter: u64, report: &mut Report) -> Result<(), String> {
        report.taken += 1;
        self.taken += 1;
        let mut next = self.last + 1;
        let poison = self.poison.filter(|(poison, _)| *poison == next);
        if let Some((_, harm)) = poison {
            // It came back, and goes on behind what it was harmed by.
            next += 1;
            report.aside += 1;
            match harm {
                Harm::Trap => report.trapped += 1,
                Harm::Spin => report.overran += 1,
            }
            if self.asked && !self.settled {
                return Err(format!("nothing was told of letter {}", next - 1));
            }
        }
        let last = std::mem::replace(&mut self.last, letter);
        if letter != next || self.returned > 0 && !self.asked && letter >= self.first_returned() {
            return Err(format!("took {letter} after {last}, {} came back", self.returned));
        }
        Ok(())
    }

    /// A letter, or a question, came back; an error says what is wrong with that.
    pub fn came_back(&mut self, letter: u64, reason: Reason) -> Result<(), String> {
        if let Some((poison, harm)) = self.poison
            && self.asked
            && letter == poison
            && reason == harm.reason()
            && !std::mem::replace(&mut self.settled, true)
        {
            return Ok(());
        }
        let again = self.returned > 0 && !self.asked && letter != self.last_returned + 1;
        self.returned += 1;
        self.last_returned = letter;
        if !self.stopped || reason != Reason::Stopped || letter <= self.last || again {
            return Err(format!("letter {letter} came back, {reason}: {self:?}"));
        }
        Ok(())
    }

    fn first_returned(&self) -> u64 {
        self.last_returned + 1 - self.returned
    }

    /// It is gone, and nothing more comes; an error says what is wrong with its account.
    pub fn close(&self, report: &mut Report) -> Result<(), String> {
        let harmed = u64::from(self.poison.is_some_and(|(poison, _)| poison <= self.last));
        let left = self.sent.checked_sub(self.taken + harmed + self.returned);
        let left = left.ok_or_else(|| format!("more ended than was sent: {self:?}"))?;
        report.sent += self.sent;
        report.returned += self.returned;
        report.left += left;
        let last = self.asked || self.last_returned == self.sent;
        if self.asked && left > 0 || left > WINDOW || self.returned < LATE || !last {
            return Err(format!("{left} are missing: {self:?}"));
        }
        Ok(())
    }
}
