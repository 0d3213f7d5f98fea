//! GPIO lines of Linux, through the character device's uAPI v2.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::chip::Chip;
use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Info, Value};
use gpiocdev::request::{Builder, Request};

use super::backend::{Change, Line};
use crate::config::grant::{Direction, Edges, Pull};

/// Events taken from the kernel by one read.
const READ: usize = 16;

/// A line of a chip that was found.
#[derive(Debug)]
pub(super) struct Found {
    chip: PathBuf,
    offset: u32,
}

/// A requested line.
pub(super) struct Gpio {
    request: Request,
    edges: bool,
    order: Order,
    clock: KernelClock,
}

/// Counts the gaps in the kernel's numbers: what it dropped when its buffer was full.
#[derive(Default)]
struct Order(u32);

/// Turns the kernel's clock into ours. Both run alike, so the smallest difference seen between
/// an event's time and the time at which it was read is the best guess of their offset.
#[derive(Default)]
struct KernelClock {
    offset: Option<i128>,
    last: Duration,
}

impl Found {
    /// What is held: the chip and the offset, whatever names were used.
    pub fn key(&self) -> String {
        format!("{} line {}", self.chip.display(), self.offset)
    }
}

/// Finds a line by its name, or by a chip's label and the line's name or offset there.
pub(super) fn find(label: Option<&str>, line: &str) -> Result<Found, String> {
    let paths = gpiocdev::chip::chips().map_err(|why| format!("/dev: {why}"))?;
    let (mut found, mut labels, mut closed) = (Vec::new(), Vec::new(), None);
    for path in &paths {
        match search(path, label, line) {
            Ok((name, some)) => {
                found.extend(some);
                labels.push(name);
            }
            Err(why) => closed = Some(format!("{}: {why}", path.display())),
        }
    }
    match (found.len(), closed) {
        (1, _) => Ok(found.swap_remove(0)),
        (0, _) if paths.is_empty() => Err("this machine has no GPIO chip under /dev: run on a \
            board that has one, or write \"bench:NAME\" for a simulated line"
            .into()),
        (0, Some(why)) => {
            Err(format!("no such line, and {why}: let this user read it, group gpio"))
        }
        (0, None) => Err(format!(
            "no such line on {}: write a name or offset that `gpioinfo` shows",
            labels.join(", ")
        )),
        (many, _) => Err(format!("{many} lines have that name: write \"gpio:LABEL/{line}\"")),
    }
}

/// A chip's label, and its lines that are meant.
fn search(
    path: &Path,
    label: Option<&str>,
    line: &str,
) -> Result<(String, Vec<Found>), gpiocdev::Error> {
    let chip = Chip::from_path(path)?;
    let info = chip.info()?;
    let mut found = Vec::new();
    if label.is_none_or(|label| label == info.label) {
        let offset = label.and_then(|_| line.parse::<u32>().ok());
        for at in chip.line_info_iter()? {
            let Info { name, offset: here, .. } = at?;
            if name == line || offset == Some(here) {
                found.push(Found { chip: path.into(), offset: here });
            }
        }
    }
    Ok((info.label, found))
}

impl Gpio {
    /// Requests a line. An output has its safe level from the first moment. `buffer` edges are
    /// kept by the kernel until they are read.
    pub fn open(found: &Found, direction: &Direction, buffer: u32) -> Result<Self, String> {
        let chip = Chip::from_path(&found.chip).map_err(|why| why.to_string())?;
        let info = chip.line_info(found.offset).map_err(|why| why.to_string())?;
        if info.used {
            let by = if info.consumer.is_empty() { "the kernel" } else { &info.consumer };
            return Err(format!("the line is held by {by}: stop that, or choose another line"));
        }
        let mut builder = Request::builder();
        builder.on_chip(&found.chip).with_consumer("edge-host").with_line(found.offset);
        builder.using_abi_version(gpiocdev::AbiVersion::V2);
        let edges = configure(&mut builder, direction, buffer);
        let request = builder.request().map_err(|why| why.to_string())?;
        let (order, clock) = Default::default();
        Ok(Self { request, edges, order, clock })
    }

    fn read_events(&mut self, now: Duration, found: &mut Vec<Change>) -> gpiocdev::Result<()> {
        // Not `read_edge_event`: in gpiocdev 0.8.0 with a single uAPI feature it reads up to 8
        // events and returns one of them.
        let size = self.request.edge_event_u64_size();
        let mut words = vec![0_u64; size * READ];
        while self.request.has_edge_event()? {
            let read = self.request.read_edge_events_into_slice(&mut words)?;
            for event in words[..read].chunks_exact(size) {
                let event = self.request.edge_event_from_slice(event)?;
                found.push(Change {
                    level: event.kind == EdgeKind::Rising,
                    at: self.clock.at(event.timestamp_ns, now),
                    missed: self.order.missed(event.line_seqno),
                });
            }
        }
        Ok(())
    }
}

/// Returns whether edges are to come.
fn configure(builder: &mut Builder, direction: &Direction, buffer: u32) -> bool {
    match direction {
        Direction::Output { safe, .. } => {
            builder.as_output(value(*safe));
            false
        }
        Direction::Input { edges, pull, debounce, .. } => {
            builder.as_input();
            builder.with_bias(pull.map(|pull| match pull {
                Pull::Up => Bias::PullUp,
                Pull::Down => Bias::PullDown,
            }));
            let edges = match edges {
                Edges::Rising => EdgeDetection::RisingEdge,
                Edges::Falling => EdgeDetection::FallingEdge,
                Edges::Both => EdgeDetection::BothEdges,
                Edges::None => return false,
            };
            builder.with_edge_detection(edges).with_kernel_event_buffer_size(buffer);
            if let Some(debounce) = debounce {
                builder.with_debounce_period(*debounce);
            }
            true
        }
    }
}

impl Line for Gpio {
    fn drive(&mut self, high: bool) -> Result<(), String> {
        self.request.set_lone_value(value(high)).map_err(|why| why.to_string())
    }

    fn level(&mut self, _now: Duration) -> Result<bool, String> {
        let level = self.request.lone_value().map_err(|why| why.to_string())?;
        Ok(level == Value::Active)
    }

    fn changes(&mut self, now: Duration, found: &mut Vec<Change>) -> Result<(), String> {
        if self.edges {
            self.read_events(now, found).map_err(|why| why.to_string())?;
        }
        Ok(())
    }

    fn ready(&self) -> Option<BorrowedFd<'_>> {
        self.edges.then(|| self.request.as_fd())
    }
}

impl Order {
    fn missed(&mut self, number: u32) -> u64 {
        let gap = number.wrapping_sub(self.0).wrapping_sub(1);
        self.0 = number;
        gap.into()
    }
}

impl KernelClock {
    /// When an event took place that was read at `now`; never before the event before it.
    fn at(&mut self, kernel_ns: u64, now: Duration) -> Duration {
        let kernel = i128::from(kernel_ns);
        let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
        let offset = self.offset.map_or(now - kernel, |offset| offset.min(now - kernel));
        self.offset = Some(offset);
        let at = Duration::from_nanos(u64::try_from(kernel + offset).unwrap_or(0));
        self.last = self.last.max(at);
        self.last
    }
}

fn value(high: bool) -> Value {
    if high { Value::Active } else { Value::Inactive }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_that_the_kernel_dropped_are_counted() {
        let mut order = Order::default();
        let missed = [1, 2, 5, 6].map(|number| order.missed(number));
        assert_eq!(missed, [0, 0, 2, 0]);
        let mut wrapped = Order(u32::MAX);
        assert_eq!(wrapped.missed(1), 1);
    }

    #[test]
    fn a_burst_keeps_its_times_and_a_late_read_is_corrected() {
        let mut clock = KernelClock::default();
        let mut at = |kernel, now| clock.at(kernel, Duration::from_nanos(now)).as_nanos();
        // Read 500 ns late: all that is known is that it was not later.
        assert_eq!(at(10_000, 1_500), 1_500);
        // Read 100 ns late: the offset is now known better; a burst keeps its distances.
        assert_eq!(at(12_000, 3_100), 3_100);
        assert_eq!(at(12_010, 9_000), 3_110);
        assert_eq!(at(5, 9_000), 3_110);
    }

    #[test]
    fn a_line_that_is_not_there_is_refused_with_what_to_do() {
        let why = find(None, "EDGE_HOST_HAS_NO_SUCH_LINE").unwrap_err();
        let chips = gpiocdev::chip::chips().unwrap();
        let word = if chips.is_empty() { "bench:NAME" } else { "no such line" };
        assert!(why.contains(word), "{why}");
    }
}
