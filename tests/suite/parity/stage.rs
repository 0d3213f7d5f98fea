//! Where scenarios play: nodes in the simulator, or real ones; the last node can be cut off.

use std::time::Duration;

use anyhow::{Context, Result};
use guest_sdk::{Actor, Sim};
use serde::Serialize;
use serde_json::json;
use tempfile::TempDir;
use tests::guests::Guest;
use tests::process::{self, Process};
use tests::relay::Relay;
use tests::wait_for;

use crate::nodes::{self, QUICK};

/// Virtual time that a scenario waits for something.
const LONGEST: Duration = Duration::from_secs(120);
/// Between two looks in virtual time.
const LOOK: Duration = Duration::from_millis(100);

/// Some nodes that each run one actor of interest, and gossip between them.
pub trait Stage<M> {
    /// Sends a node's actor a letter.
    fn tell(&mut self, node: usize, message: M) -> Result<()>;

    /// Cuts the last node off from all others; done when they have noticed.
    fn cut(&mut self) -> Result<()>;

    /// Heals that.
    fn heal(&mut self) -> Result<()>;

    /// Waits until a node's actor has handled so many more messages.
    fn handles(&mut self, node: usize, messages: u64) -> Result<()>;

    /// Waits for something to become true.
    fn until(&mut self, what: &str, look: impl FnMut(&mut Self) -> Result<bool>) -> Result<()>;
}

/// Nodes in the simulator.
pub struct Simulated<A> {
    pub sim: Sim<A>,
    nodes: usize,
    /// How long the actor's slowest timer takes to bring a message.
    beat: Duration,
}

impl<A: Actor> Simulated<A> {
    pub fn new(sim: Sim<A>, nodes: usize, beat: Duration) -> Self {
        let mut stage = Self { sim, nodes, beat };
        // Nodes boot within the first second, and find each other.
        stage.sim.run_for(Duration::from_secs(3));
        stage
    }
}

impl<A: Actor> Stage<A::Message> for Simulated<A> {
    fn tell(&mut self, node: usize, message: A::Message) -> Result<()> {
        self.sim.send(node, message);
        self.sim.run_for(LOOK);
        Ok(())
    }

    fn cut(&mut self) -> Result<()> {
        (0..self.nodes - 1).for_each(|node| self.sim.cut(node, self.nodes - 1));
        // As long as the simulator's network takes to notice.
        self.sim.run_for(Duration::from_secs(15));
        Ok(())
    }

    fn heal(&mut self) -> Result<()> {
        self.sim.heal();
        Ok(())
    }

    fn handles(&mut self, _: usize, messages: u64) -> Result<()> {
        self.sim.run_for(self.beat * u32::try_from(messages)?);
        Ok(())
    }

    fn until(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let end = self.sim.now() + LONGEST;
        while !look(self)? {
            anyhow::ensure!(self.sim.now() < end, "waited {LONGEST:?} in vain: {what}");
            self.sim.run_for(LOOK);
        }
        assert_eq!(self.sim.failures(), []);
        Ok(())
    }
}

/// Real nodes; what passes between the last one and the others passes a relay.
pub struct Real {
    pub nodes: Vec<Process>,
    ids: Vec<String>,
    relay: Relay,
    _folder: TempDir,
}

impl Real {
    /// Starts so many nodes with gossip and an actor named `it`, which is granted `grants` (a line
    /// of a manifest), and what else the manifest says.
    pub fn start(nodes: usize, actor: &Guest, grants: &str, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at: Vec<_> = (0..nodes).map(|node| folder.path().join(node.to_string())).collect();
        let ids = at.iter().map(|at| process::id(at)).collect::<Result<Vec<_>>>()?;
        let relay = Relay::open()?;
        let rest = format!(
            "{QUICK}\n[actor.gossip]\ncomponent = \"{}\"\ngrant = {{ links = \"links\" }}\n\n\
             [actor.it]\ncomponent = \"{}\"\ngrant = {grants}\n\n{more}",
            nodes::gossip().file.display(),
            actor.file.display()
        );
        let mut running: Vec<Process> = Vec::new();
        for node in (0..nodes).rev() {
            let peer = |other: usize| -> Result<String> {
                let whereabouts = match nodes - 1 - other {
                    _ if other < node => None,
                    0 => Some(relay.address()),
                    started => Some(running[started].address()?),
                };
                let at = whereabouts.map(|at| at.to_string());
                Ok(nodes::peer(&ids[other], at.as_deref()))
            };
            let peers = (0..nodes).filter(|other| *other != node).map(peer);
            let manifest = nodes::manifest(&peers.collect::<Result<Vec<_>>>()?, &rest);
            let process = Process::start(&at[node], &manifest)?;
            if running.is_empty() {
                relay.lead_to(process.address()?);
            }
            running.push(process);
        }
        running.reverse();
        let stage = Self { nodes: running, ids, relay, _folder: folder };
        stage.last_is("up")?;
        Ok(stage)
    }

    fn last_is(&self, state: &str) -> Result<()> {
        let (last, others) = self.nodes.split_last().context("no nodes")?;
        for (node, id) in others.iter().zip(&self.ids) {
            nodes::peer_is(node, &self.ids[self.ids.len() - 1], state)?;
            nodes::peer_is(last, id, state)?;
        }
        Ok(())
    }

    fn handled(&self, node: usize) -> Result<u64> {
        self.nodes[node].actor("it")?["handled"].as_u64().context("no number")
    }
}

impl<M: Serialize> Stage<M> for Real {
    fn tell(&mut self, node: usize, message: M) -> Result<()> {
        self.nodes[node].send("it", &json!(message)).map(drop)
    }

    fn cut(&mut self) -> Result<()> {
        self.relay.cut(true);
        self.last_is("down")
    }

    fn heal(&mut self) -> Result<()> {
        self.relay.cut(false);
        self.last_is("up")
    }

    fn handles(&mut self, node: usize, messages: u64) -> Result<()> {
        let end = self.handled(node)? + messages;
        let done = || self.handled(node).ok().filter(|handled| *handled >= end);
        wait_for("turns of an actor", done).map(drop)
    }

    fn until(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Result<bool>) -> Result<()> {
        let found = wait_for(what, || look(self).ok().filter(|found| *found));
        let log = || self.nodes.iter().map(Process::log).collect::<Vec<_>>().join("\n\n");
        found.map(drop).with_context(log)
    }
}
