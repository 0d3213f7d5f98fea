//! One of two actors that write to each other: it does as it is told, and records what arrives and
//! what became of all that it sent.

use guest_sdk::{Actor, Address, Answer, Context, Duration, Error, Reason, Result};
use serde::{Deserialize, Serialize};

/// Between two rows of letters of a stream.
const PACE: Duration = Duration::from_millis(2);

/// Writes to the address granted as `other`, if there is one.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pair<const VERSION: u32> {
    other: Option<Address>,
    report: Report,
    /// Letters of a stream still to be sent: from, up to and without, at once.
    stream: Option<(u64, u64, u64)>,
    held: Vec<Address>,
    /// Questions of a conversation still to be asked, and who waits for its end.
    conversation: Option<(u64, Address)>,
}

/// What it understands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// A numbered letter: recorded.
    Letter(u64),
    /// Answered with the number after this one.
    Question(u64),
    /// Answered never, and its asker may know it.
    Silence,
    /// Answered never, but the reply address is kept.
    Hold,
    /// So many rounds of work.
    Spin(u64),
    /// Ends the turn with an error.
    Fail,
    /// Send so many numbered letters in one turn.
    Send {
        /// The first number.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Send work, and numbered letters behind it.
    Flood {
        /// Rounds of work.
        spin: u64,
        /// How many letters.
        count: u64,
    },
    /// Send numbered letters, some at a time.
    Stream {
        /// The first number.
        first: u64,
        /// How many.
        count: u64,
        /// How many at a time.
        each: u64,
    },
    /// Time for some more of a stream.
    Pace,
    /// Publish so many numbered letters on the topic granted as `news`.
    Publish {
        /// The first number.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Ask something.
    Ask {
        /// What.
        what: Box<Message>,
        /// The question's token.
        token: u64,
        /// Milliseconds to wait.
        within: u64,
    },
    /// Ask so many questions, each after the answer to the one before; answered at the end.
    Converse(u64),
    /// Monitor the other one, with this token.
    Monitor(u64),
    /// Answered with a [`Report`].
    Report,
    /// Answered with the number of its version.
    Version,
}

/// What arrived, and what became of what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Numbers of letters, in the order they arrived.
    pub letters: Vec<u64>,
    /// Letters that could not be delivered.
    pub undelivered: Vec<(u64, Reason)>,
    /// What came of questions.
    pub answers: Vec<(u64, Outcome)>,
    /// Monitored actors that are gone.
    pub down: Vec<(u64, Reason)>,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Its answer.
    Number(u64),
    /// Why there is none.
    None(Reason),
}

impl<const VERSION: u32> Actor for Pair<VERSION> {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        let other = cx.address("other").ok();
        let (report, held) = (Report::default(), Vec::new());
        Ok(Self { other, report, stream: None, held, conversation: None })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Letter(number) => self.report.letters.push(number),
            Message::Question(number) => drop(cx.reply(number + 1)),
            Message::Silence => {}
            Message::Hold => {
                if let Some(reply) = cx.take_reply() {
                    self.held.push(cx.keep(reply)?);
                }
            }
            Message::Spin(rounds) => {
                for round in 0..rounds {
                    std::hint::black_box(round);
                }
            }
            Message::Fail => return Err(Error::new("it was told to fail")),
            Message::Send { first, count } => self.send(first..first + count, cx)?,
            Message::Flood { spin, count } => {
                cx.send(self.other()?, Message::Spin(spin), u64::MAX);
                self.send(0..count, cx)?;
            }
            Message::Stream { first, count, each } => {
                self.stream = Some((first, first + count, each));
                cx.after(PACE, Message::Pace);
            }
            Message::Pace => self.pace(cx)?,
            Message::Publish { first, count } => {
                (first..first + count).for_each(|n| cx.publish("news", Message::Letter(n)));
            }
            Message::Ask { what, token, within } => {
                cx.ask(self.other()?, *what, token, Duration::from_millis(within));
            }
            Message::Converse(count) => {
                let reply = cx.take_reply().ok_or_else(|| Error::new("ask for it"))?;
                self.conversation = Some((count, cx.keep(reply)?));
                self.converse(0, cx)?;
            }
            Message::Monitor(token) => cx.monitor(self.other()?, token)?,
            Message::Report => drop(cx.reply(&self.report)),
            Message::Version => drop(cx.reply(VERSION)),
        }
        Ok(())
    }

    fn answered(
        &mut self,
        token: u64,
        outcome: Result<Answer, Reason>,
        cx: &mut Context<Self>,
    ) -> Result {
        if self.conversation.is_some() {
            let answer = outcome.map_err(|reason| Error::new(format_args!("{reason}")))?;
            return self.converse(answer.decode()?, cx);
        }
        let outcome = match outcome {
            Ok(answer) => Outcome::Number(answer.decode()?),
            Err(reason) => Outcome::None(reason),
        };
        self.report.answers.push((token, outcome));
        Ok(())
    }

    fn undelivered(&mut self, token: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        self.report.undelivered.push((token, reason));
        Ok(())
    }

    fn down(&mut self, token: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        self.report.down.push((token, reason));
        Ok(())
    }
}

impl<const VERSION: u32> Pair<VERSION> {
    fn other(&self) -> Result<Address> {
        self.other.ok_or_else(|| Error::new("no address was granted as `other`"))
    }

    fn send(&mut self, numbers: std::ops::Range<u64>, cx: &mut Context<Self>) -> Result {
        let other = self.other()?;
        numbers.for_each(|number| cx.send(other, Message::Letter(number), number));
        Ok(())
    }

    /// The next question of a conversation, which is how many were answered; or its end.
    fn converse(&mut self, answered: u64, cx: &mut Context<Self>) -> Result {
        match self.conversation.take() {
            Some((count, reply)) if answered == count => cx.send(reply, answered, 0),
            Some(conversation) => {
                self.conversation = Some(conversation);
                let patience = Duration::from_secs(60);
                cx.ask(self.other()?, Message::Question(answered), answered, patience);
            }
            None => {}
        }
        Ok(())
    }

    fn pace(&mut self, cx: &mut Context<Self>) -> Result {
        let Some((first, end, each)) = self.stream.take() else { return Ok(()) };
        let next = end.min(first + each);
        self.send(first..next, cx)?;
        if next < end {
            self.stream = Some((next, end, each));
            cx.after(PACE, Message::Pace);
        }
        Ok(())
    }
}
