//! Why something did not happen: the WIT's `reason`, as it stands in letters, logs and lists.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why something did not happen. Never a bare timeout dressed as a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No actor answers to that address.
    NoActor,
    /// The actor was stopped.
    Stopped,
    /// The actor trapped, or returned an error.
    Trapped,
    /// The actor went past its budget of time, memory or storage.
    OverBudget,
    /// The receiver's mailbox is full.
    MailboxFull,
    /// The other side does not take it.
    Refused,
    /// No connection to the node where the actor was last seen.
    Unreachable,
    /// No answer yet at the deadline.
    Deadline,
    /// The link broke after sending: it may have been handled, or not.
    Unknown,
    /// The actor handled the question and let its reply address die.
    NoAnswer,
}

impl Reason {
    /// The word, as in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoActor => "no-actor",
            Self::Stopped => "stopped",
            Self::Trapped => "trapped",
            Self::OverBudget => "over-budget",
            Self::MailboxFull => "mailbox-full",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Deadline => "deadline",
            Self::Unknown => "unknown",
            Self::NoAnswer => "no-answer",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
