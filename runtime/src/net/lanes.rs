//! Letters on their way to another node: the sender's queues, without any I/O.
//!
//! A letter's number is its place on its lane, counted from 0; it is not sent, for lanes are
//! ordered.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::Notify;

use super::arrivals::Outcome;
use super::{Unsent, letter, lock};
use crate::limits::Limits;
use crate::net::wire::{LANES, Letter, WireError};
use crate::reason::Reason;

/// Bytes written at once: single small writes cost ten times as much.
pub const COALESCE: usize = 64 << 10;

/// One lane may hold this part of what a peer may: a lane that stalls leaves room for the others.
const SHARE: usize = 4;

/// Whoever sends letters: kept with them until they are settled, and opaque here.
pub trait Sender: Any + Clone + PartialEq + Send + Sync {}

impl<T: Any + Clone + PartialEq + Send + Sync> Sender for T {}

/// What became of letters that one sender sent one after the other.
#[derive(Debug)]
pub struct Settled {
    /// Who sent them: the [`Sender`] that was given.
    pub owner: Arc<dyn Any + Send + Sync>,
    /// The key of each, and its fate. `unreachable`: it never left; `unknown`: the connection
    /// broke after it left.
    pub letters: Vec<(u128, Outcome)>,
}

/// All that is on its way to one peer over one connection.
pub struct Outgoing {
    lanes: Vec<Mutex<Queue>>,
    /// Lanes with letters to be written, a bit each.
    waiting: AtomicU32,
    wake: Notify,
    letters: AtomicUsize,
    bytes: AtomicUsize,
    most_letters: usize,
    most_bytes: usize,
}

/// What came of letters that were to be queued.
pub struct Queued {
    /// So many are, the first ones.
    pub count: usize,
    /// Why the next one is not; those after it were not looked at.
    pub refused: Option<Unsent>,
    /// Whoever writes must be told.
    pub news: bool,
}

/// One lane, as its sender sees it.
#[derive(Default)]
struct Queue {
    /// Frames not yet given to the stream, gathered into what is written at once.
    waiting: VecDeque<Write>,
    waiting_bytes: usize,
    waiting_letters: usize,
    /// The keys of all letters not settled, those that wait last; the first has the number
    /// `settled`.
    keys: VecDeque<u128>,
    /// Whose they are: so many in a row.
    owners: VecDeque<(Arc<dyn Any + Send + Sync>, usize)>,
    settled: u64,
    closed: bool,
}

/// Letters that are written at once.
struct Write {
    frames: Vec<u8>,
    letters: usize,
}

impl Outgoing {
    /// Empty queues.
    pub fn new(limits: &Limits) -> Self {
        Self {
            lanes: (0..LANES).map(|_| Mutex::default()).collect(),
            waiting: AtomicU32::new(0),
            wake: Notify::new(),
            letters: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            most_letters: limits.in_flight,
            most_bytes: limits.peer_queue_bytes,
        }
    }

    /// Letters queued or sent, and not settled.
    pub fn in_flight(&self) -> usize {
        self.letters.load(Ordering::Relaxed)
    }

    /// Queues letters of one pair, each with the size of its frame in bytes and its key, up to the
    /// first that can't be.
    pub fn push(
        &self,
        pair: u64,
        owner: &impl Sender,
        letters: impl Iterator<Item = Result<(Letter, usize, u128), Unsent>>,
    ) -> Queued {
        let lane = (pair % LANES as u64) as usize;
        let mut queue = lock(&self.lanes[lane]);
        if queue.closed {
            return Queued { count: 0, refused: Some(Unsent::Unreachable), news: false };
        }
        // The totals may be passed by what other threads push in this moment.
        let letters_room = self.most_letters.saturating_sub(self.letters.load(Ordering::Relaxed));
        let bytes_before = self.bytes.load(Ordering::Relaxed);
        let (mut count, mut bytes, mut refused) = (0, 0, None);
        for letter in letters {
            let fits = letter.and_then(|(letter, size, key)| {
                let (others, waiting) = (queue.keys.len(), queue.waiting_bytes + size);
                let full = others >= self.most_letters.div_ceil(SHARE)
                    || count >= letters_room
                    || others > 0 && waiting > self.most_bytes.div_ceil(SHARE)
                    || others > 0 && bytes_before + bytes >= self.most_bytes;
                if full { Err(Unsent::Full) } else { Ok((letter, size, key)) }
            });
            match fits {
                Ok((letter, size, key)) => {
                    queue.gather(&letter, size);
                    queue.keys.push_back(key);
                    count += 1;
                    bytes += size;
                }
                Err(unsent) => {
                    refused = Some(unsent);
                    break;
                }
            }
        }
        if count == 0 {
            return Queued { count, refused, news: false };
        }
        queue.remember(owner, count);
        self.letters.fetch_add(count, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        drop(queue);
        let news = self.waiting.fetch_or(1 << lane, Ordering::AcqRel) == 0;
        Queued { count, refused, news }
    }

    /// Tells whoever writes that there are letters.
    pub fn tell(&self) {
        self.wake.notify_one();
    }

    /// Waits until [`Outgoing::lanes`] may have something new to say.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The lanes that have got letters since it was last asked, a bit each; `None` once closed.
    pub fn lanes(&self) -> Option<u32> {
        let waiting = self.waiting.swap(0, Ordering::AcqRel);
        (waiting & CLOSED == 0).then_some(waiting)
    }

    /// What is to be written next on a lane: about [`COALESCE`] bytes of letters, or one larger
    /// letter. From then on they count as sent.
    pub fn take(&self, lane: usize) -> Option<Bytes> {
        let mut queue = lock(&self.lanes[lane]);
        let Write { frames, letters } = queue.waiting.pop_front()?;
        queue.waiting_bytes -= frames.len();
        queue.waiting_letters -= letters;
        self.bytes.fetch_sub(frames.len(), Ordering::Relaxed);
        Some(frames.into())
    }

    /// Takes a report from the other side; gives the fate of the letters it settles.
    pub fn settle(
        &self,
        lane: u8,
        next: u64,
        failed: &[(u64, Reason)],
    ) -> Result<Vec<Settled>, WireError> {
        let wrong = |what: &str| WireError::Garbage(format!("a report of letters {what}"));
        let lane = self.lanes.get(usize::from(lane)).ok_or_else(|| wrong("on no lane"))?;
        let mut queue = lock(lane);
        let count = next.checked_sub(queue.settled).ok_or_else(|| wrong("settled before"))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > queue.keys.len() - queue.waiting_letters {
            return Err(wrong("that were never sent"));
        }
        let first = queue.settled;
        if failed.iter().any(|(number, _)| !(first..next).contains(number)) {
            return Err(wrong("that it does not settle"));
        }
        queue.settled = next;
        let mut settled = queue.forget(count, Ok(()));
        drop(queue);
        self.letters.fetch_sub(count, Ordering::Relaxed);
        let mut failed: Vec<_> = failed.iter().map(|(at, reason)| (at - first, *reason)).collect();
        failed.sort_unstable_by_key(|(at, _)| *at);
        let mut before = 0;
        let mut failed = failed.into_iter().peekable();
        for run in &mut settled {
            let after = before + run.letters.len() as u64;
            while let Some((at, reason)) = failed.next_if(|(at, _)| *at < after) {
                run.letters[(at - before) as usize].1 = Err(reason);
            }
            before = after;
        }
        Ok(settled)
    }

    /// Takes no more letters.
    pub fn close(&self) {
        for lane in &self.lanes {
            lock(lane).closed = true;
        }
        self.waiting.fetch_or(CLOSED, Ordering::AcqRel);
        self.wake.notify_one();
    }

    /// After the connection broke: the fate of all letters that are not settled.
    pub fn lose(&self) -> Vec<Settled> {
        self.close();
        let mut lost = Vec::new();
        for lane in &self.lanes {
            let mut queue = lock(lane);
            let sent = queue.keys.len() - queue.waiting_letters;
            lost.extend(queue.forget(sent, Err(Reason::Unknown)));
            let waiting = queue.keys.len();
            lost.extend(queue.forget(waiting, Err(Reason::Unreachable)));
            queue.waiting.clear();
            (queue.waiting_bytes, queue.waiting_letters) = (0, 0);
        }
        self.letters.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        lost
    }
}

/// Beside the bits of the lanes.
const CLOSED: u32 = 1 << LANES;

impl Queue {
    /// Puts a letter's frame with those that wait.
    fn gather(&mut self, letter: &Letter, size: usize) {
        let fits = |last: &Write| last.frames.len() + size <= COALESCE;
        if !self.waiting.back().is_some_and(fits) {
            // After a full one this will be full as well.
            let room = if self.waiting.is_empty() { size } else { size.max(COALESCE) };
            self.waiting.push_back(Write { frames: Vec::with_capacity(room), letters: 0 });
        }
        if let Some(last) = self.waiting.back_mut() {
            letter::write(letter, size, &mut last.frames);
            last.letters += 1;
            self.waiting_letters += 1;
            self.waiting_bytes += size;
        }
    }

    /// Notes whose the last so many letters are.
    fn remember(&mut self, owner: &impl Sender, more: usize) {
        match self.owners.back_mut() {
            Some((last, count)) if last.downcast_ref() == Some(owner) => *count += more,
            _ => self.owners.push_back((Arc::new(owner.clone()), more)),
        }
    }

    /// Forgets the first letters, with this outcome.
    fn forget(&mut self, mut count: usize, outcome: Outcome) -> Vec<Settled> {
        let mut forgotten = Vec::new();
        while count > 0
            && let Some((owner, run)) = self.owners.front_mut()
        {
            let part = count.min(*run);
            count -= part;
            *run -= part;
            let owner = owner.clone();
            let letters = self.keys.drain(..part).map(|key| (key, outcome)).collect();
            forgotten.push(Settled { owner, letters });
            self.owners.pop_front_if(|(_, run)| *run == 0);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests;
