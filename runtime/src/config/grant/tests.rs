//! Tests of grants.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn read(text: &str) -> Grant {
    let grant = parse_grant(text, Path::new("/w")).unwrap();
    let again = parse_grant(&grant.to_string(), Path::new("/other")).unwrap();
    assert_eq!(again, grant, "{grant}");
    grant
}

#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let error = parse_grant(text, Path::new("/w")).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn each_form_is_read_and_survives_its_text() {
    let bench = read("sensor:bench:data/sf.csv/temp?every=100ms");
    let source = SensorSource::Bench { file: "/w/data/sf.csv".into(), column: "temp".into() };
    let every = Duration::from_millis(100);
    assert_eq!(bench, Grant::Sensor(SensorSpec { source, every }));
    assert_eq!(bench.to_string(), "sensor:bench:/w/data/sf.csv/temp?every=100ms");
    read("sensor:hwmon:coretemp/temp1");
    read("sensor:thermal:cpu-thermal");
    read("sensor:proc:loadavg");
    read("sensor:proc:uptime");
    read("sensor:proc:cpu");
    read("sensor:proc:meminfo/MemAvailable");
    let published = read("sensor:topic:air/attic?");
    assert_eq!(published.to_string(), "sensor:topic:air/attic?");
    assert_eq!(read("topic:a/b"), Grant::Topic { name: "a/b".into(), subscribe: true });
    let publish = read("{ topic = \"x\\\"y\", subscribe = false }");
    assert_eq!(publish, Grant::Topic { name: "x\"y".into(), subscribe: false });
    assert_eq!(read("actor:hub"), Grant::Actor("hub".into()));
    assert_eq!(read("links"), Grant::Links { name: None });
    assert_eq!(read("links:gossip"), Grant::Links { name: Some("gossip".into()) });
    use crate::address::{ActorId, NodeId};
    let address = Address::new(ActorId([7; 16]), NodeId([9; 32]));
    assert_eq!(read(&address.to_string()), Grant::Address(address));
    read("{ pin = \"gpio:GPIO17\", safe = \"low\", lease = \"30s\" }");
    read("{ pin = \"gpio:pinctrl-rp1/17\", safe = \"high\" }");
    read("{ pin = \"gpio:GPIO27\", input = \"both\", pull = \"up\", debounce = \"5ms\" }");
    read("{ pin = \"bench:button?script=a?b&c.csv\", input = \"rising\" }");
    assert_eq!(
        read("{ i2c = \"bench:bme280\" , at = 0x76 }").to_string(),
        "{ i2c = \"bench:bme280\", at = 0x76 }"
    );
    read("{ i2c = \"bench:x?registers=r.csv\", at = 118 }");
    read("{ i2c = \"/dev/i2c-1\", at = 0x76 }");
    read("{ spawn = \"worker.wasm\", max = 10 }");
    let child = read(
        "{ spawn = \"w\", max = 2, mailbox = 8, memory = \"1MiB\", turn = \"20ms\", \
         storage = \"4KiB\", restart = { when = \"never\" } }",
    );
    let Grant::Child(ChildSpec { actor, .. }) = child else { panic!("{child}") };
    assert_eq!((actor.mailbox, actor.memory, actor.storage), (Some(8), Some(1 << 20), Some(4096)));
    assert_eq!((actor.turn, actor.restart.max), (Some(Duration::from_millis(20)), 5));
    assert_eq!(actor.restart.when, crate::config::When::Never);
    read(
        "{ spawn = \"w\", max = 1, grant = { t = \"topic:t\", d = { spawn = \"v\", max = 2 }, \
         p = { pin = \"bench:p\", safe = \"low\" } } }",
    );
}

#[test]
fn an_output_without_a_safe_level_is_refused_with_what_to_write() {
    refused("{ pin = \"gpio:GPIO17\" }", &["safe level", "safe = \"low\" or \"high\""]);
    refused("{ pin = \"gpio:GPIO17\", safe = \"off\" }", &["\"off\"", "\"low\" or \"high\""]);
    refused("{ pin = \"gpio:GPIO17\", safe = \"low\", input = \"both\" }", &["not both"]);
    refused("gpio:GPIO17", &["what the pin is for", "safe = "]);
}

#[test]
fn pins_are_named_not_numbered() {
    refused("{ pin = \"gpio:17\", safe = \"low\" }", &["gpio:GPIO17", "LABEL/17"]);
    refused("{ pin = \"gpio:gpiochip0/17\", safe = \"low\" }", &["label"]);
    refused("{ pin = \"17\", safe = \"low\" }", &["is no pin"]);
    refused("{ pin = \"gpio:a/../b\", safe = \"low\" }", &["no name of a device"]);
    refused("{ pin = \"gpio:X?script=a\", input = \"both\" }", &["only a bench pin"]);
    refused("{ pin = \"bench:x?scrpt=a\", input = \"both\" }", &["scrpt", "?script=FILE"]);
}

#[test]
fn a_sensor_that_is_not_supported_is_refused_with_those_that_are() {
    refused("sensor:bme280/temperature", &["bme280/temperature", "sensor:bench:", "sensor:proc:"]);
    refused("sensor:dht:4", &["\"dht\"", "sensor:hwmon:"]);
    refused("sensor:bench:temp", &["FILE.csv/COLUMN"]);
    refused("sensor:proc:fans", &["meminfo/MemAvailable"]);
    refused("sensor:proc:meminfo/../x", &["write sensor:proc:loadavg"]);
    refused("sensor:thermal:", &["no name of a device"]);
    refused("sensor:proc:cpu?each=1s", &["each=1s", "?every=10s"]);
    refused("sensor:proc:cpu?every=1us", &["too often"]);
}

#[test]
fn what_is_no_grant_is_refused_with_the_forms() {
    refused("heater", &["\"heater\"", "topic:NAME", "{ spawn = … }"]);
    refused("{ led = 1 }", &["grants nothing", "{ pin = … }"]);
    refused("{ pin = ", &[]);
    refused("topic:", &["no topic"]);
    refused("actor:a b", &["letters, digits"]);
    refused("edge:12", &["copy it whole"]);
    refused("{ i2c = \"bench:x\", at = 0x80 }", &["0x08 to 0x77"]);
    refused("{ i2c = \"bench:x\" }", &["`at` is missing"]);
    refused("{ spawn = \"w\" }", &["`max` is missing"]);
    refused("{ spawn = \"w\", max = 1, memory = 5 }", &["memory"]);
    refused("{ spawn = \"w\", max = 1, moss = 5 }", &["moss"]);
    let pin = "{ pin = \"bench:p\", safe = \"low\" }";
    let child =
        |max, grant: &str| format!("{{ spawn = \"w\", max = {max}, grant = {{ x = {grant} }} }}");
    refused(&child(2, pin), &["2 children cannot share bench:p"]);
    refused(&child(1, &child(1, pin)), &["a child's child cannot hold bench:p"]);
    let deep =
        "{ spawn = \"w\", max = 1, grant = { c = ".repeat(20) + "\"links\"" + &" } }".repeat(20);
    refused(&deep, &["nested deeper"]);
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,80}", table in "\\{ (pin|i2c|spawn|topic) = .{0,40} \\}") {
        for text in [text, table] {
            if let Ok(grant) = parse_grant(&text, Path::new("/w")) {
                prop_assert_eq!(parse_grant(&grant.to_string(), Path::new("/")).unwrap(), grant);
            }
        }
    }

    #[test]
    fn any_path_survives(file in "[^\\x00]{1,20}", every in 1_u64..100_000) {
        let every = Duration::from_millis(every);
        let file = Path::new("/w").join(file);
        let source = SensorSource::Bench { file: file.clone(), column: "temp".into() };
        let sensor = Grant::Sensor(SensorSpec { source, every });
        prop_assert_eq!(parse_grant(&sensor.to_string(), Path::new("/")).unwrap(), sensor);
        let (edges, script) = (Edges::Both, Some(file));
        let direction = Direction::Input { edges, pull: None, debounce: None, script };
        let pin = Grant::Pin(PinSpec { line: PinLine::Bench("b".into()), direction });
        prop_assert_eq!(parse_grant(&pin.to_string(), Path::new("/")).unwrap(), pin);
    }
}
