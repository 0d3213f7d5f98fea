//! The peers: programs that are called with a row's name and print a figure.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::ours::repository;
use crate::row::Measure;

/// Sockets of Erlang nodes that stream. By default each letter is a call of the system on both
/// sides: with these, letters of 64 bytes went 2 to 2.5 times as fast, and those of 64 KiB over TLS
/// three times and more. What waits to be sent is held back for the next poll in the plain protocol
/// only; TLS gathers by itself. A question alone would wait for nothing, so its rows have the
/// defaults.
const PLAIN_STREAM: &str = "[{delay_send,true},{buffer,262144}]";
const TLS_STREAM: &str = "[{buffer,262144}]";

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
        self.erl(&["-run", "bench", "main", row, &ms.to_string()], parameters)
    }

    /// Two Erlang nodes on loopback, over TLS if wanted; the second is started by the first.
    pub fn erlang_nodes(
        &self,
        tls: bool,
        row: &str,
        ms: u64,
        parameters: &[&str],
    ) -> anyhow::Result<Measure> {
        let transport = if tls { "tls" } else { "tcp" };
        let sockets = match (row, tls) {
            ("stream", true) => TLS_STREAM,
            ("stream", false) => PLAIN_STREAM,
            _ => "[]",
        };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let mut arguments = vec!["-sname", "near@localhost", "-setcookie", "bench"];
        arguments.extend(["-start_epmd", "false", "-erl_epmd_port", &port]);
        arguments.extend(["-dist_listen", "false"]);
        arguments.extend(["-kernel", "inet_dist_connect_options", sockets]);
        let options = self.erlang.clone().map_err(anyhow::Error::msg)?.join("tls.conf");
        let options = options.to_string_lossy();
        if tls {
            arguments.extend(["-proto_dist", "inet_tls", "-ssl_dist_optfile", &options]);
        }
        let ms = ms.to_string();
        arguments.extend(["-run", "remote", "main", row, &ms, transport, &port, &options, sockets]);
        self.erl(&arguments, parameters)
    }

    fn erl(&self, arguments: &[&str], parameters: &[&str]) -> anyhow::Result<Measure> {
        let folder = self.erlang.clone().map_err(anyhow::Error::msg)?;
        let mut all = ["-noshell", "-noinput", "+P", "2000000", "-pa"].map(String::from).to_vec();
        all.push(folder.to_string_lossy().into_owned());
        all.extend(arguments.iter().chain(parameters).map(ToString::to_string));
        Ok(Box::new(move || {
            figure(Command::new("erl").env("ERL_CRASH_DUMP_BYTES", "0").args(&all))
        }))
    }

    /// RUSM, called once for each round.
    pub fn rusm(&self, row: &str, ms: u64, parameters: &[&str]) -> anyhow::Result<Measure> {
        let folder = self.programs.join("../rusm");
        let module = folder.join("wasm32-unknown-unknown/release/rusm_guest.wasm");
        let module = format!("module={}", module.display());
        let mut all = vec![module.as_str()];
        all.extend(parameters);
        self.program("../rusm/release/bench-rusm", row, ms, &all)
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
        bail!("it failed ({}): {}", output.status, why.lines().next().unwrap_or_default());
    }
    let last = said.trim().lines().last().unwrap_or_default();
    last.parse().with_context(|| format!("it printed {last:?} and no figure"))
}

fn compile_erlang(folder: &Path) -> anyhow::Result<()> {
    let source = repository().join("tests/bench/peers/erlang");
    let output = Command::new("erlc")
        .arg("-o")
        .arg(folder)
        .args(["bench.erl", "remote.erl"].map(|file| source.join(file)))
        .output()
        .context("no Erlang here: apt-get install erlang-base erlang-ssl")?;
    if !output.status.success() {
        bail!("erlc: {}", String::from_utf8_lossy(&output.stdout));
    }
    let certified = Command::new("erl")
        .args(["-noshell", "-noinput", "-pa"])
        .arg(folder)
        .args(["-run", "remote", "certify"])
        .arg(folder)
        .output()?;
    if !certified.status.success() {
        bail!("no certificates: {}", String::from_utf8_lossy(&certified.stdout));
    }
    Ok(())
}
