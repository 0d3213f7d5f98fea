//! The SDK by way of an actor that does whatever a letter asks.

use serde::{Deserialize, Serialize};

use crate::*;

mod nodes;
mod turns;

/// Does what it is told, and remembers what it heard.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Puppet {
    stamps: Vec<Stamp>,
    heard: Vec<String>,
    kept: Option<Address>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Do {
    Nothing,
    Stamp,
    See(Stamp),
    Send { to: Address, token: u64 },
    Ask { to: Address, token: u64 },
    Keep(Address),
    Introduce { to: Address, whom: Address },
    Reply(f32),
    Publish(String),
    Every(u64),
    Cancel,
    Put(String, u32),
    Drive(String),
    Fail,
    PutAndFail(String),
    Random,
    Transfer,
    Connect(NodeId),
}

impl Actor for Puppet {
    type Message = Do;

    fn start(_: &mut Context<Self>) -> Result<Self> {
        Ok(Self::default())
    }

    fn handle(&mut self, message: Do, cx: &mut Context<Self>) -> Result {
        match message {
            Do::Nothing => self.heard.push("nothing".into()),
            Do::Stamp => self.stamps.push(cx.stamp()),
            Do::See(_) => {}
            Do::Send { to, token } => cx.send(to, Do::Nothing, token),
            Do::Ask { to, token } => cx.ask(to, Do::Nothing, token, Duration::from_secs(2)),
            Do::Keep(address) => self.kept = Some(cx.keep(address)?),
            Do::Introduce { to, whom } => cx.send(to, Do::Keep(whom), 0),
            Do::Reply(value) => drop(cx.reply(value)),
            Do::Publish(topic) => cx.publish(&topic[..], Do::Nothing),
            Do::Every(seconds) => cx.every(Duration::from_secs(seconds), Do::Nothing),
            Do::Cancel => cx.cancel(Do::Nothing),
            Do::Put(key, value) => cx.put(key, value)?,
            Do::Drive(pin) => cx.pin(&pin)?.set(true, cx),
            Do::Fail => return Err(Error::new("told to")),
            Do::PutAndFail(key) => {
                cx.put(key, 1)?;
                return Err(Error::new("told to"));
            }
            Do::Random => self.heard.push(cx.random_u64().to_string()),
            Do::Transfer => {
                let read = cx.bus("bus")?.write_read(&[0xd0], 1, cx);
                self.heard.push(format!("{read:?}"));
            }
            Do::Connect(node) => cx.connect(node)?,
        }
        Ok(())
    }

    fn answered(
        &mut self,
        token: u64,
        outcome: Result<Answer, Reason>,
        _: &mut Context<Self>,
    ) -> Result {
        let outcome = outcome.map(|answer| answer.decode::<f32>());
        self.heard.push(format!("{token} {outcome:?}"));
        Ok(())
    }

    fn undelivered(&mut self, token: u64, reason: Reason, _: &mut Context<Self>) -> Result {
        self.heard.push(format!("{token} {reason:?}"));
        Ok(())
    }
}
