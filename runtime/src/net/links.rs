//! Links: named channels between the same system actor on two neighbouring nodes.
//!
//! A link is a bidirectional stream, and lives as long as it; its data goes on unidirectional
//! streams of its own, one for each class, so that a large transfer of one class holds up neither
//! another class nor another link. If both sides ask at once, the smaller node's stream is it.

mod table;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use quinn::SendStream;
use serde_bytes::{ByteBuf, Bytes};

use super::frames::Frames;
use super::lanes::COALESCE;
use super::session::Session;
use super::wire::{CLASSES, LinkNews, NAME, Opening, WireError, decode, frame};
use super::{Event, Unsent, lock};
use crate::reason::Reason;
pub use table::Links;
use table::{Link, Phase, UNOPENED};

/// Asks for a link. Asking twice is asking once.
pub fn open(session: &Arc<Session>, name: &str) -> Result<(), Unsent> {
    let mut table = lock(&session.links.table);
    if name.len() > NAME {
        return Err(Unsent::TooLarge);
    }
    if table.contains_key(name) {
        return Ok(());
    }
    if table.len() >= session.shared.limits.links {
        return Err(Unsent::Full);
    }
    let link = Link::new(name, UNOPENED, Phase::Opening);
    table.insert(name.to_owned(), link.clone());
    drop(table);
    session.spawn(ask(session.clone(), link));
    Ok(())
}

/// Closes a link, if there is one. What is queued on it is let go.
pub fn close(session: &Session, name: &str, reason: Reason) {
    if let Some(link) = session.links.find(name) {
        link.close(Some(reason));
        session.links.remove(&link);
    }
}

/// Bytes that an open link takes now in one class; whoever finds little is told when there is more.
pub fn room(session: &Arc<Session>, name: &str, class: u8) -> Result<usize, Unsent> {
    let link = session.links.find(name).ok_or(Unsent::Unreachable)?;
    let limits = &session.shared.limits;
    let mut state = lock(&link.state);
    if state.phase != Phase::Open {
        return Err(Unsent::Unreachable);
    }
    let queue = &mut state.queues[usize::from(class).min(CLASSES - 1)];
    let room = limits.link_queue_bytes.saturating_sub(queue.bytes);
    queue.full |= queue.bytes > 0 && room < limits.frame_bytes;
    Ok(room)
}

/// Queues a body on an open link.
pub fn send(session: &Arc<Session>, name: &str, class: u8, body: &[u8]) -> Result<(), Unsent> {
    let link = session.links.find(name).ok_or(Unsent::Unreachable)?;
    let limits = &session.shared.limits;
    let frame = frame(&Bytes::new(body));
    let class = usize::from(class).min(CLASSES - 1);
    if frame.len() > limits.frame_bytes {
        return Err(Unsent::TooLarge);
    }
    let mut state = lock(&link.state);
    if state.phase != Phase::Open {
        return Err(Unsent::Unreachable);
    }
    let queue = &mut state.queues[class];
    if queue.bytes > 0 && queue.bytes + frame.len() > limits.link_queue_bytes {
        queue.full = true;
        return Err(Unsent::Full);
    }
    queue.bytes += frame.len();
    queue.waiting.push_back(frame);
    let started = std::mem::replace(&mut queue.started, true);
    drop(state);
    match started {
        true => link.wake[class].notify_one(),
        false => session.spawn(write(session.clone(), link, class)),
    }
    Ok(())
}

/// The other side asks for a link: it gets it. If nobody here wants it, the application closes it.
pub async fn answer(
    session: Arc<Session>,
    name: String,
    seen: u64,
    mut send: SendStream,
    frames: Frames,
) -> Result<(), WireError> {
    let instance = send.id().into();
    let link = Link::new(&name, instance, Phase::Open);
    session.links.seen.fetch_max(instance + 1, Ordering::AcqRel);
    let (no, replaced) = {
        let mut table = lock(&session.links.table);
        let current = table.get(&name).cloned();
        let no = match &current {
            None if table.len() >= session.shared.limits.links => {
                Some(LinkNews::Close { reason: Reason::Refused })
            }
            // Both sides ask at once: the larger node gives in.
            Some(current) if current.crossed_by(seen) && session.shared.id < session.peer.id => {
                Some(LinkNews::Crossed)
            }
            _ => None,
        };
        if no.is_none() {
            table.insert(name.clone(), link.clone());
        }
        (no, current)
    };
    if let Some(no) = no {
        send.write_all(&frame(&no)).await?;
        return Ok(());
    }
    let node = session.peer.id;
    if let Some(old) = replaced {
        // An open link is asked for again: the other side has closed it, its word is on the way.
        if old.close(None) == Phase::Open {
            let reason = Reason::Stopped;
            session.emit(Event::LinkClosed { node, name: name.clone(), reason }).await;
        }
    }
    send.write_all(&frame(&LinkNews::Open)).await?;
    session.emit(Event::LinkOpened { node, name }).await;
    session.links.opened.notify_waiters();
    live(&session, &link, send, frames).await
}

/// Reads what comes on a link for one class.
pub async fn read(
    session: &Arc<Session>,
    mut frames: Frames,
    instance: u64,
    class: u8,
) -> Result<(), WireError> {
    let Some(link) = await_link(session, instance).await else {
        // A link that was closed meanwhile: what was under way for it is let go.
        frames.stop();
        return Ok(());
    };
    let node = session.peer.id;
    while let Some(frame) = frames.next().await? {
        let body = decode::<ByteBuf>("link's data", frame)?.into_vec();
        if link.phase() == Phase::Closed {
            break;
        }
        let name = link.name.clone();
        session.emit(Event::LinkData { node, name, class, body }).await;
    }
    frames.stop();
    Ok(())
}

/// The link of this instance; streams may overtake each other, so it may be a little late.
async fn await_link(session: &Session, instance: u64) -> Option<Arc<Link>> {
    let wait = async {
        loop {
            let opened = session.links.opened.notified();
            match session.links.by_instance(instance) {
                Some(link) if link.phase() == Phase::Open => return link,
                _ => opened.await,
            }
        }
    };
    tokio::time::timeout(session.shared.limits.peer_patience(), wait).await.ok()
}

async fn ask(session: Arc<Session>, link: Arc<Link>) -> Result<(), WireError> {
    let (mut send, stream) = session.connection.open_bi().await?;
    link.instance.store(send.id().into(), Ordering::Release);
    let seen = session.links.seen.load(Ordering::Acquire);
    if link.given_in() {
        return Ok(());
    }
    send.write_all(&frame(&Opening::Link { name: link.name.clone(), seen })).await?;
    let limits = &session.shared.limits;
    let mut frames = Frames::new(stream, limits.frame_bytes);
    let news = frames.expect("answer about a link", limits.peer_patience()).await?;
    let opened = {
        let mut state = lock(&link.state);
        let opens = news == LinkNews::Open && state.phase == Phase::Opening;
        if opens {
            state.phase = Phase::Open;
        }
        opens
    };
    let (node, name) = (session.peer.id, link.name.clone());
    match news {
        LinkNews::Open if opened => {
            session.emit(Event::LinkOpened { node, name }).await;
            session.links.opened.notify_waiters();
            live(&session, &link, send, frames).await
        }
        LinkNews::Open => live(&session, &link, send, frames).await,
        // The other side's asking is on its way, and takes the place of this one.
        LinkNews::Crossed => Ok(()),
        LinkNews::Close { reason } => {
            session.links.remove(&link);
            // It may be closed already: by this side.
            if link.close(None) == Phase::Opening {
                session.emit(Event::LinkClosed { node, name, reason }).await;
            }
            Ok(())
        }
    }
}

/// Waits for the end of a link, whichever side ends it.
async fn live(
    session: &Session,
    link: &Arc<Link>,
    mut send: SendStream,
    mut frames: Frames,
) -> Result<(), WireError> {
    let news = async {
        let frame = frames.next().await?;
        frame.map_or(Ok(None), |frame| decode::<LinkNews>("link's news", frame).map(Some))
    };
    let closed_here = async {
        while link.phase() != Phase::Closed {
            link.closing.notified().await;
        }
    };
    let reason = tokio::select! {
        news = news => match news? {
            Some(LinkNews::Close { reason }) => reason,
            Some(_) => return Err(WireError::Garbage("a link that was answered twice".into())),
            None => Reason::Stopped,
        },
        () = closed_here => {
            let goodbye = lock(&link.state).goodbye.unwrap_or(Reason::Stopped);
            send.write_all(&frame(&LinkNews::Close { reason: goodbye })).await?;
            return Ok(());
        }
    };
    session.links.remove(link);
    if link.close(None) == Phase::Open {
        let (node, name) = (session.peer.id, link.name.clone());
        session.emit(Event::LinkClosed { node, name, reason }).await;
    }
    Ok(())
}

async fn write(session: Arc<Session>, link: Arc<Link>, class: usize) -> Result<(), WireError> {
    let mut stream = session.connection.open_uni().await?;
    // Quinn sends the streams of higher priority first. A stream that is gone needs none.
    let _ = stream.set_priority((CLASSES - class) as i32);
    let instance = link.instance.load(Ordering::Acquire);
    stream.write_all(&frame(&Opening::LinkData { link: instance, class: class as u8 })).await?;
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let writable = {
            let mut state = lock(&link.state);
            if state.phase == Phase::Closed {
                return Ok(());
            }
            let queue = &mut state.queues[class];
            while buffer.len() < COALESCE {
                let Some(frame) = queue.waiting.pop_front() else {
                    break;
                };
                buffer.extend_from_slice(&frame);
            }
            queue.bytes -= buffer.len();
            let drained = queue.bytes <= session.shared.limits.link_queue_bytes / 2;
            drained && std::mem::take(&mut queue.full)
        };
        if buffer.is_empty() {
            link.wake[class].notified().await;
            continue;
        }
        match stream.write_all(&buffer).await {
            // The other side has closed the link; its word about it is on the way.
            Err(quinn::WriteError::Stopped(_)) => return Ok(()),
            other => other?,
        }
        if writable {
            let (node, name) = (session.peer.id, link.name.clone());
            session.emit(Event::LinkWritable { node, name }).await;
        }
    }
}
