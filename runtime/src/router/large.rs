//! Publications too large for protocols: kept as blobs, of which only the names are carried. Each
//! node that hears such a name fetches the blob from a peer, gives it to its subscribers, and keeps
//! it for a while for its own peers.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Router;
use super::blobs::{Unfetched, fetch};
use crate::address::TopicId;
use crate::limits::Limits;
use crate::net::{Net, PeerState};
use crate::store::blobs::{BlobError, Blobs, parse_cid};
use crate::store::{Cid, OpenError};

/// What a body begins with that is the name of a blob: chance, so that no other does. A publication
/// that begins so is kept as a blob itself, whatever its size.
const MARK: [u8; 16] = *b"\x8f\xd4blob\x1b\xe9\x07\xc6name\x90\x2e";
/// The folder of such blobs in a data directory; they don't outlive the node.
const FOLDER: &str = "publications";
/// A blob that no peer has is given up after so many times the patience with a peer: who names it
/// has it as a rule, and who is between may still be fetching it.
const PATIENCE: u32 = 6;
/// Before peers are asked again, at first and at the longest.
const AGAIN: Duration = Duration::from_millis(50);
const AGAIN_LONGEST: Duration = Duration::from_secs(2);
/// Publications that are being kept or fetched at once: more are given up, and that is told.
const AT_ONCE: usize = 64;

/// Large publications that are here.
pub struct Large {
    blobs: Blobs,
    carried: usize,
    letter: usize,
    most: u64,
    patience: Duration,
    kept: Mutex<VecDeque<(Cid, u64)>>,
    /// Holds back all but one that fetches a blob.
    fetching: Mutex<BTreeMap<Cid, Arc<tokio::sync::Mutex<()>>>>,
    under_way: AtomicUsize,
}

impl Large {
    /// An empty place for them in a data directory.
    pub fn open(data: &Path, limits: &Limits) -> Result<Self, OpenError> {
        let folder = data.join(FOLDER);
        match std::fs::remove_dir_all(&folder) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
                return Err(OpenError::io(&folder)(why));
            }
            _ => {}
        }
        Ok(Self {
            blobs: Blobs::open(&folder, limits.letter_bytes as u64)?,
            carried: limits.carried_bytes,
            letter: limits.letter_bytes,
            most: limits.publications_bytes,
            patience: limits.peer_patience() * PATIENCE,
            kept: Mutex::default(),
            fetching: Mutex::default(),
            under_way: AtomicUsize::new(0),
        })
    }

    /// The blobs, to be served to peers.
    pub fn blobs(&self) -> Blobs {
        self.blobs.clone()
    }

    fn is_large(&self, body: &[u8]) -> bool {
        body.len() > self.carried || body.starts_with(&MARK)
    }

    fn put(&self, body: &[u8]) -> Result<Cid, BlobError> {
        let cid = self.blobs.put(body)?;
        self.keep(cid, body.len() as u64);
        Ok(cid)
    }

    /// The oldest make room. One that is fetched right now is read to its end all the same.
    fn keep(&self, cid: Cid, bytes: u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(known, _)| *known != cid);
        kept.push_back((cid, bytes));
        let mut sum: u64 = kept.iter().map(|(_, bytes)| bytes).sum();
        while sum > self.most && kept.len() > 1 {
            let Some((oldest, bytes)) = kept.pop_front() else { return };
            sum -= bytes;
            if let Some((file, _)) = self.blobs.file(&oldest) {
                // One that can't be removed goes with the folder, when the node starts again.
                let _ = std::fs::remove_file(file);
            }
        }
    }

    /// Whether one more may be under way; then [`left`](Self::left) is to be called.
    fn comes(&self) -> bool {
        let room = self.under_way.fetch_add(1, Ordering::Relaxed) < AT_ONCE;
        if !room {
            self.left();
        }
        room
    }

    fn left(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// The bytes of a blob, from here or a peer.
    async fn obtain(&self, net: &Net, cid: &Cid) -> Result<Vec<u8>, String> {
        let one = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.retain(|_, others| Arc::strong_count(others) > 1);
            fetching.entry(*cid).or_default().clone()
        };
        let _one_at_a_time = one.lock().await;
        let (began, mut pause) = (Instant::now(), AGAIN);
        let mut last = "no peer is up".to_owned();
        loop {
            if let Some(body) = self.blobs.read(cid).map_err(|why| why.to_string())? {
                self.keep(*cid, body.len() as u64);
                return Ok(body);
            }
            let up = net.peers().into_iter().filter(|peer| peer.state == PeerState::Up);
            for peer in up {
                match fetch(net, &self.blobs, peer.id, cid).await {
                    Ok(()) => break,
                    Err(Unfetched::Blob(BlobError::TooLarge { .. })) => {
                        return Err(format!(
                            "it is longer than {} bytes (letter-bytes in limits)",
                            self.letter
                        ));
                    }
                    Err(why) => last = why.to_string(),
                }
            }
            if self.blobs.file(cid).is_none() {
                if began.elapsed() > self.patience {
                    let ms = self.patience.as_millis();
                    return Err(format!("not from any peer in {ms} ms: {last}"));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(AGAIN_LONGEST);
            }
        }
    }
}

/// What is carried in place of a blob.
fn stand_in(cid: &Cid) -> Vec<u8> {
    [&MARK[..], cid.to_string().as_bytes()].concat()
}

/// The blob that a body stands in for, if it does.
fn named(body: &[u8]) -> Option<Result<Cid, BlobError>> {
    let name = body.strip_prefix(&MARK)?;
    Some(parse_cid(&String::from_utf8_lossy(name)))
}

impl Router {
    /// Has protocols carry a publication of this node, or its name.
    pub(super) fn spread(self: &Arc<Self>, topic: TopicId, body: Vec<u8>) {
        let Some((net, large)) = self.net.get().zip(self.large.get()) else { return };
        if !large.is_large(&body) {
            return self.carry(topic, &body);
        }
        if !large.comes() {
            let why = format!("{AT_ONCE} large ones are under way already");
            return self.not_carried(topic, &why);
        }
        let (router, large) = (self.clone(), large.clone());
        net.spawn(async move {
            let keeps = large.clone();
            let kept = tokio::task::spawn_blocking(move || keeps.put(&body)).await;
            match kept {
                Ok(Ok(cid)) => router.carry(topic, &stand_in(&cid)),
                Ok(Err(why)) => router.not_carried(topic, &why.to_string()),
                Err(why) => router.not_carried(topic, &why.to_string()),
            }
            large.left();
        });
    }

    /// A publication that a protocol brought: to all subscribers here, once all of it is here.
    pub fn deliver(self: &Arc<Self>, topic: TopicId, body: &[u8]) {
        let cid = match named(body) {
            None => return self.deliver_but(None, topic, body),
            Some(Err(why)) => return self.not_here(topic, &why.to_string()),
            Some(Ok(cid)) => cid,
        };
        let Some((net, large)) = self.net.get().zip(self.large.get()) else { return };
        if !large.comes() {
            let why = format!("{AT_ONCE} large ones are under way already");
            return self.not_here(topic, &format!("blob {cid}: {why}"));
        }
        let (router, net, large) = (self.clone(), net.clone(), large.clone());
        net.clone().spawn(async move {
            match large.obtain(&net, &cid).await {
                Ok(body) => router.deliver_but(None, topic, &body),
                Err(why) => router.not_here(topic, &format!("blob {cid}: {why}")),
            }
            large.left();
        });
    }

    fn not_carried(&self, topic: TopicId, why: &str) {
        self.topics.protocols().iter().for_each(|protocol| protocol.count_missed());
        tracing::warn!("a publication on {topic} is not carried on: {why}");
    }

    fn not_here(&self, topic: TopicId, why: &str) {
        self.topics.subscribers(topic).iter().for_each(|inlet| inlet.count_missed());
        tracing::warn!("a publication on {topic} did not come: {why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::blobs::cid_of;

    fn large(most: u64) -> (tempfile::TempDir, Large) {
        let data = tempfile::tempdir().unwrap();
        let limits = Limits {
            carried_bytes: 10,
            letter_bytes: 100,
            publications_bytes: most,
            ..Limits::default()
        };
        let large = Large::open(data.path(), &limits).unwrap();
        (data, large)
    }

    #[test]
    fn a_body_that_looks_like_a_name_is_never_carried_as_it_is() {
        let (_data, large) = large(1000);
        assert!(!large.is_large(&[7; 10]) && large.is_large(&[7; 11]));
        assert!(large.is_large(&MARK), "it would be taken for the name of a blob");
        let cid = cid_of(b"some");
        assert_eq!(named(&stand_in(&cid)).unwrap().unwrap(), cid);
        assert!(named(&stand_in(&cid)[..30]).unwrap().is_err() && named(b"some").is_none());
    }

    #[test]
    fn the_oldest_make_room_and_none_outlives_the_node() {
        let (data, large) = large(100);
        let put = |byte: u8| large.put(&[byte; 40]).unwrap();
        let [first, second] = [put(1), put(2)];
        // What is said again is young again.
        assert_eq!(put(1), first);
        let third = put(3);
        let here = |cid: &Cid| large.blobs.read(cid).unwrap().is_some();
        assert!(here(&first) && !here(&second) && here(&third));
        assert!(large.put(&[4; 101]).is_err(), "over the limit of a letter");
        let again = Large::open(data.path(), &Limits::default()).unwrap();
        assert_eq!(again.blobs.list().unwrap(), []);
    }
}
