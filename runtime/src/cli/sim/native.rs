//! The same source compiled natively: a program beside, which plays one run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::Value;
use sim::Far;

use super::{Instead, bar};
use crate::cli::build;

/// Builds an actor's native player: the example of this name in its crate.
pub fn player(actor: &Path) -> anyhow::Result<PathBuf> {
    let manifest = actor.join("Cargo.toml");
    if !manifest.is_file() {
        bail!("there is no crate in {}: {}", actor.display(), super::HERE);
    }
    let mut cargo = Command::new(build::cargo());
    // A release may be made for size, as components are.
    cargo.args(["build", "--profile", "bench", "--example", "native", "--message-format=json"]);
    cargo.arg("--manifest-path").arg(&manifest).stderr(Stdio::null());
    let output = cargo.output().context("can't run cargo: --native builds the actor with it")?;
    if !output.status.success() {
        bail!(
            "{} doesn't build natively: `cargo build --example native` there says why",
            actor.display()
        );
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let made = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let program = made.filter_map(|line| Some(line["executable"].as_str()?.to_owned())).next_back();
    program.map(PathBuf::from).context("cargo built no example `native`")
}

/// Plays one run; gives its report.
pub fn play(
    program: &Path,
    file: &Path,
    seed: u64,
    instead: Instead,
    draw: bool,
) -> anyhow::Result<Value> {
    let mut command = Command::new(program);
    command.arg(file).arg(format!("seed={seed}")).arg(format!("draw={draw}"));
    command.args(instead.nodes.map(|nodes| format!("nodes={nodes}")));
    command.args(instead.rule.map(|rule| format!("rule={}", rule.name())));
    command.args(instead.crash.map(|crash| format!("crash={crash}")));
    command.args(instead.rounds.map(|rounds| format!("rounds={rounds}")));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let said = child.stderr.take().context("it has no standard error")?;
    // Its answer is one line at the end, longer than a pipe holds: both are read at once.
    let mut answer = child.stdout.take().context("it has no standard output")?;
    let answer = std::thread::spawn(move || std::io::read_to_string(&mut answer));
    let label = bar::label(file);
    let mut why = Why::default();
    for line in BufReader::new(said).lines() {
        let line = line?;
        match serde_json::from_str::<Far>(&line) {
            Ok(far) => bar::show(&label, far),
            Err(_) => why.hear(line),
        }
    }
    if !child.wait()?.success() {
        bail!("the native player failed: {}", why.told());
    }
    let answer = answer.join().map_err(|_| anyhow::anyhow!("its answer was not read"))??;
    Ok(serde_json::from_str(&answer)?)
}

/// Of what a program says before it fails, the line that says why.
#[derive(Default)]
struct Why {
    last: String,
    panics: bool,
    panicked: Option<String>,
}

impl Why {
    fn hear(&mut self, line: String) {
        if std::mem::take(&mut self.panics) && self.panicked.is_none() {
            self.panicked = Some(line.clone());
        }
        self.panics = line.contains(" panicked at ");
        // After its reason a panic tells where the program was, and how to learn more.
        if !line.trim().is_empty() && !line.starts_with("note: ") {
            self.last = line;
        }
    }

    fn told(self) -> String {
        let why = self.panicked.unwrap_or(self.last);
        if why.is_empty() { "it said nothing".into() } else { why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &str, why: &str) {
        let mut heard = Why::default();
        said.lines().for_each(|line| heard.hear(line.into()));
        assert_eq!(heard.told(), why);
    }

    #[test]
    fn the_line_that_says_why_is_found() {
        check("", "it said nothing");
        check("native: a.toml: nodes = 1: write 2", "native: a.toml: nodes = 1: write 2");
        check(
            "thread 'main' (7) panicked at play.rs:197:30:\nindex out of bounds: the len is 0\n\
             stack backtrace:\n   0: rust_begin_unwind\n\
             note: Some details are omitted, run with `RUST_BACKTRACE=full`",
            "index out of bounds: the len is 0",
        );
    }
}
