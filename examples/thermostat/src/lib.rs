//! Keeps a room at a temperature that all nodes agree on.

use crdt::Lww;
use guest_sdk::{Actor, Context, Duration, Pin, Result, Sensor};
use serde::{Deserialize, Serialize};

/// Drives a heater by a room's sensor and the target that was dialled last, on any node.
#[derive(Serialize, Deserialize)]
pub struct Thermostat {
    room: Sensor,
    heater: Pin,
    target: Lww<f32>,
}

/// What a thermostat understands.
#[derive(Serialize, Deserialize)]
pub enum Message {
    /// Time to tell the others.
    Tick,
    /// A new target, in degrees Celsius: `{"Dial": 21}`.
    Dial(f32),
    /// Another node's target.
    Target(Lww<f32>),
}

impl Actor for Thermostat {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        cx.every(Duration::from_secs(2), Message::Tick);
        Ok(Self { room: cx.sensor("room")?, heater: cx.pin("heater")?, target: Lww::default() })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Dial(celsius) => self.target.set(celsius, cx.stamp()),
            Message::Target(theirs) => self.target.merge(theirs),
            Message::Tick => cx.publish("target", Message::Target(self.target)),
        }
        if let Some(room) = self.room.last(cx) {
            self.heater.set(room.value < *self.target.get(), cx);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gossip::Gossip;
    use guest_sdk::{Bench, Grant, Sim, seed};
    use sensor::{Published, Sampler};

    #[test]
    fn a_cold_room_is_heated() -> Result {
        let mut bench = Bench::new();
        bench.sensor("room", 18.0);
        let mut thermostat = bench.start::<Thermostat>()?;
        bench.handle(&mut thermostat, Message::Dial(21.0))?;
        assert!(bench.pin("heater"));
        bench.sensor("room", 21.5);
        bench.handle(&mut thermostat, Message::Tick)?;
        assert!(!bench.pin("heater"));
        assert_eq!(bench.published::<Message>("target")?.len(), 1);
        Ok(())
    }

    #[test]
    fn a_room_is_what_the_sensor_actor_publishes() -> Result {
        let mut bench = Bench::new();
        let mut thermostat = bench.start::<Thermostat>()?;
        bench.handle(&mut thermostat, Message::Dial(21.0))?;
        assert!(!bench.pin("heater"), "there is no reading yet");
        let mut air = Bench::new();
        air.sensor("source", 18.0);
        let mut sampler = air.start::<Sampler>()?;
        air.handle(&mut sampler, sensor::Message::Tick)?;
        for Published::Reading(reading) in air.published("out")? {
            bench.sensor("room", reading.value);
            bench.handle(&mut thermostat, Message::Tick)?;
        }
        assert!(bench.pin("heater"));
        Ok(())
    }

    #[test]
    fn one_sensor_actor_is_enough_for_two_nodes_rooms() {
        let thermostat = [
            ("room", Grant::Sensor("topic:air")),
            ("target", Grant::Topic("target")),
            ("heater", Grant::Pin("heater")),
        ];
        let mut sim = Sim::<Thermostat>::builder(seed())
            .nodes(2)
            .actor::<Thermostat>("thermostat", &thermostat)
            .actor::<Sampler>(
                "air",
                &[("source", Grant::Sensor("room")), ("out", Grant::Topic("air"))],
            )
            .protocol::<Gossip>("gossip", &[])
            .build();
        sim.send(0, Message::Dial(21.0));
        sim.run_for(Duration::from_secs(10));
        assert!(!sim.pin(0, "heater") && !sim.pin(1, "heater"), "there is no reading yet");
        sim.reading(1, "room", 18.0);
        sim.run_for(Duration::from_secs(10));
        assert!(sim.pin(0, "heater") && sim.pin(1, "heater"));
        for _ in 0..10 {
            sim.reading(1, "room", 24.0);
            sim.run_for(Duration::from_secs(2));
        }
        assert!(!sim.pin(0, "heater") && !sim.pin(1, "heater"));
        assert_eq!(sim.failures(), []);
    }

    #[test]
    fn a_cut_link_heals() {
        let mut sim = Sim::<Thermostat>::new(seed(), &[18.0, 18.0]);
        sim.cut(0, 1);
        sim.send(0, Message::Dial(21.0));
        sim.run_for(Duration::from_secs(30));
        assert!(!sim.pin(1, "heater"));
        sim.heal();
        sim.run_for(Duration::from_secs(10));
        assert!(sim.pin(1, "heater"));
    }
}
