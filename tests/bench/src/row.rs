//! A row: what is measured on which sides, and what became of it.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};

use crate::stamp::Stamp;
use crate::stats::Rounds;

/// Measures once; gives a figure in the row's unit.
pub type Measure = Box<dyn FnMut() -> anyhow::Result<f64>>;

/// Which figures are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// A rate.
    Higher,
    /// A time or a size.
    Lower,
}

/// One side of a row.
pub struct Side {
    name: &'static str,
    measure: Result<Measure, String>,
    rounds: Rounds,
    /// It measures what the row is about, and not only what stands beside it.
    compared: bool,
}

/// A row under measurement. Its first side is ours.
pub struct Row {
    /// Its key in bench.json.
    pub key: &'static str,
    unit: &'static str,
    better: Better,
    /// The side that the ratio is taken against, if there is one.
    against: Option<&'static str>,
    /// The side that shows what is possible at all, if one does.
    limit: Option<&'static str>,
    sides: Vec<Side>,
}

impl Row {
    /// A row whose ratio is ours against the side named `against`.
    pub fn new(
        key: &'static str,
        unit: &'static str,
        better: Better,
        against: &'static str,
    ) -> Self {
        Self { against: Some(against), ..Self::alone(key, unit, better) }
    }

    /// A row that has only our side.
    pub fn alone(key: &'static str, unit: &'static str, better: Better) -> Self {
        Self { key, unit, better, against: None, limit: None, sides: Vec::new() }
    }

    /// Names the side that is the limit.
    pub fn limit(mut self, name: &'static str) -> Self {
        self.limit = Some(name);
        self
    }

    /// One more side; an error says why it is missing.
    pub fn side(mut self, name: &'static str, measure: anyhow::Result<Measure>) -> Self {
        let measure = measure.map_err(|error| format!("{error:#}"));
        self.sides.push(Side { name, measure, rounds: Rounds::default(), compared: true });
        self
    }

    /// One that has another figure to show, which no ratio is taken of.
    pub fn beside(self, name: &'static str, measure: anyhow::Result<Measure>) -> Self {
        let mut row = self.side(name, measure);
        row.sides
            .iter_mut()
            .filter(|side| side.name == name)
            .for_each(|side| side.compared = false);
        row
    }

    /// Measures all sides in turn, `rounds` times; fewer if one more, as long as the last, would
    /// end after `until`. A side that fails is out, with its reason.
    pub fn measure(&mut self, rounds: usize, until: Option<Instant>) {
        let mut last = Duration::ZERO;
        for round in 0..rounds {
            let began = Instant::now();
            if round > 0 && until.is_some_and(|until| began + last > until) {
                break;
            }
            for side in &mut self.sides {
                let Ok(measure) = &mut side.measure else { continue };
                match measure().with_context(|| side.name) {
                    Ok(figure) => side.rounds.add(figure),
                    Err(error) => side.measure = Err(format!("{error:#}")),
                }
            }
            last = began.elapsed();
        }
    }

    /// The row in `bench.json`: rows of other times stay there, so each says how it was measured.
    pub fn json(&self, stamp: &Stamp) -> Value {
        let mut peers = serde_json::Map::new();
        let mut missing = serde_json::Map::new();
        for side in &self.sides {
            if let Err(why) = &side.measure {
                missing.insert(side.name.into(), why.as_str().into());
            }
            if let (Some(median), Some((least, most))) =
                (side.rounds.median(), side.rounds.spread())
            {
                let figures = json!({
                    "median": round(median), "least": round(least), "most": round(most),
                    "rounds": side.rounds.count(),
                });
                peers.insert(side.name.into(), figures);
            }
        }
        json!({
            "ours": self.median("ours").map(round),
            "peer": self.against.and_then(|name| self.median(name)).map(round),
            "ratio": self.ratio().map(round),
            "limit": self.limit.and_then(|name| self.median(name)).map(round),
            "unit": self.unit,
            "peer_name": self.against,
            "limit_name": self.limit,
            "rounds": self.sides.iter().map(|side| side.rounds.count()).max(),
            "sides": peers,
            "missing": missing,
            "measured": stamp.at,
            "commit": stamp.commit,
            "processors": stamp.processors,
            "quick": stamp.quick,
        })
    }

    /// The row for people.
    pub fn text(&self) -> String {
        let mut text = format!("{} ({})\n", self.key, self.unit);
        for side in &self.sides {
            let _ = match (side.rounds.median(), side.rounds.spread(), &side.measure) {
                (Some(_), _, Err(why)) => {
                    let round = side.rounds.count() + 1;
                    writeln!(text, "  {:<22} failed in round {round}: {why}", side.name)
                }
                (Some(median), Some((least, most)), Ok(_)) => {
                    let ratio = match self.ratio_to(side.name) {
                        Some(ratio) if side.name != "ours" && side.compared => {
                            format!("  ours × {ratio:.2}")
                        }
                        _ => String::new(),
                    };
                    let mark = if Some(side.name) == self.against { '*' } else { ' ' };
                    let (name, median) = (side.name, number(median));
                    let spread = format!("{} … {}", number(least), number(most));
                    writeln!(text, " {mark}{name:<22} {median:>12}   {spread:<28}{ratio}")
                }
                (_, _, Err(why)) => writeln!(text, "  {:<22} missing: {why}", side.name),
                _ => writeln!(text, "  {:<22} not measured", side.name),
            };
        }
        text
    }

    /// Above 1: ours is better.
    fn ratio(&self) -> Option<f64> {
        self.ratio_to(self.against?)
    }

    fn ratio_to(&self, name: &str) -> Option<f64> {
        let (ours, peer) = (self.median("ours")?, self.median(name)?);
        Some(if self.better == Better::Higher { ours / peer } else { peer / ours })
    }

    /// Of a side that failed in a later round, none.
    fn median(&self, name: &str) -> Option<f64> {
        let side = self.sides.iter().find(|side| side.name == name)?;
        side.measure.as_ref().ok()?;
        side.rounds.median()
    }
}

/// Four digits are more than the machine's noise leaves.
fn round(figure: f64) -> f64 {
    let digits = 4 - figure.abs().max(1e-9).log10().ceil() as i32;
    let scale = 10f64.powi(digits);
    (figure * scale).round() / scale
}

fn number(figure: f64) -> String {
    let figure = round(figure);
    match figure.abs() {
        0.0..1.0 => figure.to_string(),
        1.0..100.0 => format!("{figure:.2}"),
        100.0..100_000.0 => format!("{figure:.0}"),
        100_000.0..1e6 => format!("{:.0} k", figure / 1e3),
        _ => format!("{:.3} M", figure / 1e6),
    }
}
