//! The way into a mailbox, for all but its owner.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::word::Closed;
use super::{Edge, Letter, LinkEvent, Mail, Mailbox, Message, Place, Post};
use crate::address::ActorId;
use crate::reason::Reason;

/// Events of links that may wait in a protocol's mailbox, for each letter that may.
const LINK_EVENTS_PER_LETTER: usize = 16;

/// Who has a mailbox.
pub trait Owner: Send + Sync {
    /// Its mailbox.
    fn mailbox(&self) -> &Mailbox;

    /// Itself, for who knows what it is.
    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;

    /// Puts it into its run queue. The mailbox calls this once for each time it leaves its rest
    /// without being claimed.
    fn schedule(self: Arc<Self>);
}

/// The way into an actor's mailbox. Cheap to clone; outlives the actor, closed.
#[derive(Clone)]
pub struct Inlet(Arc<dyn Owner>);

/// Where the answer to a question goes: its place in the asker's table.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Who asked.
    pub asker: Inlet,
    /// Where the asker keeps what it waits for.
    pub place: Place,
}

impl Inlet {
    /// The way to an owner's mailbox.
    pub fn of(owner: Arc<dyn Owner>) -> Self {
        Self(owner)
    }

    /// The mailbox that it leads to.
    pub fn mailbox(&self) -> &Mailbox {
        self.0.mailbox()
    }

    /// Whose mailbox it is.
    pub fn owner(&self) -> ActorId {
        self.mailbox().owner()
    }

    /// Its owner, if that is a `T`.
    pub fn owner_as<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.clone().any().downcast().ok()
    }

    /// Gives the actor a letter, or the reason why it can't have it.
    pub fn post(&self, letter: Letter) -> Result<(), Reason> {
        match self.mailbox().admit(1) {
            0 => Err(self.refuses()),
            _ => self.push(Post::One(Mail::Message(Message::Letter(letter)))),
        }
    }

    /// Gives the actor letters at once, in their order. Or so many of them, and the reason why it
    /// can't have the others.
    pub fn post_all(
        &self,
        letters: impl ExactSizeIterator<Item = Letter>,
    ) -> Result<(), (usize, Reason)> {
        let count = letters.len();
        let admitted = self.mailbox().admit(count);
        if admitted > 0 {
            let letters = Post::Letters(letters.take(admitted).collect());
            self.push(letters).map_err(|reason| (0, reason))?;
        }
        if admitted == count { Ok(()) } else { Err((admitted, self.refuses())) }
    }

    fn refuses(&self) -> Reason {
        self.mailbox().closed().unwrap_or(Reason::MailboxFull)
    }

    /// Takes over a message of another mailbox, whatever room there is.
    pub fn inherit(&self, message: Message) {
        self.mailbox().put_back(std::slice::from_ref(&message));
        self.signal(message);
    }

    /// Puts in a notice for which a place is held; it stays taken until the actor has it.
    pub fn notify(&self, notice: Message) {
        self.signal(notice);
    }

    /// Puts in what is bounded elsewhere: an expiry, a `down`, a link's up and down.
    pub fn signal(&self, message: Message) {
        if let Message::Link(_) = message {
            self.mailbox().cold().put_back(&message);
        }
        // A closed mailbox has nobody to tell.
        let _ = self.push(Post::One(Mail::Message(message)));
    }

    /// Gives a protocol what came over a link; false if it has too much of that waiting.
    pub fn link(&self, event: LinkEvent) -> bool {
        let mailbox = self.mailbox();
        let most = mailbox.capacity as usize * LINK_EVENTS_PER_LETTER;
        let room = mailbox.cold().links() < most;
        if room {
            self.signal(Message::Link(event));
        }
        room
    }

    /// Puts in an edge. One that finds no room comes when there is some, and tells of those that
    /// went lost before it.
    pub fn edge(&self, edge: Edge) {
        let mailbox = self.mailbox();
        // Put in before another is looked at: they keep their order.
        let put = |edge| self.signal(Message::Edge(edge));
        mailbox.cold().edges().come(edge, mailbox.capacity as usize, put);
    }

    /// A timer is due: if it still is that arming, its tick is put in, unless one waits already.
    /// Gives the time to its next tick, if there is one.
    pub fn tick(&self, key: u64, generation: u64) -> Option<Duration> {
        let (message, next) = self.mailbox().cold().timers().tick(key, generation)?;
        if let Some(message) = message {
            self.mailbox().cold().put_back(&message);
            self.signal(message);
        }
        next
    }

    /// Has the actor looked at, though no message comes: for a command, or a deadline that passed.
    /// False: its mailbox is closed, and nobody looks.
    pub fn nudge(&self) -> bool {
        self.push(Post::One(Mail::Nudge)).is_ok()
    }

    /// Takes an actor that is at rest as its worker would: its activation is the caller's to run.
    /// False: something else has it run, or it is gone.
    pub fn claim(&self) -> bool {
        self.mailbox().word.push(Post::One(Mail::Nudge)).is_ok_and(|was_at_rest| was_at_rest)
    }

    /// A publication found no room here.
    pub fn count_missed(&self) {
        self.mailbox().cold().count_missed();
    }

    fn push(&self, post: Post) -> Result<(), Reason> {
        let mailbox = self.mailbox();
        match mailbox.word.push(post) {
            Ok(true) => self.0.clone().schedule(),
            Ok(false) => {}
            // It was closed just now.
            Err(Closed(_)) => return Err(mailbox.closed().unwrap_or(Reason::Stopped)),
        }
        Ok(())
    }
}

impl Question {
    /// Tells the asker what came of it. It is told once: later answers find their place used again.
    pub fn answer(&self, outcome: Result<Letter, Reason>) -> Result<(), Reason> {
        self.asker.push(Post::One(Mail::Answer { place: self.place, outcome }))
    }
}

impl PartialEq for Inlet {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inlet({:?})", self.owner())
    }
}
