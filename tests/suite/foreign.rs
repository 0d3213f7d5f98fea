//! An actor written without guest-sdk, and linked as rustc links anything: it works, and its people
//! are told once what that costs.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tests::guests::repository;

use crate::fixture::{Lab, guest};

/// What its log says.
const ADVICE: &str = "its memory grew by its first message";
/// A page of a guest's memory.
const PAGE: u64 = 64 << 10;

/// Builds `tests/guests/foreign` by plain cargo, with no flags of anybody's.
fn module() -> Vec<u8> {
    let said = Command::new(repository().join("scripts/toolchain.sh")).arg("--print").output();
    let rustc = String::from_utf8(said.unwrap().stdout).unwrap();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign");
    let wasm = "wasm32-unknown-unknown";
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "foreign", "--target", wasm])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(repository())
        .env("RUSTC", rustc.trim())
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(target.join(wasm).join("release/foreign.wasm")).unwrap()
}

/// Adds a component of it to a node: its CID.
fn add(lab: &Lab, module: &[u8]) -> String {
    let file = lab.folder.path().join("foreign.wasm");
    std::fs::write(&file, edge_host::wasm::encode(module).unwrap()).unwrap();
    lab.node.run(&["add", file.to_str().unwrap()]).unwrap().trim().to_owned()
}

#[test]
fn code_that_cannot_begin_is_swapped_for_code_that_can() {
    // Less than it begins with, and enough for what is linked for edge-host.
    let lab = Lab::new("[limits]\nmemory-bytes = 524288\nrestart-ms = 2000\n");
    let cid = add(&lab, &module());
    lab.node.run(&["start", &cid, "--as", "a"]).unwrap();
    let row = lab.becomes("a", |row| row.last_failure.is_some());
    let why = row.last_failure.unwrap();
    assert!(why.contains("its budget is 524288"), "{why}");
    let probe = guest("probe");
    lab.node.run(&["add", &probe.file.to_string_lossy()]).unwrap();
    lab.node.run(&["swap", "a", &probe.cid]).unwrap();
    assert_eq!(lab.say("a", json!(["Count"])), ["1"]);
}

#[test]
fn a_foreign_component_linked_for_other_hosts_works_and_its_people_are_told_once() {
    let module = module();
    let memory =
        wasmparser::Parser::new(0).parse_all(&module).find_map(|part| match part.unwrap() {
            wasmparser::Payload::MemorySection(memories) => memories.into_iter().next(),
            _ => None,
        });
    let initial = memory.unwrap().unwrap().initial * PAGE;
    assert!(initial > 1 << 20, "a stack of 1 MiB, and data: {initial} bytes");
    let lab = Lab::new("");
    let cid = add(&lab, &module);
    for name in ["a", "b"] {
        lab.node.run(&["start", &cid, "--as", name]).unwrap();
    }
    for number in 0..200 {
        let text = number.to_string();
        for name in ["a", "b"] {
            assert_eq!(lab.say(name, json!([text])).concat(), text);
        }
    }
    assert_eq!(lab.log("a").matches(ADVICE).count(), 1, "{}", lab.log("a"));
    // It is the component's people who can do something about it, not each actor's.
    assert_eq!(lab.log("b").matches(ADVICE).count(), 0, "{}", lab.log("b"));
    assert_eq!([lab.actor("a").incarnations, lab.actor("b").incarnations], [1, 1]);
}
