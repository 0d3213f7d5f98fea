//! The command line's side of [`admin`](super::admin): its own small endpoint, in whatever runtime
//! it is called from.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use quinn::{Connection, Endpoint, WriteError};
use tokio::time::timeout;

use super::endpoint::transport;
use super::frames::Frames;
use super::identity::Identity;
use super::session::{Code, explain};
use super::tls::{self, ADMIN_ALPN, SERVER_NAME};
use super::wire::{WireError, raw_frame};
use crate::address::NodeId;
use crate::limits::Limits;

/// Bytes of a body written at once.
const PIECE: usize = 64 << 10;

/// A connection with a node, over which requests go.
pub struct Client {
    endpoint: Endpoint,
    connection: Connection,
    limits: Limits,
}

/// The answer to one request.
pub struct Response {
    frames: Frames,
    connection: Connection,
    idle_ms: u64,
}

/// Why a node could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It cannot be reached.
    #[error("cannot reach the node at {at}: {why}; is `edge-host run` running there?")]
    Connect {
        /// Where.
        at: String,
        /// Why.
        why: String,
    },
    /// The connection broke, or the node would not go on.
    #[error("the node broke off: {0}")]
    Broken(String),
    /// The request is larger than a frame may be.
    #[error("a request of {size} bytes is over the limit of {limit} (frame-bytes in limits)")]
    TooLarge {
        /// The request's.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// What should be sent along cannot be read.
    #[error("cannot read what is to be sent: {0}")]
    Body(std::io::Error),
}

impl Client {
    /// Connects to the node at `at` (`host:port`), which must have the key `node`. `key` is the
    /// admin key of its data directory. Call it inside a tokio runtime, and keep that running.
    pub async fn connect(
        at: &str,
        node: NodeId,
        key: &Identity,
        limits: Limits,
    ) -> Result<Self, ClientError> {
        let failed = |why: String| ClientError::Connect { at: at.to_owned(), why };
        let found = tokio::net::lookup_host(at).await.map_err(|why| failed(why.to_string()))?;
        let mut last = failed("its name has no address".into());
        for address in found {
            match Self::attempt(address, node, key, &limits).await {
                Ok((endpoint, connection)) => {
                    return Ok(Self { endpoint, connection, limits });
                }
                Err(why) => last = failed(why),
            }
        }
        Err(last)
    }

    /// Sends a request, and what is read from `body` after it. Reading may block this thread.
    pub async fn request(
        &self,
        request: &[u8],
        body: Option<&mut (dyn Read + Send)>,
    ) -> Result<Response, ClientError> {
        let limit = self.limits.frame_bytes;
        if request.is_empty() || request.len() > limit {
            return Err(ClientError::TooLarge { size: request.len(), limit });
        }
        let lost = |why: WriteError| self.broken(why.into());
        let (mut send, stream) =
            self.connection.open_bi().await.map_err(|why| self.broken(why.into()))?;
        send.write_all(&raw_frame(request)).await.map_err(lost)?;
        let mut piece = vec![0; if body.is_some() { PIECE } else { 0 }];
        if let Some(body) = body {
            loop {
                let read = body.read(&mut piece).map_err(ClientError::Body)?;
                match send.write_all(&piece[..read]).await {
                    // The node wants no more of it, and its answer says why.
                    Err(WriteError::Stopped(_)) => break,
                    other => other.map_err(lost)?,
                }
                if read == 0 {
                    break;
                }
            }
        }
        // A stream that the node has stopped is finished as well.
        let _ = send.finish();
        let frames = Frames::new(stream, self.limits.frame_bytes);
        Ok(Response { frames, connection: self.connection.clone(), idle_ms: self.limits.idle_ms })
    }

    /// Closes the connection, and waits until the node knows.
    pub async fn close(self) {
        self.connection.close(Code::Going.into(), b"");
        // A node that does not answer is not waited for.
        let _ = timeout(self.limits.peer_patience(), self.endpoint.wait_idle()).await;
    }

    async fn attempt(
        address: SocketAddr,
        node: NodeId,
        key: &Identity,
        limits: &Limits,
    ) -> Result<(Endpoint, Connection), String> {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let endpoint = Endpoint::client(any).map_err(|why| why.to_string())?;
        let crypto = tls::client(key, node, ADMIN_ALPN).map_err(|why| why.to_string())?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(transport(limits)));
        let connecting =
            endpoint.connect_with(config, address, SERVER_NAME).map_err(|why| why.to_string())?;
        match timeout(limits.peer_patience(), connecting).await {
            Err(_) => Err(format!("no answer in {} ms", limits.peer_patience_ms)),
            Ok(Err(why)) => Err(explain(&why, limits.idle_ms).0),
            Ok(Ok(connection)) => Ok((endpoint, connection)),
        }
    }

    fn broken(&self, why: WireError) -> ClientError {
        broken(&self.connection, self.limits.idle_ms, why)
    }
}

impl Response {
    /// The next frame of the answer, `None` at its end. Waits as long as the node takes.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        match self.frames.next().await {
            Ok(frame) => Ok(frame.map(<[u8]>::to_vec)),
            Err(why) => Err(broken(&self.connection, self.idle_ms, why)),
        }
    }
}

fn broken(connection: &Connection, idle_ms: u64, why: WireError) -> ClientError {
    let closed = connection.close_reason().map(|closed| explain(&closed, idle_ms).0);
    ClientError::Broken(closed.unwrap_or_else(|| why.to_string()))
}
