//! Blobs between nodes: any part of one, from an offset to its end.
//!
//! The network carries bytes and believes nothing: whoever fetches a blob checks its hash (the
//! store does) before it uses it, for any peer may serve any bytes under any name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quinn::{SendStream, VarInt};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::endpoint::Shared;
use super::frames::Frames;
use super::session::Session;
use super::wire::{BlobNews, NAME, Opening, WireError, frame};

/// Where the file of a blob is that this node has; called on a thread that may block.
pub type BlobSource = Arc<dyn Fn(&str) -> Option<PathBuf> + Send + Sync>;

/// Takes a blob's bytes in order. An error ends the transfer.
pub type Sink<'a> = &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send);

/// Bytes read from disk at once.
const PIECE: usize = 256 << 10;

/// Why a blob did not come. What the sink was given up to then is good: ask on from there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection to the node.
    #[error("no connection to the node: see `edge-host ls peers`")]
    Unreachable,
    /// The node does not have it.
    #[error("the node does not have this blob")]
    Missing,
    /// More than this node takes.
    #[error("the blob has {size} bytes, over the limit of {limit} (blob-bytes in limits)")]
    TooLarge {
        /// The blob's, as the other node says.
        size: u64,
        /// This node's.
        limit: u64,
    },
    /// The node was silent for too long.
    #[error("nothing came for {} ms (peer-patience-ms in limits)", .0.as_millis())]
    Stalled(Duration),
    /// The transfer broke, or the node sent something else.
    #[error("the transfer broke: {0}")]
    Broken(#[from] WireError),
    /// The sink did not take it.
    #[error("cannot keep the blob: {0}")]
    Sink(io::Error),
}

/// Fetches a blob from `offset` on; gives its whole size.
pub async fn fetch(
    session: &Session,
    cid: &str,
    offset: u64,
    sink: Sink<'_>,
) -> Result<u64, FetchError> {
    let limits = &session.shared.limits;
    let patience = limits.peer_patience();
    let stalled = |_| FetchError::Stalled(patience);
    if cid.len() > NAME {
        return Err(FetchError::Missing);
    }
    let ask = async {
        let (mut send, stream) = session.connection.open_bi().await?;
        send.write_all(&frame(&Opening::Blob { cid: cid.to_owned(), offset })).await?;
        // Dropped, the stream is finished: there is no more to say.
        Ok::<_, WireError>(Frames::new(stream, limits.frame_bytes))
    };
    let mut frames = timeout(patience, ask).await.map_err(stalled)??;
    let size = match frames.expect("answer about a blob", patience).await {
        Err(WireError::Late(_)) => return Err(FetchError::Stalled(patience)),
        Ok(BlobNews::Missing) => return Err(FetchError::Missing),
        Ok(BlobNews::Have { size }) => size,
        Err(why) => return Err(why.into()),
    };
    if size > limits.blob_bytes {
        frames.stop();
        return Err(FetchError::TooLarge { size, limit: limits.blob_bytes });
    }
    let mut at = offset;
    while let Some(piece) = timeout(patience, frames.chunk()).await.map_err(stalled)?? {
        at += piece.len() as u64;
        if at > size {
            return Err(WireError::Garbage("a blob longer than was said".into()).into());
        }
        sink(piece).map_err(FetchError::Sink)?;
    }
    if at < size {
        return Err(WireError::Garbage("a blob shorter than was said".into()).into());
    }
    Ok(size)
}

/// Answers a wish for a blob. Disks are slow: they are read on threads that may block.
pub async fn serve(
    shared: &Shared,
    cid: String,
    offset: u64,
    mut send: SendStream,
) -> Result<(), WireError> {
    // Behind letters, links and control.
    let _ = send.set_priority(-1);
    let source = shared.blobs.clone();
    let opened = spawn_blocking(move || open(&source(&cid)?, offset).ok()).await;
    let Some((mut file, size)) = opened.ok().flatten() else {
        return gone(send.write_all(&frame(&BlobNews::Missing)).await);
    };
    if let Err(why) = send.write_all(&frame(&BlobNews::Have { size })).await {
        return gone(Err(why));
    }
    let mut piece = Vec::new();
    loop {
        let read = spawn_blocking(move || read(file, piece)).await;
        let Ok(Ok(read)) = read else {
            // The disk failed: the other side shall not take this for the blob's end.
            let _ = send.reset(VarInt::from_u32(1));
            return Ok(());
        };
        (file, piece) = read;
        if piece.is_empty() {
            return Ok(());
        }
        if let Err(why) = send.write_all(&piece).await {
            return gone(Err(why));
        }
    }
}

/// Whoever asked may lose interest; that is no fault.
fn gone(written: Result<(), quinn::WriteError>) -> Result<(), WireError> {
    match written.map_err(WireError::from) {
        Err(WireError::Reset(_)) => Ok(()),
        other => other,
    }
}

fn open(path: &PathBuf, offset: u64) -> io::Result<(File, u64)> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    // Beyond its end there is nothing: whoever asks that has wrong bytes of it.
    file.seek(SeekFrom::Start(offset))?;
    Ok((file, size))
}

fn read(mut file: File, mut piece: Vec<u8>) -> io::Result<(File, Vec<u8>)> {
    piece.clear();
    Read::by_ref(&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((file, piece))
}
