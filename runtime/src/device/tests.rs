//! Tests of the devices with their thread: the bench, and what this machine has.

use super::*;
use crate::config::grant::{Grant, parse_grant};
use tempfile::TempDir;

const OWNER: ActorId = ActorId([1; 16]);
/// Far longer than anything here takes: a machine may be busy.
const LIMIT: Duration = Duration::from_secs(20);

struct Bench {
    devices: Devices,
    events: mpsc::Receiver<Event>,
    folder: TempDir,
}

impl Bench {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (devices, events) =
            Devices::open_at(folder.path(), &Limits::default(), Instant::now()).unwrap();
        Self { devices, events, folder }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.path().join(file), text).unwrap();
    }

    fn pin(&self, grant: &str) -> PinSpec {
        match parse_grant(grant, self.folder.path()).unwrap() {
            Grant::Pin(pin) => pin,
            other => panic!("{other} is no pin"),
        }
    }

    fn sensor(&self, grant: &str) -> SensorSpec {
        match parse_grant(grant, self.folder.path()).unwrap() {
            Grant::Sensor(sensor) => sensor,
            other => panic!("{other} is no sensor"),
        }
    }

    fn event(&mut self) -> Event {
        let mut event = None;
        until(|| {
            event = self.events.try_recv().ok();
            event.is_some()
        });
        event.unwrap()
    }
}

#[track_caller]
fn until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "it did not happen in {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_lease_runs_out_on_the_device_thread() {
    let mut bench = Bench::open();
    let spec = bench.pin("{ pin = \"bench:heater\", safe = \"high\", lease = \"20ms\" }");
    let pin = bench.devices.claim(OWNER, &spec).unwrap();
    assert_eq!(bench.devices.level(pin), Some(true), "a claim applies the safe level");
    bench.devices.drive(pin, false).unwrap();
    assert_eq!(bench.event(), Event::Expired { pin });
    assert_eq!(bench.devices.level(pin), Some(true));
}

#[test]
fn held_pins_can_be_seen_and_have_one_holder() {
    let bench = Bench::open();
    let spec = bench.pin("{ pin = \"bench:heater\", safe = \"low\", lease = \"1h\" }");
    let pin = bench.devices.claim(OWNER, &spec).unwrap();
    bench.devices.drive(pin, true).unwrap();
    let state = bench.devices.pins().remove(0);
    assert_eq!((state.pin, state.owner, &state.spec), (pin, OWNER, &spec));
    assert_eq!((state.level, state.edges), (Some(true), 0));
    assert!(state.lease_left.unwrap() > Duration::from_secs(3_000));
    let error = bench.devices.claim(ActorId([2; 16]), &spec).unwrap_err().to_string();
    assert!(error.contains("pin = \"bench:heater\"") && error.contains("held by"), "{error}");
    bench.devices.unclaim(pin).unwrap();
    assert!(bench.devices.pins().is_empty());
    bench.devices.claim(ActorId([2; 16]), &spec).unwrap();
    bench.devices.close();
    assert!(bench.devices.claim(OWNER, &spec).unwrap_err().to_string().contains("stopping"));
}

#[test]
fn a_button_is_pressed_by_its_script() {
    let mut bench = Bench::open();
    bench.write("presses.csv", "ms,level\n1,1\n4,0\n");
    let spec = bench.pin("{ pin = \"bench:button?script=presses.csv\", input = \"both\" }");
    let pin = bench.devices.claim(OWNER, &spec).unwrap();
    let edges = [bench.event(), bench.event()];
    let Event::Edge { at, .. } = edges[0] else { panic!("{edges:?}") };
    let edge = |level, at, sequence| Event::Edge { pin, level, at, sequence, dropped: 0 };
    let second = edge(false, at + Duration::from_millis(3), 2);
    assert_eq!(edges, [edge(true, at, 1), second]);
    assert_eq!(bench.devices.level(pin), Some(false));
}

#[test]
fn a_trace_is_played_and_shared() {
    let bench = Bench::open();
    bench.write("sf.csv", "temp,date\n47.8,2010\n47.4,2010\n46.9,2010\n");
    let spec = bench.sensor("sensor:bench:sf.csv/temp?every=5ms");
    let sensor = bench.devices.sensor(&spec).unwrap();
    let first = bench.devices.last(sensor).expect("the first row is there at once");
    assert_eq!(bench.devices.sensor(&spec).unwrap(), sensor);
    bench.devices.drop_sensor(sensor);
    until(|| bench.devices.last(sensor).unwrap().value == 46.9);
    assert!(bench.devices.last(sensor).unwrap().at > first.at);
    bench.devices.drop_sensor(sensor);
    assert_eq!(bench.devices.last(sensor), None);
}

#[test]
fn what_this_machine_lacks_is_refused_by_its_grant() {
    let bench = Bench::open();
    for (grant, word) in [
        ("sensor:bench:nothing.csv/temp", "nothing.csv"),
        ("sensor:hwmon:coretemp/temp1", "this machine has none under"),
        ("sensor:thermal:cpu-thermal", "this machine has none under"),
        ("sensor:proc:loadavg", "proc/loadavg"),
    ] {
        let error = bench.devices.sensor(&bench.sensor(grant)).unwrap_err().to_string();
        let named = grant.split('/').next_back().unwrap();
        assert!(error.contains("grant sensor:") && error.contains(named), "{error}");
        assert!(error.contains(word) && !error.contains('\n'), "{error}");
    }
    let spec = bench.pin("{ pin = \"gpio:EDGE_HOST_HAS_NO_SUCH_LINE\", safe = \"low\" }");
    let error = bench.devices.claim(OWNER, &spec).unwrap_err().to_string();
    assert!(error.contains("gpio:EDGE_HOST_HAS_NO_SUCH_LINE") && !error.contains('\n'), "{error}");
    assert!(bench.devices.pins().is_empty());
    let spec = bench.pin("{ pin = \"bench:x?script=gone.csv\", input = \"both\" }");
    let error = bench.devices.claim(OWNER, &spec).unwrap_err().to_string();
    assert!(error.contains("gone.csv"), "{error}");
}

#[test]
fn a_sensor_of_this_machine_is_sampled_by_the_thread() {
    let (devices, _events) = Devices::open(&Limits::default(), Instant::now()).unwrap();
    let Grant::Sensor(spec) = parse_grant("sensor:proc:uptime?every=5ms", Path::new("/")).unwrap()
    else {
        panic!()
    };
    let sensor = devices.sensor(&spec).unwrap();
    let first = devices.last(sensor).unwrap();
    until(|| devices.last(sensor).unwrap().value > first.value);
}

#[test]
fn closing_makes_every_output_safe() {
    let (bench, line) = (Bench::open(), watched::Watched::default());
    let spec = bench.pin("{ pin = \"bench:heater\", safe = \"low\" }");
    let mut pins = lock(&bench.devices.shared.pins);
    let pin = pins.hold(OWNER, &spec, "watched".into(), Box::new(line.clone()));
    drop(pins);
    bench.devices.drive(pin, true).unwrap();
    assert!(line.is_high());
    drop(bench.devices);
    assert!(!line.is_high());
}

mod watched {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    /// An output whose level can be seen after it is let go.
    #[derive(Clone, Default)]
    pub struct Watched(Arc<AtomicBool>);

    impl Watched {
        pub fn is_high(&self) -> bool {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl super::Line for Watched {
        fn drive(&mut self, high: bool) -> Result<(), String> {
            self.0.store(high, Ordering::SeqCst);
            Ok(())
        }

        fn level(&mut self, _now: Duration) -> Result<bool, String> {
            Ok(self.is_high())
        }
    }
}
