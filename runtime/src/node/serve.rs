//! Does what an administrator asks.

use std::sync::Arc;
use std::time::Duration;

use super::admin::{Answer, AsideRow, BlobRow, List, PeerRow, PinRow, Request};
use super::deploy::keeping;
use super::{DeployError, Node, Waiting, lock};
use crate::actor::{Actor, Status};
use crate::address::Address;
use crate::limits::Limits;
use crate::mailbox::Message;
use crate::net::PeerState;
use crate::net::admin::{AdminBody, AdminError, AdminReply};
use crate::reason::Reason;
use crate::store::state::StateError;

impl Node {
    pub(super) async fn serve(
        self: Arc<Self>,
        request: &[u8],
        body: AdminBody,
        mut reply: AdminReply,
    ) {
        let served = match serde_ipld_dagcbor::from_slice(request) {
            Ok(Request::Log { name, follow }) => self.log(&name, follow, &mut reply).await,
            Ok(request) => {
                let answer = self.answer(request, body).await.unwrap_or_else(Answer::Failed);
                // What a command line reads, which doesn't know this node's limits.
                let most = self.limits.frame_bytes.min(Limits::default().frame_bytes);
                send_all(&mut reply, answer, most).await
            }
            Err(error) => {
                let why = format!(
                    "this node doesn't know that request ({error}): use the edge-host of the same \
                    version"
                );
                send(&mut reply, &Answer::Failed(why)).await
            }
        };
        // A client that went away has no use for the rest.
        if served.is_ok() {
            let _ = reply.finish().await;
        }
    }

    async fn answer(self: &Arc<Self>, request: Request, body: AdminBody) -> Result<Answer, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        match request {
            Request::Add => self.add(body).await,
            Request::Start { name, config } => {
                crate::config::check_name(&name)?;
                let first = keeping(&name, Some(&config));
                let deployed = self.deploy(&name, &config, first).await;
                let (actor, origin) = deployed.map_err(|error| text(&error))?;
                let status = actor.status(self.id);
                let (address, cid) = (status.address, status.component);
                Ok(Answer::Started { address, cid, origin: origin.to_string() })
            }
            Request::Stop { name } => {
                if lock(&self.waiting).remove(&name).is_some() {
                    self.give_up(&name, Reason::Stopped).map_err(|error| text(&error))?;
                    self.keep_started(&name, None).await.map_err(|error| text(&error))?;
                    return Ok(Answer::Done);
                }
                let actor = self.named(&name)?;
                self.keep_started(&name, None).await.map_err(|error| text(&error))?;
                let stopped = self.scheduler.stop(&actor).await;
                stopped.map(|()| Answer::Done).map_err(|_| text(&DeployError::Stopping))
            }
            Request::Swap { name, component } => {
                let swapped = self.swap(&name, &component).await;
                let (cid, origin) = swapped.map_err(|error| text(&error))?;
                Ok(Answer::Swapped { cid: cid.to_string(), origin: origin.to_string() })
            }
            Request::List(list) => self.list(list),
            Request::Send { name, body, deadline_ms } => {
                let actor = self.named(&name)?;
                let to = Address::new(actor.id(), self.id);
                let deadline = Duration::from_millis(deadline_ms);
                let answer = self.router.ask_as_administrator(&to, body, deadline).await;
                Ok(match answer {
                    Ok(Ok(letter)) => Answer::Answered(letter.body),
                    Ok(Err(reason)) => Answer::Unanswered(reason),
                    Err(_) => return Err(text(&DeployError::Stopping)),
                })
            }
            Request::SendAgain { name, number } => {
                let actor = self.named(&name)?;
                self.scheduler.send_again(&actor, number).map(|()| Answer::Done)
            }
            Request::Log { .. } => Err("a log is sent line by line".into()),
        }
    }

    fn named(&self, name: &str) -> Result<Arc<Actor>, String> {
        let actor = self.scheduler.named(name);
        actor.ok_or_else(|| match lock(&self.waiting).get(name) {
            Some(Waiting { cid, .. }) => {
                format!("actor {name} does not run yet: {}", DeployError::Missing(*cid))
            }
            None => DeployError::NoActor(name.into()).to_string(),
        })
    }

    async fn add(&self, mut body: AdminBody) -> Result<Answer, String> {
        let mut bytes = Vec::new();
        loop {
            match body.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(chunk),
                Ok(None) => break,
                Err(error) => return Err(error.to_string()),
            }
        }
        let blobs = self.blobs.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let cid = blobs.put(&bytes)?;
            Ok::<_, crate::store::blobs::BlobError>((cid, bytes.len() as u64))
        });
        let kept = kept.await.map_err(|_| DeployError::Stopping.to_string())?;
        let (cid, bytes) = kept.map_err(|error| error.to_string())?;
        Ok(Answer::Added { cid: cid.to_string(), bytes })
    }

    fn list(&self, list: List) -> Result<Answer, String> {
        Ok(match list {
            List::Actors => {
                let mut rows: Vec<_> =
                    self.scheduler.living().map(|actor| actor.status(self.id)).collect();
                rows.extend(self.scheduler.gone().iter().map(|gone| gone.status.clone()));
                rows.sort_unstable_by(|one, other| one.name.cmp(&other.name));
                // It may have gone meanwhile.
                rows.dedup_by(|one, other| one.address == other.address);
                let waiting = lock(&self.waiting).clone();
                let still = |name: &String| self.scheduler.named(name).is_none();
                for (name, waiting) in waiting.iter().filter(|(name, _)| still(name)) {
                    rows.push(self.waiting_row(name, waiting).map_err(|error| error.to_string())?);
                }
                Answer::Actors(rows)
            }
            List::Peers => Answer::Peers(self.peer_rows()),
            List::Blobs => {
                let blobs = self.blobs.list().map_err(|error| error.to_string())?;
                let row = |(cid, bytes): (crate::store::Cid, u64)| BlobRow {
                    cid: cid.to_string(),
                    bytes,
                };
                Answer::Blobs(blobs.into_iter().map(row).collect())
            }
            List::Pins => Answer::Pins(self.pin_rows()),
            List::Aside => {
                let mut rows = Vec::new();
                let living = self.scheduler.living();
                let mut actors: Vec<_> =
                    living.map(|actor| (actor.name().into_owned(), actor.id())).collect();
                let gone = self.scheduler.gone();
                actors.extend(gone.iter().map(|gone| (gone.status.name.clone(), gone.id)));
                actors.sort_unstable();
                actors.dedup();
                for (name, id) in actors {
                    for (number, aside) in self.scheduler.aside(id)? {
                        let message = describe(&aside.message);
                        let (why, at) = (aside.why, aside.at);
                        rows.push(AsideRow { actor: name.clone(), number, why, at, message });
                    }
                }
                Answer::Aside(rows)
            }
        })
    }

    /// An actor that is to run here and can't yet.
    fn waiting_row(&self, name: &str, waiting: &Waiting) -> Result<Status, StateError> {
        let id = self.id_of(name)?;
        let letters = self.router.find(id).map_or(0, |inlet| inlet.mailbox().letters());
        Ok(Status {
            name: name.into(),
            address: Address::new(id, self.id).to_string(),
            component: waiting.cid.to_string(),
            world: "unknown".into(),
            state: "waiting".into(),
            incarnations: 0,
            handled: 0,
            waiting: letters,
            missed: 0,
            busy_ms: 0,
            set_aside: 0,
            stored: 0,
            last_failure: Some(DeployError::Missing(waiting.cid).to_string()),
            reason: None,
        })
    }

    fn peer_rows(&self) -> Vec<PeerRow> {
        let row = |peer: crate::net::PeerInfo| PeerRow {
            id: peer.id.to_string(),
            at: peer.at,
            state: if peer.state == PeerState::Up { "up".into() } else { "down".into() },
            remote: peer.remote.map(|remote| remote.to_string()),
            rtt_us: peer.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            letters_in: peer.letters_in,
            letters_out: peer.letters_out,
            bytes_in: peer.bytes_in,
            bytes_out: peer.bytes_out,
            last_error: peer.last_error,
        };
        self.net.peers().into_iter().map(row).collect()
    }

    fn pin_rows(&self) -> Vec<PinRow> {
        let row = |state: crate::device::PinState| {
            let owner = self.scheduler.find(state.owner);
            let level = state.level.map(|high| if high { "high".into() } else { "low".into() });
            PinRow {
                pin: state.spec.to_string(),
                actor: owner
                    .map_or_else(|| state.owner.to_string(), |actor| actor.name().into_owned()),
                level,
                lease_ms: state
                    .lease_left
                    .map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
                edges: state.edges,
            }
        };
        self.devices.pins().into_iter().map(row).collect()
    }

    async fn log(
        &self,
        name: &str,
        follow: bool,
        reply: &mut AdminReply,
    ) -> Result<(), AdminError> {
        let Some(journal) = self.scheduler.journal(name) else {
            let why = DeployError::NoActor(name.into()).to_string();
            return send(reply, &Answer::Failed(why)).await;
        };
        let mut next = 0;
        loop {
            let lines = journal.since(next);
            next = lines.last().map_or(next, |line| line.number + 1);
            for some in lines.chunks(LINES_PER_FRAME) {
                send(reply, &Answer::Lines(some.to_vec())).await?;
            }
            if !follow {
                return Ok(());
            }
            tokio::select! {
                () = journal.grown(next) => {}
                () = reply.gone() => return Err(AdminError::Gone),
            }
        }
    }
}

/// A line has at most `log-line-bytes`, so that these fit a frame.
const LINES_PER_FRAME: usize = 64;

async fn send_all(reply: &mut AdminReply, answer: Answer, most: usize) -> Result<(), AdminError> {
    for piece in answer.pieces(most) {
        send(reply, &piece).await?;
    }
    Ok(())
}

async fn send(reply: &mut AdminReply, answer: &Answer) -> Result<(), AdminError> {
    let bytes = serde_ipld_dagcbor::to_vec(answer).unwrap_or_default();
    match reply.send(&bytes).await {
        Err(error @ AdminError::Answer { .. }) => {
            let short = Answer::Failed(error.to_string());
            let bytes = serde_ipld_dagcbor::to_vec(&short).unwrap_or_default();
            reply.send(&bytes).await
        }
        other => other,
    }
}

/// A message that was set aside, for people.
fn describe(message: &Message) -> String {
    match message {
        Message::Letter(letter) => format!("letter of {} bytes", letter.body.len()),
        Message::Answer { .. } => "answer".into(),
        Message::Undelivered { reason, .. } => format!("undelivered: {reason}"),
        Message::Timer { .. } => "timer".into(),
        Message::Down { reason, .. } => format!("down: {reason}"),
        Message::Edge(edge) => format!("edge {}", edge.sequence),
        Message::Expired { .. } => "lease expired".into(),
        Message::Link(_) => "link event".into(),
    }
}
