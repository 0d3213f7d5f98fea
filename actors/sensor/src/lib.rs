//! Samples a sensor, smooths it, and publishes its readings when they say something new.

mod filter;

use std::time::Duration;

use guest_sdk::{Actor, Context, Result, Sensor, Topic};
use serde::{Deserialize, Serialize};

pub use filter::Filter;

/// Reads the sensor granted as `source`, publishes on the topic granted as `out`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sampler {
    source: Sensor,
    out: Topic,
    settings: Settings,
    filter: Filter,
    /// When the last reading that was taken in was made, on the turn clock.
    taken: Option<Duration>,
    last: Option<Reading>,
    published: Option<(Reading, Duration)>,
}

/// What the actor takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Message {
    /// It is time to sample.
    Tick,
    /// Sample otherwise from now on, also after a restart. Answered with [`Answer::Tuned`] or
    /// [`Answer::Refused`].
    Tune(Settings),
    /// What was the last reading? Answered with [`Answer::Last`].
    Last,
}

/// What the actor answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// The last reading, if there is one yet.
    Last(Option<Reading>),
    /// The settings are taken.
    Tuned,
    /// The settings are not taken, and why.
    Refused(String),
}

/// What the actor publishes. Subscribers have a variant of this name and shape in their messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Published {
    /// A reading that differs from the one before, or the same again as a sign of life.
    Reading(Reading),
}

/// A smoothed reading, in the unit that the sensor's grant names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The smoothed value.
    pub value: f64,
    /// The value as it was read.
    pub raw: f64,
    /// When it was read: milliseconds since 1970, if the node knows the time.
    pub at: Option<u64>,
    /// The sensor's name, the same whatever node it is on; empty if none is set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// How to sample. What is left out of a [`Message::Tune`] has its default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Milliseconds between two samples: 10 to a day; 1000 by default.
    pub period: u64,
    /// Share of a new value in the moving average, above 0 and up to 1; 0.3 by default.
    pub weight: f64,
    /// Least difference to the reading published before, in the sensor's unit; 0.1 by default.
    pub step: f64,
    /// Milliseconds after which a reading is published though it is much the same; 30 000 by
    /// default.
    pub keep_alive: u64,
    /// The name in published readings, up to 64 bytes; empty by default.
    pub name: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { period: 1000, weight: 0.3, step: 0.1, keep_alive: 30_000, name: String::new() }
    }
}

/// The durable key of the settings.
const SETTINGS: &str = "settings";

/// Milliseconds: nothing needs a sample more often over a published reading, ...
const SHORTEST: u64 = 10;
/// ... and a day is long enough for everything.
const LONGEST: u64 = 86_400_000;
/// Bytes of a sensor's name, which goes out with every reading.
const NAME_BYTES: usize = 64;
/// After so many periods without a new reading the average begins anew.
const GAP: u32 = 10;

impl Settings {
    /// Why these are no settings to sample by.
    ///
    /// # Errors
    /// One line for people: what is wrong, and what it may be.
    pub fn check(&self) -> Result<(), String> {
        let time = SHORTEST..=LONGEST;
        if !time.contains(&self.period) || !time.contains(&self.keep_alive) {
            return Err(format!(
                "period {} and keep_alive {} are milliseconds: give {SHORTEST} to {LONGEST}",
                self.period, self.keep_alive
            ));
        }
        if !(self.weight > 0.0 && self.weight <= 1.0) {
            return Err(format!("weight {} is a share: give more than 0, up to 1", self.weight));
        }
        if !(self.step >= 0.0 && self.step.is_finite()) {
            return Err(format!("step {} is a difference: give 0 or more", self.step));
        }
        if self.name.len() > NAME_BYTES {
            return Err(format!("the name is longer than {NAME_BYTES} bytes: shorten it"));
        }
        Ok(())
    }

    fn period(&self) -> Duration {
        Duration::from_millis(self.period)
    }
}

impl Actor for Sampler {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        let settings: Settings = cx.get(SETTINGS)?.unwrap_or_default();
        cx.every(settings.period(), Message::Tick);
        Ok(Self {
            source: cx.sensor("source")?,
            out: cx.topic("out")?,
            settings,
            filter: Filter::default(),
            taken: None,
            last: None,
            published: None,
        })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        match message {
            Message::Tick => self.sample(cx),
            Message::Last => {
                cx.reply(Answer::Last(self.last.clone()));
            }
            Message::Tune(settings) => {
                let answer = match settings.check() {
                    Ok(()) => {
                        cx.put(SETTINGS, &settings)?;
                        cx.every(settings.period(), Message::Tick);
                        self.settings = settings;
                        Answer::Tuned
                    }
                    Err(why) => {
                        cx.log(&why);
                        Answer::Refused(why)
                    }
                };
                cx.reply(answer);
            }
        }
        Ok(())
    }
}

impl Sampler {
    /// Takes in a reading that was not taken in before, if there is one, and publishes what is new.
    fn sample(&mut self, cx: &mut Context<Self>) {
        let Some(read) = self.source.last(cx) else {
            return;
        };
        if self.taken == Some(read.at) {
            return;
        }
        let gap = self.taken.map_or(Duration::ZERO, |taken| read.at.saturating_sub(taken));
        if gap > self.settings.period() * GAP {
            self.filter = Filter::default();
        }
        self.taken = Some(read.at);
        let Some(value) = self.filter.feed(read.exact, self.settings.weight) else {
            return;
        };
        let age = cx.now().saturating_sub(read.at);
        let at = cx.wall().map(|wall| wall.saturating_sub(age).as_millis() as u64);
        let reading = Reading { value, raw: read.exact, at, name: self.settings.name.clone() };
        if self.is_news(value, cx.now()) {
            self.published = Some((reading.clone(), cx.now()));
            cx.publish(self.out, Published::Reading(reading.clone()));
        }
        self.last = Some(reading);
    }

    fn is_news(&self, value: f64, now: Duration) -> bool {
        self.published.as_ref().is_none_or(|(published, at)| {
            let changed = (value - published.value).abs();
            let silent = now.saturating_sub(*at).as_millis() as u64;
            (changed >= self.settings.step && changed > 0.0) || silent >= self.settings.keep_alive
        })
    }
}
