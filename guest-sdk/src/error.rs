//! What ends a turn badly.

use std::fmt;

/// What a turn's functions give back. An `Err` ends the turn: nothing that it asked for happens,
/// and the actor begins again. What is expected (no reading yet, no answer) is a value, not an
/// error.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// An error's text, for people. Any [`std::error::Error`] becomes one with `?`.
pub struct Error(String);

impl Error {
    /// An error that says this.
    pub fn new(text: impl fmt::Display) -> Self {
        Self(text.to_string())
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $word:ident = $text:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $(#[doc = $text] $word),* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$word => $text),* })
            }
        }

        impl std::error::Error for $name {}
    };
}

words! {
    /// Why something did not happen. Never a bare timeout dressed as a fact.
    Reason {
        NoActor = "no actor answers to that address",
        Stopped = "the actor was stopped",
        Trapped = "the actor trapped or returned an error",
        OverBudget = "the actor went past its budget",
        MailboxFull = "the receiver's mailbox is full",
        Refused = "the other side does not take it",
        Unreachable = "no connection to the node where the actor was last seen",
        Deadline = "no answer yet at the deadline",
        Unknown = "the link broke after sending: it may have been handled, or not",
        NoAnswer = "the actor handled the question and did not answer",
    }
}

words! {
    /// Why the host does not take an effect. The turn goes on.
    Refusal {
        BadHandle = "the handle is not held, is stale, or is of another kind",
        MailboxFull = "no room in the own mailbox for the notice of a failure",
        OverLimit = "a limit was reached (see the node's log)",
        OverQuota = "the actor's storage quota would be passed",
        Denied = "the world or the grant does not allow it",
    }
}

words! {
    /// Why a bus transfer failed. The names are embedded-hal's and wasi:i2c's.
    BusError {
        Denied = "not a granted device",
        NoAcknowledge = "no device acknowledged",
        ArbitrationLoss = "lost arbitration",
        Bus = "the bus is stuck, or the driver gave an error",
        Timeout = "the transfer did not end in time",
        Overrun = "more bytes than one transfer may have",
    }
}

impl From<Refusal> for Reason {
    /// What a refused letter's sender is told: the same that it would hear of a failed one.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BadHandle => Self::NoActor,
            Refusal::MailboxFull => Self::MailboxFull,
            Refusal::OverLimit | Refusal::OverQuota => Self::OverBudget,
            Refusal::Denied => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_takes_any_error_with_its_causes() {
        fn parse() -> Result<u8> {
            Ok("red".parse::<u8>()?)
        }
        assert_eq!(parse().unwrap_err().to_string(), "invalid digit found in string");
    }
}
