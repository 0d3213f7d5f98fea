//! Tests of the pins, with lines that fail or burst when told.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::config::grant::{Edges, PinLine};

const OWNER: ActorId = ActorId([1; 16]);

/// A line that a test holds the other end of.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    level: bool,
    broken: bool,
    edges: Vec<(u64, bool, u64)>,
}

impl Wire {
    fn level(&self) -> bool {
        self.0.lock().unwrap().level
    }

    fn breaks(&self, broken: bool) {
        self.0.lock().unwrap().broken = broken;
    }

    fn edge(&self, at: u64, level: bool, missed: u64) {
        self.0.lock().unwrap().edges.push((at, level, missed));
    }
}

impl Line for Wire {
    fn drive(&mut self, high: bool) -> Result<(), String> {
        let mut state = self.0.lock().unwrap();
        if state.broken {
            return Err("unplugged".into());
        }
        state.level = high;
        Ok(())
    }

    fn level(&mut self, _now: Duration) -> Result<bool, String> {
        Ok(self.0.lock().unwrap().level)
    }

    fn changes(&mut self, _now: Duration, found: &mut Vec<Change>) -> Result<(), String> {
        let edges = std::mem::take(&mut self.0.lock().unwrap().edges);
        found.extend(edges.iter().map(|&(at, level, missed)| Change { level, at: ms(at), missed }));
        Ok(())
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn output(lease: Option<u64>) -> PinSpec {
    let direction = Direction::Output { safe: false, lease: lease.map(ms) };
    PinSpec { line: PinLine::Bench("heater".into()), direction }
}

fn input() -> PinSpec {
    let (edges, pull, debounce, script) = (Edges::Both, None, None, None);
    let direction = Direction::Input { edges, pull, debounce, script };
    PinSpec { line: PinLine::Bench("button".into()), direction }
}

fn pins(spec: &PinSpec, room: usize) -> (Pins, PinId, Wire, Receiver<Event>) {
    let (events, received) = channel(room);
    let (mut pins, wire) = (Pins::new(2, events), Wire::default());
    let pin = pins.hold(OWNER, spec, "a line".into(), Box::new(wire.clone()));
    (pins, pin, wire, received)
}

#[test]
fn a_silent_holder_loses_its_lease_and_is_told_once() {
    let (mut pins, pin, wire, mut events) = pins(&output(Some(100)), 8);
    assert_eq!(pins.tick(ms(0)), None);
    assert!(pins.drive(pin, true, ms(10)).unwrap());
    assert!(!pins.drive(pin, true, ms(50)).unwrap());
    assert_eq!(pins.tick(ms(110)), Some(ms(150)));
    assert!(wire.level());
    assert_eq!(pins.tick(ms(150)), None);
    assert!(!wire.level());
    assert_eq!(events.try_recv(), Ok(Event::Expired { pin }));
    pins.tick(ms(500));
    assert!(events.try_recv().is_err());
    pins.drive(pin, true, ms(600)).unwrap();
    assert!(wire.level());
}

#[test]
fn a_holder_that_stops_leaves_its_pin_safe_and_held() {
    let (mut pins, pin, wire, mut events) = pins(&output(Some(100)), 8);
    pins.drive(pin, true, ms(0)).unwrap();
    pins.safe(pin, ms(10)).unwrap();
    assert!(!wire.level());
    assert_eq!(pins.tick(ms(200)), None);
    assert!(events.try_recv().is_err(), "nobody holds a lease that could expire");
    let taken = pins.free(&output(None), "a line").unwrap_err().to_string();
    assert!(taken.contains("held by actor 0101"), "{taken}");
    pins.drive(pin, true, ms(300)).unwrap();
    pins.release(pin, ms(310)).unwrap();
    assert!(!wire.level());
    assert!(pins.free(&output(None), "a line").is_ok());
    assert!(matches!(pins.drive(pin, true, ms(320)), Err(DeviceError::NotHeld(_))));
}

#[test]
fn a_line_that_cannot_be_made_safe_is_tried_until_it_can() {
    let (mut pins, pin, wire, mut events) = pins(&output(Some(100)), 8);
    pins.drive(pin, true, ms(0)).unwrap();
    wire.breaks(true);
    let again = pins.tick(ms(100)).unwrap();
    assert!(again > ms(100) && wire.level());
    assert!(events.try_recv().is_err(), "it is not safe yet");
    wire.breaks(false);
    assert_eq!(pins.tick(again), None);
    assert!(!wire.level());
    assert_eq!(events.try_recv(), Ok(Event::Expired { pin }));

    pins.drive(pin, true, ms(200)).unwrap();
    wire.breaks(true);
    let error = pins.safe(pin, ms(210)).unwrap_err().to_string();
    assert!(error.contains("unplugged") && error.contains("bench:heater"), "{error}");
    wire.breaks(false);
    pins.tick(ms(300));
    assert!(!wire.level());
}

#[test]
fn edges_are_numbered_and_those_that_the_kernel_lost_are_told() {
    let (mut pins, pin, wire, mut events) = pins(&input(), 8);
    wire.edge(1, true, 0);
    wire.edge(5, false, 2);
    pins.tick(ms(6));
    let edge = |level, at, sequence, dropped| {
        Ok(Event::Edge { pin, level, at: ms(at), sequence, dropped })
    };
    assert_eq!(events.try_recv(), edge(true, 1, 1, 0));
    assert_eq!(events.try_recv(), edge(false, 5, 4, 2));
}

#[test]
fn a_full_channel_keeps_the_latest_edge_and_the_count_of_the_others() {
    let (mut pins, pin, wire, mut events) = pins(&input(), 1);
    for at in 1..=5 {
        wire.edge(at, at % 2 == 1, 0);
    }
    let again = pins.tick(ms(6)).expect("an edge waits for room");
    assert!(matches!(events.try_recv(), Ok(Event::Edge { sequence: 1, dropped: 0, .. })));
    pins.tick(again);
    let last = Event::Edge { pin, level: true, at: ms(5), sequence: 5, dropped: 3 };
    assert_eq!(events.try_recv(), Ok(last));
    assert_eq!(pins.tick(again), None);
}

#[test]
fn an_expiry_waits_for_room_too() {
    let (mut pins, pin, wire, mut events) = pins(&output(Some(100)), 1);
    pins.events.try_send(Event::Expired { pin: PinId(99) }).unwrap();
    pins.drive(pin, true, ms(0)).unwrap();
    let again = pins.tick(ms(100)).expect("the expiry waits for room");
    assert!(!wire.level(), "the pin does not wait");
    assert_eq!(events.try_recv(), Ok(Event::Expired { pin: PinId(99) }));
    pins.tick(again);
    assert_eq!(events.try_recv(), Ok(Event::Expired { pin }));
}

#[test]
fn an_input_is_not_driven_and_pins_are_limited() {
    let (mut pins, pin, _, _events) = pins(&input(), 1);
    let error = pins.drive(pin, true, ms(0)).unwrap_err().to_string();
    assert!(error.contains("safe = \"low\""), "{error}");
    assert!(pins.safe(pin, ms(0)).is_ok());
    pins.hold(OWNER, &output(None), "another".into(), Box::new(Wire::default()));
    let error = pins.free(&output(None), "a third").unwrap_err().to_string();
    assert!(error.contains("pins = 2"), "{error}");
}
