//! Messages that were announced and have not come: when to ask for them, and whom.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Broadcast, control};
use crate::event::{Counts, Output};
use crate::few::Few;
use crate::limits::{
    ANNOUNCERS, ASKED, AWAIT_FIRST, AWAIT_LEAST, AWAIT_MOST, AWAIT_NEAR, CATCH_UP, HAVE, MISSING,
    TICK,
};
use crate::saved::saved;
use crate::wire::{Id, Wire};

/// What is missing, and how long messages take after they were announced.
///
/// A message comes along the tree a while after its name came over a shorter way. How long, is
/// measured at each arrival: its mean, its mean deviation (as RFC 6298 does for round trips), and
/// the longest of late. To ask sooner than that would only fetch what is on its way.
#[derive(Debug, Default)]
pub struct Missing {
    wanted: BTreeMap<Id, Wanted>,
    due: BTreeSet<(Duration, Id)>,
    /// Until then nothing is waited for: the tree has just been broken here.
    hurry_until: Duration,
    /// Until then what a new neighbour names first is not waited for: another one was lost, and
    /// what that one would have brought does not come by itself.
    catch_up_until: Duration,
    lag: Option<Lag>,
}

saved!(Missing { wanted, due, hurry_until, catch_up_until, lag });

#[derive(Debug)]
struct Wanted {
    announcers: Vec<u32>,
    since: Duration,
    at: Duration,
    /// Whom it was asked of last.
    asked: Option<u32>,
    tries: u32,
}

saved!(Wanted { announcers, since, at, asked, tries });

#[derive(Clone, Copy, Debug)]
struct Lag {
    mean: Duration,
    deviation: Duration,
    longest: Duration,
}

saved!(Lag { mean, deviation, longest });

/// Requests in a row after which a neighbour is asked for nothing until it sends something.
const UNANSWERED: u32 = 2 * ASKED as u32;
/// A neighbour is near if another is so many times as far.
const NEAR: u32 = 10;
/// Tries before a message is left to the next digest.
const TRIES: u32 = 8;

impl Missing {
    /// When the next one is to be asked for.
    pub fn next(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Whether a message is waited for.
    pub fn awaits(&self, id: Id) -> bool {
        self.wanted.contains_key(&id)
    }

    /// A message came. Gives the neighbour that it had been asked of, if it had.
    pub fn arrived(&mut self, now: Duration, id: Id, from: u32) -> Option<u32> {
        let wanted = self.wanted.remove(&id)?;
        self.due.remove(&(wanted.at, id));
        // One that was fetched says nothing about the tree's.
        if wanted.asked.is_none() || !wanted.announcers.contains(&from) {
            self.measure(now.saturating_sub(wanted.since));
        }
        wanted.asked
    }

    /// A neighbour is gone.
    pub fn forget(&mut self, now: Duration, link: u32) {
        let mut moved = Vec::new();
        for (id, wanted) in &mut self.wanted {
            wanted.announcers.retain(|announcer| *announcer != link);
            if wanted.asked == Some(link) {
                moved.push((*id, wanted.at));
                (wanted.asked, wanted.at) = (None, now);
            }
        }
        for (id, at) in moved {
            self.due.remove(&(at, id));
            self.due.insert((now, id));
        }
    }

    /// A neighbour was lost, and others are found in its place.
    pub fn catch_up(&mut self, now: Duration) {
        self.catch_up_until = now + CATCH_UP;
    }

    /// The tree was broken here: what was announced may not come by itself.
    pub fn hurry(&mut self, now: Duration, time: Duration) {
        self.hurry_until = now + time;
        self.due.clear();
        for (id, wanted) in &mut self.wanted {
            if wanted.asked.is_none() {
                wanted.at = now;
            }
            self.due.insert((wanted.at, *id));
        }
    }

    fn announced(
        &mut self,
        now: Duration,
        link: u32,
        id: Id,
        usual: Duration,
        soon: Option<Duration>,
    ) {
        let wait = self.wait(usual).min(soon.unwrap_or(Duration::MAX));
        if let Some(wanted) = self.wanted.get_mut(&id) {
            if wanted.announcers.len() < ANNOUNCERS && !wanted.announcers.contains(&link) {
                wanted.announcers.push(link);
            }
            if soon.is_some() && wanted.asked.is_none() && now + wait < wanted.at {
                wanted.announcers.retain(|other| *other != link);
                wanted.announcers.insert(0, link);
                wanted.announcers.truncate(ANNOUNCERS);
                self.due.remove(&(wanted.at, id));
                wanted.at = now + wait;
                self.due.insert((wanted.at, id));
            }
            return;
        }
        if self.wanted.len() >= MISSING {
            return;
        }
        let at = if now < self.hurry_until { now } else { now + wait };
        let announcers = vec![link];
        self.wanted.insert(id, Wanted { announcers, since: now, at, asked: None, tries: 0 });
        self.due.insert((at, id));
    }

    /// How long a message may take to come after it was announced.
    fn wait(&self, usual: Duration) -> Duration {
        let Some(lag) = self.lag else {
            return usual.clamp(AWAIT_LEAST, AWAIT_MOST);
        };
        let long = (lag.mean + lag.deviation * 4).max(lag.longest * 5 / 4);
        long.clamp(AWAIT_LEAST, AWAIT_MOST)
    }

    fn measure(&mut self, lag: Duration) {
        let lag = lag.min(AWAIT_MOST);
        let known = self.lag.unwrap_or(Lag { mean: lag, deviation: lag / 2, longest: lag });
        let off = known.mean.abs_diff(lag);
        self.lag = Some(Lag {
            mean: known.mean * 7 / 8 + lag / 8,
            deviation: known.deviation * 3 / 4 + off / 4,
            longest: (known.longest * 63 / 64).max(lag),
        });
    }
}

impl Broadcast {
    /// A neighbour has these.
    pub(super) fn announced(&mut self, now: Duration, link: u32, ids: &[Id], counts: &mut Counts) {
        let Some(neighbour) = self.links.get_mut(&link) else { return };
        if neighbour.is_hasty(1, counts) {
            neighbour.digest_due = true;
            return;
        }
        for id in ids {
            neighbour.has(*id);
        }
        let first = !std::mem::replace(&mut neighbour.named, true);
        let usual = self.usual_wait();
        let catches_up = first && now < self.missing.catch_up_until;
        let soon = if catches_up { Some(AWAIT_LEAST) } else { self.soon(link) };
        let room = self.streams.has_room(link, &self.links);
        for id in ids {
            let lacks = self.streams.lacks(now, *id).unwrap_or(room && id.seq > 0);
            if lacks && id.stream != self.own {
                if !self.missing.awaits(*id) {
                    self.first(link);
                }
                self.missing.announced(now, link, *id, usual, soon);
            }
        }
    }

    /// How long to wait for what a neighbour has that is far nearer than others: to ask it costs
    /// little, and what comes from afar may have been lost on the way.
    fn soon(&self, link: u32) -> Option<Duration> {
        let longest = self.links.values().filter_map(|neighbour| neighbour.rtt).max()?;
        let rtt = self.links.get(&link)?.rtt?;
        (rtt * NEAR <= longest).then(|| AWAIT_NEAR.max(rtt * 2))
    }

    /// Whether some neighbours are far nearer than others.
    pub(super) fn is_wide(&self) -> bool {
        self.links.keys().any(|link| self.soon(*link).is_some())
    }

    /// How long to wait while nothing has been measured: some round trips to the neighbours.
    fn usual_wait(&self) -> Duration {
        let rtts = self.links.values().filter_map(|neighbour| neighbour.rtt);
        rtts.max().map_or(AWAIT_FIRST, |rtt| rtt * 4)
    }

    /// Asks for what has waited long enough.
    pub(super) fn ask(
        &mut self,
        now: Duration,
        slow: u32,
        counts: &mut Counts,
        out: &mut Vec<Output>,
    ) {
        let mut requests: Few<u32, Vec<Id>> = Few::default();
        while let Some((at, id)) = self.missing.due.first().copied().filter(|(at, _)| *at <= now) {
            self.missing.due.remove(&(at, id));
            let Some(wanted) = self.missing.wanted.get_mut(&id) else { continue };
            if let Some(before) = wanted.asked.take().and_then(|link| self.links.get_mut(&link)) {
                before.asked = before.asked.saturating_sub(1);
                before.unanswered = before.unanswered.saturating_add(1);
            }
            if wanted.tries >= TRIES || wanted.announcers.is_empty() {
                self.missing.wanted.remove(&id);
                continue;
            }
            // In turn; the first is the one who had it first.
            let link = wanted.announcers[wanted.tries as usize % wanted.announcers.len()];
            let there = self.links.get_mut(&link);
            let Some(neighbour) = there.filter(|it| it.unanswered < UNANSWERED) else {
                wanted.tries += 1;
                wanted.at = now;
                self.missing.due.insert((now, id));
                continue;
            };
            if neighbour.asked as usize >= ASKED {
                wanted.at = now + TICK / 20;
                self.missing.due.insert((wanted.at, id));
                continue;
            }
            let answer = neighbour.rtt.unwrap_or(AWAIT_FIRST / 2) * 3 / 2 + AWAIT_LEAST;
            neighbour.asked += 1;
            wanted.asked = Some(link);
            wanted.tries += 1;
            wanted.at = now + answer * (1 + slow) * (1 + wanted.tries / 2);
            self.missing.due.insert((wanted.at, id));
            counts.asked += 1;
            requests.or_default(link).push(id);
        }
        for (link, ids) in requests {
            for ids in ids.chunks(HAVE) {
                out.push(control(link, &Wire::Get(ids.to_vec())));
            }
        }
    }
}
