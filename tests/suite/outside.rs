//! An actor written outside the repository by the README alone; and builds that give the same bytes
//! wherever they are made.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::guests::{self, Guest};

use crate::nodes::{self, Two};

const LIB: &str = r#"//! Greets.
use guest_sdk::{Actor, Context, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Greeter {
    greeted: u64,
}

#[derive(Serialize, Deserialize)]
pub enum Message {
    Hello(String),
}

impl Actor for Greeter {
    type Message = Message;

    fn start(_cx: &mut Context<Self>) -> Result<Self> {
        Ok(Self { greeted: 0 })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        let Message::Hello(name) = message;
        self.greeted += 1;
        cx.reply(format!("Hello {name}, you are number {}", self.greeted));
        Ok(())
    }
}
"#;

/// Writes the crate into a folder; `sdk` is where guest-sdk is.
fn write_greeter(folder: &Path, sdk: &Path) -> Result<()> {
    std::fs::create_dir_all(folder.join("src"))?;
    let manifest = format!(
        "[package]\nname = \"greeter\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         guest-sdk = {{ path = {:?} }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n",
        sdk
    );
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    std::fs::write(folder.join("src/lib.rs"), LIB)?;
    std::fs::write(folder.join("src/main.rs"), "guest_sdk::main!(greeter::Greeter);\n")?;
    // The same versions of all that it needs, or it is other code.
    std::fs::copy(guests::repository().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}

#[test]
fn an_actor_from_outside_the_repository_answers_on_two_nodes() -> Result<()> {
    let (folder, _lock) = guests::kept_folder("outside")?;
    let greeter = folder.join("greeter");
    write_greeter(&greeter, &guests::repository().join("guest-sdk"))?;
    let guest = guests::build(&greeter, &folder)?;
    let two = Two::start("")?;
    two.a.run(&["add", &guest.file.to_string_lossy()])?;
    two.a.run(&["start", &guest.cid, "--as", "greeter"])?;
    let started = two.b.json(&["start", &guest.cid, "--as", "greeter"])?;
    assert_eq!(started["origin"], format!("fetched from peer {}", two.ids[0]));
    for node in [&two.a, &two.b] {
        let answer = node.send("greeter", &json!({ "Hello": "Ada" }))?;
        assert_eq!(answer, Value::from("Hello Ada, you are number 1"));
    }
    one_source_is_one_component(&greeter, &guest, &folder)
}

/// Wherever it is built; and what was built elsewhere from other, older files is not taken for it.
fn one_source_is_one_component(greeter: &Path, first: &Guest, folder: &Path) -> Result<()> {
    // A folder never built in before: cargo goes by the times of files, and these are made old.
    let elsewhere = tempfile::tempdir()?;
    let other = elsewhere.path().join("a longer way from here/greeter");
    write_greeter(&other, &guests::repository().join("guest-sdk"))?;
    let lib = other.join("src/lib.rs");
    std::fs::write(&lib, LIB.replace("Hello {name}", "Good day {name}"))?;
    let long_ago = SystemTime::now() - Duration::from_secs(86_400);
    for file in ["src/lib.rs", "src/main.rs", "Cargo.toml", "Cargo.lock"] {
        File::options().write(true).open(other.join(file))?.set_modified(long_ago)?;
    }
    let older = guests::build(&other, folder)?;
    assert_ne!(older.cid, first.cid);
    let code = std::fs::read(&older.file)?;
    assert!(code.windows(9).any(|bytes| bytes == b"Good day "));
    std::fs::write(&lib, LIB)?;
    assert_eq!(guests::build(&other, folder)?.cid, first.cid);
    assert_eq!(guests::build(greeter, folder)?.cid, first.cid);
    Ok(())
}

#[test]
fn a_clone_in_another_folder_and_environment_builds_the_same_components() -> Result<()> {
    let (folder, _lock) = guests::kept_folder("clone")?;
    let clone = folder.join("some/where else");
    std::fs::create_dir_all(&clone)?;
    let files = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(guests::repository())
        .output()
        .context("git")?;
    for name in String::from_utf8(files.stdout)?.split_terminator('\0') {
        let (from, to) = (guests::repository().join(name), clone.join(name));
        std::fs::create_dir_all(to.parent().context("a folder")?)?;
        std::fs::copy(&from, &to).with_context(|| name.to_string())?;
    }
    let mut edge_host = Command::new(guests::edge_host()?);
    edge_host.envs([("RUSTC_BOOTSTRAP", "1"), ("RUSTFLAGS", "-Copt-level=0")]);
    let there = guests::build_by(edge_host, &clone.join("examples/thermostat"), &folder)?;
    assert_eq!(there.cid, nodes::thermostat().cid);
    Ok(())
}
