//! `edge-host run`.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::bail;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Manifest;
use crate::node::Node;
use crate::wasm::compile::Compiler;

/// The id of the process that this one is to end with, however that ends: who plays with nodes for
/// a while leaves none behind.
pub(super) const ENDS_WITH: &str = "EDGE_HOST_ENDS_WITH";

pub(super) fn run(manifest: &Path) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("EDGE_HOST_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("edge_host=info,warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(std::io::stderr().is_terminal()).with_target(false).init();
    if let Ok(parent) = std::env::var(ENDS_WITH) {
        end_with(&parent)?;
    }
    let manifest = Manifest::load(manifest)?;
    let program = std::env::current_exe()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Taken before anything is started, so that an early Ctrl-C is not lost.
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let node = Node::start(manifest, Compiler::Child(program))?;
    tracing::info!("node {} listens on {}", node.id, node.net.local());
    let mut signalled = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    runtime.block_on(signalled());
    tracing::info!("stopping: once more ends it at once");
    let (done, stopped) = tokio::sync::oneshot::channel();
    let stopping = node.clone();
    std::thread::Builder::new().name("stop".into()).spawn(move || {
        for (name, left) in stopping.stop() {
            tracing::warn!("actor {name} stopped with {left} messages unread");
        }
        done.send(())
    })?;
    runtime.block_on(async {
        tokio::select! {
            _ = stopped => {
                tracing::info!("stopped: every pin is at its safe level");
                Ok(())
            }
            () = signalled() => {
                node.stop_pins();
                bail!("ended at once, as asked: pins are at their safe level, messages are lost")
            }
        }
    })
}

fn end_with(parent: &str) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that was said.
    if getppid().is_none_or(|now| now.as_raw_nonzero().to_string() != parent) {
        bail!("{ENDS_WITH}={parent}, but that is not the process that started this one");
    }
    Ok(())
}
