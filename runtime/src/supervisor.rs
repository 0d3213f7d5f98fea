//! Decides what happens when an actor ends or a message crashes it: a pure function of what
//! happened, what happened before, and now. Times are durations since the node started.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::config::{Restart, When};
use crate::limits::Limits;

/// How an incarnation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Its parent or an administrator stopped it: it is never started again.
    Stopped,
    /// It stopped itself.
    Ended,
    /// It trapped, returned an error, or went past its budget.
    Failed,
}

/// What to do about an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start the actor again after this wait, and [`History::note`] the time of the decision.
    RestartAfter(Duration),
    /// It is gone for good.
    Stop(Stop),
}

/// Why an actor is gone for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked for.
    Asked,
    /// It stopped itself, and is not to be started again for that.
    Ended,
    /// It failed, and is not to be started again for that.
    Failed,
    /// It was started again as often as its `restart` allows.
    TooOften {
        /// So many times.
        max: u32,
        /// Within this window.
        within: Duration,
    },
}

/// What happens to a message that crashed its actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The next incarnation gets it again.
    Retry,
    /// It is set aside with its reason.
    SetAside,
}

/// Restarts of one actor that its window still counts: never more than its `restart.max`. Most
/// actors never have one, and take no more than a word for it.
#[derive(Clone, Debug, Default)]
pub struct History(Option<Box<Times>>);

type Times = VecDeque<Duration>;

/// Crashes of one component on this node that the quarantine's window still counts: never more
/// than `quarantine_crashes`.
#[derive(Clone, Debug, Default)]
pub struct Crashes(Times);

/// What to do about an exit at `now`. `jitter` is a random number: the wait is spread evenly over
/// zero to a ceiling that doubles with each restart in the window ("full jitter"), so that
/// actors that failed together do not come back together.
pub fn decide(
    spec: &Restart,
    history: &History,
    exit: Exit,
    now: Duration,
    jitter: u64,
    limits: &Limits,
) -> Decision {
    match (exit, spec.when) {
        (Exit::Stopped, _) => return Decision::Stop(Stop::Asked),
        (Exit::Ended, When::Failed | When::Never) => return Decision::Stop(Stop::Ended),
        (Exit::Failed, When::Never) => return Decision::Stop(Stop::Failed),
        (Exit::Ended | Exit::Failed, When::Always) | (Exit::Failed, When::Failed) => {}
    }
    let recent = history.0.as_ref().map_or(0, |times| within(times, now, spec.within));
    if recent >= spec.max as usize {
        return Decision::Stop(Stop::TooOften { max: spec.max, within: spec.within });
    }
    let doublings = u32::try_from(recent).unwrap_or(u32::MAX);
    let factor = 2_u64.checked_pow(doublings).unwrap_or(u64::MAX);
    let ceiling = limits.restart_ms.saturating_mul(factor).min(limits.restart_longest_ms);
    let nanos = ceiling.saturating_mul(1_000_000).saturating_add(1);
    Decision::RestartAfter(Duration::from_nanos(jitter % nanos))
}

/// Whether a component has crashed so often on this node that its CID is not to be started again.
pub fn quarantine(crashes: &Crashes, limits: &Limits, now: Duration) -> bool {
    let window = Duration::from_millis(limits.quarantine_ms);
    within(&crashes.0, now, window) >= limits.quarantine_crashes
}

/// What happens to a message that has crashed its actor `crashes` times.
pub fn message_verdict(crashes: u32, limits: &Limits) -> Verdict {
    if crashes < limits.message_crashes { Verdict::Retry } else { Verdict::SetAside }
}

impl History {
    /// Counts a restart.
    pub fn note(&mut self, at: Duration, spec: &Restart) {
        note(self.0.get_or_insert_default(), at, spec.max as usize);
    }
}

impl Crashes {
    /// Counts a crash.
    pub fn note(&mut self, at: Duration, limits: &Limits) {
        note(&mut self.0, at, limits.quarantine_crashes);
    }
}

/// Only the latest `most` can matter: older ones are let go.
fn note(times: &mut Times, at: Duration, most: usize) {
    times.push_back(at);
    while times.len() > most {
        times.pop_front();
    }
}

fn within(times: &Times, now: Duration, window: Duration) -> usize {
    times.iter().filter(|at| now.saturating_sub(**at) < window).count()
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("it was stopped"),
            Self::Ended => f.write_str("it stopped itself"),
            Self::Failed => f.write_str("it failed, and restarts never"),
            Self::TooOften { max, within } => {
                let within = crate::config::units::duration_text(*within);
                write!(
                    f,
                    "it was restarted {max} times within {within}: mend it, or raise restart.max"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn spec(when: When, max: u32) -> Restart {
        Restart { when, max, within: 60 * SECOND }
    }

    fn restarts(decision: Decision) -> bool {
        matches!(decision, Decision::RestartAfter(_))
    }

    #[test]
    fn each_exit_is_answered_as_the_spec_says() {
        let answer = |when, exit| {
            let limits = Limits::default();
            restarts(decide(&spec(when, 5), &History::default(), exit, SECOND, 7, &limits))
        };
        for when in [When::Always, When::Failed, When::Never] {
            assert!(!answer(when, Exit::Stopped));
        }
        assert!(answer(When::Always, Exit::Ended));
        assert!(answer(When::Always, Exit::Failed));
        assert!(!answer(When::Failed, Exit::Ended));
        assert!(answer(When::Failed, Exit::Failed));
        assert!(!answer(When::Never, Exit::Failed));
    }

    #[test]
    fn an_actor_that_fails_too_often_stays_down_until_the_window_has_passed() {
        let (spec, limits) = (spec(When::Failed, 3), Limits::default());
        let mut history = History::default();
        let decide = |history: &History, now| decide(&spec, history, Exit::Failed, now, 0, &limits);
        for second in 1..=3 {
            assert!(restarts(decide(&history, second * SECOND)));
            history.note(second * SECOND, &spec);
        }
        let stop = decide(&history, 4 * SECOND);
        let Decision::Stop(why) = stop else { panic!("{stop:?}") };
        assert!(why.to_string().contains("3 times within 1m"), "{why}");
        assert!(restarts(decide(&history, 61 * SECOND)));
    }

    #[test]
    fn a_component_that_keeps_crashing_is_quarantined_for_a_while() {
        let limits = Limits { quarantine_crashes: 2, quarantine_ms: 1_000, ..Limits::default() };
        let mut crashes = Crashes::default();
        crashes.note(SECOND, &limits);
        assert!(!quarantine(&crashes, &limits, SECOND));
        crashes.note(SECOND, &limits);
        assert!(quarantine(&crashes, &limits, SECOND));
        assert!(!quarantine(&crashes, &limits, 2 * SECOND));
    }

    #[test]
    fn a_message_is_tried_again_until_its_limit() {
        let limits = Limits { message_crashes: 3, ..Limits::default() };
        assert_eq!(message_verdict(2, &limits), Verdict::Retry);
        assert_eq!(message_verdict(3, &limits), Verdict::SetAside);
    }

    proptest! {
        #[test]
        fn no_window_holds_more_restarts_than_allowed(
            max in 1_u32..8,
            gaps in prop::collection::vec(0_u64..40_000, 1..200),
            jitter in any::<u64>(),
        ) {
            let (spec, limits) = (spec(When::Failed, max), Limits::default());
            let (mut history, mut now, mut all) = (History::default(), SECOND, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                let decision = decide(&spec, &history, Exit::Failed, now, jitter, &limits);
                if let Decision::RestartAfter(wait) = decision {
                    prop_assert!(wait <= Duration::from_millis(limits.restart_longest_ms));
                    history.note(now, &spec);
                    all.push(now);
                }
                let kept = history.0.as_ref().map_or(0, |times| times.len());
                    prop_assert!(kept <= max as usize);
            }
            for first in &all {
                let window = *first..*first + spec.within;
                prop_assert!(all.iter().filter(|at| window.contains(at)).count() <= max as usize);
            }
        }

        #[test]
        fn the_longest_wait_doubles_up_to_its_limit(before in 0_u32..40) {
            let (spec, limits) = (spec(When::Always, 100), Limits::default());
            let mut history = History::default();
            (0..before).for_each(|_| history.note(SECOND, &spec));
            let doubled = limits.restart_ms << before.min(30);
            let ceiling = Duration::from_millis(doubled.min(limits.restart_longest_ms));
            let jitter = ceiling.as_nanos() as u64;
            let longest = decide(&spec, &history, Exit::Failed, SECOND, jitter, &limits);
            prop_assert_eq!(longest, Decision::RestartAfter(ceiling));
            let wrapped = decide(&spec, &history, Exit::Failed, SECOND, jitter + 1, &limits);
            prop_assert_eq!(wrapped, Decision::RestartAfter(Duration::ZERO));
        }
    }
}
