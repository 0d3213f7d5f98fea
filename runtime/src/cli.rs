//! The command line. Results go to standard output, prose to standard error; an error is one line:
//! what, why, what to do about it.

mod build;
mod json;
mod remote;
mod run;
mod show;
mod sim;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::address::NodeId;
use crate::wasm::Layout;

/// A WebAssembly actor runtime for edge nodes.
#[derive(Parser)]
#[command(name = "edge-host", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node from its manifest, until Ctrl-C.
    Run {
        /// The manifest.
        #[arg(default_value = "node.toml")]
        manifest: PathBuf,
    },
    /// Print this node's id; makes its key if there is none.
    Id {
        #[command(flatten)]
        target: Target,
    },
    /// Compile an actor crate to a component; prints its CID, size and file.
    Build {
        /// The crate's folder.
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Where to put the component.
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Print as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give a node a blob; prints its CID.
    Add {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// Start an actor from a component.
    Start {
        /// The component's CID.
        cid: String,
        /// Its name on that node.
        #[arg(long = "as", value_name = "NAME")]
        name: String,
        /// What it is given: NAME=GRANT, as in a manifest.
        #[arg(long = "grant", value_name = "NAME=GRANT")]
        grants: Vec<String>,
        /// When it is started again: always, failed or never.
        #[arg(long, default_value = "failed")]
        restart: When,
        #[command(flatten)]
        target: Target,
    },
    /// Stop an actor.
    Stop {
        /// Its name.
        name: String,
        #[command(flatten)]
        target: Target,
    },
    /// Put other code in an actor's place; address, mailbox and saved state stay.
    Swap {
        /// The actor's name.
        name: String,
        /// The new component's CID.
        cid: String,
        #[command(flatten)]
        target: Target,
    },
    /// List what there is on a node.
    Ls {
        /// What.
        #[arg(default_value = "actors")]
        what: What,
        #[command(flatten)]
        target: Target,
    },
    /// Send an actor a message; prints its answer, if there is one.
    Send {
        /// The actor's name.
        name: String,
        /// The message as JSON, like '{"Dial": 21}'.
        message: String,
        /// Milliseconds to wait for the answer.
        #[arg(long, default_value_t = 5000)]
        deadline: u64,
        #[command(flatten)]
        target: Target,
    },
    /// Give a message that was set aside to its actor again.
    SendAgain {
        /// The actor's name.
        name: String,
        /// The message's number, from `ls aside`.
        number: u64,
        #[command(flatten)]
        target: Target,
    },
    /// Print an actor's log.
    Log {
        /// Its name.
        name: String,
        /// Go on as it grows.
        #[arg(short, long)]
        follow: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Play a scenario in the simulator.
    Sim(sim::Sim),
    /// Compiles one component, in a process with limits: for a node's own use.
    #[command(hide = true)]
    CompileComponent {
        /// Bytes of address space that it may take.
        most: u64,
        /// For memories that have all the address space that a guest can name.
        #[arg(long)]
        guarded: bool,
    },
}

/// Which node, and how.
#[derive(Args, Clone)]
struct Target {
    /// The data folder of the local node, whose admin key is used.
    #[arg(long, env = "EDGE_HOST_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A remote node: ID@HOST:PORT.
    #[arg(long, value_name = "ID@HOST:PORT")]
    node: Option<String>,
    /// The remote node's admin key: a copy of `admin.key` of its data folder.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Actors,
    Peers,
    Blobs,
    Pins,
    Aside,
}

#[derive(Clone, Copy, ValueEnum)]
enum When {
    Always,
    Failed,
    Never,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match build::wrap().unwrap_or_else(|| dispatch(Cli::parse().command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("edge-host: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { manifest } => run::run(&manifest),
        Command::Sim(args) => sim::sim(&args),
        Command::CompileComponent { most, guarded } => {
            let layout = if guarded { Layout::Guarded } else { Layout::Packed };
            Ok(crate::wasm::compile::child(most, layout)?)
        }
        Command::Id { target } => id(&target),
        Command::Build { path, output, json } => build::build(&path, output.as_deref(), json),
        Command::Add { file, target } => remote::add(&file, &target),
        Command::Start { cid, name, grants, restart, target } => {
            remote::start(cid, name, &grants, restart, &target)
        }
        Command::Stop { name, target } => remote::stop(name, &target),
        Command::Swap { name, cid, target } => remote::swap(name, cid, &target),
        Command::Ls { what, target } => remote::list(what, &target),
        Command::Send { name, message, deadline, target } => {
            remote::send(name, &message, deadline, &target)
        }
        Command::SendAgain { name, number, target } => remote::send_again(name, number, &target),
        Command::Log { name, follow, target } => remote::log(name, follow, &target),
    }
}

fn id(target: &Target) -> anyhow::Result<()> {
    use crate::net::identity::{Identity, NODE_KEY};
    let identity = Identity::open(&target.data_folder()?, NODE_KEY)?;
    if target.json {
        println!("{}", serde_json::json!({ "id": identity.id().to_string() }));
    } else {
        println!("{}", identity.id());
    }
    Ok(())
}

impl Target {
    fn data_folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.data.clone().or_else(crate::config::default_data);
        folder.ok_or_else(|| anyhow::anyhow!("no data folder: set HOME, or give one with --data"))
    }

    /// Where the node is, who it is, and the file of the key that opens it.
    fn resolve(&self) -> anyhow::Result<(String, NodeId, PathBuf)> {
        use crate::net::identity::ADMIN_KEY;
        let key = || Ok::<_, anyhow::Error>(self.data_folder()?.join(ADMIN_KEY));
        if let Some(node) = &self.node {
            let parts = node.split_once('@');
            let (id, at) = parts.ok_or_else(|| {
                anyhow::anyhow!(
                    "--node {node:?} is not ID@HOST:PORT: `edge-host id` there prints ID"
                )
            })?;
            let key = self.key.clone().map_or_else(key, Ok)?;
            return Ok((at.into(), id.parse()?, key));
        }
        let folder = self.data_folder()?;
        let whereabouts = crate::node::whereabouts(&folder).ok_or_else(|| {
            anyhow::anyhow!(
                "no node runs on {}: start one with `edge-host run`, or name its folder with \
                --data",
                folder.display()
            )
        })?;
        let mut at = whereabouts.listen;
        if at.ip().is_unspecified() {
            at.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        Ok((at.to_string(), whereabouts.id.parse()?, self.key.clone().map_or_else(key, Ok)?))
    }
}
