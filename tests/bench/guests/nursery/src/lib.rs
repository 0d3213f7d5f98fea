//! Spawns sprouts and takes the time by the turn clock.
//!
//! Granted `sprout`, the right to spawn them.

use guest_sdk::{Actor, Address, Answer, Context, Duration, Error, Held, Reason, Result};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// Spawned in one turn, and asked at once: within the limit on a turn's effects.
const AT_ONCE: usize = 500;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The spawning actor.
#[derive(Debug, Serialize, Deserialize)]
pub struct Nursery {
    /// Those that live, with those that are on their way.
    sprouts: Vec<Address>,
    work: Option<Work>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Work {
    reply: Address,
    began: Duration,
    task: Task,
    /// Still to be spawned.
    left: usize,
    /// Still to be heard of.
    due: usize,
    all: usize,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Until all have an address that takes letters: until the turn after the last spawn.
    Addressable,
    /// Until the first turn of each has taken place.
    Started,
    /// Until each has answered a question and is gone. At most so many are alive at once.
    Answered(usize),
    /// Until all that live have answered a question, so many at once.
    Asked,
    /// Until all that live have as much state as they were told.
    Grown,
}

/// What it understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// Spawn so many; answered with [`Took`].
    Spawn(Task, usize),
    /// Ask each of those that live, and wait for the answers; answered with their number.
    AskAll,
    /// The same of so many of them.
    AskSome(usize),
    /// Have each of those that live keep so many bytes; answered with their number.
    GrowAll(usize),
    /// Stop them, and wait until they are gone; answered with their number.
    StopAll,
    /// Go on with what does not fit in one turn.
    Go,
    /// From a sprout: its first turn takes place.
    Started,
}

/// What a task took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Took {
    /// Nanoseconds.
    pub ns: u64,
    /// How many were spawned.
    pub actors: u64,
}

impl Actor for Nursery {
    type Message = Message;

    fn start(_: &mut Context<Self>) -> Result<Self> {
        Ok(Self { sprouts: Vec::new(), work: None })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Spawn(task, count) => {
                self.begin(task, count, cx)?;
                self.spawn(cx)
            }
            Message::Go => self.spawn(cx),
            Message::Started => self.heard(cx),
            Message::AskAll => self.begin_asking(usize::MAX, cx),
            Message::AskSome(most) => self.begin_asking(most, cx),
            Message::GrowAll(bytes) => {
                let count = self.sprouts.len();
                self.begin(Task::Grown, count, cx)?;
                self.work.iter_mut().for_each(|work| work.left = 0);
                for sprout in &self.sprouts {
                    cx.ask(*sprout, sprout::Message::Grow(bytes), 0, PATIENCE);
                }
                Ok(())
            }
            Message::StopAll => {
                let count = self.sprouts.len();
                self.begin(Task::Started, count, cx)?;
                self.work.iter_mut().for_each(|work| work.left = 0);
                for sprout in self.sprouts.drain(..) {
                    cx.stop(sprout)?;
                    cx.release(sprout);
                }
                Ok(())
            }
        }
    }

    fn answered(
        &mut self,
        _: u64,
        outcome: Result<Answer, Reason>,
        cx: &mut Context<Self>,
    ) -> Result {
        let answer = outcome.map_err(Error::new)?;
        let task = self.work.as_ref().map(|work| work.task);
        match task {
            Some(Task::Grown) => drop(answer.decode::<usize>()?),
            _ => drop(answer.decode::<ByteArray<64>>()?),
        }
        match task {
            Some(Task::Answered(_)) => return Ok(()),
            Some(Task::Asked) => self.ask(1, cx),
            _ => {}
        }
        self.heard(cx)
    }

    fn down(&mut self, _: u64, reason: Reason, cx: &mut Context<Self>) -> Result {
        if reason != Reason::Stopped {
            return Err(Error::new(format_args!("a sprout is gone: {reason}")));
        }
        self.heard(cx)?;
        match &self.work {
            Some(Work { task: Task::Answered(_), left: 1.., .. }) => self.spawn(cx),
            _ => Ok(()),
        }
    }

    fn undelivered(&mut self, _: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        Err(Error::new(format_args!("a letter was not delivered: {reason}")))
    }
}

impl Nursery {
    fn begin(&mut self, task: Task, count: usize, cx: &mut Context<Self>) -> Result {
        let reply = cx.take_reply().ok_or_else(|| Error::new("ask for it"))?;
        let reply = cx.keep(reply)?;
        let (left, due, all) = (count, count, count);
        self.work = Some(Work { reply, began: cx.now(), task, left, due, all });
        Ok(())
    }

    fn begin_asking(&mut self, most: usize, cx: &mut Context<Self>) -> Result {
        let count = self.sprouts.len().min(most);
        self.begin(Task::Asked, count, cx)?;
        self.ask(AT_ONCE, cx);
        Ok(())
    }

    /// As many as one turn may spawn.
    fn spawn(&mut self, cx: &mut Context<Self>) -> Result {
        let Some(work) = &mut self.work else { return Ok(()) };
        let (child, me) = (cx.child("sprout")?, cx.me());
        if let Task::Answered(at_once) = work.task {
            let alive = work.due - work.left;
            for _ in 0..work.left.min(at_once.saturating_sub(alive)) {
                let sprout = cx.spawn(child, &[], 0)?;
                let last = sprout::Message::Last(ByteArray::new([7; 64]));
                cx.ask(sprout, last, 0, PATIENCE);
                cx.release(sprout);
                work.left -= 1;
            }
            return Ok(());
        }
        if work.left == 0 && work.task == Task::Addressable {
            return self.end(cx);
        }
        let home = [("home", Held::from(me))];
        let grants = if work.task == Task::Started { &home[..] } else { &[] };
        for _ in 0..work.left.min(AT_ONCE) {
            self.sprouts.push(cx.spawn(child, grants, 0)?);
            work.left -= 1;
        }
        if work.left > 0 || work.task == Task::Addressable {
            cx.send(me, Message::Go, 0);
        }
        Ok(())
    }

    /// Asks so many of those that have not been asked yet.
    fn ask(&mut self, most: usize, cx: &mut Context<Self>) {
        let Some(work) = &mut self.work else { return };
        for _ in 0..work.left.min(most) {
            let sprout = self.sprouts[work.all - work.left];
            cx.ask(sprout, sprout::Message::Ask(ByteArray::new([7; 64])), 0, PATIENCE);
            work.left -= 1;
        }
    }

    /// One of those that were due.
    fn heard(&mut self, cx: &mut Context<Self>) -> Result {
        let Some(work) = &mut self.work else { return Ok(()) };
        work.due = work.due.saturating_sub(1);
        if work.due == 0 { self.end(cx) } else { Ok(()) }
    }

    fn end(&mut self, cx: &mut Context<Self>) -> Result {
        if let Some(work) = self.work.take() {
            let ns = (cx.now() - work.began).as_nanos() as u64;
            cx.send(work.reply, Took { ns, actors: work.all as u64 }, 0);
        }
        Ok(())
    }
}
