//! The bench: pins that follow a script, sensors that play a recorded trace.

use std::path::Path;
use std::time::Duration;

use super::backend::{Change, Line, Probe};
use super::rows;
use crate::config::grant::{Edges, Pull};

/// A simulated output: it remembers its level.
pub(super) struct Output {
    level: bool,
}

/// A simulated input: it plays its script from the time it was opened.
pub(super) struct Input {
    opened: Duration,
    level: bool,
    edges: Edges,
    /// Times since `opened`, and the level from then on; each differs from the one before.
    script: std::vec::IntoIter<(Duration, bool)>,
}

/// A recorded trace: one row a period, the last one stays.
pub(super) struct Trace {
    name: String,
    opened: Duration,
    every: Duration,
    values: Vec<f64>,
    played: Option<usize>,
}

impl Output {
    pub fn new(level: bool) -> Self {
        Self { level }
    }
}

impl Line for Output {
    fn drive(&mut self, high: bool) -> Result<(), String> {
        self.level = high;
        Ok(())
    }

    fn level(&mut self, _now: Duration) -> Result<bool, String> {
        Ok(self.level)
    }
}

impl Input {
    /// An input whose script, if there is one, starts at `now`.
    pub fn open(
        script: Option<&Path>,
        (edges, pull, debounce): (Edges, Option<Pull>, Option<Duration>),
        most: u64,
        now: Duration,
    ) -> Result<Self, String> {
        let mut levels = match script {
            Some(file) => steps(&rows::read(file, most)?)
                .map_err(|why| format!("{}: {why}", file.display()))?,
            None => Vec::new(),
        };
        let mut level = pull == Some(Pull::Up);
        let at_once = levels.iter().take_while(|(at, _)| at.is_zero()).count();
        for (_, first) in levels.drain(..at_once) {
            level = first;
        }
        let script = settle(level, &levels, debounce.unwrap_or_default()).into_iter();
        Ok(Self { opened: now, level, edges, script })
    }
}

impl Line for Input {
    fn level(&mut self, now: Duration) -> Result<bool, String> {
        let since = now.saturating_sub(self.opened);
        let past = self.script.as_slice().iter().take_while(|(at, _)| *at <= since).last();
        Ok(past.map_or(self.level, |(_, level)| *level))
    }

    fn changes(&mut self, now: Duration, found: &mut Vec<Change>) -> Result<(), String> {
        while self.next().is_some_and(|at| at <= now) {
            let Some((at, level)) = self.script.next() else {
                break;
            };
            self.level = level;
            let wanted = match self.edges {
                Edges::Rising => level,
                Edges::Falling => !level,
                Edges::Both => true,
                Edges::None => false,
            };
            if wanted {
                found.push(Change { level, at: self.opened + at, missed: 0 });
            }
        }
        Ok(())
    }

    fn next(&self) -> Option<Duration> {
        self.script.as_slice().first().map(|(at, _)| self.opened.saturating_add(*at))
    }
}

impl Trace {
    /// A column of a CSV file with a header, from its first row at `now`.
    pub fn open(
        (file, column): (&Path, &str),
        every: Duration,
        most: u64,
        now: Duration,
    ) -> Result<Self, String> {
        let name = format!("{}/{column}", file.display());
        let values = values(&rows::read(file, most)?, column)
            .map_err(|why| format!("{}: {why}", file.display()))?;
        Ok(Self { name, opened: now, every, values, played: None })
    }
}

impl Probe for Trace {
    fn read(&mut self, now: Duration) -> Result<Option<f64>, String> {
        let last = self.values.len() - 1;
        let periods = now.saturating_sub(self.opened).as_nanos() / self.every.as_nanos().max(1);
        let row = usize::try_from(periods).unwrap_or(usize::MAX);
        if self.played == Some(last) {
            return Ok(None);
        }
        if row >= last {
            let rows = self.values.len();
            tracing::info!("{}: the last of {rows} rows is played, its reading stays", self.name);
        }
        self.played = Some(row.min(last));
        Ok(Some(self.values[row.min(last)]))
    }
}

/// The numbers of one column; never none.
fn values(text: &str, column: &str) -> Result<Vec<f64>, String> {
    let mut rows = rows::rows(text);
    let (_, header) = rows.next().ok_or("there is no header: write one, then a row a reading")?;
    let place = header.iter().position(|name| *name == column);
    let place = place
        .ok_or_else(|| format!("there is no column {column:?}: there are {}", header.join(", ")))?;
    let values = rows.map(|(line, row)| {
        let value = row.get(place).and_then(|field| field.parse::<f64>().ok());
        value.filter(|value| value.is_finite()).ok_or_else(|| {
            format!("line {line} has no number in column {column:?}: mend it or take it out")
        })
    });
    let values = values.collect::<Result<Vec<_>, _>>()?;
    match values.is_empty() {
        true => Err("there are no rows under the header: record some".into()),
        false => Ok(values),
    }
}

/// The steps of a script: rows of milliseconds and level, with or without the header `ms,level`.
fn steps(text: &str) -> Result<Vec<(Duration, bool)>, String> {
    let mut steps = Vec::<(Duration, bool)>::new();
    for (line, row) in rows::rows(text).filter(|(_, row)| row[..] != ["ms", "level"]) {
        let wrong = || format!("line {line} is no step: write milliseconds, a comma, 0 or 1");
        let [at, level] = row[..] else {
            return Err(wrong());
        };
        let at = Duration::from_millis(at.parse().map_err(|_| wrong())?);
        let level = match level {
            "0" | "low" => false,
            "1" | "high" => true,
            _ => return Err(wrong()),
        };
        if steps.last().is_some_and(|(before, _)| *before > at) {
            return Err(format!("line {line} goes back in time: sort the rows"));
        }
        steps.push((at, level));
    }
    Ok(steps)
}

/// The changes that last at least `debounce`, each when it has lasted so long.
fn settle(first: bool, steps: &[(Duration, bool)], debounce: Duration) -> Vec<(Duration, bool)> {
    let mut moves = steps.to_vec();
    // Steps that change nothing, and all but the last of one instant, are no changes of the line.
    let mut raw = first;
    moves.retain(|(_, level)| std::mem::replace(&mut raw, *level) != *level);
    let mut changes = Vec::new();
    let mut level = first;
    for (place, (at, to)) in moves.iter().enumerate() {
        let until = moves.get(place + 1).map_or(Duration::MAX, |(next, _)| *next);
        if *to != level && until.saturating_sub(*at) >= debounce.max(Duration::from_nanos(1)) {
            changes.push((at.saturating_add(debounce), *to));
            level = *to;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn input(script: &str, edges: Edges, debounce: Option<Duration>) -> Input {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("s.csv");
        std::fs::write(&file, script).unwrap();
        Input::open(Some(&file), (edges, None, debounce), 1000, ms(100)).unwrap()
    }

    fn played(input: &mut Input, until: Duration) -> Vec<(u64, bool)> {
        let mut found = Vec::new();
        input.changes(until, &mut found).unwrap();
        found.iter().map(|change| (change.at.as_millis() as u64, change.level)).collect()
    }

    #[test]
    fn a_script_plays_from_the_claim() {
        let mut input = input("ms,level\n0,1\n# pressed\n10,0\n10,0\n30,1\n", Edges::Both, None);
        assert_eq!(input.level(ms(100)), Ok(true));
        assert_eq!(input.next(), Some(ms(110)));
        assert_eq!(played(&mut input, ms(109)), []);
        assert_eq!(input.level(ms(115)), Ok(false));
        assert_eq!(played(&mut input, ms(500)), [(110, false), (130, true)]);
        assert_eq!((input.level(ms(500)), input.next()), (Ok(true), None));
    }

    #[test]
    fn only_the_edges_that_are_granted_come() {
        let script = "5,1\n10,0\n15,1\n";
        assert_eq!(played(&mut input(script, Edges::Rising, None), ms(500)).len(), 2);
        assert_eq!(played(&mut input(script, Edges::Falling, None), ms(500)), [(110, false)]);
        assert_eq!(played(&mut input(script, Edges::None, None), ms(500)), []);
    }

    #[test]
    fn a_bouncing_contact_is_one_edge() {
        let mut input = input("10,1\n11,0\n12,1\n40,0\n", Edges::Both, Some(ms(5)));
        assert_eq!(played(&mut input, ms(500)), [(117, true), (145, false)]);
    }

    #[test]
    fn a_trace_plays_a_row_a_period_and_its_last_reading_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.csv");
        std::fs::write(&file, "date,temp\n2010/01/01 00:00,39.4\n2010/01/01 01:00,39.2\n").unwrap();
        let mut trace = Trace::open((&file, "temp"), ms(10), 1000, ms(100)).unwrap();
        assert_eq!(trace.read(ms(100)), Ok(Some(39.4)));
        assert_eq!(trace.read(ms(110)), Ok(Some(39.2)));
        assert_eq!(trace.read(ms(120)), Ok(None));
        let error = Trace::open((&file, "humidity"), ms(10), 1000, ms(0)).err().unwrap();
        assert!(error.contains("there are date, temp"), "{error}");
        let error = Trace::open((&file, "temp"), ms(10), 10, ms(0)).err().unwrap();
        assert!(error.contains("trace-bytes"), "{error}");
    }

    #[test]
    fn a_broken_trace_or_script_is_refused_with_its_line() {
        assert!(values("", "t").unwrap_err().contains("no header"));
        assert!(values("t\n", "t").unwrap_err().contains("no rows"));
        assert!(values("t\n1\nnan\n", "t").unwrap_err().contains("line 3"));
        assert!(steps("10,1\n5,0\n").unwrap_err().contains("back in time"));
        assert!(steps("ms,level\n10,up\n").unwrap_err().contains("line 2"));
        assert!(steps("10\n").unwrap_err().contains("line 1"));
    }
}
