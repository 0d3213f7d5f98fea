//! A whole node and a peer with a good key that does not keep to the protocol: it is named in the
//! log with what it did, the others are served, and the node does not grow.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use edge_host::net::identity::Identity;
use edge_host::net::tls::{self, NODE_ALPN, SERVER_NAME};
use edge_host::net::wire::{self, Hello, Opening, frame};
use pair::Message;
use quinn::{Connection, Endpoint, TransportConfig};
use tests::PATIENCE;
use tests::process::{self, Process};

use crate::nodes::{self, QUICK, tell, until};

/// What a misbehaving peer says once it is in, and what the node's log says of it.
const OFFENCES: [(Offence, &str); 5] = [
    (Offence::Garbage, "a frame that is no opening"),
    (Offence::Stop, "a stream that stopped in the middle of a frame"),
    (Offence::Long, "a frame (bytes) of 4294967295 is over the limit of"),
    (Offence::Unknown, "unknown variant `telepathy`"),
    (Offence::Version, "it speaks version 9 of the node protocol and this node speaks version 0"),
];

/// Rounds of all offences before the node's memory is looked at, and after.
const WARM: usize = 10;
const ROUNDS: usize = 40;
/// What the allocator may keep of it: a growth of a page in each would be more.
const SLACK_KIB: u64 = 3 << 10;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Offence {
    Garbage,
    Stop,
    Long,
    Unknown,
    Version,
}

/// A peer that says what a test wants.
pub struct Stranger {
    pub identity: Identity,
    endpoint: Endpoint,
    transport: Arc<TransportConfig>,
}

impl Stranger {
    pub fn new() -> Result<Self> {
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let transport = Arc::new(TransportConfig::default());
        Ok(Self { identity: Identity::generate()?, endpoint, transport })
    }

    /// One that is sent so many bytes of a stream at most, before it has read some of them.
    pub fn narrow(window: u32) -> Result<Self> {
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(window.into());
        Ok(Self { transport: Arc::new(transport), ..Self::new()? })
    }

    async fn connect(&self, node: &Process, id: &str) -> Result<Connection> {
        let crypto = tls::client(&self.identity, id.parse()?, NODE_ALPN)?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(self.transport.clone());
        Ok(self.endpoint.connect_with(config, node.address()?, SERVER_NAME)?.await?)
    }

    /// Connects as a peer does.
    pub async fn hello(&self, node: &Process, id: &str) -> Result<(Connection, quinn::SendStream)> {
        let connection = self.connect(node, id).await?;
        let hello = [&wire::preamble()[..], &frame(&Hello { incarnation: 1 })].concat();
        let control = say(&connection, &hello).await?;
        connection.accept_uni().await?;
        Ok((connection, control))
    }

    /// Connects, misbehaves, and waits until it is thrown out.
    async fn offend(&self, node: &Process, id: &str, offence: Offence) -> Result<()> {
        let lane = frame(&Opening::Lane { lane: 0 });
        let bytes = match offence {
            Offence::Version => b"edge\0\0\0\x09 and what version 9 says next".to_vec(),
            Offence::Garbage => wire::raw_frame(b"\xff\xfe garbage"),
            Offence::Stop => [&lane[..], &100_u32.to_be_bytes(), b"half of this"].concat(),
            Offence::Long => [&lane[..], b"\xff\xff\xff\xff"].concat(),
            Offence::Unknown => frame(&serde_json::json!({"telepathy": {"lane": 0}})),
        };
        let thrown_out = async {
            let (connection, _control) = match offence {
                Offence::Version => (self.connect(node, id).await?, None),
                _ => self.hello(node, id).await.map(|(peer, control)| (peer, Some(control)))?,
            };
            let mut stream = say(&connection, &bytes).await?;
            if offence == Offence::Stop {
                stream.finish()?;
            }
            connection.closed().await;
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, thrown_out).await?
    }
}

async fn say(connection: &Connection, bytes: &[u8]) -> Result<quinn::SendStream> {
    let mut stream = connection.open_uni().await?;
    stream.write_all(bytes).await?;
    Ok(stream)
}

/// A node `a` with a stranger among its peers, and a node `b` with an actor that writes to one on
/// `a`.
fn house(folder: &Path, stranger: &Stranger) -> Result<(Process, Process, String)> {
    let (at_a, at_b) = (folder.join("a"), folder.join("b"));
    let ids = [process::id(&at_a)?, process::id(&at_b)?];
    let peers =
        [nodes::peer(&ids[1], None), nodes::peer(&stranger.identity.id().to_string(), None)];
    let a = Process::start(&at_a, &nodes::manifest(&peers, QUICK))?;
    let to_a = nodes::peer(&ids[0], Some(&a.address()?.to_string()));
    let b = Process::start(&at_b, &nodes::manifest(&[to_a], QUICK))?;
    nodes::peer_is(&a, &ids[1], "up")?;
    let address = nodes::start(&a, nodes::pair(), "a", &[])?;
    nodes::start_by_name(&b, &nodes::pair().cid, "b", &[&format!("other={address}")])?;
    let [id, _] = ids;
    Ok((a, b, id))
}

/// The node's resident memory.
fn resident(node: &Process) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.context("no VmRSS")?.trim().trim_end_matches(" kB").parse()?)
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_named_and_the_others_are_served() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stranger = Stranger::new()?;
    let (a, b, id) = house(folder.path(), &stranger)?;
    let name = stranger.identity.id().to_string();
    let mut next = 0;
    for (offence, named) in OFFENCES {
        stranger.offend(&a, &id, offence).await?;
        a.says(named)?;
        let log = a.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(named)).collect();
        assert_eq!(lines.len(), 1, "{offence:?} takes one line: {lines:#?}");
        assert!(lines[0].contains(&name), "{offence:?} does not name the peer: {}", lines[0]);
        tell(&b, "b", &Message::Send { first: next, count: 10 })?;
        next += 10;
        let all: Vec<u64> = (0..next).collect();
        until(&a, "a", "letters of the other peer", |report| report.letters == all)?;
    }
    assert_eq!(nodes::report(&b, "b")?.undelivered, []);
    Ok(())
}

#[tokio::test]
async fn a_peer_that_stops_in_the_middle_of_a_letter_holds_nobody_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stranger = Stranger::new()?;
    let (a, b, id) = house(folder.path(), &stranger)?;
    let (connection, _control) = stranger.hello(&a, &id).await?;
    let mut held = Vec::new();
    for lane in 0..16 {
        let lane = frame(&Opening::Lane { lane });
        let half = [&lane[..], &100_u32.to_be_bytes(), b"half of this"].concat();
        held.push(say(&connection, &half).await?);
    }
    // On a thread of its own, so that the stranger keeps its connection up.
    let served = tokio::task::spawn_blocking(move || {
        tell(&b, "b", &Message::Send { first: 0, count: 50 })?;
        let all: Vec<u64> = (0..50).collect();
        until(&a, "a", "letters of the other peer", |report| report.letters == all)
    });
    served.await??;
    assert_eq!(connection.close_reason(), None, "it may take its time");
    Ok(())
}

#[tokio::test]
async fn a_peer_that_never_ends_a_blob_keeps_no_other_component_from_being_started() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stranger = Stranger::new()?;
    let peer = nodes::peer(&stranger.identity.id().to_string(), None);
    let patient = "[limits]\npeer-patience-ms = 60000\n";
    let a = Arc::new(Process::start(folder.path(), &nodes::manifest(&[peer], patient))?);
    let (connection, _control) = stranger.hello(&a, a.run(&["id"])?.trim()).await?;
    let wanted = edge_host::store::blobs::cid_of(b"never all of it").to_string();
    let (node, cid) = (a.clone(), wanted.clone());
    let slow = tokio::task::spawn_blocking(move || nodes::start_by_name(&node, &cid, "slow", &[]));
    let (mut answer, mut asked) = connection.accept_bi().await?;
    let mut length = [0; wire::LENGTH];
    asked.read_exact(&mut length).await?;
    let mut opening = vec![0; u32::from_be_bytes(length) as usize];
    asked.read_exact(&mut opening).await?;
    assert_eq!(Opening::decode(&opening)?, Opening::Blob { cid: wanted, offset: 0 });
    answer
        .write_all(&[frame(&wire::BlobNews::Have { size: 15 }), b"never".to_vec()].concat())
        .await?;

    let node = a.clone();
    let others = tokio::task::spawn_blocking(move || {
        nodes::start(&node, nodes::pair(), "quick", &[])?;
        node.run(&["swap", "quick", &nodes::pair().cid])?;
        node.send("quick", &serde_json::json!("Version"))
    });
    assert_eq!(others.await??, 1);
    assert!(!slow.is_finished(), "the blob has come to an end");
    connection.close(0_u32.into(), b"enough");
    let refused = nodes::refusal(slow.await?);
    assert!(refused.contains("no blob"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_node_does_not_grow_by_what_a_peer_does_wrong() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stranger = Stranger::new()?;
    let (a, _b, id) = house(folder.path(), &stranger)?;
    let mut before = 0;
    for round in 0..WARM + ROUNDS {
        if round == WARM {
            before = resident(&a)?;
        }
        for (offence, _) in OFFENCES {
            stranger.offend(&a, &id, offence).await?;
        }
    }
    // What is left of the last ones goes with time.
    let mut after = 0;
    for _ in 0..50 {
        after = resident(&a)?;
        if after < before + SLACK_KIB {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("from {before} to {after} KiB in {ROUNDS} rounds");
}
