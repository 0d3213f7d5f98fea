//! Messages that crash their actor again and again are set aside: kept with their reason, for
//! people to read and to give again.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Actor, Body, Scheduler, SetAside};
use crate::address::ActorId;
use crate::mailbox::Message;
use crate::store::state::Commit;
use crate::supervisor::{self, Verdict};
use crate::wasm::Failure;

/// The kind of the store's records for letters set aside; their name is the actor's id and a
/// number.
pub(crate) const SET_ASIDE: &str = "set-aside";

impl Scheduler {
    /// Counts a crash against the first message, which was being handled: it is given again, or set
    /// aside.
    pub(super) fn blame(&self, actor: &Actor, body: &mut Body, failure: &Failure) {
        body.crashes += 1;
        match supervisor::message_verdict(body.crashes, &self.limits) {
            Verdict::Retry => body.single = body.single.max(1),
            Verdict::SetAside => {
                body.crashes = 0;
                body.single = body.single.saturating_sub(1);
                if let Some(message) = body.inbox.pop() {
                    actor.mailbox.handed(std::slice::from_ref(&message));
                    self.set_aside(actor, message, failure);
                }
            }
        }
    }

    fn set_aside(&self, actor: &Actor, message: Message, failure: &Failure) {
        let reply = message.reply().cloned();
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let record = SetAside { message, why: failure.why.clone(), at };
        match self.keep_aside(actor, &record) {
            Ok(number) => actor.journal().write(format!(
                "message {number} crashed it {} times and is set aside: see `edge-host ls aside`",
                self.limits.message_crashes
            )),
            Err(why) => {
                actor.journal().write(format!("a message can't be set aside and is lost: {why}"))
            }
        }
        if let Some(reply) = reply {
            self.router.unanswered(&reply, failure.reason);
        }
    }

    fn keep_aside(&self, actor: &Actor, record: &SetAside) -> Result<u64, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let aside = self.aside(actor.id())?;
        let number = aside.last().map_or(0, |(number, _)| number + 1);
        let mut commit = Commit::default();
        if aside.len() >= self.limits.set_aside
            && let Some((oldest, _)) = aside.first()
        {
            actor.journal().write(format!("message {oldest}, set aside, is let go to make room"));
            commit.record(SET_ASIDE, &aside_name(actor, *oldest), None);
        }
        let bytes = serde_ipld_dagcbor::to_vec(record).map_err(|error| text(&error))?;
        commit.record(SET_ASIDE, &aside_name(actor, number), Some(bytes));
        self.state.commit(commit).map_err(|error| text(&error))?;
        let kept = aside.len().min(self.limits.set_aside.saturating_sub(1)) + 1;
        actor.set_aside(kept);
        Ok(number)
    }

    /// Messages set aside for an actor, by number.
    pub fn aside(&self, actor: ActorId) -> Result<Vec<(u64, SetAside)>, String> {
        let records = self.state.records(SET_ASIDE).map_err(|error| error.to_string())?;
        let own = records.into_iter().filter_map(|(name, value)| {
            let number = name.strip_prefix(&actor.0)?.try_into().ok()?;
            let record = serde_ipld_dagcbor::from_slice(&value).ok()?;
            Some((u64::from_be_bytes(number), record))
        });
        Ok(own.collect())
    }

    /// Removes all messages set aside for an actor, once it is committed.
    pub(super) fn nothing_aside(&self, actor: &Actor) -> Commit {
        let mut commit = Commit::default();
        if actor.has_set_aside() {
            for (number, _) in self.aside(actor.id()).unwrap_or_default() {
                commit.record(SET_ASIDE, &aside_name(actor, number), None);
            }
        }
        commit
    }

    /// Gives a message that was set aside to its actor again.
    pub fn send_again(&self, actor: &Arc<Actor>, number: u64) -> Result<(), String> {
        let aside = self.aside(actor.id())?;
        let found = aside.iter().find(|(other, _)| *other == number);
        let (_, record) = found.ok_or("no such message: see `edge-host ls aside`")?;
        match record.message.clone() {
            Message::Letter(letter) => {
                actor.inlet().post(letter).map_err(|reason| reason.to_string())?;
            }
            message => actor.inlet().signal(message),
        }
        let mut commit = Commit::default();
        commit.record(SET_ASIDE, &aside_name(actor, number), None);
        actor.set_aside(aside.len() - 1);
        self.state.commit(commit).map_err(|error| error.to_string())
    }
}

fn aside_name(actor: &Actor, number: u64) -> Vec<u8> {
    [&actor.id().0[..], &number.to_be_bytes()].concat()
}
