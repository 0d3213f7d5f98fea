//! Imports point down; each foreign crate has one home; host and guest share no Rust type.

use std::collections::BTreeMap;

use super::{none, sources};
use tests::guests::repository;

/// The modules of the host in layers: each may import those of lower layers and itself, and in the
/// lowest two also its neighbours named here.
const LAYERS: [&[&str]; 7] = [
    &["main"],
    &["cli"],
    &["node"],
    &["actor"],
    &["router", "supervisor", "wasm"],
    &["clock", "device", "journal", "mailbox", "net", "store"],
    &["address", "config", "limits", "reason"],
];

/// Imports between neighbours of one layer that are part of the design.
const NEIGHBOURS: [(&str, &str); 3] =
    [("config", "address"), ("config", "limits"), ("device", "config")];

#[test]
fn imports_point_down() {
    let layer: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(depth, names)| names.iter().map(move |name| (*name, depth)))
        .collect();
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("runtime/src/")) {
        let own = module(&source.path["runtime/src/".len()..]);
        if own == "lib" {
            continue;
        }
        let depth = layer.get(own).unwrap_or_else(|| panic!("{} is in no layer", source.path));
        for (number, line) in source.product_code() {
            for (at, _) in line.match_indices("crate::") {
                let rest = &line[at + "crate::".len()..];
                let name: String = rest
                    .chars()
                    .take_while(|char| char.is_alphanumeric() || *char == '_')
                    .collect();
                let Some(target) = layer.get(name.as_str()) else { continue };
                let allowed =
                    target > depth || name == own || NEIGHBOURS.contains(&(own, name.as_str()));
                if !allowed {
                    faults.push(format!("{}:{number} imports {name} from {own}", source.path));
                }
            }
        }
    }
    none(faults);
}

fn module(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".rs")
}

#[test]
fn each_foreign_crate_has_one_home() {
    let homes = [
        ("wasmtime", "runtime/src/wasm"),
        ("wasmparser", "runtime/src/wasm"),
        ("wasm_encoder", "runtime/src/wasm/contract.rs"),
        ("quinn", "runtime/src/net"),
        ("rustls", "runtime/src/net"),
        ("ring", "runtime/src/net"),
        ("cid", "runtime/src/store"),
        ("multihash", "runtime/src/store"),
        ("fjall", "runtime/src/store"),
        ("gpiocdev", "runtime/src/device"),
        ("prefetch_index", "runtime/src/wasm/ahead.rs"),
        ("wit_component", "runtime/src/wasm"),
        ("wit_parser", "runtime/src/wasm"),
        ("clap", "runtime/src/cli"),
        ("plotters", "runtime/src/cli/sim/picture.rs"),
        ("wit_bindgen", "guest-sdk/src/component.rs"),
        ("talc", "guest-sdk/src/memory.rs"),
    ];
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (number, line) in source.code() {
            for (name, home) in homes {
                let used = line.match_indices(&format!("{name}::")).any(|(at, _)| {
                    !line[..at].ends_with(|char: char| {
                        char.is_alphanumeric() || char == '_' || char == ':'
                    })
                });
                if used && !source.path.starts_with(home) {
                    faults.push(format!("{}:{number} uses {name}, at home in {home}", source.path));
                }
            }
        }
    }
    none(faults);
}

#[test]
fn only_the_device_module_touches_dev() {
    let elsewhere = |path: &str| {
        path.starts_with("runtime/src/")
            && !path.starts_with("runtime/src/device")
            && !path.starts_with("runtime/src/config")
    };
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| elsewhere(&source.path)) {
        let uses = source.product_code().filter(|(_, line)| line.contains("\"/dev/"));
        faults.extend(uses.map(|(number, _)| format!("{}:{number} names /dev", source.path)));
    }
    none(faults);
}

#[test]
fn host_and_guest_share_no_rust_type() {
    let manifest = std::fs::read_to_string(repository().join("runtime/Cargo.toml")).unwrap();
    for name in ["guest-sdk", "crdt", "gossip", "sensor", "thermostat"] {
        assert!(!manifest.lines().any(|line| line.starts_with(name)), "runtime depends on {name}");
    }
    let manifest = std::fs::read_to_string(repository().join("guest-sdk/Cargo.toml")).unwrap();
    let host = manifest.lines().any(|line| line.starts_with("edge-host"));
    assert!(!host, "guest-sdk depends on the host");
}

#[test]
fn the_simulator_knows_neither_time_nor_chance_of_its_own() {
    let mut faults = Vec::new();
    let pure = ["guest-sdk/sim/src/", "runtime/src/supervisor.rs", "actors/gossip/src/core.rs"];
    for source in sources() {
        if !pure.iter().any(|path| source.path.starts_with(path)) {
            continue;
        }
        for (number, line) in source.product_code() {
            let impure =
                ["Instant", "SystemTime", "HashMap", "HashSet", "std::fs", "std::net", "getrandom"];
            for word in impure.into_iter().filter(|word| line.contains(word)) {
                faults.push(format!("{}:{number} uses {word}", source.path));
            }
        }
    }
    none(faults);
}

#[test]
fn unsafe_code_is_where_it_must_be_and_nowhere_else() {
    let homes = [
        "runtime/src/wasm.rs",
        "runtime/src/wasm/memory.rs",
        "runtime/src/wasm/memory/tests.rs",
        "runtime/src/mailbox/word.rs",
        "guest-sdk/src/memory.rs",
        "guest-sdk/src/component.rs",
    ];
    let mut faults = Vec::new();
    for source in sources() {
        let here = homes.contains(&source.path.as_str());
        for (number, line) in source.code() {
            let word = line.contains("unsafe ") || line.contains("allow(unsafe_code");
            if word && !here && !source.path.starts_with("tests/suite/tidy") {
                faults.push(format!("{}:{number} is unsafe", source.path));
            }
        }
    }
    none(faults);
}
