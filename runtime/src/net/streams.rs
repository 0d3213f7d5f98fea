//! The tasks of one session: what is written to its streams, and what is read from them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{RecvStream, SendStream};

use super::frames::Frames;
use super::session::Session;
use super::wire::{Control, LANES, Letter, Opening, WireError, decode, frame};
use super::{Event, blobs, links, lock};

/// Letters of a lane that go up together.
const BATCH: usize = 256;

/// Starts the tasks; `send` and `frames` are the two control streams.
pub fn start(session: &Arc<Session>, send: SendStream, frames: Frames) {
    session.spawn(write_control(session.clone(), send));
    session.spawn(read_control(session.clone(), frames));
    session.spawn(write_lanes(session.clone()));
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
                for settled in session.outgoing.settle(lane, next, &failed)? {
                    session.emit(Event::Settled(settled)).await;
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

/// Writes letters: what gathered while the last write was made goes in the next. A lane that the
/// other side does not read waits by itself.
async fn write_lanes(session: Arc<Session>) -> Result<(), WireError> {
    let mut lanes: Vec<_> = (0..LANES).map(|_| Writer::default()).collect();
    let mut busy = 0;
    loop {
        match session.outgoing.lanes() {
            Some(waiting) => busy |= waiting,
            None => return Ok(()),
        }
        for (lane, writer) in lanes.iter_mut().enumerate() {
            if busy & (1 << lane) != 0 && writer.stream.is_none() {
                let mut stream = session.connection.open_uni().await?;
                stream.write_all(&frame(&Opening::Lane { lane: lane as u8 })).await?;
                writer.stream = Some(stream);
            }
        }
        let mut changed = pin!(session.outgoing.changed());
        let mut moved = false;
        poll_fn(|cx| {
            if moved {
                return Poll::Ready(Ok(()));
            }
            for (lane, writer) in lanes.iter_mut().enumerate() {
                if busy & (1 << lane) != 0 {
                    match writer.poll_write(cx, || session.outgoing.take(lane))? {
                        Poll::Ready(true) => moved = true,
                        Poll::Ready(false) => busy &= !(1 << lane),
                        Poll::Pending => {}
                    }
                }
            }
            if !moved {
                return changed.as_mut().poll(cx).map(Ok::<_, WireError>);
            }
            // The connection sends what it has before it gets more.
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await?;
    }
}

/// One lane's stream, once it was needed, and what it has not yet taken of the last write.
#[derive(Default)]
struct Writer {
    stream: Option<SendStream>,
    rest: Bytes,
}

impl Writer {
    /// One write. False: there was nothing to write.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        next: impl FnOnce() -> Option<Bytes>,
    ) -> Result<Poll<bool>, WireError> {
        let Some(stream) = &mut self.stream else { return Ok(Poll::Ready(false)) };
        if self.rest.is_empty() {
            match next() {
                Some(bytes) => self.rest = bytes,
                None => return Ok(Poll::Ready(false)),
            }
        }
        let mut bytes = [std::mem::take(&mut self.rest)];
        let written = pin!(stream.write_chunks(&mut bytes)).poll(cx);
        [self.rest] = bytes;
        match written {
            Poll::Ready(written) => written.map(|_| Poll::Ready(true)).map_err(WireError::from),
            Poll::Pending => Ok(Poll::Pending),
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
    let limits = &session.shared.limits;
    let most = limits.in_flight.clamp(1, BATCH);
    while let Some(frame) = frames.next().await? {
        let size = frame.len();
        let first = Letter::decode(frame, limits)?;
        // What has come with it goes up with it; what is wrong with that is found later.
        let mut letters = Vec::with_capacity(most.min(1 + frames.left() / size));
        letters.push(first);
        while letters.len() < most
            && let Some(frame) = frames.held()
            && let Ok(letter) = Letter::decode(frame, limits)
        {
            letters.push(letter);
            frames.pass();
        }
        let receipt = session.arrival(lane, letters.len() as u32).await?;
        session.emit(Event::Letters { from: session.peer.id, letters, receipt }).await;
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
