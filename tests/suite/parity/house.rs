//! Two thermostats: what is dialled on one holds on the other, and after a cut on both again.

use anyhow::{Context, Result};
use gossip::Gossip;
use guest_sdk::{Duration, Grant, Sim, seed};
use sensor::Sampler;
use thermostat::{Message, Thermostat};

use super::stage::{Real, Simulated, Stage};
use crate::nodes;

trait House: Stage<Message> {
    /// Whether a node's heater is on.
    fn heats(&self, node: usize) -> Result<bool>;
}

impl House for Simulated<Thermostat> {
    fn heats(&self, node: usize) -> Result<bool> {
        Ok(self.sim.pin(node, "heater"))
    }
}

impl House for Real {
    fn heats(&self, node: usize) -> Result<bool> {
        let pins = self.nodes[node].json(&["ls", "pins"])?;
        Ok(pins[0]["level"].as_str().context("no level")? == "high")
    }
}

/// It is 18 degrees in both rooms: a sensor actor on each node says so.
fn a_cut_link_heals(mut house: impl House) -> Result<()> {
    house.tell(0, Message::Dial(21.0))?;
    house.until("both heat", |house| Ok(house.heats(0)? && house.heats(1)?))?;
    house.cut()?;
    house.tell(0, Message::Dial(10.0))?;
    house.until("the first one stops", |house| Ok(!house.heats(0)?))?;
    // It has told all that it can reach.
    house.handles(0, 2)?;
    house.handles(1, 2)?;
    assert!(house.heats(1)?, "a dial got over a cut link");
    house.heal()?;
    house.until("the other one follows", |house| Ok(!house.heats(1)?))?;
    house.tell(1, Message::Dial(25.0))?;
    house.until("both heat again", |house| Ok(house.heats(0)? && house.heats(1)?))
}

#[test]
fn a_cut_link_heals_in_the_simulator() -> Result<()> {
    let grants = [
        ("room", Grant::Sensor("topic:air")),
        ("heater", Grant::Pin("heater")),
        ("target", Grant::Topic("target")),
    ];
    let air = [("source", Grant::Sensor("air")), ("out", Grant::Topic("air"))];
    let mut sim = Sim::builder(seed())
        .nodes(2)
        .actor::<Thermostat>("it", &grants)
        .actor::<Sampler>("air", &air)
        .protocol::<Gossip>("gossip", &[])
        .build();
    (0..2).for_each(|node| sim.reading(node, "air", 18.0));
    a_cut_link_heals(Simulated::new(sim, 2, Duration::from_secs(2)))
}

#[test]
fn a_cut_link_heals_on_real_nodes() -> Result<()> {
    let trace = tempfile::tempdir()?;
    let file = trace.path().join("room.csv");
    std::fs::write(&file, "celsius\n18\n")?;
    let grants = "{ room = \"sensor:topic:air\", target = \"topic:target\", \
                  heater = { pin = \"bench:heater\", safe = \"low\" } }";
    let air = format!(
        "[actor.air]\ncomponent = \"{}\"\n\
         grant = {{ source = \"sensor:bench:{}/celsius\", out = \"topic:air\" }}\n",
        nodes::sensor().file.display(),
        file.display()
    );
    a_cut_link_heals(Real::start(2, nodes::thermostat(), grants, &air)?)
}
