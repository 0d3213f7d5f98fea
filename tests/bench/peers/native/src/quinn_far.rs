//! The far end of a quinn row: a process of its own, started by the near one.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use bench::Call;
use quinn::{Connection, Endpoint, RecvStream, SendStream, ServerConfig, TokioRuntime};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::quinn_tuned::tune;

/// Bytes read at once.
const PIECE: usize = 256 << 10;

/// Serves one connection, until its other end is gone. Prints its port first.
pub async fn serve(call: &Call) -> anyhow::Result<()> {
    let folder = Path::new(call.text("folder")?);
    let cert = CertificateDer::from(std::fs::read(folder.join("cert"))?);
    let key = PrivatePkcs8KeyDer::from(std::fs::read(folder.join("key"))?);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    )
    .build()?;
    let crypto = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![cert], PrivateKeyDer::from(key))?;
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(crypto)?;
    let (sockets, transport) = tune(call)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let endpoint = Endpoint::new(sockets, Some(config), socket, Arc::new(TokioRuntime))?;
    println!("{}", endpoint.local_addr()?.port());
    let connection = endpoint.accept().await.context("no connection")?.await?;
    // The near end closes the connection when it is done.
    let _ = streams(&connection).await;
    Ok(())
}

async fn streams(connection: &Connection) -> anyhow::Result<()> {
    loop {
        let (send, mut receive) = connection.accept_bi().await?;
        let mut kind = [0];
        receive.read_exact(&mut kind).await?;
        match kind {
            [0] => echo(send, receive).await?,
            _ => count(send, receive).await?,
        }
    }
}

/// Gives back 64 bytes at a time.
async fn echo(mut send: SendStream, mut receive: RecvStream) -> anyhow::Result<()> {
    let mut letter = [0; 64];
    while receive.read_exact(&mut letter).await.is_ok() {
        send.write_all(&letter).await?;
    }
    Ok(())
}

/// Reads to the end, then gives the number of bytes.
async fn count(mut send: SendStream, mut receive: RecvStream) -> anyhow::Result<()> {
    let (mut all, mut piece) = (0u64, vec![0; PIECE]);
    while let Some(read) = receive.read(&mut piece).await? {
        all += read as u64;
    }
    send.write_all(&all.to_le_bytes()).await?;
    send.finish()?;
    Ok(())
}
