//! Sensors, pins and buses as actors see them, on the bench.

use serde_json::json;

use crate::fixture::{Lab, PROBE, error_line, guest, manifest, refused};
use crate::turns::other_probe;

const LIMITS: &str = "[limits]\nrestart-ms = 1\nmessage-crashes = 1\n";

fn with_pin(pin: &str) -> Lab {
    Lab::new(&format!("{LIMITS}[actor.a]\n{PROBE}grant = {{ pin = {{ {pin} }} }}\n"))
}

#[test]
fn a_recorded_trace_feeds_a_sensor() {
    let grant = "grant = { room = \"sensor:bench:trace.csv/temp?every=20ms\" }\n";
    let trace = "time,temp\n1,18.5\n2,19\n3,20.25\n";
    let files = [("trace.csv", trace)];
    let lab = Lab::with_files(&format!("[actor.a]\n{PROBE}{grant}"), &files);
    let first = lab.say("a", json!([{"Last": "room"}]));
    assert!(["18.5", "19", "20.25"].contains(&first[0].as_str()), "{first:?}");
    lab.until("a", json!([{"Last": "room"}]), |said| said == ["20.25"]);
}

#[test]
fn the_machines_own_sensors_are_read() {
    let grant = "grant = { load = \"sensor:proc:loadavg\", up = \"sensor:proc:uptime?every=50ms\", \
                 free = \"sensor:proc:meminfo/MemAvailable\" }\n";
    let lab = Lab::new(&format!("[actor.a]\n{PROBE}{grant}"));
    let read = json!([{"Last": "load"}, {"Last": "up"}, {"Last": "free"}]);
    let number = |text: &String| text.parse::<f64>().is_ok_and(|number| number >= 0.0);
    lab.until("a", read.clone(), |said| said.iter().all(number));
    let (up, free) = (1, 2);
    let first: Vec<f64> = lab.say("a", read.clone()).iter().map(|n| n.parse().unwrap()).collect();
    assert!(first[free] > 1_000_000.0, "MemAvailable is in bytes: {first:?}");
    lab.until("a", read, |said| said[up].parse::<f64>().unwrap() > first[up]);
}

#[test]
fn a_pin_is_driven_by_a_turn_that_ends_well_and_is_safe_before_and_after() {
    for (safe, driven) in [("low", "high"), ("high", "low")] {
        let lab = with_pin(&format!("pin = \"bench:heater\", safe = \"{safe}\""));
        assert_eq!(lab.pin("heater").level.as_deref(), Some(safe));
        assert_eq!(lab.pin("heater").actor, "a");
        let drive = json!([{"Drive": ["pin", driven == "high"]}, {"Level": "pin"}]);
        assert_eq!(lab.say("a", drive.clone()), [driven], "a turn sees what it drives");
        assert_eq!(lab.pin("heater").level.as_deref(), Some(driven));
        // A crash.
        lab.fails("a", json!(["Panic"]));
        assert_eq!(lab.pin("heater").level.as_deref(), Some(safe));
        lab.say("a", drive.clone());
        assert_eq!(lab.pin("heater").level.as_deref(), Some(driven));
        // A swap.
        let (cid, _) = other_probe(&lab);
        lab.node.run(&["swap", "a", &cid]).unwrap();
        assert_eq!(lab.pin("heater").level.as_deref(), Some(safe));
        lab.say("a", drive);
        assert_eq!(lab.pin("heater").level.as_deref(), Some(driven));
        // A stop: the next holder finds it safe.
        lab.node.run(&["stop", "a"]).unwrap();
        let grant = format!("pin={{ pin = \"bench:heater\", safe = \"{safe}\" }}");
        lab.node.run(&["start", &cid, "--as", "b", "--grant", &grant]).unwrap();
        assert_eq!(lab.say("b", json!([{"Level": "pin"}])), [safe]);
        assert_eq!(lab.pin("heater").actor, "b");
    }
}

#[test]
fn a_lease_that_runs_out_drives_the_pin_safe_and_tells_its_holder() {
    let lab = with_pin("pin = \"bench:heater\", safe = \"low\", lease = \"1500ms\"");
    let drive = json!([{"Drive": ["pin", true]}, "Count"]);
    // While it is renewed the pin stays high, well past the lease's length.
    lab.say("a", json!([{"Every": [20, drive]}]));
    lab.until("a", json!(["Count"]), |said| said[0].parse::<u64>().unwrap() > 120);
    assert_eq!(lab.say("a", json!(["Heard", {"Level": "pin"}])), ["high"]);
    assert!(lab.pin("heater").lease_ms.is_some_and(|left| left <= 1500));
    // A turn that doesn't set the pin renews nothing.
    lab.say("a", json!([{"Cancel": drive}, {"Every": [20, ["Count"]]}]));
    lab.hears("a", "expired");
    assert_eq!(lab.pin("heater").level.as_deref(), Some("low"));
    lab.logs("a", "a pin's lease ran out: it is at its safe level");
    // It is not lost: the next drive begins a new lease.
    lab.say("a", json!([{"Drive": ["pin", true]}]));
    assert_eq!(lab.pin("heater").level.as_deref(), Some("high"));
}

#[test]
fn the_edges_of_an_input_arrive_in_order_with_their_numbers() {
    let grant = "grant = { pin = { pin = \"bench:button?script=s.csv\", input = \"both\" } }\n";
    let script: String = (0..20).map(|n| format!("{},{}\n", 50 + n, (n + 1) % 2)).collect();
    let lab = Lab::with_files(&format!("[actor.a]\n{PROBE}{grant}"), &[("s.csv", &script)]);
    lab.until("a", json!(["Heard"]), |heard| heard.len() >= 20);
    let edge = |n: u32| format!("edge {}: {}, 0 dropped", n + 1, n.is_multiple_of(2));
    assert_eq!(lab.say("a", json!(["Heard"])), (0..20).map(edge).collect::<Vec<_>>());
    assert_eq!(lab.pin("button").edges, 20);
}

#[test]
fn edges_that_find_no_room_are_counted_and_the_last_of_them_comes() {
    let grant = "grant = { pin = { pin = \"bench:button?script=s.csv\", input = \"both\" } }\n\
                 mailbox = 4\nturn = \"1m\"\n";
    // Four hundred edges a millisecond apart, and none after them.
    let script: String = (0..400).map(|n| format!("{},{}\n", 50 + n, (n + 1) % 2)).collect();
    let lab = Lab::with_files(&format!("[actor.a]\n{PROBE}{grant}"), &[("s.csv", &script)]);
    // It is busy for a while, with room for four edges.
    lab.say("a", json!(vec![json!({"Allocate": 12}); 20]));
    let numbers = |heard: &str| -> Vec<u64> {
        heard.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
    };
    let all = |heard: &[String]| heard.last().is_some_and(|last| numbers(last)[0] == 400);
    lab.until("a", json!(["Heard"]), all);
    let (mut before, mut dropped) = (0, 0);
    for heard in lab.say("a", json!(["Heard"])) {
        let numbers = numbers(&heard);
        assert_eq!(numbers[0] - before, numbers[1] + 1, "{heard} follows edge {before}");
        (before, dropped) = (numbers[0], dropped + numbers[1]);
    }
    println!("{dropped} were dropped");
}

#[test]
fn an_output_can_be_neither_an_input_nor_shared() {
    let lab = with_pin("pin = \"bench:button\", input = \"both\"");
    assert_eq!(lab.fails("a", json!([{"Drive": ["pin", true]}])), "trapped");
    lab.logs("a", "driving a pin");
    assert_eq!(lab.say("a", json!([{"Level": "pin"}])), ["low"]);
    // Another actor is refused the line, at `start` …
    let cid = &guest("probe").cid;
    let grant = "pin={ pin = \"bench:button\", safe = \"low\" }";
    let error = lab.node.run(&["start", cid, "--as", "b", "--grant", grant]).unwrap_err();
    let line = error_line(&error.to_string());
    assert!(line.contains("bench:button") && line.contains("held by"), "{line}");
    assert_eq!(lab.actors().len(), 1);
    // … and in a manifest.
    let pin = "grant = { pin = { pin = \"bench:button\", safe = \"low\" } }\n";
    let folder = tempfile::tempdir().unwrap();
    let actors = format!("[actor.a]\n{PROBE}{pin}[actor.b]\n{PROBE}{pin}");
    let line = refused(folder.path(), &manifest(&actors));
    assert!(line.contains("node.toml:11: "), "{line}");
    assert!(line.contains("bench:button is granted twice"), "{line}");
}

#[test]
fn a_gpio_line_that_this_machine_lacks_is_refused_by_its_grant() {
    let folder = tempfile::tempdir().unwrap();
    let pin = "grant = { heater = { pin = \"gpio:GPIO17-of-nowhere\", safe = \"low\" } }\n";
    let line = refused(folder.path(), &manifest(&format!("[actor.a]\n{PROBE}{pin}")));
    assert!(line.contains("actor a") && line.contains("gpio:GPIO17-of-nowhere"), "{line}");
    let lab = Lab::new(&format!("[actor.a]\n{PROBE}"));
    let grant = "heater={ pin = \"gpio:GPIO17-of-nowhere\", safe = \"low\" }";
    let cid = &guest("probe").cid;
    let error = lab.node.run(&["start", cid, "--as", "b", "--grant", grant]).unwrap_err();
    assert!(error_line(&error.to_string()).contains("gpio:GPIO17-of-nowhere"));
    assert_eq!(lab.say("a", json!(["Count"])), ["1"]);
}

#[test]
fn a_sensor_that_is_not_there_is_refused_by_its_grant() {
    let folder = tempfile::tempdir().unwrap();
    for (grant, words) in [
        ("sensor:bench:nowhere.csv/temp", ["nowhere.csv", "grant"]),
        ("sensor:hwmon:no-such-chip/temp1", ["no-such-chip", "hwmon"]),
        ("sensor:thermal:no-such-zone", ["no-such-zone", "thermal"]),
    ] {
        let actors = format!("[actor.a]\n{PROBE}grant = {{ room = \"{grant}\" }}\n");
        let line = refused(folder.path(), &manifest(&actors));
        assert!(line.contains("actor a"), "{line}");
        assert!(words.iter().any(|word| line.contains(word)), "{line}");
    }
}

#[test]
fn a_driver_reads_and_writes_the_registers_of_its_device() {
    let grant = "grant = { device = { i2c = \"bench:bme280?registers=r.csv\", at = 0x76 } }\n";
    let actors = format!("{LIMITS}[actor.d]\ncomponent = \"$driver\"\n{grant}");
    let lab = Lab::with_files(&actors, &[("r.csv", "register,value\n0xd0,0x60\n0xd1,7\n")]);
    assert_eq!(lab.actor("d").world, "driver");
    let send = |message| lab.node.send("d", &message).unwrap();
    assert_eq!(send(json!({"Read": [0xd0, 2]})), json!([0x60, 7]));
    assert_eq!(send(json!({"Write": [0xf4, 0x27]})), json!([0x27]));
    let overrun = send(json!({"Read": [0, 100_000]}));
    assert_eq!(overrun, json!("more bytes than one transfer may have"));
    // A transfer takes place at once: a turn that fails after it does not undo it.
    let failed = lab.node.send("d", &json!({"WriteAndFail": [0xf5, 9]})).unwrap_err();
    assert!(failed.to_string().contains("trapped"), "{failed}");
    assert_eq!(send(json!({"Read": [0xf5, 1]})), json!([9]));
    // A device has one holder.
    let grant = "device={ i2c = \"bench:bme280\", at = 0x76 }";
    let cid = &guest("driver").cid;
    let error = lab.node.run(&["start", cid, "--as", "e", "--grant", grant]).unwrap_err();
    assert!(error_line(&error.to_string()).contains("held by"), "{error}");
}

#[test]
fn a_bus_is_granted_to_drivers_and_links_to_protocols_only() {
    let folder = tempfile::tempdir().unwrap();
    for (grant, word) in [("{ i2c = \"bench:x\", at = 8 }", "driver"), ("\"links\"", "protocol")] {
        let actors = format!("[actor.a]\n{PROBE}grant = {{ it = {grant} }}\n");
        let line = refused(folder.path(), &manifest(&actors));
        assert!(line.contains("actor a: grant it:") && line.contains(word), "{line}");
    }
}
