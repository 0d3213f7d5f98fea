//! Whole networks in one process, over loopback: real sockets, real QUIC.

mod blobs;
mod letters;
mod links;
mod peers;
mod strangers;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::identity::Identity;
use super::wire::Letter;
use super::{Config, Event, Net, Outcome, PeerConfig, Receipt, Settled, Unsent};
use crate::address::{ActorId, NodeId};
use crate::limits::Limits;

/// Nothing takes so long unless it hangs; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A node's network without a node.
struct Node {
    net: Net,
    events: mpsc::Receiver<Event>,
    /// Of letters that came together, those not yet looked at.
    letters: Option<(NodeId, std::vec::IntoIter<Letter>, Receipt)>,
    settled: VecDeque<(u128, Outcome)>,
}

impl Node {
    async fn next(&mut self) -> Event {
        timeout(LIMIT, self.events.recv()).await.expect("an event in time").expect("open")
    }

    /// The first event of which `pick` makes something; those before it are let go.
    async fn until<T>(&mut self, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.next().await) {
                return picked;
            }
        }
    }

    /// The next letter, with a receipt of its own.
    async fn letter(&mut self) -> (NodeId, Letter, Receipt) {
        loop {
            if let Some((from, letters, receipt)) = &mut self.letters
                && let Some(letter) = letters.next()
            {
                return (*from, letter, receipt.split());
            }
            self.letters = self
                .until(|event| match event {
                    Event::Letters { from, letters, receipt } => {
                        Some(Some((from, letters.into_iter(), receipt)))
                    }
                    _ => None,
                })
                .await;
        }
    }

    /// The next fate of a letter.
    async fn settlement(&mut self) -> (u64, Outcome) {
        loop {
            if let Some((key, outcome)) = self.settled.pop_front() {
                return (key as u64, outcome);
            }
            let settled = self.until(|event| match event {
                Event::Settled(Settled { letters, .. }) => Some(letters),
                _ => None,
            });
            self.settled = settled.await.into();
        }
    }

    fn send(&self, to: NodeId, pair: u64, letter: &Letter, key: u64) -> Result<(), Unsent> {
        send(&self.net, to, pair, letter, key)
    }

    async fn up(&mut self) -> NodeId {
        self.until(|event| match event {
            Event::PeerUp { node, .. } => Some(node),
            _ => None,
        })
        .await
    }

    async fn down(&mut self) -> String {
        self.until(|event| match event {
            Event::PeerDown { why, .. } => Some(why),
            _ => None,
        })
        .await
    }

    fn id(&self) -> NodeId {
        self.net.id()
    }

    /// As a peer of others, with its address.
    fn at(&self) -> PeerConfig {
        PeerConfig { id: self.id(), at: Some(self.net.local().to_string()) }
    }

    /// As a peer of others that must wait for it.
    fn waited_for(&self) -> PeerConfig {
        PeerConfig { id: self.id(), at: None }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.net.close();
    }
}

fn config(identity: Identity) -> Config {
    Config {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        identity,
        admin: None,
        peers: Vec::new(),
        limits: Limits::default(),
        blobs: Arc::new(|_| None),
    }
}

fn start(config: Config) -> Node {
    let (net, events) = Net::listen(config).unwrap();
    Node { net, events, letters: None, settled: VecDeque::new() }
}

fn node_with(change: impl FnOnce(&mut Config)) -> Node {
    let mut config = config(Identity::generate().unwrap());
    change(&mut config);
    start(config)
}

fn node() -> Node {
    node_with(|_| {})
}

/// Makes `b` dial `a`, and waits until both are up.
async fn connect(a: &mut Node, b: &mut Node) {
    a.net.add_peer(b.waited_for()).unwrap();
    b.net.add_peer(a.at()).unwrap();
    assert_eq!(a.up().await, b.id());
    assert_eq!(b.up().await, a.id());
}

async fn pair() -> (Node, Node) {
    let (mut a, mut b) = (node(), node());
    connect(&mut a, &mut b).await;
    (a, b)
}

fn send(net: &Net, to: NodeId, pair: u64, letter: &Letter, key: u64) -> Result<(), Unsent> {
    let letters = std::iter::once((letter.clone(), u128::from(key)));
    net.queue(to, pair, &(), letters).map_err(|(_, unsent)| unsent).inspect(|()| net.flush())
}

fn letter(body: &[u8]) -> Letter {
    Letter { to: ActorId([1; 16]), body: body.to_vec(), carried: Vec::new(), reply: None }
}
