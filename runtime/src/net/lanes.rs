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

    /// Queues a letter, whose frame has `size` bytes, on the lane of its pair. True if whoever
    /// writes must be told.
    pub fn push(
        &self,
        pair: u64,
        (owner, key): (&impl Sender, u128),
        letter: &Letter,
        size: usize,
    ) -> Result<bool, Unsent> {
        let lane = (pair % LANES as u64) as usize;
        let mut queue = lock(&self.lanes[lane]);
        if queue.closed {
            return Err(Unsent::Unreachable);
        }
        let letters = queue.keys.len();
        let bytes = queue.waiting_bytes + size;
        // The totals may be passed by what other threads push in this moment: one letter each.
        let full = letters >= self.most_letters.div_ceil(SHARE)
            || self.letters.load(Ordering::Relaxed) >= self.most_letters
            || letters > 0 && bytes > self.most_bytes.div_ceil(SHARE)
            || letters > 0 && self.bytes.load(Ordering::Relaxed) >= self.most_bytes;
        if full {
            return Err(Unsent::Full);
        }
        self.letters.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
        queue.waiting_bytes = bytes;
        queue.gather(letter, size);
        queue.remember(owner, key);
        drop(queue);
        Ok(self.waiting.fetch_or(1 << lane, Ordering::AcqRel) == 0)
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
        }
    }

    fn remember(&mut self, owner: &impl Sender, key: u128) {
        self.keys.push_back(key);
        match self.owners.back_mut() {
            Some((last, count)) if last.downcast_ref() == Some(owner) => *count += 1,
            _ => self.owners.push_back((Arc::new(owner.clone()), 1)),
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
mod tests {
    use super::*;
    use crate::address::ActorId;

    /// A letter whose frame has so many bytes: below 60 or from 1000 to 60,000, for lengths take
    /// bytes of their own.
    fn push(outgoing: &Outgoing, pair: u64, key: u128, size: usize) -> Result<(), Unsent> {
        let to = ActorId([1; 16]);
        let letter = Letter { to, body: Vec::new(), carried: Vec::new(), reply: None };
        let body = vec![1; size - letter::frame_len(&letter) - if size < 64 { 0 } else { 2 }];
        let letter = Letter { body, ..letter };
        assert_eq!(letter::frame_len(&letter), size);
        outgoing.push(pair, (&(), key), &letter, letter::frame_len(&letter)).map(|_| ())
    }

    fn small() -> Outgoing {
        Outgoing::new(&Limits { in_flight: 8, peer_queue_bytes: 1600, ..Limits::default() })
    }

    fn fates(settled: Vec<Settled>) -> Vec<(u128, Outcome)> {
        settled.into_iter().flat_map(|settled| settled.letters).collect()
    }

    #[test]
    fn a_stalled_lane_leaves_room_for_the_others() {
        let outgoing = small();
        assert_eq!(push(&outgoing, 3, 0, 60), Ok(()));
        assert_eq!(push(&outgoing, 3 + 16, 1, 60), Ok(()));
        assert_eq!(push(&outgoing, 3, 2, 60), Err(Unsent::Full));
        for pair in 4..10 {
            assert_eq!(push(&outgoing, pair, u128::from(pair), 60), Ok(()));
        }
        assert_eq!(push(&outgoing, 10, 10, 60), Err(Unsent::Full), "eight in all");
    }

    #[test]
    fn what_gathers_is_written_at_once_up_to_a_limit() {
        let outgoing = Outgoing::new(&Limits::default());
        (0..3).for_each(|key| push(&outgoing, 5, key, 1000).unwrap());
        push(&outgoing, 5, 3, COALESCE - 2999).unwrap();
        push(&outgoing, 6, 4, 60).unwrap();
        assert_eq!(outgoing.lanes(), Some(1 << 5 | 1 << 6));
        assert_eq!(outgoing.lanes(), Some(0));
        assert_eq!(outgoing.take(5).map(|bytes| bytes.len()), Some(3000));
        assert_eq!(outgoing.take(5).map(|bytes| bytes.len()), Some(COALESCE - 2999));
        assert_eq!(outgoing.take(5), None);
        assert_eq!(outgoing.take(6).map(|bytes| bytes.len()), Some(60));
    }

    #[test]
    fn letters_lost_unwritten_were_certainly_not_handled() {
        let outgoing = small();
        push(&outgoing, 0, 7, 60).unwrap();
        assert_eq!(outgoing.take(0).map(|bytes| bytes.len()), Some(60));
        push(&outgoing, 0, 8, 60).unwrap();
        let lost = fates(outgoing.lose());
        assert_eq!(lost, [(7, Err(Reason::Unknown)), (8, Err(Reason::Unreachable))]);
        assert_eq!(push(&outgoing, 0, 9, 60), Err(Unsent::Unreachable));
        assert_eq!(outgoing.lanes(), None);
        assert_eq!(outgoing.in_flight(), 0);
    }

    #[test]
    fn each_sender_learns_of_its_own_letters_in_their_order() {
        let outgoing = Outgoing::new(&Limits::default());
        let letter = Letter { to: ActorId([1; 16]), body: vec![], carried: vec![], reply: None };
        for (key, owner) in (0..).zip([0, 0, 1, 0, 0, 0]) {
            outgoing.push(0, (&owner, key), &letter, letter::frame_len(&letter)).unwrap();
        }
        outgoing.take(0);
        let full = Reason::MailboxFull;
        let mut settled = outgoing.settle(0, 4, &[(3, full), (1, full)]).unwrap();
        settled.extend(outgoing.settle(0, 6, &[(5, full)]).unwrap());
        let told: Vec<_> = settled
            .into_iter()
            .map(|told| (*told.owner.downcast_ref::<i32>().unwrap(), told.letters))
            .collect();
        let expected = [
            (0, vec![(0, Ok(())), (1, Err(full))]),
            (1, vec![(2, Ok(()))]),
            (0, vec![(3, Err(full))]),
            (0, vec![(4, Ok(())), (5, Err(full))]),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_false_report_is_refused() {
        let outgoing = small();
        push(&outgoing, 0, 7, 60).unwrap();
        assert!(outgoing.settle(0, 1, &[]).is_err(), "it has not left");
        outgoing.take(0);
        assert!(outgoing.settle(0, 2, &[]).is_err(), "more than was sent");
        assert!(outgoing.settle(16, 1, &[]).is_err(), "no such lane");
        let report = outgoing.settle(0, 1, &[(0, Reason::NoActor)]).map(fates);
        assert_eq!(report, Ok(vec![(7, Err(Reason::NoActor))]));
        assert!(outgoing.settle(0, 0, &[]).is_err(), "it went back");
    }
}
