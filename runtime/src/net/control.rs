//! What waits for the control stream: monitors and their answers, and reports of settled letters.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

use super::arrivals::Arrivals;
use super::lanes::COALESCE;
use super::wire::{Control, frame};
use super::{Unsent, lock};

/// The queue of one connection's control stream. Reports take no room in it: a lane has one at
/// most, made when it leaves, so a burst of settlements is one frame.
pub struct ControlQueue {
    frames: Mutex<Frames>,
    /// Lanes with something to report, a bit each.
    reports: AtomicU32,
    wake: Notify,
    most_bytes: usize,
}

#[derive(Default)]
struct Frames {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
}

impl ControlQueue {
    /// An empty queue.
    pub fn new(most_bytes: usize) -> Self {
        let (frames, reports, wake) = (Mutex::default(), AtomicU32::new(0), Notify::new());
        Self { frames, reports, wake, most_bytes }
    }

    /// Queues a frame.
    pub fn push(&self, frame: Vec<u8>) -> Result<(), Unsent> {
        let mut frames = lock(&self.frames);
        if frames.closed {
            return Err(Unsent::Unreachable);
        }
        if frames.bytes + frame.len() > self.most_bytes {
            return Err(Unsent::Full);
        }
        frames.bytes += frame.len();
        frames.waiting.push_back(frame);
        drop(frames);
        self.wake.notify_one();
        Ok(())
    }

    /// Notes that a lane has something to report. True if whoever writes must be told.
    pub fn report(&self, lane: u8) -> bool {
        self.reports.fetch_or(1 << lane, Ordering::AcqRel) == 0
    }

    /// Tells whoever writes that there is something to report.
    pub fn tell(&self) {
        self.wake.notify_one();
    }

    /// Takes no more frames.
    pub fn close(&self) {
        lock(&self.frames).closed = true;
        self.wake.notify_one();
    }

    /// Waits for something to say and puts it into `buffer`; false once closed and empty.
    pub async fn take(&self, arrivals: &[Mutex<Arrivals>], buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        loop {
            self.take_reports(arrivals, buffer);
            let closed = {
                let mut frames = lock(&self.frames);
                while buffer.len() < COALESCE {
                    let Some(frame) = frames.waiting.pop_front() else {
                        break;
                    };
                    frames.bytes -= frame.len();
                    buffer.extend_from_slice(&frame);
                }
                frames.closed
            };
            if !buffer.is_empty() || closed {
                return !buffer.is_empty();
            }
            self.wake.notified().await;
        }
    }

    fn take_reports(&self, arrivals: &[Mutex<Arrivals>], buffer: &mut Vec<u8>) {
        let reports = self.reports.swap(0, Ordering::AcqRel);
        for (lane, arrivals) in (0u8..).zip(arrivals) {
            if reports & (1 << lane) == 0 {
                continue;
            }
            // One report has a bounded number of failures: the rest goes in further ones.
            while let Some((next, failed)) = lock(arrivals).report() {
                buffer.extend(frame(&Control::Settled { lane, next, failed }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::wire::{LENGTH, decode};
    use crate::reason::Reason;

    #[tokio::test]
    async fn a_burst_of_settlements_is_one_report() {
        let queue = ControlQueue::new(100);
        let arrivals = vec![Mutex::new(Arrivals::default())];
        for number in 0..500 {
            assert_eq!(lock(&arrivals[0]).arrive(1), number);
            lock(&arrivals[0]).settle(number, Ok(()));
            queue.report(0);
        }
        let mut buffer = Vec::new();
        assert!(queue.take(&arrivals, &mut buffer).await);
        let report: Control = decode("control", &buffer[LENGTH..]).unwrap();
        assert_eq!(report, Control::Settled { lane: 0, next: 500, failed: vec![] });
    }

    #[test]
    fn a_full_queue_says_so() {
        let queue = ControlQueue::new(100);
        let down = frame(&Control::Down { token: 1, reason: Reason::Stopped });
        let room = 100 / down.len();
        (0..room).for_each(|_| queue.push(down.clone()).unwrap());
        assert_eq!(queue.push(down.clone()), Err(Unsent::Full));
        queue.close();
        assert_eq!(queue.push(down), Err(Unsent::Unreachable));
    }
}
