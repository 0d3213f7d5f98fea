//! What a component may be: the imports of its world and nothing else, and a clear no otherwise.

use std::path::Path;

use serde_json::Value;
use tests::guests::{self, Guest};
use wasmparser::{Parser, Payload};

use crate::fixture::{Lab, error_line, guest, manifest, refused};

/// The interfaces that a component imports, read without the host's help.
fn imports(guest: &Guest) -> Vec<String> {
    let bytes = std::fs::read(&guest.file).unwrap();
    let (mut depth, mut found) = (0, Vec::new());
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                found.extend(section.into_iter().map(|import| import.unwrap().name.name.into()));
            }
            _ => {}
        }
    }
    found
}

#[test]
fn each_component_imports_only_the_interfaces_of_its_world() {
    let worlds = [
        ("probe", "actor", None),
        ("thermostat", "actor", None),
        ("sensor", "actor", None),
        ("crdt", "actor", None),
        ("gossip", "protocol", Some("links")),
        ("driver", "driver", Some("i2c")),
    ];
    for (name, world, own) in worlds {
        let allowed = ["types", "reads", "effects"].into_iter().chain(own);
        let allowed: Vec<_> = allowed.map(|one| format!("edge:actor/{one}@0.1.0")).collect();
        let imports = imports(guest(name));
        assert!(!imports.is_empty(), "{name} imports nothing");
        for import in &imports {
            assert!(allowed.contains(import), "{name} imports {import}, not of the {world} world");
        }
        let own = own.map(|own| format!("edge:actor/{own}@0.1.0"));
        assert!(own.is_none_or(|own| imports.contains(&own)), "{name} is no {world}");
    }
}

/// The functions of the contract that a component's code can call.
fn calls(guest: &Guest) -> Vec<String> {
    let bytes = std::fs::read(&guest.file).unwrap();
    let of_module = |payload| match payload {
        Payload::ImportSection(section) => section.into_imports().map(Result::unwrap).collect(),
        _ => Vec::new(),
    };
    let imports = Parser::new(0).parse_all(&bytes).flat_map(|payload| of_module(payload.unwrap()));
    let own = imports.filter(|import| import.module.starts_with("edge:actor/"));
    own.map(|import| import.name.to_owned()).collect()
}

#[test]
fn an_actor_imports_only_what_it_calls() {
    let sensor = calls(guest("sensor"));
    let has = |name: &str| sensor.iter().any(|call| call == name);
    assert!(has("send") && has("last") && has("arm"), "{sensor:?}");
    assert!(!has("drive") && !has("spawn") && !has("transmit"), "{sensor:?}");
}

/// Adds a file to a node and starts it as an actor; gives the error's one line.
fn not_started(lab: &Lab, name: &str, bytes: &[u8]) -> String {
    let file = lab.folder.path().join(name);
    std::fs::write(&file, bytes).unwrap();
    let cid = lab.node.run(&["add", file.to_str().unwrap()]).unwrap();
    let error = lab.node.run(&["start", cid.trim(), "--as", name]).unwrap_err().to_string();
    let line = error_line(&error);
    assert!(line.contains(cid.trim()), "which component? {line}");
    line
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

#[test]
fn what_is_no_component_of_a_world_is_refused_at_deploy_with_one_clear_line() {
    let lab = Lab::new("");
    let bad: [(&str, Vec<u8>, &[&str]); 9] = [
        ("text", b"hello".to_vec(), &["not a WebAssembly component", "edge-host build"]),
        ("empty", Vec::new(), &["not a WebAssembly component", "edge-host build"]),
        ("module", wat("(module)"), &["core WebAssembly module", "edge-host build"]),
        (
            "foreign",
            wat(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#),
            &["wasi:clocks/wall-clock@0.2.0", "granted"],
        ),
        (
            "older",
            wat(r#"(component (import "edge:actor/reads@0.0.9" (instance)))"#),
            &["edge:actor@0.0.9", "edge:actor@0.1.0", "guest-sdk"],
        ),
        (
            "both",
            wat(r#"(component
                (import "edge:actor/links@0.1.0" (instance $links))
                (import "edge:actor/i2c@0.1.0" (instance))
                (export "edge:actor/behaviour@0.1.0" (instance $links)))"#),
            &["links", "i2c", "split"],
        ),
        ("idle", wat("(component)"), &["edge:actor/behaviour@0.1.0", "guest_sdk::main!"]),
        (
            "hollow",
            wat(r#"(component
                (import "edge:actor/types@0.1.0" (instance $types))
                (export "edge:actor/behaviour@0.1.0" (instance $types)))"#),
            &["doesn't fit the actor world", "guest-sdk"],
        ),
        (
            "altered",
            wat(r#"(component
                (core module $module (func (export "f")))
                (core instance $code (instantiate $module))
                (func $f (canon lift (core func $code "f")))
                (instance $behaviour (export "start" (func $f)) (export "handle" (func $f))
                    (export "save" (func $f)) (export "restore" (func $f)))
                (export "edge:actor/behaviour@0.1.0" (instance $behaviour)))"#),
            &["doesn't fit the actor world", "behaviour", "guest-sdk"],
        ),
    ];
    for (name, bytes, words) in bad {
        let line = not_started(&lab, name, &bytes);
        words.iter().for_each(|word| assert!(line.contains(word), "no {word:?} in {line}"));
    }
    assert!(lab.actors().is_empty());
}

#[test]
fn a_damaged_component_is_refused() {
    let lab = Lab::new("");
    let whole = std::fs::read(&guest("driver").file).unwrap();
    let line = not_started(&lab, "clipped", &whole[..whole.len() / 2]);
    assert!(line.contains("not a WebAssembly component"), "{line}");
    // Sound on its outside, and no code within.
    let mut holed = whole.clone();
    let middle = holed.len() / 2;
    holed[middle..middle + 64].fill(0xff);
    let line = not_started(&lab, "holed", &holed);
    assert!(line.contains("compile") || line.contains("not a WebAssembly"), "{line}");
}

#[test]
fn a_manifest_whose_component_is_none_does_not_start_and_names_the_actor() {
    let folder = tempfile::tempdir().unwrap();
    let actors = "[actor.lamp]\ncomponent = \"lamp.wasm\"\n";
    let line = refused(folder.path(), &manifest(actors));
    assert!(line.contains("actor lamp") && line.contains("lamp.wasm"), "{line}");
    std::fs::write(folder.path().join("lamp.wasm"), "hello").unwrap();
    let line = refused(folder.path(), &manifest(actors));
    assert!(line.contains("actor lamp") && line.contains("not a WebAssembly"), "{line}");
}

#[test]
fn a_cid_that_is_malformed_or_unknown_is_refused() {
    let lab = Lab::new("");
    let start = |cid: &str| {
        error_line(&lab.node.run(&["start", cid, "--as", "a"]).unwrap_err().to_string())
    };
    let line = start("bafkreinonsense");
    assert!(line.contains("is not a CID") && line.contains("copy it whole"), "{line}");
    let unknown = guest("thermostat").cid.clone();
    let line = start(&unknown);
    assert!(line.contains(&unknown) && line.contains("edge-host add"), "{line}");
}

#[test]
fn building_what_is_no_actor_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let build = |path: &Path| {
        let path = path.to_str().unwrap();
        let error = tests::process::edge_host(folder.path(), &["build", path]).unwrap_err();
        error_line(&error.to_string())
    };
    assert!(build(folder.path()).contains("no Cargo.toml"));
    let library = guests::repository().join("guest-sdk/sim");
    assert!(build(&library).contains("main.rs"), "a library is no actor");
}

#[test]
fn a_component_given_by_path_is_named_by_the_same_cid_as_its_build() {
    let lab = Lab::new("[actor.a]\ncomponent = \"$probe\"\n");
    assert_eq!(lab.actor("a").component, guest("probe").cid);
    let blobs: Value = lab.node.json(&["ls", "blobs"]).unwrap();
    assert_eq!(blobs[0]["cid"], Value::from(guest("probe").cid.clone()));
}
