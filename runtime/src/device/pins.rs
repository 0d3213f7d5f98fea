//! The pins that are held: their levels, leases and edges. Time comes in, events go out.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::backend::{Change, Line};
use super::lease::Lease;
use super::{DeviceError, Event, PinId, PinState};
use crate::address::ActorId;
use crate::config::grant::{Direction, PinSpec};

/// How soon an event for which there was no room is tried again, and a line that could not be
/// driven to its safe level is driven again.
const AGAIN: Duration = Duration::from_millis(10);

/// All held pins.
pub(super) struct Pins {
    held: BTreeMap<PinId, Pin>,
    last: u64,
    most: usize,
    events: Sender<Event>,
}

struct Pin {
    owner: ActorId,
    spec: PinSpec,
    /// The line itself, whatever name it was claimed by.
    key: String,
    line: Box<dyn Line>,
    lease: Lease,
    /// Set while the safe level could not be driven: when to try again.
    unsafe_until: Option<Duration>,
    /// Edges so far, those lost included.
    sequence: u64,
    /// An event for which there was no room; the next edge replaces it and counts it.
    waiting: Option<Event>,
    /// So that a line that stays broken is logged once.
    broken: bool,
}

impl Pins {
    pub fn new(most: usize, events: Sender<Event>) -> Self {
        Self { held: BTreeMap::new(), last: 0, most, events }
    }

    /// Whether a line may be claimed.
    pub fn free(&self, spec: &PinSpec, key: &str) -> Result<(), DeviceError> {
        let grant = || spec.to_string();
        if self.held.len() >= self.most {
            return Err(DeviceError::TooMany { grant: grant(), limit: "pins", most: self.most });
        }
        match self.held.values().find(|pin| pin.key == key) {
            Some(pin) => Err(DeviceError::Taken { grant: grant(), owner: pin.owner }),
            None => Ok(()),
        }
    }

    /// The number that the next held pin gets.
    pub fn next(&self) -> PinId {
        PinId(self.last + 1)
    }

    /// Holds a line that was opened, an output at its safe level.
    pub fn hold(
        &mut self,
        owner: ActorId,
        spec: &PinSpec,
        key: String,
        line: Box<dyn Line>,
    ) -> PinId {
        let lease = match spec.direction {
            Direction::Output { lease, .. } => Lease::new(lease),
            Direction::Input { .. } => Lease::new(None),
        };
        let id = self.next();
        self.last = id.0;
        let pin = Pin {
            owner,
            spec: spec.clone(),
            key,
            line,
            lease,
            unsafe_until: None,
            sequence: 0,
            waiting: None,
            broken: false,
        };
        self.held.insert(id, pin);
        id
    }

    /// Drives an output and renews its lease. Returns whether a lease runs now that did not run
    /// before: then [`Pins::tick`] is to be called sooner than it said.
    pub fn drive(&mut self, id: PinId, high: bool, now: Duration) -> Result<bool, DeviceError> {
        let pin = self.held.get_mut(&id).ok_or(DeviceError::NotHeld(id))?;
        if pin.safe().is_none() {
            return Err(DeviceError::Input { grant: pin.spec.to_string() });
        }
        pin.line.drive(high).map_err(|why| pin.failed(why))?;
        pin.unsafe_until = None;
        let ran = pin.lease.due().is_some();
        pin.lease.renew(now);
        Ok(!ran && pin.lease.due().is_some())
    }

    /// Drives an output to its safe level and ends its lease; nothing for an input. A line that
    /// fails is tried again from [`Pins::tick`].
    pub fn safe(&mut self, id: PinId, now: Duration) -> Result<(), DeviceError> {
        let pin = self.held.get_mut(&id).ok_or(DeviceError::NotHeld(id))?;
        pin.make_safe(now).map_err(|why| pin.failed(why))
    }

    /// As [`Pins::safe`], for all.
    pub fn all_safe(&mut self, now: Duration) {
        for pin in self.held.values_mut() {
            if let Err(why) = pin.make_safe(now) {
                tracing::error!("{}", pin.failed(why));
            }
        }
    }

    /// Drives an output to its safe level and lets go of the line.
    pub fn release(&mut self, id: PinId, now: Duration) -> Result<(), DeviceError> {
        let done = self.safe(id, now);
        self.held.remove(&id);
        done
    }

    pub fn clear(&mut self) {
        self.held.clear();
    }

    pub fn level(&mut self, id: PinId, now: Duration) -> Option<bool> {
        self.held.get_mut(&id)?.line.level(now).ok()
    }

    pub fn owner(&self, id: PinId) -> Option<ActorId> {
        self.held.get(&id).map(|pin| pin.owner)
    }

    pub fn is_output(&self, id: PinId) -> bool {
        self.held.get(&id).is_some_and(|pin| pin.safe().is_some())
    }

    pub fn states(&mut self, now: Duration) -> Vec<PinState> {
        let state = |(id, pin): (&PinId, &mut Pin)| PinState {
            pin: *id,
            owner: pin.owner,
            spec: pin.spec.clone(),
            level: pin.line.level(now).ok(),
            lease_left: pin.lease.left(now),
            edges: pin.sequence,
        };
        self.held.iter_mut().map(state).collect()
    }

    /// Does what is due at `now`: ends leases, takes edges, sends what waits. Returns when it is
    /// to be called again at the latest.
    pub fn tick(&mut self, now: Duration) -> Option<Duration> {
        let events = &self.events;
        let due = self.held.iter_mut().filter_map(|(id, pin)| pin.tick(*id, now, events));
        due.min()
    }
}

impl Pin {
    fn safe(&self) -> Option<bool> {
        match self.spec.direction {
            Direction::Output { safe, .. } => Some(safe),
            Direction::Input { .. } => None,
        }
    }

    fn make_safe(&mut self, now: Duration) -> Result<(), String> {
        let Some(safe) = self.safe() else {
            return Ok(());
        };
        let driven = self.line.drive(safe);
        self.unsafe_until = driven.is_err().then(|| now.saturating_add(AGAIN));
        if driven.is_ok() {
            self.lease.end();
        }
        driven
    }

    fn tick(&mut self, id: PinId, now: Duration, events: &Sender<Event>) -> Option<Duration> {
        let over = self.lease.is_over(now);
        if self.unsafe_until.map_or(over, |again| again <= now) {
            let driven = self.make_safe(now);
            if driven.is_ok() && over {
                self.waiting = Some(Event::Expired { pin: id });
            }
            self.log(driven);
        }
        self.take_edges(id, now, events);
        let again = self.waiting.as_ref().map(|_| now.saturating_add(AGAIN));
        let lease = self.unsafe_until.or(self.lease.due());
        [lease, self.line.next(), again].into_iter().flatten().min()
    }

    fn take_edges(&mut self, id: PinId, now: Duration, events: &Sender<Event>) {
        let mut found = Vec::new();
        if self.safe().is_none() {
            let taken = self.line.changes(now, &mut found);
            self.log(taken);
        }
        self.send(events);
        for Change { level, at, missed } in found {
            let lost = match self.waiting.take() {
                Some(Event::Edge { dropped, .. }) => dropped + 1,
                _ => 0,
            };
            self.sequence += missed + 1;
            let (sequence, dropped) = (self.sequence, missed + lost);
            self.waiting = Some(Event::Edge { pin: id, level, at, sequence, dropped });
            self.send(events);
        }
    }

    fn send(&mut self, events: &Sender<Event>) {
        if let Some(event) = self.waiting.take()
            && let Err(TrySendError::Full(event)) = events.try_send(event)
        {
            self.waiting = Some(event);
        }
    }

    fn log(&mut self, done: Result<(), String>) {
        let was_broken = std::mem::replace(&mut self.broken, done.is_err());
        if let Err(why) = done
            && !was_broken
        {
            tracing::error!("{}; it is tried again", self.failed(why));
        }
    }

    fn failed(&self, why: String) -> DeviceError {
        DeviceError::Failed { grant: self.spec.to_string(), why }
    }
}

#[cfg(test)]
mod tests;
