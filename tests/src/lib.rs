//! What scenarios on real nodes are made of: `edge-host` processes, a relay that cuts them off, and
//! components built from source.

pub mod demo;
pub mod guests;
pub mod process;
pub mod relay;
pub mod tracer;

use std::time::{Duration, Instant};

/// Longest wait for anything: generous, the machine may be busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for something to become true, looking again and again; says what it was if it doesn't.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > until {
            anyhow::bail!("waited {} s in vain: {what}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether an actor in this state of `ls actors` takes messages: with an instance, or parked.
pub fn lives(state: Option<&str>) -> bool {
    matches!(state, Some("ready" | "parked"))
}
