//! The next version of the thermostat. It takes over the running one's state, heats past the target
//! so that it does not flutter, and can be asked what it does.

use crdt::Lww;
use guest_sdk::{Actor, Context, Duration, Pin, Result, Sensor};
use serde::{Deserialize, Serialize};

/// Degrees Celsius that the room is heated past the target.
const SWING: f32 = 0.5;

/// The same fields as before, so that it can be restored from what the first version saved; what
/// that one did not have begins with its default.
#[derive(Serialize, Deserialize)]
pub struct Thermostat {
    room: Sensor,
    heater: Pin,
    target: Lww<f32>,
    #[serde(default)]
    heats: bool,
}

/// What it understands: all that the first version did, and one message more.
#[derive(Serialize, Deserialize)]
pub enum Message {
    /// Time to tell the others.
    Tick,
    /// A new target, in degrees Celsius: `{"Dial": 21}`.
    Dial(f32),
    /// Another node's target.
    Target(Lww<f32>),
    /// What is the target, and does it heat? Answered with [`Shown`].
    Show,
}

/// The answer to [`Message::Show`].
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The target, in degrees Celsius.
    pub target: f32,
    /// Whether the heater is on.
    pub heats: bool,
}

impl Actor for Thermostat {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        cx.every(Duration::from_secs(2), Message::Tick);
        let (room, heater) = (cx.sensor("room")?, cx.pin("heater")?);
        Ok(Self { room, heater, target: Lww::default(), heats: false })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        let show = matches!(message, Message::Show);
        match message {
            Message::Dial(celsius) => self.target.set(celsius, cx.stamp()),
            Message::Target(theirs) => self.target.merge(theirs),
            Message::Tick => cx.publish("target", Message::Target(self.target)),
            Message::Show => {}
        }
        if let Some(room) = self.room.last(cx) {
            let swing = if self.heats { SWING } else { 0.0 };
            self.heats = room.value < *self.target.get() + swing;
            self.heater.set(self.heats, cx);
        }
        if show {
            cx.reply(Shown { target: *self.target.get(), heats: self.heats });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_sdk::Bench;

    #[test]
    fn it_goes_on_where_the_first_version_was() -> Result {
        let mut bench = Bench::new();
        bench.sensor("room", 18.0);
        let mut first = bench.start::<thermostat::Thermostat>()?;
        bench.handle(&mut first, thermostat::Message::Dial(21.0))?;
        let mut next = bench.swap::<_, Thermostat>(first)?;
        bench.ask(&mut next, Message::Show)?;
        let shown: Shown = bench.sent().last().expect("an answer").decode()?;
        assert_eq!(shown, Shown { target: 21.0, heats: true });
        Ok(())
    }

    #[test]
    fn a_room_at_the_target_does_not_make_it_flutter() -> Result {
        let mut bench = Bench::new();
        let mut thermostat = bench.start::<Thermostat>()?;
        bench.handle(&mut thermostat, Message::Dial(21.0))?;
        for (room, heats) in [(20.9, true), (21.1, true), (21.6, false), (21.1, false)] {
            bench.sensor("room", room);
            bench.handle(&mut thermostat, Message::Tick)?;
            assert_eq!(bench.pin("heater"), heats, "at {room}");
        }
        Ok(())
    }
}
