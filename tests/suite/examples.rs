//! The examples, by their manifests as shipped.

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;
use tests::guests::{self, Guest};
use tests::process::Process;
use tests::wait_for;

use crate::nodes;

/// An example's manifest on a port of its own, in a folder with its files and these components.
fn example(name: &str, components: &[(&str, &Guest)]) -> Result<(Process, TempDir)> {
    let folder = tempfile::tempdir()?;
    let source = guests::repository().join("examples").join(name);
    for file in std::fs::read_dir(&source)? {
        let file = file?;
        if file.file_type()?.is_file() {
            std::fs::copy(file.path(), folder.path().join(file.file_name()))?;
        }
    }
    for (name, guest) in components {
        std::fs::copy(&guest.file, folder.path().join(format!("{name}.wasm")))?;
    }
    let shipped = std::fs::read_to_string(source.join("node.toml"))?;
    let manifest = shipped.replace("127.0.0.1:4433", "127.0.0.1:0");
    assert_ne!(manifest, shipped, "the example listens elsewhere");
    let node = Process::start(folder.path(), &manifest)?;
    Ok((node, folder))
}

/// Waits until the heater of an actor has this level.
fn heater(node: &Process, actor: &str, level: &str) -> Result<()> {
    wait_for(&format!("{actor}'s heater is {level}"), || {
        let pins = node.json(&["ls", "pins"]).ok()?;
        let mut pins = pins.as_array().into_iter().flatten();
        pins.find(|pin| pin["actor"] == actor && pin["level"] == level).map(drop)
    })
}

#[test]
fn the_thermostat_drives_its_pin_by_what_the_sensor_actor_publishes() -> Result<()> {
    let components = [("sensor", nodes::sensor()), ("thermostat", nodes::thermostat())];
    let (node, _folder) = example("thermostat", &components)?;
    heater(&node, "thermostat", "low")?;
    // No machine has a load like that, nor one below zero.
    node.send("thermostat", &json!({"Dial": 100_000}))?;
    heater(&node, "thermostat", "high")?;
    node.send("thermostat", &json!({"Dial": -1}))?;
    heater(&node, "thermostat", "low")?;
    // One that comes later knows the reading, one whose topic nobody publishes on has none.
    for (name, topic, level) in [("later", "air", "high"), ("lost", "nothing", "low")] {
        let cid = nodes::thermostat().cid.as_str();
        let room = format!("room=sensor:topic:{topic}");
        let pin = format!("heater={{ pin = \"bench:{name}\", safe = \"low\" }}");
        let target = format!("target=topic:{name}");
        nodes::start_by_name(&node, cid, name, &[&room, &pin, &target])?;
        node.send(name, &json!({"Dial": 100_000}))?;
        wait_for("it has taken the dial", || {
            let row = node.actor(name).ok()?;
            (row["handled"].as_u64()? > 0).then_some(())
        })?;
        heater(&node, name, level)?;
    }
    Ok(())
}

#[test]
fn two_rooms_are_heated_by_one_dial() -> Result<()> {
    let components = [
        ("gossip", nodes::gossip()),
        ("crdt", nodes::crdt()),
        ("sensor", nodes::sensor()),
        ("thermostat", nodes::thermostat()),
    ];
    let (node, _folder) = example("two-rooms", &components)?;
    node.send("attic", &json!({"Dial": 7}))?;
    heater(&node, "cellar", "high")?;
    heater(&node, "attic", "low")?;
    let set = json!({"Set": {"key": "host", "value": "ann"}});
    assert_eq!(node.send("board", &set)?, json!("Done"));
    assert!(node.send("cellar-air", &json!("Last"))?["Last"]["value"].is_f64());
    Ok(())
}
