//! Timers. A timer is named by its message: arming the same one again replaces it, after a restart
//! too.

use std::time::Duration;

use super::{Context, nanoseconds};
use crate::{Actor, codec};

impl<A: Actor> Context<'_, A> {
    /// The message comes to `handle` again and again. Ticks that the actor has not taken yet are
    /// one.
    pub fn every(&mut self, period: Duration, message: A::Message) {
        // A period of 0 would mean once.
        let period = nanoseconds(period).max(1);
        self.arm(message, period, period);
    }

    /// The message comes to `handle` once.
    pub fn after(&mut self, delay: Duration, message: A::Message) {
        self.arm(message, nanoseconds(delay), 0);
    }

    /// Disarms the timer with this message, if there is one.
    pub fn cancel(&mut self, message: A::Message) {
        match codec::encode(&message) {
            Ok(body) => self.host.disarm(key(&body)),
            Err(error) => self.fail(error),
        }
    }

    fn arm(&mut self, message: A::Message, after: u64, every: u64) {
        let body = match codec::encode(&message) {
            Ok(body) => body,
            Err(error) => return self.fail(error),
        };
        if let Err(refusal) = self.host.arm(key(&body), &body, after, every) {
            self.fail(format_args!("arming a timer: {refusal}"));
        }
    }
}

/// FNV-1a, 64 bits: an actor has few timers, and their messages are its own.
fn key(body: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    body.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}
