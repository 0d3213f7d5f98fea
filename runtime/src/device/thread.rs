//! The device thread: leases, edges and samples, each when it is due.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use tokio::sync::mpsc::Sender;

use super::backend::Line;
use super::bus::Buses;
use super::pins::Pins;
use super::sensors::Sensors;
use super::{Event, PinId};
use crate::limits::Limits;

/// Lines whose edges are taken in one round; the others are in the next.
const ROUND: usize = 64;
/// How long a wait that failed is not tried again.
const AGAIN: Duration = Duration::from_millis(100);
const WAKE: Token = Token(usize::MAX);

/// What calls and the device thread share.
pub(super) struct Shared {
    start: Instant,
    pub pins: Mutex<Pins>,
    pub sensors: Mutex<Sensors>,
    pub buses: Mutex<Buses>,
    pub closed: AtomicBool,
    registry: Registry,
    waker: Waker,
}

impl Shared {
    /// The shared part, and what the thread waits on.
    pub fn new(
        limits: &Limits,
        events: Sender<Event>,
        start: Instant,
    ) -> std::io::Result<(Self, Poll)> {
        let poll = Poll::new()?;
        let shared = Self {
            start,
            pins: Mutex::new(Pins::new(limits.pins, events)),
            sensors: Mutex::new(Sensors::new(limits.sensors)),
            buses: Mutex::new(Buses::new(limits)),
            closed: AtomicBool::new(false),
            registry: poll.registry().try_clone()?,
            waker: Waker::new(poll.registry(), WAKE)?,
        };
        Ok((shared, poll))
    }

    /// Time since the node's start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Has the thread look at what is due: something changed.
    pub fn wake(&self) {
        if let Err(why) = self.waker.wake() {
            tracing::error!("the device thread cannot be woken: {why}");
        }
    }

    /// Waits for a line's edges from now on, until the line is closed: the kernel forgets it then.
    pub fn listen(&self, pin: PinId, line: &dyn Line) -> std::io::Result<()> {
        let Some(file) = line.ready() else {
            return Ok(());
        };
        let token = Token(usize::try_from(pin.0).unwrap_or(usize::MAX - 1));
        self.registry.register(&mut SourceFd(&file.as_raw_fd()), token, Interest::READABLE)
    }

    /// The device thread, until `closed` is set and it is woken.
    pub fn run(&self, mut poll: Poll) {
        let mut ready = Events::with_capacity(ROUND);
        while !self.closed.load(Ordering::Acquire) {
            let wait = self.tick().map(|due| due.saturating_sub(self.now()));
            if let Err(why) = poll.poll(&mut ready, wait)
                && why.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!("the device thread cannot wait: {why}");
                std::thread::sleep(AGAIN);
            }
        }
    }

    /// Does what is due, leases before sensors, and returns when more is.
    fn tick(&self) -> Option<Duration> {
        let pins = lock(&self.pins).tick(self.now());
        let due = lock(&self.sensors).take_due(self.now());
        for (id, mut probe) in due {
            let now = self.now();
            let read = probe.read(now);
            lock(&self.sensors).publish(id, probe, read, now);
        }
        [pins, lock(&self.sensors).due()].into_iter().flatten().min()
    }
}

/// A panic elsewhere leaves these tables whole: each call changes one entry.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
