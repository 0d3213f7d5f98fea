//! What a probe can be told.

use guest_sdk::{Address, Context, Duration, Error, Held, Pin, Result, Topic};
use serde::{Deserialize, Serialize};

use crate::{AT_START, AtSave, Probe, STARTS};

/// The durable key of what was noted, in order.
const NOTED: &str = "noted";

/// One step of a turn. Names of actors are of grants, of addresses taken, or `me`.
#[derive(Serialize, Deserialize)]
pub enum Step {
    /// Adds a text to the turn's answer.
    Say(String),
    /// Says how many starts ended well.
    Starts,
    /// Counts one more in memory, and says how many.
    Count,
    /// Says all that was heard since the incarnation began, one by one.
    Heard,
    /// Says all that was noted, one by one.
    Noted,
    /// Adds a text to the durable notes.
    Note(String),
    /// As `Note`, with how many starts ended well.
    NoteStart(String),
    /// Says a durable value, `none` if there is none.
    Get(String),
    /// Writes a durable value.
    Put(String, String),
    /// Writes so many bytes under a key, and says what came of it.
    Fill(String, usize),
    /// Deletes a durable value.
    Delete(String),
    /// Says the durable keys from one up to another.
    Range(String, String, u32),
    /// Does these steps in each start from now on.
    AtStart(Vec<Step>),
    /// Drives a pin.
    Drive(String, bool),
    /// Says a pin's level.
    Level(String),
    /// Says a sensor's last reading, `none` if there is none.
    Last(String),
    /// Sends steps: to whom, token.
    Send(String, u64, Vec<Step>),
    /// Asks: whom, token, milliseconds.
    Ask(String, u64, u64, Vec<Step>),
    /// Publishes steps on a topic.
    Publish(String, Vec<Step>),
    /// Gives no answer in this turn.
    Silent,
    /// Keeps the reply address.
    Keep,
    /// Answers whoever's reply address was kept.
    Answer(String),
    /// Asks whoever's reply address was kept: token, milliseconds.
    AskBack(u64, u64),
    /// Sends one actor the address of another, to be taken under that name.
    Introduce(String, String),
    /// As `Introduce`, with steps for the same turn.
    Refer(String, String, Vec<Step>),
    /// As `Introduce`, to be kept.
    IntroduceForGood(String, String),
    /// Remembers an address without keeping it.
    Take(String, Address),
    /// Keeps an address.
    TakeForGood(String, Address),
    /// Makes up an address out of a number.
    Forge(String, u32),
    /// Lets go of an address, and still remembers it.
    Release(String),
    /// Uses a made-up handle as a pin, and as a topic to publish on.
    Forged(u32),
    /// Spawns a child: grant, name to remember it by, token.
    Spawn(String, String, u64),
    /// As `Spawn`, giving it the address of an actor under the actor's name.
    SpawnWith(String, String, u64, String),
    /// Stops an actor.
    Stop(String),
    /// Monitors an actor.
    Monitor(String, u64),
    /// Does steps later, once: milliseconds.
    After(u64, Vec<Step>),
    /// Does steps again and again: milliseconds.
    Every(u64, Vec<Step>),
    /// No longer does these steps again.
    Cancel(Vec<Step>),
    /// Writes a line into its log.
    Log(String),
    /// Ends the turn with an error.
    Fail(String),
    /// Fails unless there is a durable value under this key.
    FailUnless(String),
    /// Panics, which traps.
    Panic,
    /// Panics when it is saved.
    PanicAtSave,
    /// Never ends the next time it is saved.
    LoopAtSave,
    /// Never ends.
    Loop,
    /// Works for so many rounds.
    Spin(u64),
    /// Asks for so many MiB of memory, and gives them back.
    Allocate(usize),
    /// Keeps so many MiB.
    Hold(usize),
}

impl Probe {
    pub(crate) fn run(&mut self, steps: Vec<Step>, cx: &mut Context<Self>) -> Result {
        let (mut said, mut silent) = (Vec::new(), false);
        for step in steps {
            match step {
                Step::Silent => silent = true,
                Step::Keep => {
                    let reply = cx.take_reply().ok_or_else(|| Error::new("no question"))?;
                    self.waiting = Some(cx.keep(reply)?);
                }
                other => self.say(other, &mut said, cx)?,
            }
        }
        if !silent {
            cx.reply(said);
        }
        Ok(())
    }

    /// Steps that read.
    fn say(&mut self, step: Step, said: &mut Vec<String>, cx: &mut Context<Self>) -> Result {
        match step {
            Step::Say(text) => said.push(text),
            Step::Starts => said.push(cx.get::<u64>(STARTS)?.unwrap_or_default().to_string()),
            Step::Count => {
                self.count += 1;
                said.push(self.count.to_string());
            }
            Step::PanicAtSave => self.at_save = AtSave::Panics,
            Step::LoopAtSave => self.at_save = AtSave::Loops,
            Step::Heard => said.extend(self.heard.iter().cloned()),
            Step::Noted => said.extend(cx.get::<Vec<String>>(NOTED)?.unwrap_or_default()),
            Step::Get(key) => said.push(cx.get(key)?.unwrap_or_else(|| "none".into())),
            Step::Range(first, end, limit) => {
                let found = cx.range_raw(first, end, limit);
                said.extend(found.iter().map(|(key, _)| String::from_utf8_lossy(key).into()));
            }
            Step::Fill(key, bytes) => said.push(match cx.put_raw(key, &vec![7; bytes]) {
                Ok(()) => "stored".into(),
                Err(why) => why.to_string(),
            }),
            Step::Level(name) => {
                let level = cx.pin(&name)?.level(cx);
                said.push(level.map_or("none", |high| if high { "high" } else { "low" }).into());
            }
            Step::Last(name) => {
                let last = cx.sensor(&name)?.last(cx);
                said.push(last.map_or("none".into(), |last| last.exact.to_string()));
            }
            Step::Forged(number) => self.forged(number, said, cx)?,
            other => self.act(other, cx)?,
        }
        Ok(())
    }

    /// Steps that ask something of the world.
    fn act(&mut self, step: Step, cx: &mut Context<Self>) -> Result {
        match step {
            Step::Note(text) => {
                let mut noted = cx.get::<Vec<String>>(NOTED)?.unwrap_or_default();
                noted.push(text);
                cx.put(NOTED, noted)?;
            }
            Step::NoteStart(text) => {
                let starts: u64 = cx.get(STARTS)?.unwrap_or_default();
                self.act(Step::Note(format!("{text} in {starts}")), cx)?;
            }
            Step::Put(key, value) => cx.put(key, value)?,
            Step::Delete(key) => cx.delete(key)?,
            Step::AtStart(steps) => cx.put(AT_START, steps)?,
            Step::Drive(name, high) => cx.pin(&name)?.set(high, cx),
            Step::Log(line) => cx.log(line),
            Step::After(ms, steps) => cx.after(Duration::from_millis(ms), steps),
            Step::Every(ms, steps) => cx.every(Duration::from_millis(ms), steps),
            Step::Cancel(steps) => cx.cancel(steps),
            Step::Fail(why) => return Err(Error::new(why)),
            Step::FailUnless(key) => {
                let missing = || Error::new(format_args!("nothing under {key}"));
                cx.get_raw(&key).ok_or_else(missing)?;
            }
            Step::Panic => panic!("told to panic"),
            Step::Loop => loop {
                std::hint::black_box(());
            },
            Step::Spin(rounds) => (0..rounds).for_each(|round| {
                std::hint::black_box(round);
            }),
            Step::Hold(mib) => self.ballast = vec![1; mib << 20],
            Step::Allocate(mib) => drop(std::hint::black_box(vec![1_u8; mib << 20])),
            other => self.talk(other, cx)?,
        }
        Ok(())
    }

    /// Steps about other actors.
    fn talk(&mut self, step: Step, cx: &mut Context<Self>) -> Result {
        match step {
            Step::Send(to, token, steps) => {
                let to = self.whom(&to, cx)?;
                cx.send(to, steps, token);
            }
            Step::Ask(to, token, ms, steps) => {
                let to = self.whom(&to, cx)?;
                cx.ask(to, steps, token, Duration::from_millis(ms));
            }
            Step::Publish(topic, steps) => cx.publish(topic.as_str(), steps),
            Step::Answer(text) => {
                let to = self.waiting.take().ok_or_else(|| Error::new("nobody waits"))?;
                cx.send(to, vec![text], 0);
            }
            Step::AskBack(token, ms) => {
                let to = self.waiting.take().ok_or_else(|| Error::new("nobody waits"))?;
                cx.ask(to, Vec::<String>::new(), token, Duration::from_millis(ms));
            }
            Step::Introduce(to, whom) => {
                let (to, address) = (self.whom(&to, cx)?, self.whom(&whom, cx)?);
                cx.send(to, vec![Step::Take(whom, address)], 0);
            }
            Step::Refer(to, whom, mut steps) => {
                let (to, address) = (self.whom(&to, cx)?, self.whom(&whom, cx)?);
                steps.insert(0, Step::Take(whom, address));
                cx.send(to, steps, 0);
            }
            Step::IntroduceForGood(to, whom) => {
                let (to, address) = (self.whom(&to, cx)?, self.whom(&whom, cx)?);
                cx.send(to, vec![Step::TakeForGood(whom, address)], 0);
            }
            Step::Take(name, address) => drop(self.held.insert(name, address)),
            Step::TakeForGood(name, address) => {
                let kept = cx.keep(address)?;
                self.held.insert(name, kept);
            }
            Step::Forge(name, number) => {
                cx.put("forged", number)?;
                let address = cx.get("forged")?.ok_or_else(|| Error::new("not stored"))?;
                self.held.insert(name, address);
            }
            Step::Release(name) => {
                let address = self.whom(&name, cx)?;
                cx.release(address);
            }
            Step::Spawn(grant, name, token) => {
                let child = cx.child(&grant)?;
                self.held.insert(name, cx.spawn(child, &[], token)?);
            }
            Step::SpawnWith(grant, name, token, given) => {
                let (child, address) = (cx.child(&grant)?, self.whom(&given, cx)?);
                let grants = [(given.as_str(), Held::from(address))];
                self.held.insert(name, cx.spawn(child, &grants, token)?);
            }
            Step::Stop(name) => {
                let address = self.whom(&name, cx)?;
                cx.stop(address)?;
            }
            Step::Monitor(name, token) => {
                let address = self.whom(&name, cx)?;
                cx.monitor(address, token)?;
            }
            _ => return Err(Error::new("a step that nobody does")),
        }
        Ok(())
    }

    fn whom(&mut self, name: &str, cx: &mut Context<Self>) -> Result<Address> {
        match self.held.get(name) {
            Some(address) => Ok(*address),
            None if name == "me" => Ok(cx.me()),
            None => cx.address(name),
        }
    }

    /// A pin and a topic serialise as their handles, so anybody can make them up.
    fn forged(&mut self, number: u32, said: &mut Vec<String>, cx: &mut Context<Self>) -> Result {
        cx.put("forged", number)?;
        let missing = || Error::new("not stored");
        let pin: Pin = cx.get("forged")?.ok_or_else(missing)?;
        let topic: Topic = cx.get("forged")?.ok_or_else(missing)?;
        said.push(format!("{:?}", pin.level(cx)));
        cx.publish(topic, [Step::Note("from a forger".into())]);
        Ok(())
    }
}
