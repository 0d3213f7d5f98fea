//! Starts a component that a node has, asks it, stops it, over one connection, again and again:
//! prints the median of the milliseconds from the request to start to the first answer. `first=1`
//! begins with one, where other rows begin with four.
//!
//! The only part of the benchmarks that uses `edge-host`'s own API: a command line for each step
//! would cost more than what is measured.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use bench::{Call, Run, percentile, sized};
use edge_host::config::{ActorConfig, Component, Restart};
use edge_host::limits::Limits;
use edge_host::net::client::Client;
use edge_host::net::identity::{ADMIN_KEY, Identity};
use edge_host::node::admin::{Answer, Request};
use edge_host::node::whereabouts;
use tokio::runtime::{Builder, Runtime};

/// A connection to a node.
struct Node {
    client: Client,
    runtime: Runtime,
}

fn main() -> anyhow::Result<()> {
    let call = Call::read()?;
    let node = Node::connect(Path::new(call.text("data")?))?;
    let component = Component::Cid(call.text("cid")?.into());
    let question = serde_ipld_dagcbor::to_vec(&sprout::Message::Ask([7; 64].into()))?;
    let mut times = Vec::new();
    let first = call.number("first").unwrap_or(4);
    let (figure, _) = sized(call.ms, first, |count| {
        times.clear();
        for _ in 0..count {
            times.push(node.start_and_ask(&component, &question)?);
        }
        let figure = percentile(&mut times, 0.5) as f64 / 1e6;
        Ok(Run { ns: times.iter().sum(), figure })
    })?;
    println!("{figure}");
    Ok(())
}

impl Node {
    fn connect(data: &Path) -> anyhow::Result<Self> {
        let there = whereabouts(data).context("no node is here")?;
        let key = Identity::read(&data.join(ADMIN_KEY))?;
        let (at, id) = (there.listen.to_string(), there.id.parse()?);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(Client::connect(&at, id, &key, Limits::default()))?;
        Ok(Self { client, runtime })
    }

    /// Nanoseconds from the request to the first answer.
    fn start_and_ask(&self, component: &Component, question: &[u8]) -> anyhow::Result<u64> {
        let config = ActorConfig {
            component: component.clone(),
            grants: BTreeMap::new(),
            mailbox: None,
            memory: None,
            turn: None,
            storage: None,
            restart: Restart::default(),
        };
        let (name, config) = (String::from("sprout"), Box::new(config));
        let send = Request::Send { name: name.clone(), body: question.into(), deadline_ms: 10_000 };
        let began = Instant::now();
        self.request(&Request::Start { name: name.clone(), config })?;
        let answer = self.request(&send)?;
        let ns = began.elapsed().as_nanos() as u64;
        let Answer::Answered(_) = answer else { bail!("it answered {answer:?}") };
        self.request(&Request::Stop { name })?;
        Ok(ns)
    }

    fn request(&self, request: &Request) -> anyhow::Result<Answer> {
        let bytes = serde_ipld_dagcbor::to_vec(request)?;
        self.runtime.block_on(async {
            let mut response = self.client.request(&bytes, None).await?;
            let frame = response.next().await?.context("no answer")?;
            match serde_ipld_dagcbor::from_slice(&frame)? {
                Answer::Failed(why) => bail!(why),
                answer => Ok(answer),
            }
        })
    }
}
