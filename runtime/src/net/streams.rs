//! The tasks of one session: what is written to its streams, and what is read from them.

use std::sync::{Arc, Mutex};

use quinn::{RecvStream, SendStream};

use super::frames::Frames;
use super::session::Session;
use super::wire::{Control, LANES, Letter, Opening, WireError, decode, frame};
use super::{Event, blobs, links, lock};

/// Starts the tasks; `send` and `frames` are the two control streams.
pub fn start(session: &Arc<Session>, send: SendStream, frames: Frames) {
    session.spawn(write_control(session.clone(), send));
    session.spawn(read_control(session.clone(), frames));
    for lane in 0..LANES {
        session.spawn(write_lane(session.clone(), lane));
    }
    session.spawn(accept_uni(session.clone()));
    session.spawn(accept_bi(session.clone()));
}

async fn write_control(session: Arc<Session>, mut stream: SendStream) -> Result<(), WireError> {
    let mut buffer = Vec::new();
    while session.take_control(&mut buffer).await {
        stream.write_all(&buffer).await?;
    }
    Ok(())
}

async fn read_control(session: Arc<Session>, mut frames: Frames) -> Result<(), WireError> {
    let from = session.peer.id;
    while let Some(frame) = frames.next().await? {
        match decode("control", frame)? {
            Control::Settled { lane, next, failed } => {
                for (ticket, outcome) in session.outgoing.settle(lane, next, &failed)? {
                    session.emit(Event::Settled { ticket, outcome }).await;
                }
            }
            Control::Monitor { watch: actor, token } => {
                session.emit(Event::Monitor { from, actor, token }).await;
            }
            Control::Unanswered { reply, reason } => {
                session.emit(Event::Unanswered { from, reply, reason }).await;
            }
            Control::Down { token, reason } => {
                session.emit(Event::Down { from, token, reason }).await;
            }
        }
    }
    Err(WireError::Garbage("the control stream ended".into()))
}

async fn write_lane(session: Arc<Session>, lane: usize) -> Result<(), WireError> {
    let mut buffer = Vec::new();
    if !session.outgoing.take(lane, &mut buffer).await {
        return Ok(());
    }
    let mut stream = session.connection.open_uni().await?;
    stream.write_all(&frame(&Opening::Lane { lane: lane as u8 })).await?;
    loop {
        stream.write_all(&buffer).await?;
        if !session.outgoing.take(lane, &mut buffer).await {
            return Ok(());
        }
    }
}

async fn accept_uni(session: Arc<Session>) -> Result<(), WireError> {
    let opened = Arc::new(Mutex::new([false; LANES]));
    loop {
        let stream = session.connection.accept_uni().await?;
        session.spawn(read_uni(session.clone(), stream, opened.clone()));
    }
}

async fn read_uni(
    session: Arc<Session>,
    stream: RecvStream,
    opened: Arc<Mutex<[bool; LANES]>>,
) -> Result<(), WireError> {
    let limits = &session.shared.limits;
    let mut frames = Frames::new(stream, limits.frame_bytes);
    let Some(opening) = opening(&mut frames, &session).await? else {
        return Ok(());
    };
    match opening {
        Opening::Lane { lane } => {
            // `Opening::decode` has checked the lane's number.
            if std::mem::replace(&mut lock(&opened)[usize::from(lane)], true) {
                return Err(WireError::Garbage(format!("lane {lane} twice")));
            }
            read_lane(&session, frames, lane).await
        }
        Opening::LinkData { link, class } => links::read(&session, frames, link, class).await,
        _ => Err(WireError::Garbage("a unidirectional stream for what needs an answer".into())),
    }
}

async fn read_lane(session: &Arc<Session>, mut frames: Frames, lane: u8) -> Result<(), WireError> {
    while let Some(frame) = frames.next().await? {
        let letter = Letter::decode(frame, &session.shared.limits)?;
        let receipt = session.arrival(lane).await?;
        session.emit(Event::Letter { from: session.peer.id, letter, receipt }).await;
    }
    Ok(())
}

async fn accept_bi(session: Arc<Session>) -> Result<(), WireError> {
    loop {
        let (send, stream) = session.connection.accept_bi().await?;
        session.spawn(answer_bi(session.clone(), send, stream));
    }
}

async fn answer_bi(
    session: Arc<Session>,
    send: SendStream,
    stream: RecvStream,
) -> Result<(), WireError> {
    let mut frames = Frames::new(stream, session.shared.limits.frame_bytes);
    let Some(opening) = opening(&mut frames, &session).await? else {
        return Ok(());
    };
    match opening {
        Opening::Link { name, seen } => links::answer(session, name, seen, send, frames).await,
        Opening::Blob { cid, offset } => blobs::serve(&session.shared, cid, offset, send).await,
        _ => Err(WireError::Garbage("a bidirectional stream for what has no answer".into())),
    }
}

/// What a stream is for; `None` if the other side has thought better of it.
async fn opening(frames: &mut Frames, session: &Session) -> Result<Option<Opening>, WireError> {
    let next = tokio::time::timeout(session.shared.limits.peer_patience(), frames.next());
    match next.await.map_err(|_| WireError::Late("first frame of a stream"))? {
        Ok(Some(frame)) => Opening::decode(frame).map(Some),
        Ok(None) | Err(WireError::Reset(_)) => Ok(None),
        Err(why) => Err(why),
    }
}
