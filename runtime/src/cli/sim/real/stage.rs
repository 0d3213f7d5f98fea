//! What happens to real nodes in a scenario.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::process::Signal;
use serde_json::json;
use sim::scenario::{Clock, Finished};
use sim::{Overlay, Stage};

use super::{EAR, GOSSIP, LOOK, MEASURED, PATIENCE, ROUND, Real, place, share};
use crate::node::admin::Request;

impl Stage for Real {
    type Fault = anyhow::Error;

    fn name(&self) -> &'static str {
        if self.processes { "real nodes, a process each" } else { "real nodes in one process" }
    }

    fn otherwise(&self) -> Vec<String> {
        self.otherwise.clone()
    }

    fn measures(&self, metric: &str) -> bool {
        MEASURED.contains(&metric)
    }

    fn count(&self) -> usize {
        self.count
    }

    fn is_up(&self, node: usize) -> bool {
        self.places[node].is_up()
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn add(&mut self, _: &[usize], _: Clock) -> anyhow::Result<()> {
        let node = self.count;
        if node > 0 {
            share(&self.places[0].native(), &self.places[node].native())?;
        }
        for low in 0..node {
            let delay = Duration::from_nanos(self.rtt(low, node) / 2);
            self.roads.open(low, node, self.places[low].port.clone(), delay)?;
        }
        self.start(node)?;
        self.count += 1;
        Ok(())
    }

    fn begun(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let (edges, up) = (self.neighbours()?, self.up());
            let parts = Overlay::of(&edges, &up, |_, _| 0).components;
            if parts == 1 {
                // The scenario's time begins here.
                self.began = Instant::now();
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                bail!("the nodes are {parts} overlays after {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK);
        }
    }

    fn wait(&mut self, time: Duration) -> anyhow::Result<()> {
        std::thread::sleep(time);
        Ok(())
    }

    fn begin(&mut self, senders: &[usize], bytes: usize) -> anyhow::Result<()> {
        let up = self.up();
        let voices = up.iter().map(|node| (*node, self.places[*node].voice.clone())).collect();
        self.round.begin(senders, voices, bytes, &self.network.handle)
    }

    fn until(&mut self, end: Duration) -> anyhow::Result<()> {
        self.round.until(self.began + end);
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<Finished> {
        let late = self.round.late();
        let lacks = json!({ "Lacks": self.round.numbers() });
        let heard = self.ask(&late, EAR, &lacks);
        let awake: Vec<usize> =
            self.up().into_iter().filter(|node| !self.round.paused(*node)).collect();
        let statuses = self.ask(&awake, GOSSIP, &json!("Status"));
        Ok(self.round.finish(heard, statuses))
    }

    fn patience(&self, timeout: Duration) -> Duration {
        // A round that can't end is given up when the scenario says.
        if self.roads.all_open() { timeout.max(ROUND) } else { timeout }
    }

    fn crash(&mut self, node: usize) -> anyhow::Result<()> {
        self.places[node].kill()?;
        self.round.gone(node);
        Ok(())
    }

    fn restart(&mut self, node: usize, fresh: bool) -> anyhow::Result<()> {
        if fresh {
            self.places[node].wipe()?;
        }
        self.start(node)
    }

    fn leave(&mut self, node: usize) -> anyhow::Result<()> {
        let voice = self.places[node].voice.clone();
        let stop = async move { voice.request(&Request::Stop { name: GOSSIP.into() }).await };
        self.network.handle.block_on(self.network.handle.spawn(stop))??;
        self.places[node].stop()?;
        self.round.gone(node);
        Ok(())
    }

    fn pause(&mut self, node: usize, time: Duration) -> anyhow::Result<()> {
        let pid = self.places[node].pid()?;
        place::signal(pid, Signal::STOP)?;
        let stands = Arc::new(AtomicBool::new(true));
        self.round.pause(node, stands.clone());
        self.network.handle.spawn(async move {
            tokio::time::sleep(time).await;
            stands.store(false, Ordering::SeqCst);
            // It may have been killed meanwhile.
            let _ = place::signal(pid, Signal::CONT);
        });
        Ok(())
    }

    fn split(&mut self, sides: &[u32]) -> anyhow::Result<()> {
        for low in 0..sides.len() {
            for high in low + 1..sides.len() {
                self.roads.cut(low, high, sides[low] != sides[high]);
            }
        }
        Ok(())
    }

    fn heal(&mut self) -> anyhow::Result<()> {
        self.roads.mend();
        Ok(())
    }

    fn cut(&mut self, a: usize, b: usize) -> anyhow::Result<()> {
        self.roads.cut(a, b, true);
        Ok(())
    }

    fn cut_one_way(&mut self, from: usize, to: usize) -> anyhow::Result<()> {
        self.roads.stop(from, to, true);
        Ok(())
    }

    fn mend(&mut self, a: usize, b: usize) -> anyhow::Result<()> {
        self.roads.cut(a, b, false);
        Ok(())
    }

    fn neighbours(&mut self) -> anyhow::Result<Vec<Vec<usize>>> {
        let mut edges = vec![Vec::new(); self.count];
        let answers = self.ask::<Vec<String>>(&self.up(), GOSSIP, &json!("Neighbours"));
        for (node, ids) in answers {
            let of = |id: String| self.places.iter().position(|place| place.id == id);
            edges[node] = ids?.into_iter().filter_map(of).collect();
        }
        Ok(edges)
    }

    fn connected(&self, a: usize, b: usize) -> bool {
        self.roads.are_open(a, b)
    }

    fn rtt(&self, a: usize, b: usize) -> u64 {
        self.map.rtt(a, b)
    }
}
