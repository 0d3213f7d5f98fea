//! The timers of one actor. They live as long as it, not only its incarnation.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Message;

/// A repeating timer ticks no faster than this.
const FASTEST: Duration = Duration::from_millis(1);

/// The clock's name for what it will say.
pub type Alarm = (Duration, u64);

/// A timer to arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// What comes back.
    pub body: Vec<u8>,
    /// To the first tick.
    pub after: Duration,
    /// Between ticks; zero for one tick only.
    pub every: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    armed: BTreeMap<u64, Armed>,
    next: u64,
}

#[derive(Debug)]
struct Armed {
    timer: Timer,
    generation: u64,
    /// The clock's name for its next tick.
    alarm: Option<Alarm>,
    /// A tick is in the mailbox.
    waits: bool,
}

impl Timers {
    /// Gives the number of this arming, and the alarm of the one that it replaces.
    pub(super) fn arm(&mut self, key: u64, timer: Timer) -> (u64, Option<Alarm>) {
        let generation = self.next;
        self.next += 1;
        let old = self.armed.remove(&key);
        let waits = old.as_ref().is_some_and(|old| old.waits);
        self.armed.insert(key, Armed { timer, generation, alarm: None, waits });
        (generation, old.and_then(|old| old.alarm))
    }

    pub(super) fn disarm(&mut self, key: u64) -> Option<Alarm> {
        self.armed.remove(&key)?.alarm
    }

    /// False if it is not that arming any more.
    pub(super) fn set_alarm(&mut self, key: u64, generation: u64, alarm: Alarm) -> bool {
        let armed = self.armed.get_mut(&key).filter(|armed| armed.generation == generation);
        armed.map(|armed| armed.alarm = Some(alarm)).is_some()
    }

    pub(super) fn alarms(&self) -> Vec<Alarm> {
        self.armed.values().filter_map(|armed| armed.alarm).collect()
    }

    pub(super) fn with(&self, more: impl Iterator<Item = u64>) -> usize {
        let new: BTreeSet<u64> = more.filter(|key| !self.armed.contains_key(key)).collect();
        self.armed.len() + new.len()
    }

    pub(super) fn waits(&mut self, key: u64, waits: bool) {
        if let Some(armed) = self.armed.get_mut(&key) {
            armed.waits = waits;
        }
    }

    /// `None` if it is not that arming any more. Else the message to put in, if none waits, and the
    /// time to the next tick.
    pub(super) fn tick(
        &mut self,
        key: u64,
        generation: u64,
    ) -> Option<(Option<Message>, Option<Duration>)> {
        let armed = self.armed.get(&key).filter(|armed| armed.generation == generation)?;
        let body = armed.timer.body.clone();
        let message = (!armed.waits).then_some(Message::Timer { key, body });
        let repeats = !armed.timer.every.is_zero();
        let next = repeats.then(|| armed.timer.every.max(FASTEST));
        if !repeats {
            self.armed.remove(&key);
        }
        Some((message, next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(seconds: u64) -> Timer {
        let every = Duration::from_secs(seconds);
        Timer { body: vec![1], after: every, every }
    }

    #[test]
    fn ticks_not_yet_taken_are_one_tick() {
        let mut timers = Timers::default();
        let (generation, _) = timers.arm(7, every(1));
        let (message, next) = timers.tick(7, generation).unwrap();
        assert!(message.is_some());
        assert_eq!(next, Some(Duration::from_secs(1)));
        timers.waits(7, true);
        assert_eq!(timers.tick(7, generation).unwrap().0, None);
        timers.waits(7, false);
        assert!(timers.tick(7, generation).unwrap().0.is_some());
    }

    #[test]
    fn arming_again_replaces_and_a_single_tick_disarms() {
        let mut timers = Timers::default();
        let (old, _) = timers.arm(7, every(1));
        let alarm = (Duration::from_secs(1), 5);
        assert!(timers.set_alarm(7, old, alarm));
        let (new, replaced) = timers.arm(7, Timer { every: Duration::ZERO, ..every(1) });
        assert_eq!(replaced, Some(alarm));
        assert!(!timers.set_alarm(7, old, alarm));
        assert_eq!(timers.tick(7, old), None);
        assert_eq!(timers.tick(7, new).unwrap().1, None);
        assert_eq!(timers.tick(7, new), None);
        assert_eq!(timers.with([1, 1, 2].into_iter()), 2);
    }
}
