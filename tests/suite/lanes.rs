//! The lanes of a connection: one that stalls holds up no other.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use edge_host::address::{ActorId, Address};
use edge_host::limits::Limits;
use edge_host::net::wire::{LENGTH, Letter, Opening};
use guest_sdk::Reason;
use pair::Message;
use quinn::RecvStream;
use tests::PATIENCE;
use tests::process::Process;

use crate::nodes::{self, tell, until};
use crate::strangers::Stranger;

/// Bytes of a lane that are under way at most: a dozen letters.
const WINDOW: u32 = 1 << 10;
/// 64 letters of one lane may be on their way.
const LIMITS: &str = "[limits]\nin-flight = 256\nmailbox = 1024\n";
/// Actors that each write to the other node: any two are on one lane by a chance of 1 in 16.
const WRITERS: u64 = 8;

/// A lane as the other node reads it.
struct Lane {
    stream: RecvStream,
    lane: u8,
    /// Bytes read so far.
    read: usize,
}

impl Lane {
    async fn accept(connection: &quinn::Connection) -> Result<Self> {
        let stream = tokio::time::timeout(PATIENCE, connection.accept_uni()).await;
        let stream = stream.context("no further lane")??;
        let mut lane = Self { stream, lane: 0, read: 0 };
        match Opening::decode(&lane.frame().await?)? {
            Opening::Lane { lane: number } => lane.lane = number,
            other => anyhow::bail!("not a lane: {other:?}"),
        }
        Ok(lane)
    }

    async fn frame(&mut self) -> Result<Vec<u8>> {
        let mut length = [0; LENGTH];
        let mut frame = Vec::new();
        tokio::time::timeout(PATIENCE, async {
            self.stream.read_exact(&mut length).await?;
            frame.resize(u32::from_be_bytes(length) as usize, 0);
            self.stream.read_exact(&mut frame).await
        })
        .await
        .context("nothing comes")??;
        self.read += LENGTH + frame.len();
        Ok(frame)
    }

    /// The number of the next letter.
    async fn letter(&mut self) -> Result<u64> {
        let letter = Letter::decode(&self.frame().await?, &Limits::default())?;
        match serde_ipld_dagcbor::from_slice(&letter.body)? {
            Message::Letter(number) => Ok(number),
            other => anyhow::bail!("not a letter: {other:?}"),
        }
    }
}

/// Has a writer do something, on a thread of its own: the connection goes on meanwhile.
async fn on_its_own<T: Send + 'static>(
    node: &Arc<Process>,
    ask: impl FnOnce(&Process) -> Result<T> + Send + 'static,
) -> Result<T> {
    let node = node.clone();
    tokio::task::spawn_blocking(move || ask(&node)).await?
}

#[tokio::test]
async fn a_pair_whose_lane_stalls_delays_no_pair_on_another_lane() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stranger = Stranger::narrow(WINDOW)?;
    let peer = nodes::peer(&stranger.identity.id().to_string(), None);
    let node = Arc::new(Process::start(folder.path(), &nodes::manifest(&[peer], LIMITS))?);
    let id = node.run(&["id"])?;
    let (connection, _control) = stranger.hello(&node, id.trim()).await?;
    let there = Address::new(ActorId([7; 16]), stranger.identity.id());
    on_its_own(&node, move |node| {
        (0..WRITERS).try_for_each(|writer| {
            let name = format!("writer{writer}");
            nodes::start(node, nodes::pair(), &name, &[&format!("other={there}")])?;
            tell(node, &name, &Message::Send { first: writer, count: 1 })
        })
    })
    .await?;
    // Whose letters come over which lane.
    let mut stalled = Lane::accept(&connection).await?;
    let slow = format!("writer{}", stalled.letter().await?);
    let mut flowing = Lane::accept(&connection).await?;
    let quick = format!("writer{}", flowing.letter().await?);
    ensure!(stalled.lane != flowing.lane, "one lane twice");

    // Nobody reads the one lane any more: its writer is told so.
    let writer = slow.clone();
    let sent = on_its_own(&node, move |node| {
        tell(node, &writer, &Message::Send { first: 100, count: 200 })?;
        let full = |report: &pair::Report| report.undelivered.len() > 100;
        until(node, &writer, "letters that have no room", full)
    });
    let undelivered = sent.await?.undelivered;
    let accepted = 200 - undelivered.len() as u64;
    assert!(undelivered.iter().all(|(_, reason)| *reason == Reason::MailboxFull));
    // The other goes on.
    on_its_own(&node, move |node| tell(node, &quick, &Message::Send { first: 1000, count: 50 }))
        .await?;
    let mut next = 1000;
    while next < 1050 {
        let letter = flowing.letter().await?;
        // Another writer may share the lane, with its first letter.
        ensure!(letter == next || letter < WRITERS, "{letter} in place of {next}");
        next += u64::from(letter == next);
    }
    // What was held up was not lost, and more than could be under way.
    let before = stalled.read;
    let mut next = 100;
    while next < 100 + accepted {
        let letter = stalled.letter().await?;
        ensure!(letter == next || letter < WRITERS, "{letter} in place of {next}");
        next += u64::from(letter == next);
    }
    let held_up = stalled.read - before;
    assert!(held_up > 2 * WINDOW as usize, "{held_up} bytes in {accepted} letters");
    Ok(())
}
