//! The command line's requests, as the node sees them.
//!
//! A request is a bidirectional stream: one frame, then, if the request wants it, a body of raw
//! bytes (a component) to the stream's end. The answer is a row of frames to the stream's end. What
//! the frames mean is the application's affair.

use std::sync::Arc;

use quinn::{Connection, RecvStream, SendStream};
use tokio::time::timeout;

use super::Event;
use super::endpoint::Shared;
use super::frames::Frames;
use super::session::Code;
use super::wire::{WireError, raw_frame};

/// The body of a request, read as it comes: what is not read is not sent.
pub struct AdminBody {
    frames: Frames,
    shared: Arc<Shared>,
    left: u64,
}

/// The way back to whoever asked. Dropped, it ends the answer.
pub struct AdminReply {
    send: SendStream,
    shared: Arc<Shared>,
}

/// Why a body or an answer came to nothing.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AdminError {
    /// The client went away.
    #[error("the client went away")]
    Gone,
    /// The body is larger than a blob may be.
    #[error("the request's body is over the limit of {limit} bytes (blob-bytes in limits)")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The answer's frame is larger than a frame may be.
    #[error("an answer of {size} bytes is over the limit of {limit} (frame-bytes in limits)")]
    Answer {
        /// The frame's.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The body stopped coming.
    #[error("the request's body stopped coming")]
    Stalled,
}

impl AdminBody {
    /// The next bytes of the body, `None` at its end.
    pub async fn chunk(&mut self) -> Result<Option<&[u8]>, AdminError> {
        let limits = &self.shared.limits;
        let next = timeout(limits.peer_patience(), self.frames.chunk());
        let chunk = next.await.map_err(|_| AdminError::Stalled)?.map_err(|_| AdminError::Gone)?;
        let size = chunk.map_or(0, |chunk| chunk.len() as u64);
        let limit = limits.blob_bytes;
        self.left = self.left.checked_sub(size).ok_or(AdminError::TooLarge { limit })?;
        Ok(chunk)
    }
}

impl AdminReply {
    /// Sends a frame of the answer; waits while the client reads more slowly than this node writes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), AdminError> {
        let limit = self.shared.limits.frame_bytes;
        if bytes.is_empty() || bytes.len() > limit {
            return Err(AdminError::Answer { size: bytes.len(), limit });
        }
        self.send.write_all(&raw_frame(bytes)).await.map_err(|_| AdminError::Gone)
    }

    /// Waits until the client goes away: for an answer that follows something, like a log.
    pub async fn gone(&self) {
        // However it ends, the client is not there any more.
        let _ = self.send.stopped().await;
    }

    /// Ends the answer, and waits (not for ever) until the client has it: a node may stop next.
    pub async fn finish(mut self) -> Result<(), AdminError> {
        self.send.finish().map_err(|_| AdminError::Gone)?;
        let got = timeout(self.shared.limits.peer_patience(), self.send.stopped()).await;
        match got {
            Ok(Ok(None)) => Ok(()),
            _ => Err(AdminError::Gone),
        }
    }
}

impl std::fmt::Debug for AdminBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminBody")
    }
}

impl std::fmt::Debug for AdminReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminReply")
    }
}

/// Serves a connection of the command line's, to its end.
pub async fn serve(shared: Arc<Shared>, connection: Connection) {
    let Ok(_seat) = shared.admins.clone().try_acquire_owned() else {
        let why = b"too many command lines at once (admins in limits): close one";
        return connection.close(Code::Refused.into(), why);
    };
    while let Ok((send, stream)) = connection.accept_bi().await {
        let shared = shared.clone();
        let connection = connection.clone();
        tokio::spawn(async move {
            if let Err(why) = request(shared, send, stream).await {
                connection.close(Code::Protocol.into(), why.to_string().as_bytes());
            }
        });
    }
}

async fn request(
    shared: Arc<Shared>,
    send: SendStream,
    stream: RecvStream,
) -> Result<(), WireError> {
    let limits = &shared.limits;
    let mut frames = Frames::new(stream, limits.frame_bytes);
    let next = timeout(limits.peer_patience(), frames.next()).await;
    let request = next.map_err(|_| WireError::Late("request"))??.ok_or(WireError::Cut)?.to_vec();
    let body = AdminBody { frames, left: limits.blob_bytes, shared: shared.clone() };
    let reply = AdminReply { send, shared: shared.clone() };
    shared.emit(Event::Admin { request, body, reply }).await;
    Ok(())
}
