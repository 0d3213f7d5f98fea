//! Whole networks in one process, over loopback: real sockets, real QUIC.

mod blobs;
mod letters;
mod links;
mod peers;
mod strangers;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::identity::Identity;
use super::wire::Letter;
use super::{Config, Event, Net, PeerConfig};
use crate::address::{ActorId, NodeId};
use crate::limits::Limits;

/// Nothing takes so long unless it hangs; the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A node's network without a node.
struct Node {
    net: Net,
    events: mpsc::Receiver<Event>,
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
    Node { net, events }
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

fn letter(body: &[u8]) -> Letter {
    Letter { to: ActorId([1; 16]), body: body.to_vec(), carried: Vec::new(), reply: None }
}
