//! Frames off a stream, without taking more memory than a frame may need.

use std::time::Duration;

use quinn::{ReadError, RecvStream};
use serde::de::DeserializeOwned;

use super::wire::{self, LENGTH, WireError};

/// Bytes asked of a stream at once, while no frame needs more.
const READ: usize = 16 << 10;

/// Reads frames, or what follows them. Every method may be cancelled without losing bytes.
pub struct Frames {
    stream: RecvStream,
    /// `start..end` holds what was read and not yet given out.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl Frames {
    /// Frames of at most `limit` bytes each.
    pub fn new(stream: RecvStream, limit: usize) -> Self {
        Self { stream, buffer: Vec::new(), start: 0, end: 0, limit }
    }

    /// As [`Frames::next`], if the frame is here already; it is not gone until [`Frames::pass`].
    pub fn held(&self) -> Option<&[u8]> {
        let held = &self.buffer[self.start..self.end];
        let (length, rest) = held.split_first_chunk::<LENGTH>()?;
        let size = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let fits = (1..=self.limit).contains(&size);
        rest.get(..size).filter(|_| fits)
    }

    /// Bytes that are here and not yet given out.
    pub fn left(&self) -> usize {
        self.end - self.start
    }

    /// Goes on to what follows the frame that is held.
    pub fn pass(&mut self) {
        self.start += self.held().map_or(0, |frame| LENGTH + frame.len());
    }

    /// The next frame's bytes without their length; `None` when the stream has ended well.
    pub async fn next(&mut self) -> Result<Option<&[u8]>, WireError> {
        loop {
            let held = &self.buffer[self.start..self.end];
            let wanted = match held.first_chunk::<LENGTH>() {
                None => LENGTH,
                Some(length) => {
                    let size = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                    wire::within("a frame (bytes)", size, self.limit, "frame-bytes")?;
                    LENGTH + size
                }
            };
            if held.len() >= wanted && wanted > LENGTH {
                let body = self.start + LENGTH..self.start + wanted;
                self.start = body.end;
                return Ok(Some(&self.buffer[body]));
            }
            if held.len() >= wanted {
                return Err(WireError::Garbage("an empty frame".into()));
            }
            let empty = held.is_empty();
            if !self.fill(wanted).await? {
                return if empty { Ok(None) } else { Err(WireError::Cut) };
            }
        }
    }

    /// The next frame as a value, which must come within `patience`. `what` is for the error.
    pub async fn expect<T: DeserializeOwned>(
        &mut self,
        what: &'static str,
        patience: Duration,
    ) -> Result<T, WireError> {
        let next = tokio::time::timeout(patience, self.next());
        let frame = next.await.map_err(|_| WireError::Late(what))??;
        wire::decode(what, frame.ok_or(WireError::Cut)?)
    }

    /// Exactly `N` bytes that are no frame.
    pub async fn exact<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        loop {
            if let Some(bytes) = self.buffer[self.start..self.end].first_chunk::<N>() {
                let bytes = *bytes;
                self.start += N;
                return Ok(bytes);
            }
            if !self.fill(N).await? {
                return Err(WireError::Cut);
            }
        }
    }

    /// Bytes as they come, for what follows the frames; `None` at the end of the stream.
    pub async fn chunk(&mut self) -> Result<Option<&[u8]>, WireError> {
        if self.start == self.end && !self.fill(READ).await? {
            return Ok(None);
        }
        let held = self.start..self.end;
        self.start = self.end;
        Ok(Some(&self.buffer[held]))
    }

    /// Tells the other side to send no more.
    pub fn stop(&mut self) {
        // Already stopped or ended: all the better.
        let _ = self.stream.stop(quinn::VarInt::from_u32(0));
    }

    /// Reads some more, with room for `wanted` bytes from `start` on; false at the stream's end.
    async fn fill(&mut self, wanted: usize) -> Result<bool, WireError> {
        let size = wanted.max(READ);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            // Room for one large frame is not kept for the small ones after it.
            if self.buffer.len() > size {
                self.buffer.truncate(size);
                self.buffer.shrink_to_fit();
            }
        }
        if self.buffer.len() - self.start < size {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            self.buffer.resize(size.max(self.buffer.len()), 0);
        }
        match self.stream.read(&mut self.buffer[self.end..]).await? {
            Some(read) => {
                self.end += read;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

impl From<ReadError> for WireError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Reset(code) => Self::Reset(code.into_inner()),
            ReadError::ConnectionLost(_) | ReadError::ClosedStream => Self::Lost,
            other => Self::Garbage(other.to_string()),
        }
    }
}
