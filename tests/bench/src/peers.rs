//! The peers: programs that are called with a row's name and print a figure.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::ours::repository;
use crate::row::Measure;

/// The peers that there are on this machine.
#[derive(Clone, Debug)]
pub struct Peers {
    programs: PathBuf,
    /// The folder of the compiled Erlang program, or why there is none.
    erlang: Result<PathBuf, String>,
}

impl Peers {
    /// Looks for them; compiles the Erlang program.
    pub fn find(programs: &Path) -> anyhow::Result<Self> {
        let folder = programs.join("bench-kept/erlang");
        std::fs::create_dir_all(&folder)?;
        let erlang = compile_erlang(&folder).map(|()| folder).map_err(|why| format!("{why:#}"));
        Ok(Self { programs: programs.into(), erlang })
    }

    /// Erlang/OTP, called once for each round.
    pub fn erlang(&self, row: &str, ms: u64, parameters: &[&str]) -> anyhow::Result<Measure> {
        let folder = self.erlang.clone().map_err(anyhow::Error::msg)?;
        let mut arguments: Vec<String> = ["-noshell", "-noinput", "-pa"].map(String::from).to_vec();
        arguments.push(folder.to_string_lossy().into_owned());
        arguments.extend(["+P", "2000000", "-run", "bench", "main"].map(String::from));
        arguments.extend([row.to_string(), ms.to_string()]);
        arguments.extend(parameters.iter().map(ToString::to_string));
        Ok(Box::new(move || figure(Command::new("erl").args(&arguments))))
    }

    /// A peer written in Rust, called once for each round.
    pub fn program(
        &self,
        name: &str,
        row: &str,
        ms: u64,
        parameters: &[&str],
    ) -> anyhow::Result<Measure> {
        let program = self.programs.join(name);
        if !program.is_file() {
            bail!("{name} was not built: see the output of `make bench`");
        }
        let mut arguments = vec![row.to_string(), ms.to_string()];
        arguments.extend(parameters.iter().map(ToString::to_string));
        Ok(Box::new(move || figure(Command::new(&program).args(&arguments))))
    }
}

/// Runs a peer; its figure is the last line of what it prints.
fn figure(command: &mut Command) -> anyhow::Result<f64> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        bail!("it failed ({}): {} {}", output.status, why.trim(), said.trim());
    }
    let last = said.trim().lines().last().unwrap_or_default();
    last.parse().with_context(|| format!("it printed {last:?} and no figure"))
}

fn compile_erlang(folder: &Path) -> anyhow::Result<()> {
    let source = repository().join("tests/bench/peers/erlang");
    let output = Command::new("erlc")
        .arg("-o")
        .arg(folder)
        .arg(source.join("bench.erl"))
        .output()
        .context("no Erlang here: apt-get install erlang-base erlang-ssl")?;
    if !output.status.success() {
        bail!("erlc: {}", String::from_utf8_lossy(&output.stdout));
    }
    Ok(())
}
