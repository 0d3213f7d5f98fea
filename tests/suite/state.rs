//! Durable state: what is kept, how much, by whom.

use serde_json::json;

use crate::fixture::{Lab, error_line, guest, layered, manifest, refused};

const PROBE: &str = "[limits]\nrestart-ms = 1\nmessage-crashes = 1\n\
                     [actor.a]\ncomponent = \"$probe\"\nrestart = { max = 1000 }\n";

#[test]
fn values_survive_a_restart_of_the_actor_and_of_the_node() {
    let mut lab = Lab::new(PROBE);
    lab.say("a", json!([{"Put": ["b", "2"]}, {"Put": ["a", "1"]}, {"Put": ["c", "3"]}]));
    let read = json!([{"Get": "a"}, {"Get": "b"}, {"Get": "c"}, {"Get": "d"}]);
    lab.fails("a", json!(["Panic"]));
    assert_eq!(lab.say("a", read.clone()), ["1", "2", "3", "none"]);
    lab.say("a", json!([{"Delete": "b"}]));
    lab.kill_and_restart();
    assert_eq!(lab.say("a", read.clone()), ["1", "none", "3", "none"]);
    assert!(lab.node.interrupt().unwrap().success());
    lab.restart();
    assert_eq!(lab.say("a", read), ["1", "none", "3", "none"]);
    assert_eq!(lab.say("a", json!(["Starts"])), ["4"]);
}

#[test]
fn a_range_is_in_order_within_its_ends_and_sees_the_turns_own_writes() {
    let lab = Lab::new(PROBE);
    lab.say("a", json!([{"Put": ["k1", "x"]}, {"Put": ["k3", "x"]}, {"Put": ["k4", "x"]}]));
    let steps = json!([
        {"Put": ["k2", "x"]}, {"Delete": "k3"}, {"Put": ["k5", "x"]}, {"Range": ["k1", "k5", 9]},
    ]);
    assert_eq!(lab.say("a", steps), ["k1", "k2", "k4"]);
    assert_eq!(lab.say("a", json!([{"Range": ["k2", "", 2]}])), ["k2", "k4"]);
    assert_eq!(lab.say("a", json!([{"Range": ["k", "k", 9]}])), [""; 0]);
}

#[test]
fn two_actors_do_not_see_each_others_values() {
    let lab = Lab::new(&format!("{PROBE}[actor.b]\ncomponent = \"$probe\"\n"));
    lab.say("a", json!([{"Put": ["key", "of a"]}]));
    lab.say("b", json!([{"Put": ["key", "of b"]}]));
    assert_eq!(lab.say("a", json!([{"Get": "key"}])), ["of a"]);
    assert_eq!(lab.say("b", json!([{"Range": ["", "", 9]}])), ["key", "starts"]);
}

#[test]
fn a_value_over_its_quota_is_refused_and_the_turn_goes_on() {
    let mut lab = Lab::new(&format!("{PROBE}storage = \"1KiB\"\n"));
    let over = "writing a durable value: the actor's storage quota would be passed";
    let fill = |key: &str, bytes: u64| json!([{"Fill": [key, bytes]}, {"Range": ["x", "", 9]}]);
    assert_eq!(lab.say("a", fill("x1", 2000)), [over]);
    assert_eq!(lab.say("a", fill("x1", 900)), ["stored", "x1"]);
    assert_eq!(lab.say("a", fill("x2", 200)), [over, "x1"]);
    // Room is what others don't take: one's own old value counts no more.
    assert_eq!(lab.say("a", fill("x1", 950)), ["stored", "x1"]);
    lab.fails("a", json!([{"Delete": "x1"}, "Panic"]));
    assert_eq!(lab.say("a", fill("x2", 200)), [over, "x1"], "a failed turn frees nothing");
    lab.kill_and_restart();
    assert_eq!(lab.say("a", fill("x2", 200)), [over, "x1"], "it is counted again");
    lab.say("a", json!([{"Delete": "x1"}]));
    assert_eq!(lab.say("a", fill("x2", 200)), ["stored", "x2"]);
    let stored = lab.actor("a").stored;
    assert!((202..1024).contains(&stored), "{stored}");
}

#[test]
fn a_value_or_key_over_its_limit_is_refused() {
    let lab = Lab::new(&PROBE.replace("[actor.a]", "value-bytes = 100\nkey-bytes = 8\n[actor.a]"));
    let said = lab.say("a", json!([{"Fill": ["x", 101]}, {"Fill": ["x", 100]}]));
    assert!(said[0].contains("a limit was reached") && said[1] == "stored", "{said:?}");
    let said = lab.say("a", json!([{"Fill": ["123456789", 1]}, {"Fill": ["12345678", 1]}]));
    assert!(said[0].contains("a limit was reached") && said[1] == "stored", "{said:?}");
}

#[test]
fn a_truncated_native_code_file_is_compiled_again() {
    let mut lab = Lab::new(PROBE);
    lab.say("a", json!([{"Put": ["key", "value"]}]));
    assert!(!lab.node.log().contains("compiled"), "the warm cache serves");
    assert!(lab.node.interrupt().unwrap().success());
    for file in std::fs::read_dir(lab.folder.path().join("data/native")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    lab.restart();
    assert_eq!(lab.say("a", json!([{"Get": "key"}])), ["value"]);
    let log = lab.node.log();
    assert!(log.contains("is damaged on disk: compiling it again"), "{log}");
    assert!(log.contains(&format!("compiled {}", guest("probe").cid)), "{log}");
}

#[test]
fn letters_wait_for_an_actor_whose_component_is_being_compiled() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.wasm");
    std::fs::write(&other, layered(&std::fs::read(&guest("probe").file).unwrap())).unwrap();
    let z = format!("[actor.z]\ncomponent = \"{}\"\n", other.display());
    let mut lab = Lab::new(&format!("{PROBE}grant = {{ z = \"actor:z\" }}\n{z}"));
    let asks = json!({"Ask": ["z", 1, 120_000, ["Noted"]]});
    let start = json!({"AtStart": [{"Send": ["z", 2, [{"Note": "early"}]]}, asks]});
    lab.say("a", json!([start]));
    // `a` has its native code and starts at once; what `z` runs takes its time.
    assert!(lab.node.interrupt().unwrap().success());
    let known = &guest("probe").cid;
    for file in std::fs::read_dir(lab.folder.path().join("data/native")).unwrap() {
        let path = file.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with(known) {
            std::fs::remove_file(path).unwrap();
        }
    }
    lab.restart();
    lab.node.says("compiled").unwrap();
    lab.hears("a", "answer 1: early");
    assert_eq!(lab.say("a", json!(["Heard"])), ["answer 1: early"]);
}

#[test]
fn a_damaged_blob_is_not_run() {
    let mut lab = Lab::new("");
    let file = guest("probe").file.to_str().unwrap();
    let cid = lab.node.run(&["add", file]).unwrap().trim().to_string();
    assert!(lab.node.interrupt().unwrap().success());
    let blobs = lab.folder.path().join("data/blobs");
    let blob = walk(&blobs).into_iter().find(|path| path.to_string_lossy().contains(&cid));
    let blob = blob.unwrap_or_else(|| panic!("no {cid} in {:?}", walk(&blobs)));
    let mut bytes = std::fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    lab.restart();
    let error = lab.node.run(&["start", &cid, "--as", "a"]).unwrap_err().to_string();
    assert!(error_line(&error).contains(&cid), "{error}");
    assert!(lab.actors().is_empty());
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_second_node_on_the_same_data_folder_is_refused() {
    let lab = Lab::new(PROBE);
    let data = lab.folder.path().join("data");
    let text = manifest("").replace("\"data\"", &format!("{data:?}"));
    let line = refused(&lab.folder.path().join("second"), &text);
    assert!(line.contains("in use by another edge-host"), "{line}");
    assert!(line.contains(&*data.to_string_lossy()), "{line}");
    assert_eq!(lab.say("a", json!(["Count"])), ["1"], "the first goes on");
}

#[test]
fn a_port_in_use_is_refused() {
    let lab = Lab::new(PROBE);
    let taken = lab.node.address().unwrap().to_string();
    let second = tempfile::tempdir().unwrap();
    let line = refused(second.path(), &manifest("").replace("127.0.0.1:0", &taken));
    assert!(line.contains(&taken) && line.contains("listen"), "{line}");
    assert_eq!(lab.say("a", json!(["Count"])), ["1"], "the first goes on");
}

#[test]
fn a_data_folder_that_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), "a file").unwrap();
    let line = refused(folder.path(), &manifest(""));
    assert!(line.contains("can't use") && line.contains("data"), "{line}");
}
