//! Getting a connection with a peer, from either side, up to the hellos.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{Connection, ConnectionError, SendStream};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::timeout;

use super::endpoint::{Seat, Shared};
use super::frames::Frames;
use super::peer::Peer;
use super::session::{Code, Session, explain};
use super::tls::{self, NODE_ALPN, SERVER_NAME};
use super::wire::{self, Hello, WireError, frame};
use crate::address::NodeId;

/// The first pause between two attempts, at most; it doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(50);

/// The longest pause: a node that comes back is found within it.
const LONGEST: Duration = Duration::from_secs(5);

/// How long a dialled node waits for its own attempt to connect before it takes the other side's.
const DEFERENCE: Duration = Duration::from_secs(1);

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

/// Keeps dialling a peer whenever it is not connected, for ever, with growing pauses of random
/// length ("full jitter"): nodes that lost each other at once do not come back all at once.
pub async fn keep(shared: Arc<Shared>, peer: Arc<Peer>, at: String) {
    let mut pause = FIRST;
    loop {
        peer.until_down().await;
        peer.attempt(true);
        let outcome = dial(&shared, &peer, &at).await;
        peer.attempt(false);
        match outcome {
            Ok(()) => {
                let since = Instant::now();
                peer.until_down().await;
                if since.elapsed() > LONGEST {
                    pause = FIRST;
                }
            }
            Err(why) => peer.note(&format!("cannot connect to {at}: {why}")),
        }
        tokio::select! {
            () = tokio::time::sleep(pause.mul_f64(chance())) => {}
            () = peer.until_up() => {}
        }
        pause = (pause * 2).min(LONGEST);
    }
}

/// A peer has dialled this node. `seat` is held until the hellos are over.
pub async fn answer(shared: Arc<Shared>, key: NodeId, connection: Connection, seat: Seat) {
    let Some(peer) = shared.peer(key) else {
        return connection.close(Code::Refused.into(), b"no longer a peer");
    };
    let patience = shared.limits.peer_patience();
    let heard = timeout(patience, hear(&shared, &connection)).await;
    let (hello, frames) = match heard.unwrap_or(Err(WireError::Late("hello"))) {
        Ok(heard) => heard,
        Err(why) => return give_up(&peer, &connection, why),
    };
    if shared.id < key {
        // This node's own attempt, if there is one, will win: let it, or the loser is up for a
        // moment and what was sent over it is lost.
        let _ = timeout(DEFERENCE, peer.until_settled()).await;
    }
    let session =
        Session::new(shared.clone(), peer.clone(), connection.clone(), key, hello.incarnation);
    let Ok(previous) = peer.admit(&session) else {
        return connection.close(Code::Duplicate.into(), b"there is another connection");
    };
    // Without a hello from here the other side never takes the connection for up.
    let said = timeout(patience, say(&shared, &connection)).await;
    drop(seat);
    session.run(said.ok().and_then(Result::ok), frames, previous).await;
}

async fn dial(shared: &Arc<Shared>, peer: &Arc<Peer>, at: &str) -> Result<(), String> {
    let patience = shared.limits.peer_patience();
    let found = timeout(patience, tokio::net::lookup_host(at))
        .await
        .map_err(|_| "its name is not resolved in time".to_owned())?
        .map_err(|why| format!("its name is not resolved: {why}"))?;
    let mut outcome = Err("its name has no address that this node can reach".to_owned());
    for address in found.take(ADDRESSES) {
        let config = tls::client(&shared.identity, peer.id, NODE_ALPN)
            .map_err(|why| format!("TLS cannot start: {why}"))?;
        let mut config = quinn::ClientConfig::new(Arc::new(config));
        config.transport_config(shared.transport.clone());
        let connecting = match shared.endpoint.connect_with(config, address, SERVER_NAME) {
            Ok(connecting) => connecting,
            Err(why) => {
                outcome = Err(why.to_string());
                continue;
            }
        };
        outcome = match timeout(patience, connecting).await {
            Err(_) => Err(format!("no answer from {address}")),
            Ok(Err(why)) => Err(explain(&why, shared.limits.idle_ms).0),
            Ok(Ok(connection)) => return greet(shared, peer, connection).await,
        };
    }
    outcome
}

/// Exchanges hellos over a connection that this node dialled, and starts the session.
async fn greet(
    shared: &Arc<Shared>,
    peer: &Arc<Peer>,
    connection: Connection,
) -> Result<(), String> {
    let hellos = async {
        let send = say(shared, &connection).await?;
        let heard = hear(shared, &connection).await?;
        Ok((send, heard))
    };
    let outcome = timeout(shared.limits.peer_patience(), hellos).await;
    let (send, (hello, frames)) = match outcome.unwrap_or(Err(WireError::Late("hello"))) {
        Ok(hellos) => hellos,
        Err(why) => {
            let closed = connection.close_reason();
            if matches!(&closed, Some(ConnectionError::ApplicationClosed(close))
                if close.error_code == Code::Duplicate.into())
            {
                // The other side's attempt has won: nothing failed.
                return Ok(());
            }
            let told = closed.map(|closed| explain(&closed, shared.limits.idle_ms).0);
            give_up(peer, &connection, why.clone());
            return Err(told.unwrap_or_else(|| why.to_string()));
        }
    };
    let session = Session::new(
        shared.clone(),
        peer.clone(),
        connection.clone(),
        shared.id,
        hello.incarnation,
    );
    match peer.admit(&session) {
        Ok(previous) => {
            tokio::spawn(session.run(Some(send), frames, previous));
        }
        Err(_) => connection.close(Code::Duplicate.into(), b"there is another connection"),
    }
    Ok(())
}

/// Opens this side's control stream.
async fn say(shared: &Shared, connection: &Connection) -> Result<SendStream, WireError> {
    let mut send = connection.open_uni().await?;
    // Settlements and monitors before all else. A stream that is gone needs no priority.
    let _ = send.set_priority(i32::MAX);
    let hello = frame(&Hello { incarnation: shared.incarnation });
    send.write_all(&[&wire::preamble()[..], &hello].concat()).await?;
    Ok(send)
}

/// Takes the other side's control stream: its first.
async fn hear(shared: &Shared, connection: &Connection) -> Result<(Hello, Frames), WireError> {
    let mut frames = Frames::new(connection.accept_uni().await?, shared.limits.frame_bytes);
    wire::check_preamble(frames.exact().await?)?;
    let hello = frames.expect("hello", shared.limits.peer_patience()).await?;
    Ok((hello, frames))
}

fn give_up(peer: &Peer, connection: &Connection, why: WireError) {
    let code = match why {
        // The connection is gone already, and the side that dialled will say why.
        WireError::Lost => return,
        WireError::Version { .. } => Code::Version,
        _ => Code::Protocol,
    };
    let why = why.to_string();
    peer.note(&why);
    connection.close(code.into(), why.as_bytes());
}

/// A number from 0 to 1; 1 if the system has no chance to give.
fn chance() -> f64 {
    let mut bytes = [0xff; 4];
    let _ = SystemRandom::new().fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX)
}
