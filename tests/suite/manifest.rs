//! Manifests that are refused: one line that names the file, the line, and what to write.

use std::process::Command;

use tests::guests;
use tests::process::Process;

use crate::fixture::{Lab, error_line, guest, manifest, refused};

/// What a node says of a manifest; `line` counts from the first line after `[node]`'s three.
fn says(actors: &str, line: usize, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let said = refused(folder.path(), &manifest(actors));
    let place = format!("{}:{}: ", folder.path().join("node.toml").display(), line + 3);
    assert!(said.contains(&place), "no {place} in {said}");
    words.iter().for_each(|word| assert!(said.contains(word), "no {word:?} in {said}"));
    assert!(!folder.path().join("data").exists(), "nothing is begun");
}

#[test]
fn an_unknown_key_is_refused_with_those_known() {
    says("[nodes]\n", 1, &["`nodes` is no key here", "node, limits, actor"]);
    let actor = "[actor.a]\ncomponent = \"a.wasm\"\nmailbx = 3\n";
    says(actor, 3, &["actor.a", "`mailbx` is no key here", "mailbox"]);
    says("[limits]\nmailbx = 3\n", 2, &["mailbx", "mailbox"]);
}

#[test]
fn an_unknown_grant_is_refused_with_the_forms_there_are() {
    let grant = |grant: &str| format!("[actor.a]\ncomponent = \"a.wasm\"\ngrant.x = {grant}\n");
    says(&grant("\"lamp:1\""), 3, &["actor.a.grant.x", "\"lamp:1\" is no grant", "{ pin = … }"]);
    says(&grant("\"sensor:radar:1\""), 3, &["radar", "sensor:proc:READING"]);
    says(&grant("{ lamp = 1 }"), 3, &["grants nothing", "sensor:…"]);
    says(&grant("\"actor:nobody\""), 3, &["no actor \"nobody\""]);
    says(&grant("{ pin = \"gpio:GPIO17\" }"), 3, &["safe = \"low\"", "input = \"both\""]);
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let actor = "[actor.a]\ncomponent = \"a.wasm\"\n";
    says(&format!("{actor}{actor}"), 3, &["duplicate"]);
    let twice = "grant.x = \"topic:x\"\ngrant.x = \"topic:y\"\n";
    says(&format!("{actor}{twice}"), 4, &["duplicate"]);
}

#[test]
fn two_actors_on_one_pin_are_refused() {
    let actor = |name: &str| {
        format!(
            "[actor.{name}]\ncomponent = \"a.wasm\"\n\
             grant.x = {{ pin = \"gpio:GPIO17\", safe = \"low\" }}\n"
        )
    };
    let both = actor("a") + &actor("b");
    says(&both, 6, &["actor.b.grant.x", "gpio:GPIO17 is granted twice", "letters"]);
}

#[test]
fn values_that_make_no_sense_are_refused_with_what_to_write() {
    says("peers = [{ id = \"abc\" }]\n", 1, &["node.peers", "64 hexadecimal digits"]);
    let actor = |line: &str| format!("[actor.a]\ncomponent = \"a.wasm\"\n{line}\n");
    says(&actor("memory = \"4 lamps\""), 3, &["actor.a.memory", "KiB"]);
    says(&actor("turn = 5"), 3, &["actor.a.turn", "10s"]);
    says(&actor("restart = { when = \"seldom\" }"), 3, &["seldom", "\"always\""]);
    says("[actor.a]\n", 1, &["actor.a", "`component` is missing", "CID"]);
    says("[actor.\"a b\"]\ncomponent = \"a.wasm\"\n", 1, &["\"a b\" is no name"]);
    let clipped = "[actor.a]\ncomponent = \"bafkreihdwdcef\"\n";
    says(clipped, 2, &["is not a whole CID", "59 characters"]);
    says("[limits]\nmailbox = 0\n", 2, &["limits.mailbox", "at least 1"]);
    says("[actor.a\n", 1, &[]);
}

#[test]
fn a_manifest_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nowhere.toml");
    let error = tests::process::edge_host(folder.path(), &["run", path.to_str().unwrap()]);
    let said = error.unwrap_err().to_string();
    assert!(said.contains("nowhere.toml") && said.contains("cannot be read"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_name_that_no_manifest_could_have_is_refused_on_the_command_line_too() {
    let lab = Lab::new("[actor.a]\ncomponent = \"$probe\"\n");
    for name in ["a b", "a/kid-12345678", "", "ä"] {
        let start = ["start", &guest("probe").cid, "--as", name];
        let error = error_line(&lab.node.run(&start).unwrap_err().to_string());
        assert!(error.contains(&format!("{name:?} is no name: write 1 to 64 letters")), "{error}");
    }
    assert_eq!(lab.actors().len(), 1);
}

#[test]
fn a_manifest_without_a_data_folder_means_the_one_that_commands_mean() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(guests::edge_host().unwrap());
    command.env("EDGE_HOST_DATA", folder.path().join("data"));
    let text = "[node]\nlisten = \"127.0.0.1:0\"\n";
    let node = Process::spawn(folder.path(), text, command).unwrap().listening().unwrap();
    assert_eq!(node.run(&["ls", "blobs", "--json"]).unwrap().trim(), "[]");
}
