//! Small machines: what an idle node takes, and that it starts in a small address space.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tests::{guests, lives, wait_for};

use crate::fixture::Lab;

/// Bytes of memory that an idle node may take.
const IDLE_BYTES: u64 = 40 << 20;
/// The address space of a small container, in KiB: `ulimit -v`.
const SPACE_KIB: u64 = 512 << 10;
/// The memory of a small container, in bytes.
const MEMORY_BYTES: u64 = 128 << 20;

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
fn a_node_with_the_system_actors_serves_in_little_address_space() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -v {SPACE_KIB}; exec \"$@\""), "sh"]);
    command.arg(guests::edge_host().unwrap());
    let mut lab = Lab::started_by(command, folder, SYSTEM);
    lab.node.says("512 MiB of address space").unwrap();
    lab.node.says("packed side by side").unwrap();
    serves(&lab);
    assert!(lab.node.interrupt().unwrap().success());
}

#[test]
fn a_node_with_the_system_actors_serves_in_a_cgroup_of_128_mib() {
    let group = Group::new(MEMORY_BYTES);
    let mut lab = group.lab(SYSTEM);
    lab.node.says("memory plan: 128 MiB of memory").unwrap();
    serves(&lab);
    assert!(lab.node.interrupt().unwrap().success());
}

#[test]
fn actors_that_grew_large_make_room_for_each_other() {
    let group = Group::new(MEMORY_BYTES);
    // Under pressure, long before their time: `PARK=1` would take the pressure away.
    let limits = "[limits]\npark-ms = 60000\nturn-ms = 30000\nmailbox = 256\n";
    let parent = "grant = { kid = { spawn = \"$probe\", max = 40 } }";
    let lab = group.lab(&format!("{limits}[actor.p]\ncomponent = \"$probe\"\n{parent}\n"));
    let names: Vec<_> = (0..40).map(|kid| format!("k{kid}")).collect();
    for (kid, name) in names.iter().enumerate() {
        lab.say("p", json!([{"Spawn": ["kid", name, kid]}]));
    }
    // Eight times what there is, all at once; then of each what it remembers.
    for (round, steps) in [json!([{"Allocate": 8}, "Count"]), json!(["Count"])].iter().enumerate() {
        let token = |kid| 1000 * (round + 1) + kid;
        for (kid, name) in names.iter().enumerate() {
            lab.say("p", json!([{"Ask": [name, token(kid), 60_000, steps]}]));
        }
        for kid in 0..names.len() {
            lab.hears("p", &format!("answer {}: {}", token(kid), round + 1));
        }
    }
    let rows = lab.actors();
    assert!(rows.iter().all(|row| row.last_failure.is_none()), "{rows:?}");
}

#[test]
fn an_actor_that_would_grow_past_what_the_node_has_is_told_so_and_the_node_lives() {
    let group = Group::new(MEMORY_BYTES);
    let actor = "component = \"$probe\"\nmemory = \"1GiB\"\n";
    let limits = "[limits]\nmessage-crashes = 1\nrestart-ms = 1\nturn-ms = 300\n";
    let lab = group.lab(&format!("{limits}[actor.a]\n{actor}[actor.b]\n{actor}"));
    assert_eq!(lab.fails("a", json!([{"Allocate": 200}])), "over-budget");
    lab.logs("a", "for what all its actors grow to: do with less");
    // Each could have so much, but both at once can not: it is too large to be saved.
    assert_eq!(lab.say("a", json!([{"Hold": 30}, "Count"])), ["1"]);
    assert_eq!(lab.fails("b", json!([{"Hold": 30}])), "over-budget");
    lab.logs("b", "the node had none to give");
    assert_eq!(lab.say("a", json!(["Count"])), ["2"]);
    assert_eq!(lab.say("b", json!(["Count"])), ["1"]);
}

/// A memory control group, gone with this.
struct Group(PathBuf);

impl Group {
    /// # Panics
    /// If the system gives none: as root it does, with either version of control groups.
    fn new(most: u64) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let v1 = own.lines().find(|line| line.contains(":memory:"));
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("edge-host-{}-{number}", std::process::id());
        let (folder, limit) = match v1 {
            Some(_) => (Path::new("/sys/fs/cgroup/memory").join(name), "memory.limit_in_bytes"),
            None => (Path::new("/sys/fs/cgroup").join(name), "memory.max"),
        };
        fs::create_dir(&folder).expect("control groups are root's to make");
        let group = Self(folder);
        fs::write(group.0.join(limit), most.to_string()).unwrap();
        group
    }

    /// A node in it.
    fn lab(&self, actors: &str) -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        command.args(["-c", &enter, "sh"]).arg(guests::edge_host().unwrap());
        Lab::started_by(command, folder, actors)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Empty once its processes have been reaped; what is left takes nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

fn serves(lab: &Lab) {
    for name in ["gossip", "document", "room"] {
        lab.becomes(name, |row| lives(Some(&row.state)));
    }
    let set = json!({"Set": {"key": "colour", "value": {"Text": "green"}}});
    assert_eq!(lab.node.send("document", &set).unwrap(), json!("Done"));
    // It samples once a second.
    let sampled = || lab.node.send("room", &json!("Last")).ok()?["Last"]["value"].as_f64();
    wait_for("the sensor has a reading", sampled).unwrap();
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
