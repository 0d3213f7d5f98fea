//! Letters between two nodes: the sender's queues and the receiver's accounts, without any I/O.
//!
//! A letter's number is its place on its lane, counted from 0; it is not sent, for lanes are
//! ordered. The receiver settles letters in any order and reports the settled front of a lane.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::{Unsent, lock};
use crate::limits::Limits;
use crate::net::wire::{LANES, WireError};
use crate::reason::Reason;

/// Bytes written at once: single small writes cost ten times as much.
pub const COALESCE: usize = 64 << 10;

/// Failures in one report: a report must fit into a frame.
const FAILURES: usize = 1024;

/// One lane may hold this part of what a peer may: a lane that stalls leaves room for the others.
const SHARE: usize = 4;

/// What became of a letter.
pub type Outcome = Result<(), Reason>;

/// All that is on its way to one peer over one connection.
pub struct Outgoing {
    lanes: Vec<Lane>,
    letters: AtomicUsize,
    bytes: AtomicUsize,
    most_letters: usize,
    most_bytes: usize,
}

/// One lane, as its sender sees it.
#[derive(Default)]
struct Lane {
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    /// Not yet given to the stream: ticket and frame.
    waiting: VecDeque<(u64, Vec<u8>)>,
    waiting_bytes: usize,
    /// Given to the stream and not yet settled; the first has the number `settled`.
    sent: VecDeque<u64>,
    settled: u64,
    closed: bool,
}

impl Outgoing {
    /// Empty queues.
    pub fn new(limits: &Limits) -> Self {
        Self {
            lanes: (0..LANES).map(|_| Lane::default()).collect(),
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

    /// Queues a letter's frame on the lane of its pair.
    pub fn push(&self, pair: u64, ticket: u64, frame: Vec<u8>) -> Result<(), Unsent> {
        let lane = &self.lanes[(pair % LANES as u64) as usize];
        let mut queue = lock(&lane.queue);
        if queue.closed {
            return Err(Unsent::Unreachable);
        }
        let letters = queue.waiting.len() + queue.sent.len();
        let bytes = queue.waiting_bytes + frame.len();
        // The totals may be passed by what other threads push in this moment: one letter each.
        let full = letters >= self.most_letters.div_ceil(SHARE)
            || self.letters.load(Ordering::Relaxed) >= self.most_letters
            || letters > 0 && bytes > self.most_bytes.div_ceil(SHARE)
            || letters > 0 && self.bytes.load(Ordering::Relaxed) >= self.most_bytes;
        if full {
            return Err(Unsent::Full);
        }
        self.letters.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(frame.len(), Ordering::Relaxed);
        queue.waiting_bytes = bytes;
        queue.waiting.push_back((ticket, frame));
        drop(queue);
        lane.wake.notify_one();
        Ok(())
    }

    /// Waits for letters and moves them into `buffer`, up to [`COALESCE`] bytes or one larger
    /// letter; from then on they count as sent. False once the lane is closed.
    pub async fn take(&self, lane: usize, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        buffer.shrink_to(COALESCE);
        let lane = &self.lanes[lane];
        loop {
            {
                let mut queue = lock(&lane.queue);
                while let Some((_, frame)) = queue.waiting.front() {
                    if !buffer.is_empty() && buffer.len() + frame.len() > COALESCE {
                        break;
                    }
                    let Some((ticket, frame)) = queue.waiting.pop_front() else {
                        break;
                    };
                    buffer.extend_from_slice(&frame);
                    queue.sent.push_back(ticket);
                }
                queue.waiting_bytes -= buffer.len();
                self.bytes.fetch_sub(buffer.len(), Ordering::Relaxed);
                if !buffer.is_empty() || queue.closed {
                    return !buffer.is_empty();
                }
            }
            lane.wake.notified().await;
        }
    }

    /// Takes a report from the other side; gives the tickets of the letters it settles.
    pub fn settle(
        &self,
        lane: u8,
        next: u64,
        failed: &[(u64, Reason)],
    ) -> Result<Vec<(u64, Outcome)>, WireError> {
        let wrong = |what: &str| WireError::Garbage(format!("a report of letters {what}"));
        let lane = self.lanes.get(usize::from(lane)).ok_or_else(|| wrong("on no lane"))?;
        let mut queue = lock(&lane.queue);
        let count = next.checked_sub(queue.settled).ok_or_else(|| wrong("settled before"))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count > queue.sent.len() {
            return Err(wrong("that were never sent"));
        }
        let first = queue.settled;
        if failed.iter().any(|(number, _)| !(first..next).contains(number)) {
            return Err(wrong("that it does not settle"));
        }
        let mut outcomes: Vec<(u64, Outcome)> =
            queue.sent.drain(..count).map(|ticket| (ticket, Ok(()))).collect();
        queue.settled = next;
        drop(queue);
        self.letters.fetch_sub(count, Ordering::Relaxed);
        for (number, reason) in failed {
            outcomes[(number - first) as usize].1 = Err(*reason);
        }
        Ok(outcomes)
    }

    /// Takes no more letters.
    pub fn close(&self) {
        for lane in &self.lanes {
            lock(&lane.queue).closed = true;
            lane.wake.notify_one();
        }
    }

    /// After the connection broke: the fate of all letters that are not settled.
    pub fn lose(&self) -> Vec<(u64, Reason)> {
        self.close();
        let mut lost = Vec::new();
        for lane in &self.lanes {
            let mut queue = lock(&lane.queue);
            lost.extend(queue.sent.drain(..).map(|ticket| (ticket, Reason::Unknown)));
            lost.extend(queue.waiting.drain(..).map(|(ticket, _)| (ticket, Reason::Unreachable)));
            queue.waiting_bytes = 0;
        }
        self.letters.store(0, Ordering::Relaxed);
        self.bytes.store(0, Ordering::Relaxed);
        lost
    }
}

/// One lane, as its receiver sees it: which letters it has settled.
#[derive(Default)]
pub struct Arrivals {
    /// All before this number are settled and reported.
    first: u64,
    outcomes: VecDeque<Option<Outcome>>,
}

impl Arrivals {
    /// Counts a letter in; gives its number.
    pub fn arrive(&mut self) -> u64 {
        self.outcomes.push_back(None);
        self.first + self.outcomes.len() as u64 - 1
    }

    /// Notes what became of a letter; true if there is something to report now.
    pub fn settle(&mut self, number: u64, outcome: Outcome) -> bool {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(slot) = place.and_then(|place| self.outcomes.get_mut(place)) {
            *slot = Some(outcome);
        }
        matches!(self.outcomes.front(), Some(Some(_)))
    }

    /// The next report, if there is one: `next` and `failed` of `Control::Settled`.
    pub fn report(&mut self) -> Option<(u64, Vec<(u64, Reason)>)> {
        let (before, mut failed) = (self.first, Vec::new());
        while failed.len() < FAILURES {
            let Some(Some(outcome)) = self.outcomes.front() else {
                break;
            };
            if let Err(reason) = outcome {
                failed.push((self.first, *reason));
            }
            self.outcomes.pop_front();
            self.first += 1;
        }
        (self.first > before).then_some((self.first, failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Outgoing {
        Outgoing::new(&Limits { in_flight: 8, peer_queue_bytes: 400, ..Limits::default() })
    }

    #[tokio::test]
    async fn a_stalled_lane_leaves_room_for_the_others() {
        let outgoing = small();
        assert_eq!(outgoing.push(3, 0, vec![0; 10]), Ok(()));
        assert_eq!(outgoing.push(3 + 16, 1, vec![0; 10]), Ok(()));
        assert_eq!(outgoing.push(3, 2, vec![0; 10]), Err(Unsent::Full));
        for pair in 4..10 {
            assert_eq!(outgoing.push(pair, pair, vec![0; 10]), Ok(()));
        }
        assert_eq!(outgoing.push(10, 10, vec![0; 10]), Err(Unsent::Full), "eight in all");
    }

    #[tokio::test]
    async fn letters_lost_unwritten_were_certainly_not_handled() {
        let outgoing = small();
        outgoing.push(0, 7, vec![1; 10]).unwrap();
        let mut buffer = Vec::new();
        assert!(outgoing.take(0, &mut buffer).await);
        assert_eq!(buffer, [1; 10]);
        outgoing.push(0, 8, vec![1; 10]).unwrap();
        assert_eq!(outgoing.lose(), [(7, Reason::Unknown), (8, Reason::Unreachable)]);
        assert_eq!(outgoing.push(0, 9, vec![1; 10]), Err(Unsent::Unreachable));
        assert!(!outgoing.take(0, &mut buffer).await);
        assert_eq!(outgoing.in_flight(), 0);
    }

    #[test]
    fn letters_settle_in_any_order_and_are_reported_from_the_front() {
        let mut arrivals = Arrivals::default();
        let numbers: Vec<_> = (0..3).map(|_| arrivals.arrive()).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert!(!arrivals.settle(1, Err(Reason::MailboxFull)));
        assert_eq!(arrivals.report(), None);
        assert!(arrivals.settle(0, Ok(())));
        assert_eq!(arrivals.report(), Some((2, vec![(1, Reason::MailboxFull)])));
        assert_eq!(arrivals.arrive(), 3);
    }

    #[tokio::test]
    async fn a_false_report_is_refused() {
        let outgoing = small();
        outgoing.push(0, 7, vec![1; 10]).unwrap();
        outgoing.take(0, &mut Vec::new()).await;
        assert!(outgoing.settle(0, 2, &[]).is_err(), "more than was sent");
        assert!(outgoing.settle(16, 1, &[]).is_err(), "no such lane");
        let report = outgoing.settle(0, 1, &[(0, Reason::NoActor)]);
        assert_eq!(report, Ok(vec![(7, Err(Reason::NoActor))]));
        assert!(outgoing.settle(0, 0, &[]).is_err(), "it went back");
    }
}
