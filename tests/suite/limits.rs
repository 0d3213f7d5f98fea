//! Small machines: what an idle node takes, and that it starts in a small address space.

use std::process::Command;

use serde_json::json;
use tests::{guests, lives, wait_for};

use crate::fixture::Lab;

/// Bytes of memory that an idle node may take.
const IDLE_BYTES: u64 = 40 << 20;
/// The address space of a small Pi, in KiB: `ulimit -v`.
const SPACE_KIB: u64 = 1_500_000;

const SYSTEM: &str = "
[actor.gossip]
component = \"$gossip\"
grant = { links = \"links\" }
[actor.document]
component = \"$crdt\"
grant = { replicas = \"topic:document\" }
[actor.room]
component = \"$sensor\"
grant = { source = \"sensor:proc:loadavg\", out = \"topic:room\" }
";

#[test]
fn a_node_with_the_system_actors_serves_in_the_address_space_of_a_small_pi() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {SPACE_KIB}; exec \"$@\""), "sh"]);
    command.arg(guests::edge_host().unwrap());
    let mut lab = Lab::started_by(command, folder, SYSTEM);
    lab.node.says("1464 MiB of address space").unwrap();
    for name in ["gossip", "document", "room"] {
        lab.becomes(name, |row| lives(Some(&row.state)));
    }
    let set = json!({"Set": {"key": "colour", "value": {"Text": "green"}}});
    assert_eq!(lab.node.send("document", &set).unwrap(), json!("Done"));
    // It samples once a second.
    let sampled = || lab.node.send("room", &json!("Last")).ok()?["Last"]["value"].as_f64();
    wait_for("the sensor has a reading", sampled).unwrap();
    assert!(lab.node.interrupt().unwrap().success());
}

#[test]
fn an_idle_node_with_the_system_actors_takes_little_memory() {
    // Once on a cold cache, so that all native code is there; then as it starts every day.
    let mut lab = Lab::new(SYSTEM);
    lab.node.interrupt().unwrap();
    lab.restart();
    for name in ["gossip", "document", "room"] {
        lab.becomes(name, |row| lives(Some(&row.state)));
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", lab.node.pid())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = resident.split_whitespace().next().unwrap().parse().unwrap();
    println!("an idle node takes {kib} KiB");
    assert!(kib << 10 < IDLE_BYTES, "{kib} KiB are resident");
}
