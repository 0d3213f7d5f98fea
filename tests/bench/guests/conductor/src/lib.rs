//! Builds a ring of players and runs tokens through it, or asks an actor questions one after the
//! other; takes the time of both by the turn clock.
//!
//! Granted `player`, the right to spawn players, or `other`, an actor that answers questions.

use guest_sdk::{Actor, Address, Answer, Child, Context, Duration, Error, Held, Reason, Result};
use player::{Payload, Seen};
use serde::{Deserialize, Serialize};

/// Players spawned, or tokens sent, in one turn: within the limit on a turn's effects.
const AT_ONCE: usize = 500;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The measuring actor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Conductor {
    players: Vec<Address>,
    work: Option<Work>,
}

/// What it is at.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    reply: Address,
    began: Duration,
    task: Task,
}

#[derive(Debug, Serialize, Deserialize)]
enum Task {
    Build { size: usize },
    Run { tokens: usize, sent: usize, hops: u64, order: Order, done: usize },
    Look,
    Ask { whom: Address, left: usize, asked: Duration, times: Vec<u32> },
}

/// In which order players are given their tokens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Each before the one it passes tokens on to.
    Along,
    /// Each after it.
    Against,
}

/// What it understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Build a ring of so many players; answered with [`Took`].
    Build(usize),
    /// Run so many tokens, each for so many hops, given out in this order; answered with [`Took`].
    Run(usize, u64, Order),
    /// Ask so many questions; answered with [`Asked`].
    Ask(usize),
    /// What has a player seen? Answered with a [`Seen`].
    Seen,
    /// Go on with what does not fit in one turn.
    Go,
    /// From a player.
    Done,
    /// From a player: a token was lost.
    Lost(Reason),
}

/// What a task took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Took {
    /// Nanoseconds.
    pub ns: u64,
    /// Letters between players.
    pub letters: u64,
}

/// What questions took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Nanoseconds for all.
    pub ns: u64,
    /// The median round trip, in nanoseconds.
    pub p50: u32,
    /// The 99th percentile, in nanoseconds.
    pub p99: u32,
    /// The longest, in nanoseconds.
    pub most: u32,
}

impl Actor for Conductor {
    type Message = Message;

    fn start(_: &mut Context<Self>) -> Result<Self> {
        Ok(Self { players: Vec::new(), work: None })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Build(size) => self.begin(Task::Build { size }, cx),
            Message::Run(tokens, hops, order) => {
                self.begin(Task::Run { tokens, sent: 0, hops, order, done: 0 }, cx)
            }
            Message::Ask(count) => {
                let other = cx.address("other").ok().or(self.players.first().copied());
                let whom = other.ok_or_else(|| Error::new("nobody to ask"))?;
                let times = Vec::with_capacity(count);
                self.begin(Task::Ask { whom, left: count, asked: cx.now(), times }, cx)
            }
            Message::Seen => self.begin(Task::Look, cx),
            Message::Go => self.go(cx),
            Message::Done => self.done(cx),
            Message::Lost(reason) => Err(Error::new(format_args!("a token was lost: {reason}"))),
        }
    }

    fn answered(
        &mut self,
        _: u64,
        outcome: Result<Answer, Reason>,
        cx: &mut Context<Self>,
    ) -> Result {
        let answer = outcome.map_err(Error::new)?;
        if let Some(Work { task: Task::Look, reply, .. }) = self.work {
            self.work = None;
            cx.send(reply, answer.decode::<Seen>()?, 0);
            return Ok(());
        }
        answer.decode::<Payload>()?;
        let Some(Work { task: Task::Ask { left, asked, times, .. }, .. }) = &mut self.work else {
            return Ok(());
        };
        let now = cx.now();
        times.push(u32::try_from((now - *asked).as_nanos()).unwrap_or(u32::MAX));
        *asked = now;
        *left -= 1;
        self.go(cx)
    }

    fn undelivered(&mut self, _: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        Err(Error::new(format_args!("a letter was not delivered: {reason}")))
    }
}

impl Conductor {
    fn begin(&mut self, task: Task, cx: &mut Context<Self>) -> Result {
        let reply = cx.take_reply().ok_or_else(|| Error::new("ask for it"))?;
        let reply = cx.keep(reply)?;
        self.work = Some(Work { reply, began: cx.now(), task });
        self.go(cx)
    }

    /// As much of the task as one turn may do.
    fn go(&mut self, cx: &mut Context<Self>) -> Result {
        let Some(Work { reply, began, task }) = &mut self.work else { return Ok(()) };
        let ns = |cx: &Context<Self>| (cx.now() - *began).as_nanos() as u64;
        match task {
            Task::Build { size } => {
                let child = cx.child("player")?;
                let more = AT_ONCE.min(*size - self.players.len());
                (0..more).try_for_each(|_| add(&mut self.players, child, cx))?;
                if self.players.len() < *size {
                    let me = cx.me();
                    cx.send(me, Message::Go, 0);
                    return Ok(());
                }
                let ends = self.players.first().zip(self.players.last());
                let (first, last) = ends.ok_or_else(|| Error::new("a ring of nobody"))?;
                cx.send(*first, player::Message::Next(*last), 0);
                cx.send(*reply, Took { ns: ns(cx), letters: 0 }, 0);
                self.work = None;
            }
            Task::Run { tokens, sent, hops, order, .. } => {
                let until = *tokens.min(&mut (*sent + AT_ONCE));
                for at in *sent..until {
                    let player = match order {
                        Order::Along => self.players.iter().nth_back(at),
                        Order::Against => self.players.get(at),
                    };
                    let player = player.ok_or_else(|| Error::new("more tokens than players"))?;
                    let token = player::Message::Token(*hops, Payload::new([7; 64]));
                    cx.send(*player, token, 0);
                }
                *sent = until;
                if until < *tokens {
                    let me = cx.me();
                    cx.send(me, Message::Go, 0);
                }
            }
            Task::Look => {
                let first = self.players.first().ok_or_else(|| Error::new("a ring of nobody"))?;
                cx.ask(*first, player::Message::Seen, 0, PATIENCE);
            }
            Task::Ask { left: 0, times, .. } => {
                times.sort_unstable();
                let at = |part: f64| {
                    times.get((times.len() as f64 * part) as usize).copied().unwrap_or_default()
                };
                let most = times.last().copied().unwrap_or_default();
                cx.send(*reply, Asked { ns: ns(cx), p50: at(0.5), p99: at(0.99), most }, 0);
                self.work = None;
            }
            Task::Ask { whom, .. } => {
                let question = player::Message::Ask(Payload::new([7; 64]));
                cx.ask(*whom, question, 0, PATIENCE);
            }
        }
        Ok(())
    }

    fn done(&mut self, cx: &mut Context<Self>) -> Result {
        let Some(Work { reply, began, task: Task::Run { tokens, hops, done, .. } }) =
            &mut self.work
        else {
            return Ok(());
        };
        *done += 1;
        if done == tokens {
            let ns = (cx.now() - *began).as_nanos() as u64;
            cx.send(*reply, Took { ns, letters: *tokens as u64 * *hops }, 0);
            self.work = None;
        }
        Ok(())
    }
}

/// One more player; tokens go from it to the one before.
fn add(players: &mut Vec<Address>, child: Child, cx: &mut Context<Conductor>) -> Result {
    let home = Held::from(cx.me());
    let player = match players.last() {
        Some(next) => cx.spawn(child, &[("home", home), ("next", Held::from(*next))], 0)?,
        None => cx.spawn(child, &[("home", home)], 0)?,
    };
    players.push(player);
    Ok(())
}
