//! An actor that does whatever a test tells it: a message is a list of steps, done in one turn.

mod step;

use std::collections::BTreeMap;

use guest_sdk::{Actor, Address, Answer, Context, Edge, Pin, Reason, Result};
use serde::{Deserialize, Serialize, Serializer};

pub use step::Step;

/// The durable key that counts the starts which ended well.
const STARTS: &str = "starts";
/// The durable key of steps to do in each start.
const AT_START: &str = "at-start";

/// Does steps, and remembers what it heard.
#[derive(Serialize, Deserialize)]
pub struct Probe {
    count: u64,
    heard: Vec<String>,
    held: BTreeMap<String, Address>,
    waiting: Option<Address>,
    at_save: AtSave,
    ballast: Vec<u8>,
}

/// What comes of saving the probe.
#[derive(Default, Deserialize)]
#[serde(from = "()")]
enum AtSave {
    #[default]
    Saved,
    Panics,
    Loops,
}

impl From<()> for AtSave {
    fn from((): ()) -> Self {
        Self::Saved
    }
}

impl Serialize for AtSave {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Saved => serializer.serialize_unit(),
            Self::Panics => panic!("told to trap when saved"),
            Self::Loops => loop {
                std::hint::spin_loop();
            },
        }
    }
}

impl Actor for Probe {
    type Message = Vec<Step>;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        let starts: u64 = cx.get(STARTS)?.unwrap_or_default();
        cx.put(STARTS, starts + 1)?;
        let mut probe = Self {
            count: 0,
            heard: Vec::new(),
            held: BTreeMap::new(),
            waiting: None,
            at_save: AtSave::default(),
            ballast: Vec::new(),
        };
        let steps: Option<Vec<Step>> = cx.get(AT_START)?;
        probe.run(steps.unwrap_or_default(), cx)?;
        // A grant of this name makes it misbehave before anybody could tell it to.
        assert!(cx.topic("start-panics").is_err(), "told to panic at start");
        Ok(probe)
    }

    fn handle(&mut self, steps: Vec<Step>, cx: &mut Context<Self>) -> Result {
        self.run(steps, cx)
    }

    fn answered(
        &mut self,
        token: u64,
        outcome: Result<Answer, Reason>,
        cx: &mut Context<Self>,
    ) -> Result {
        let outcome = match outcome {
            Ok(answer) => answer.decode::<Vec<String>>()?.join(" "),
            Err(reason) => format!("{reason:?}"),
        };
        self.hear(format!("answer {token}: {outcome}"), cx)
    }

    fn undelivered(&mut self, token: u64, reason: Reason, cx: &mut Context<Self>) -> Result {
        self.hear(format!("undelivered {token}: {reason:?}"), cx)
    }

    fn down(&mut self, token: u64, reason: Reason, cx: &mut Context<Self>) -> Result {
        self.hear(format!("down {token}: {reason:?}"), cx)
    }

    fn edge(&mut self, edge: Edge, cx: &mut Context<Self>) -> Result {
        let Edge { level, sequence, dropped, .. } = edge;
        self.hear(format!("edge {sequence}: {level}, {dropped} dropped"), cx)
    }

    fn expired(&mut self, _pin: Pin, cx: &mut Context<Self>) -> Result {
        self.hear("expired".into(), cx)
    }
}

impl Probe {
    /// What it hears is logged too: the log outlives it.
    fn hear(&mut self, what: String, cx: &mut Context<Self>) -> Result {
        cx.log(&what);
        self.heard.push(what);
        Ok(())
    }
}
