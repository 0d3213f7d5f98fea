//! Tests of the manifest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::grant::{Direction, PinLine};
use super::*;

fn parse(text: &str) -> Result<Manifest, ConfigError> {
    Manifest::parse(text, Path::new("/etc/edge"), Some(PathBuf::from("/home/pi/data")))
}

/// What is refused, on which line, and words that the error must have.
#[track_caller]
fn refused(text: &str, line: usize, words: &[&str]) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.line, Some(line), "{error}");
    let shown = error.to_string();
    assert!(!shown.contains('\n'), "{shown}");
    for word in words {
        assert!(shown.contains(word), "{word:?} is not in: {shown}");
    }
}

fn actor(line: &str) -> String {
    format!("[actor.a]\ncomponent = \"a.wasm\"\n{line}\n")
}

#[test]
fn a_whole_manifest_is_read() {
    let id = "ab".repeat(32);
    let cid = format!("bafkrei{}", "a".repeat(52));
    let text = format!(
        r#"
        [node]
        listen = "127.0.0.1:5000"
        data   = "state"
        peers  = [{{ id = "{id}", at = "attic.local:4433" }}]

        [limits]
        mailbox = 32
        peers = 2

        [actor.thermostat]
        component = "{cid}"
        grant.room   = "sensor:proc:cpu?every=100ms"
        grant.target = "topic:target"
        grant.heater = {{ pin = "gpio:GPIO17", safe = "low", lease = "30s" }}
        mailbox   = 64
        memory    = "4MiB"
        turn      = "50ms"
        storage   = "64KiB"
        restart   = {{ when = "always", max = 3, within = "10s" }}

        [actor.button]
        component = "button.wasm"
        [actor.button.grant]
        button = {{ pin = "bench:button?script=presses.csv", input = "both", debounce = "5ms" }}
        boss = "actor:thermostat"
        "#
    );
    let manifest = parse(&text).unwrap();
    assert_eq!(manifest.node.listen, "127.0.0.1:5000".parse().unwrap());
    assert_eq!(manifest.node.data, Path::new("/etc/edge/state"));
    assert_eq!(manifest.node.peers[0].id, id.parse().unwrap());
    assert_eq!((manifest.limits.mailbox, manifest.limits.batch), (32, Limits::default().batch));
    let thermostat = &manifest.actors["thermostat"];
    assert_eq!(thermostat.component, Component::Cid(cid));
    assert_eq!(thermostat.memory, Some(4 << 20));
    assert_eq!(thermostat.turn, Some(Duration::from_millis(50)));
    let within = Duration::from_secs(10);
    assert_eq!(thermostat.restart, Restart { when: When::Always, max: 3, within });
    let button = &manifest.actors["button"];
    assert_eq!(button.component, Component::Path("/etc/edge/button.wasm".into()));
    assert_eq!(button.restart, Restart::default());
    let Grant::Pin(pin) = &button.grants["button"] else { panic!() };
    assert_eq!(pin.line, PinLine::Bench("button".into()));
    let Direction::Input { script, .. } = &pin.direction else { panic!() };
    assert_eq!(script.as_deref(), Some(Path::new("/etc/edge/presses.csv")));
}

#[test]
fn an_empty_manifest_is_a_node_with_defaults() {
    let manifest = parse("").unwrap();
    assert_eq!(manifest.node.listen, LISTEN);
    assert_eq!(manifest.node.data, Path::new("/home/pi/data"));
    assert!(manifest.actors.is_empty());
    let error = Manifest::parse("", Path::new("/"), None).unwrap_err();
    assert!(error.to_string().contains("data = "), "{error}");
}

#[test]
fn an_unknown_key_is_refused_with_those_that_are_known() {
    refused("[nod]", 1, &["`nod`", "node, limits, actor"]);
    refused("[node]\nport = 1", 2, &["node: `port`", "listen"]);
    refused("[limits]\nmailbox = 1\nletters = 1", 3, &["letters", "mailbox"]);
    refused(&actor("restart = { often = 3 }"), 3, &["actor.a.restart", "`often`", "within"]);
    refused(&actor("grants = {}"), 3, &["`grants`", "grant"]);
    let pin = "grant = { x = { pin = \"gpio:GPIO1\", safe = \"low\", leese = \"1s\" } }";
    refused(&actor(pin), 3, &["grant.x", "`leese`", "lease"]);
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_with_what_to_write() {
    refused("[node]\nlisten = \"here\"", 2, &["0.0.0.0:4433"]);
    refused("[node]\npeers = [{ id = \"12\" }]", 2, &["64 hexadecimal digits"]);
    refused("[node]\npeers = [{ at = \"x:1\" }]", 2, &["`id` is missing", "edge-host id"]);
    let id = "ab".repeat(32);
    refused(&format!("[node]\npeers = [{{ id = \"{id}\", at = \"x\" }}]"), 2, &["host:port"]);
    refused(&format!("[node]\npeers = [{{ id = \"{id}\" }}, {{ id = \"{id}\" }}]"), 2, &["twice"]);
    refused("[limits]\nbatch = 0", 2, &["limits.batch", "at least 1"]);
    refused("[limits]\nletter-bytes = 999999", 1, &["frame-bytes"]);
    refused(&actor("mailbox = 0"), 3, &["actor.a.mailbox", "at least 1"]);
    refused(&actor("mailbox = \"many\""), 3, &["string", "whole number"]);
    refused(&actor("memory = 4"), 3, &["\"4MiB\""]);
    refused(&actor("turn = \"soon\""), 3, &["soon", "ms, s"]);
    refused(&actor("restart = { when = \"daily\" }"), 3, &["\"failed\""]);
    refused("[actor.a]\nmailbox = 1", 1, &["`component` is missing"]);
    refused("[actor.a]\ncomponent = \"bafkreiabc\"", 2, &["59 characters"]);
    refused("[actor.\"a b\"]\ncomponent = \"a\"", 1, &["letters, digits"]);
}

#[test]
fn broken_toml_and_names_given_twice_are_refused_with_their_line() {
    refused("[node]\nlisten = ", 2, &[]);
    refused("[actor.a]\ncomponent = \"x\"\ncomponent = \"y\"", 3, &["duplicate"]);
}

#[test]
fn a_pin_has_one_holder() {
    let pin = "{ pin = \"gpio:GPIO4\", safe = \"low\" }";
    let twice = actor(&format!("grant = {{ a = {pin}, b = {pin} }}"));
    refused(&twice, 3, &["gpio:GPIO4", "twice"]);
    let other = format!("[actor.b]\ncomponent = \"b.wasm\"\ngrant = {{ x = {pin} }}\n");
    let both = actor(&format!("grant = {{ a = {pin} }}")) + &other;
    refused(&both, 6, &["actor.b.grant.x", "twice"]);
    let child = |max| {
        format!("grant = {{ c = {{ spawn = \"c\", max = {max}, grant = {{ a = {pin} }} }} }}")
    };
    refused(&actor(&child(2)), 3, &["2 children", "max = 1"]);
    refused(&(actor(&child(1)) + &other), 6, &["twice"]);
    assert!(parse(&actor(&child(1))).is_ok());
}

#[test]
fn a_grant_of_an_actor_that_is_not_there_is_refused() {
    refused(&actor("grant = { b = \"actor:b\" }"), 3, &["no actor \"b\"", "there are a"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Manifest::load(Path::new("/nowhere/node.toml")).unwrap_err();
    assert!(error.to_string().starts_with("/nowhere/node.toml: cannot be read"), "{error}");
}

#[test]
fn an_actor_survives_being_stored() {
    let text = actor("grant = { s = \"sensor:proc:cpu\", c = { spawn = \"c\", max = 2 } }");
    let actor = parse(&text).unwrap().actors.remove("a").unwrap();
    let bytes = serde_ipld_dagcbor::to_vec(&actor).unwrap();
    assert_eq!(serde_ipld_dagcbor::from_slice::<ActorConfig>(&bytes).unwrap(), actor);
}
