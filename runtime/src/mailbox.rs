//! A bounded mailbox: what can reach an actor, in the order it came.
//!
//! Letters have `capacity` places. Every question, and every letter to another node, holds a
//! further place for its answer or notice before it leaves, so those can never be lost; timers and
//! edges are bounded by what armed or opened them. A mailbox is one word and a few counters: what
//! few actors need, such as timers, is made when it is first used.

mod cold;
mod edges;
mod inlet;
mod message;
mod timers;
mod word;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::address::ActorId;
use crate::reason::Reason;

use cold::Cold;
pub use inlet::{Inlet, Owner, Question};
pub use message::{Edge, Letter, LinkEvent, Message, Reply, To};
pub use timers::{Alarm, Timer};
use word::Word;

/// What `tests/model` puts in place of the standard library's.
mod sync {
    pub use std::sync::atomic::{AtomicPtr, Ordering};
}

/// The mailbox of one actor, as its owner has it; others have an [`Inlet`].
#[derive(Debug)]
pub struct Mailbox {
    owner: ActorId,
    word: Word<Post>,
    capacity: u32,
    letters: AtomicU32,
    /// Places for notices: of letters on their way to another node, and of notices that wait.
    notices: AtomicU32,
    /// [`Reason::code`] plus one, once it is closed.
    closed: AtomicU8,
    cold: OnceLock<Box<Cold>>,
}

/// What is in a mailbox.
#[derive(Debug)]
pub enum Mail {
    /// For the actor.
    Message(Message),
    /// What came of a question; the owner knows whether it still waits for that.
    Answer {
        /// The question's place in its owner's table.
        place: Place,
        /// The answer, or why there is none.
        outcome: Result<Letter, Reason>,
    },
    /// Nothing for the actor, but something for its runner to look at.
    Nudge,
}

/// What was put into a mailbox at once.
#[derive(Debug)]
enum Post {
    One(Mail),
    /// One sender's, in their order.
    Letters(Vec<Letter>),
}

impl Post {
    fn open(self, mut give: impl FnMut(Mail)) {
        match self {
            Self::One(mail) => give(mail),
            Self::Letters(letters) => {
                letters.into_iter().for_each(|letter| give(Mail::Message(Message::Letter(letter))));
            }
        }
    }
}

/// A place in an actor's table of open questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which place.
    pub at: u32,
    /// How often it has been used before.
    pub generation: u32,
}

impl Mailbox {
    /// An empty mailbox with room for so many letters, and as many notices. Its owner begins
    /// scheduled: whoever makes it puts it into a run queue.
    pub fn new(owner: ActorId, capacity: usize) -> Self {
        Self {
            owner,
            word: Word::scheduled(),
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            letters: AtomicU32::new(0),
            notices: AtomicU32::new(0),
            closed: AtomicU8::new(0),
            cold: OnceLock::new(),
        }
    }

    /// Whose mailbox it is.
    pub fn owner(&self) -> ActorId {
        self.owner
    }

    /// Gives all that came since it was last called, oldest first. Letters keep their places until
    /// they are [`Mailbox::handed`] to the actor.
    pub fn take(&self, mut give: impl FnMut(Mail)) {
        self.word.take().for_each(|post| post.open(&mut give));
    }

    /// Messages are given to the actor: their places are free. For the owner's runner only.
    pub fn handed(&self, messages: &[Message]) {
        let mut letters = 0;
        for message in messages {
            match message {
                Message::Letter(_) => letters += 1,
                Message::Undelivered { .. } => self.unreserve(1),
                Message::Answer { .. } | Message::Down { .. } | Message::Expired { .. } => {}
                Message::Edge(_) => self.handed_edge(),
                Message::Timer { .. } | Message::Link(_) => self.cold().handed(message),
            }
        }
        if letters > 0 {
            self.letters.fetch_sub(letters, Ordering::Relaxed);
        }
    }

    #[cold]
    fn handed_edge(&self) {
        self.cold().edges().handed(self.capacity as usize, |late| {
            // The owner runs, and need not be scheduled; if it is closed, there is nobody to tell.
            let _ = self.word.push(Post::One(Mail::Message(Message::Edge(late))));
        });
    }

    /// Messages that were handed out wait once more: their turns left no effect.
    pub fn put_back(&self, messages: &[Message]) {
        for message in messages {
            match message {
                Message::Letter(_) => drop(self.letters.fetch_add(1, Ordering::Relaxed)),
                Message::Undelivered { .. } => self.reserve(1),
                Message::Answer { .. } | Message::Down { .. } | Message::Expired { .. } => {}
                Message::Edge(_) | Message::Timer { .. } | Message::Link(_) => {
                    self.cold().put_back(message);
                }
            }
        }
    }

    /// Ends an activation: true if nothing came meanwhile, and the owner is at rest.
    pub fn rest(&self) -> bool {
        self.word.rest()
    }

    /// Takes nothing more, and gives back what is there.
    pub fn close(&self, reason: Reason) -> Vec<Mail> {
        self.closed.store(reason.code() + 1, Ordering::Release);
        self.letters.store(0, Ordering::Relaxed);
        if let Some(cold) = self.cold.get() {
            cold.close();
        }
        let mut left = Vec::new();
        self.word.close().for_each(|post| post.open(|mail| left.push(mail)));
        left
    }

    /// Why it takes nothing more, if it is closed.
    pub fn closed(&self) -> Option<Reason> {
        Reason::from_code(self.closed.load(Ordering::Acquire).checked_sub(1)?)
    }

    /// Holds the places for so many notices.
    pub fn reserve(&self, count: usize) {
        self.notices.fetch_add(count as u32, Ordering::Relaxed);
    }

    /// Gives the places of notices back: the letters were delivered, or the actor has the notices.
    pub fn unreserve(&self, count: usize) {
        self.notices.fetch_sub(count as u32, Ordering::Relaxed);
    }

    /// Takes places for so many letters, or as many as there are; gives how many.
    fn admit(&self, count: usize) -> usize {
        let most = self.capacity as usize;
        let before = self.letters.fetch_add(count as u32, Ordering::Relaxed) as usize;
        let admitted = count.min(most.saturating_sub(before));
        if admitted < count {
            self.letters.fetch_sub((count - admitted) as u32, Ordering::Relaxed);
        }
        admitted
    }

    /// Whether one more letter or question may leave, beside so many others that hold a place.
    pub fn may_send(&self, others: usize) -> bool {
        self.notices.load(Ordering::Relaxed) as usize + others < self.capacity as usize
    }

    /// Letters waiting.
    pub fn letters(&self) -> usize {
        self.letters.load(Ordering::Relaxed) as usize
    }

    /// Nothing waits, and its owner is at rest.
    pub fn is_idle(&self) -> bool {
        self.word.is_idle()
    }

    fn cold(&self) -> &Cold {
        self.cold.get_or_init(Box::default)
    }
}

#[cfg(test)]
mod tests;
