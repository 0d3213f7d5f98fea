//! quinn by itself, between two processes: what no protocol of ours can be better than.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use bench::{Call, Run, Sizing, percentile};
use quinn::{ClientConfig, Connection, Endpoint, TokioRuntime};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::quinn_tuned::tune;

/// Measures a row.
pub async fn measure(row: &str, call: &Call) -> anyhow::Result<f64> {
    let folder = std::env::temp_dir().join(format!("bench-quinn-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let connected = connect(&folder, call).await;
    std::fs::remove_dir_all(&folder)?;
    let (endpoint, connection, far) = connected?;
    let figure = match row {
        "ask" => ask(&connection, call.ms).await,
        "stream" => stream(&connection, call).await,
        _ => bail!("no row quinn_{row}"),
    };
    connection.close(0u32.into(), b"");
    endpoint.wait_idle().await;
    drop(far);
    figure
}

/// The far end's process. Dropped, it is killed.
struct Far(Child);

impl Drop for Far {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn connect(
    folder: &std::path::Path,
    call: &Call,
) -> anyhow::Result<(Endpoint, Connection, Far)> {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["far".into()])?;
    std::fs::write(folder.join("cert"), cert.der())?;
    std::fs::write(folder.join("key"), signing_key.serialize_der())?;
    let mut far = Command::new(std::env::current_exe()?)
        .args(["quinn_far", "0", &format!("mt={}", call.text("mt")?)])
        .args(call.text("tuned").map(|tuned| format!("tuned={tuned}")))
        .arg(format!("folder={}", folder.display()))
        .stdout(Stdio::piped())
        .spawn()?;
    let said = far.stdout.take().context("no output")?;
    let far = Far(far);
    let mut port = String::new();
    BufReader::new(said).read_line(&mut port)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(cert.der().clone())?;
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let crypto = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![cert.der().clone()], PrivateKeyDer::from(key))?;
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(crypto)?;
    let (sockets, transport) = tune(call)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let endpoint = Endpoint::new(sockets, None, socket, Arc::new(TokioRuntime))?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port.trim().parse()?));
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport);
    let connection = endpoint.connect_with(config, at, "far")?.await?;
    Ok((endpoint, connection, far))
}

/// 64 bytes there and back on one stream: microseconds, the median.
async fn ask(connection: &Connection, ms: u64) -> anyhow::Result<f64> {
    let (mut send, mut receive) = connection.open_bi().await?;
    send.write_all(&[0]).await?;
    let mut sizing = Sizing::new(ms, 100);
    loop {
        let count = sizing.size();
        let began = Instant::now();
        let (mut times, mut last) = (Vec::with_capacity(count as usize), began);
        let mut letter = [7; 64];
        for _ in 0..count {
            send.write_all(&letter).await?;
            receive.read_exact(&mut letter).await?;
            let now = Instant::now();
            times.push((now - last).as_nanos() as u64);
            last = now;
        }
        let ns = began.elapsed().as_nanos() as u64;
        if let Some(figure) =
            sizing.done(Run { ns, figure: percentile(&mut times, 0.5) as f64 / 1000.0 })
        {
            return Ok(figure);
        }
    }
}

/// Letters a second on one stream, `batch` of them in a write, until the far end has read all.
async fn stream(connection: &Connection, call: &Call) -> anyhow::Result<f64> {
    let (size, batch) = (call.number("size")?, call.number("batch")?);
    let letters = vec![7; (size * batch) as usize];
    let mut sizing = Sizing::new(call.ms, 10);
    let rate = loop {
        let writes = sizing.size();
        let began = Instant::now();
        let (mut send, mut receive) = connection.open_bi().await?;
        send.write_all(&[1]).await?;
        for _ in 0..writes {
            send.write_all(&letters).await?;
        }
        send.finish()?;
        let mut counted = [0; 8];
        receive.read_exact(&mut counted).await?;
        let ns = began.elapsed().as_nanos() as u64;
        ensure!(u64::from_le_bytes(counted) == writes * size * batch, "bytes were lost");
        if let Some(figure) = sizing.done(Run::rate(writes * batch, ns)) {
            break figure;
        }
    };
    Ok(match call.text("unit") {
        Ok("megabytes") => rate * size as f64 / 1e6,
        _ => rate,
    })
}
