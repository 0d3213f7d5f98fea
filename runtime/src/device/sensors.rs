//! All sensors: who wants them, when those that are sampled are due, what they read last.

use std::collections::BTreeMap;
use std::time::Duration;

use super::backend::Probe;
use super::topic::Published;
use super::{DeviceError, Reading, SensorId};
use crate::address::TopicId;
use crate::config::grant::{SensorSource, SensorSpec};

/// All sensors.
pub(super) struct Sensors {
    open: BTreeMap<SensorId, Sensor>,
    next: u64,
    most: usize,
    published: Published,
}

struct Sensor {
    spec: SensorSpec,
    users: usize,
    /// The topic that it is, if it is not sampled.
    topic: Option<TopicId>,
    /// `None` while it is being read, and if it is a topic.
    probe: Option<Box<dyn Probe>>,
    /// `None` if it is a topic.
    due: Option<Duration>,
    last: Option<Reading>,
    /// So that a sensor that stays broken is logged once.
    failing: bool,
}

impl Sensors {
    pub fn new(most: usize) -> Self {
        Self { open: BTreeMap::new(), next: 0, most, published: Published::default() }
    }

    /// One more user of a sensor that is open already.
    pub fn share(&mut self, spec: &SensorSpec) -> Option<SensorId> {
        let (id, sensor) = self.open.iter_mut().find(|(_, sensor)| sensor.spec == *spec)?;
        sensor.users += 1;
        Some(*id)
    }

    /// A sensor that was opened and read for the first time at `now`; a topic has no probe.
    pub fn add(
        &mut self,
        spec: &SensorSpec,
        probe: Option<Box<dyn Probe>>,
        first: Option<f64>,
        now: Duration,
    ) -> Result<SensorId, DeviceError> {
        if let Some(id) = self.share(spec) {
            return Ok(id);
        }
        if self.open.len() >= self.most {
            let grant = spec.to_string();
            return Err(DeviceError::TooMany { grant, limit: "sensors", most: self.most });
        }
        self.next += 1;
        let last = first.map(|value| Reading { value, at: now });
        let due = probe.as_ref().map(|_| now.saturating_add(spec.every));
        let topic = match &spec.source {
            SensorSource::Topic { name } => Some(TopicId::named(name)),
            _ => None,
        };
        let sensor =
            Sensor { spec: spec.clone(), topic, users: 1, probe, due, last, failing: false };
        self.open.insert(SensorId(self.next), sensor);
        Ok(SensorId(self.next))
    }

    /// One user less; the last one closes it.
    pub fn drop_user(&mut self, id: SensorId) {
        if let Some(sensor) = self.open.get_mut(&id) {
            sensor.users -= 1;
            if sensor.users == 0 {
                self.open.remove(&id);
            }
        }
    }

    pub fn last(&self, id: SensorId) -> Option<Reading> {
        let sensor = self.open.get(&id)?;
        sensor.topic.map_or(sensor.last, |topic| self.published.last(topic))
    }

    /// When the next sensor is due.
    pub fn due(&self) -> Option<Duration> {
        self.open.values().filter_map(|sensor| sensor.due).min()
    }

    /// Hands out the sensors that are due, to be read without any lock and given to
    /// [`Sensors::publish`]. Periods that were missed are not caught up on.
    pub fn take_due(&mut self, now: Duration) -> Vec<(SensorId, Box<dyn Probe>)> {
        let mut due = Vec::new();
        for (id, sensor) in &mut self.open {
            let Some(was) = sensor.due.filter(|due| *due <= now) else {
                continue;
            };
            let every = sensor.spec.every.as_nanos().max(1);
            let late = (now - was).as_nanos() % every;
            let left = Duration::from_nanos(u64::try_from(every - late).unwrap_or(u64::MAX));
            sensor.due = Some(now.saturating_add(left));
            due.extend(sensor.probe.take().map(|probe| (*id, probe)));
        }
        due
    }

    /// Takes back a sensor with what it read.
    pub fn publish(
        &mut self,
        id: SensorId,
        probe: Box<dyn Probe>,
        read: Result<Option<f64>, String>,
        now: Duration,
    ) {
        let Some(sensor) = self.open.get_mut(&id) else {
            return;
        };
        sensor.probe = Some(probe);
        match read {
            Ok(value) => {
                sensor.failing = false;
                let reading = value.map(|value| Reading { value, at: now });
                sensor.last = reading.or(sensor.last);
            }
            Err(why) => {
                if !std::mem::replace(&mut sensor.failing, true) {
                    tracing::warn!("{}: {why}; its last reading stays", sensor.spec);
                }
            }
        }
    }

    /// A reading was published on a topic.
    pub fn tell(&mut self, topic: TopicId, reading: Reading) {
        let read = |topic| self.open.values().any(|sensor| sensor.topic == Some(topic));
        self.published.keep(topic, reading, self.most, read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::grant::ProcReading;

    struct Fixed;

    impl Probe for Fixed {
        fn read(&mut self, _now: Duration) -> Result<Option<f64>, String> {
            Ok(None)
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn spec(every: u64) -> SensorSpec {
        SensorSpec { source: SensorSource::Proc(ProcReading::Uptime), every: ms(every) }
    }

    #[test]
    fn a_sensor_is_due_every_period_and_missed_ones_are_let_go() {
        let mut sensors = Sensors::new(2);
        let id = sensors.add(&spec(100), Some(Box::new(Fixed)), Some(1.0), ms(5)).unwrap();
        assert_eq!(sensors.due(), Some(ms(105)));
        assert!(sensors.take_due(ms(104)).is_empty());
        let (same, probe) = sensors.take_due(ms(110)).pop().unwrap();
        assert_eq!((same, sensors.due()), (id, Some(ms(205))));
        sensors.publish(id, probe, Ok(Some(2.0)), ms(110));
        assert_eq!(sensors.last(id), Some(Reading { value: 2.0, at: ms(110) }));
        assert_eq!(sensors.take_due(ms(1_000)).len(), 1);
        assert_eq!(sensors.due(), Some(ms(1_005)));
    }

    #[test]
    fn a_failing_sensor_keeps_its_last_reading() {
        let mut sensors = Sensors::new(2);
        let id = sensors.add(&spec(100), Some(Box::new(Fixed)), Some(1.0), ms(0)).unwrap();
        sensors.publish(id, Box::new(Fixed), Err("unplugged".into()), ms(100));
        assert_eq!(sensors.last(id), Some(Reading { value: 1.0, at: ms(0) }));
        assert!(sensors.open[&id].failing);
        sensors.publish(id, Box::new(Fixed), Ok(None), ms(200));
        assert!(!sensors.open[&id].failing);
    }

    #[test]
    fn a_sensor_that_is_a_topic_is_never_due_and_reads_what_was_published() {
        let mut sensors = Sensors::new(2);
        let published = |value| Reading { value, at: ms(7) };
        sensors.tell(TopicId::named("before"), published(1.0));
        let spec = |name: &str| SensorSpec {
            source: SensorSource::Topic { name: name.into() },
            every: Duration::ZERO,
        };
        let before = sensors.add(&spec("before"), None, None, ms(8)).unwrap();
        let after = sensors.add(&spec("after"), None, None, ms(8)).unwrap();
        let last = [before, after].map(|id| sensors.last(id));
        assert_eq!((sensors.due(), last), (None, [Some(published(1.0)), None]));
        sensors.tell(TopicId::named("after"), published(2.0));
        assert!(sensors.take_due(ms(1_000)).is_empty());
        assert_eq!(sensors.last(after), Some(published(2.0)));
        sensors.drop_user(after);
        assert_eq!(sensors.last(after), None);
    }

    #[test]
    fn equal_specs_share_a_sensor_until_the_last_user_is_gone() {
        let mut sensors = Sensors::new(1);
        let id = sensors.add(&spec(100), Some(Box::new(Fixed)), None, ms(0)).unwrap();
        assert_eq!(sensors.share(&spec(100)), Some(id));
        assert_eq!(sensors.share(&spec(200)), None);
        let full = sensors.add(&spec(200), Some(Box::new(Fixed)), None, ms(0)).unwrap_err();
        assert!(full.to_string().contains("sensors = "), "{full}");
        sensors.drop_user(id);
        assert_eq!(sensors.due(), Some(ms(100)));
        sensors.drop_user(id);
        sensors.drop_user(id);
        assert_eq!((sensors.due(), sensors.last(id)), (None, None));
    }
}
