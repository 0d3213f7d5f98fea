//! Why something did not happen: the contract's `reason`, as the host and the wire have it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a letter, a question or an actor came to nothing. Mirrors `types.reason` in `wit/actor.wit`;
/// on the wire and in text it is the same kebab-case word.
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
    /// No answer yet at the deadline; one may still have been on its way.
    Deadline,
    /// The link broke after sending: it may have been handled, or not.
    Unknown,
    /// The actor handled the question and let its reply address die: no answer will come.
    NoAnswer,
}

impl Reason {
    /// Every reason, in the contract's order.
    pub const ALL: [Self; 10] = [
        Self::NoActor,
        Self::Stopped,
        Self::Trapped,
        Self::OverBudget,
        Self::MailboxFull,
        Self::Refused,
        Self::Unreachable,
        Self::Deadline,
        Self::Unknown,
        Self::NoAnswer,
    ];

    /// Its place in [`Reason::ALL`].
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason at a place in [`Reason::ALL`].
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_the_same_word_on_the_wire_and_for_people() {
        for reason in Reason::ALL {
            let bytes = serde_ipld_dagcbor::to_vec(&reason).unwrap();
            assert_eq!(serde_cbor::from_slice::<String>(&bytes).unwrap(), reason.to_string());
            assert_eq!(serde_ipld_dagcbor::from_slice::<Reason>(&bytes).unwrap(), reason);
        }
    }
}
