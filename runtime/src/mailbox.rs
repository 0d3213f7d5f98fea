//! A bounded mailbox: what can reach an actor, in the order it came.
//!
//! Letters have `capacity` places. Every send and every question reserves a further place for its
//! notice or answer before it leaves, so those can never be lost; timers and edges are bounded by
//! what armed or opened them. The mailbox also knows whether its actor is scheduled, so that no
//! wake-up is lost and no actor is in the run queue twice.

mod message;
mod run_queue;
mod timers;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::address::ActorId;
use crate::reason::Reason;

pub use message::{Edge, Letter, LinkEvent, Message};
pub use run_queue::RunQueue;
use timers::Timers;
pub use timers::{Alarm, Timer};

/// Events of links that may wait in a protocol's mailbox, for each letter that may.
const LINK_EVENTS_PER_LETTER: usize = 16;

/// The mailbox of one actor.
#[derive(Debug)]
pub struct Mailbox {
    owner: ActorId,
    capacity: usize,
    run_queue: Arc<RunQueue>,
    missed: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Message>,
    letters: usize,
    edges: usize,
    lost_edges: Vec<(u64, u64)>,
    reserved: usize,
    watching: usize,
    timers: Timers,
    scheduled: bool,
    closed: Option<Reason>,
}

impl Mailbox {
    /// An empty mailbox with room for so many letters, and as many notices. Its owner is put into
    /// the run queue whenever something comes while it is at rest.
    pub fn new(owner: ActorId, capacity: usize, run_queue: Arc<RunQueue>) -> Self {
        Self { owner, capacity, run_queue, missed: AtomicU64::new(0), state: Mutex::default() }
    }

    /// Whose mailbox it is.
    pub fn owner(&self) -> ActorId {
        self.owner
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the actor a letter, or the reason why it can't have it.
    pub fn post(&self, letter: Letter) -> Result<(), Reason> {
        let mut state = self.state();
        if let Some(reason) = state.closed {
            return Err(reason);
        }
        if state.letters >= self.capacity {
            return Err(Reason::MailboxFull);
        }
        self.admit(&mut state, Message::Letter(letter));
        Ok(())
    }

    /// Reserves the place for one notice or answer; false if there is none left.
    pub fn reserve(&self) -> bool {
        let mut state = self.state();
        let room = state.reserved < self.capacity;
        state.reserved += usize::from(room);
        room
    }

    /// Gives a reserved place back: its letter was delivered, or never left.
    pub fn unreserve(&self, places: usize) {
        let mut state = self.state();
        state.reserved = state.reserved.saturating_sub(places);
    }

    /// Puts a notice or answer into its reserved place, which stays taken until the actor has it.
    pub fn notify(&self, notice: Message) {
        let mut state = self.state();
        // It moves from its reserved place to the queue, where it is counted again.
        state.reserved = state.reserved.saturating_sub(1);
        self.admit(&mut state, notice);
    }

    /// Puts in what is bounded elsewhere: a timer, an expiry, a link's event, a `down`.
    pub fn signal(&self, message: Message) {
        self.admit(&mut self.state(), message);
    }

    /// Gives a protocol what came over a link; false if it has too much of that waiting.
    pub fn link(&self, event: LinkEvent) -> bool {
        let mut state = self.state();
        let room = state.queue.len() < self.capacity * LINK_EVENTS_PER_LETTER;
        if room {
            self.admit(&mut state, Message::Link(event));
        }
        room
    }

    /// Puts in an edge; one that finds no room is counted, and told of with the next.
    pub fn edge(&self, mut edge: Edge) {
        let mut state = self.state();
        let lost = state.lost_edges.iter().position(|(pin, _)| *pin == edge.pin);
        if state.edges >= self.capacity {
            match lost {
                Some(at) => state.lost_edges[at].1 += 1 + edge.dropped,
                None => state.lost_edges.push((edge.pin, 1 + edge.dropped)),
            }
            return;
        }
        if let Some(at) = lost {
            edge.dropped += state.lost_edges.swap_remove(at).1;
        }
        self.admit(&mut state, Message::Edge(edge));
    }

    /// Takes up to `most` messages, oldest first.
    pub fn take(&self, most: usize) -> Vec<Message> {
        let mut state = self.state();
        let count = most.min(state.queue.len());
        let taken: Vec<_> = state.queue.drain(..count).collect();
        taken.iter().for_each(|message| state.count_out(message));
        taken
    }

    /// Puts messages back at the front, to be given again.
    pub fn put_back(&self, messages: Vec<Message>) {
        let mut state = self.state();
        for message in messages.into_iter().rev() {
            state.count_in(&message);
            state.queue.push_front(message);
        }
    }

    /// Ends an activation: true if there is more to do and the actor stays scheduled.
    pub fn rest(&self) -> bool {
        let mut state = self.state();
        state.scheduled = !state.queue.is_empty();
        state.scheduled
    }

    /// Marks the actor scheduled without a message, for a command or the first turn.
    pub fn wake(&self) {
        self.schedule(&mut self.state());
    }

    /// Takes nothing more, and gives back what is there.
    pub fn close(&self, reason: Reason) -> Vec<Message> {
        let mut state = self.state();
        state.closed = Some(reason);
        state.letters = 0;
        state.edges = 0;
        state.timers = Timers::default();
        state.queue.drain(..).collect()
    }

    /// A publication found no room here.
    pub fn count_missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Publications that found no room here.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    fn admit(&self, state: &mut State, message: Message) {
        if state.closed.is_none() {
            state.count_in(&message);
            state.queue.push_back(message);
            self.schedule(state);
        }
    }

    fn schedule(&self, state: &mut State) {
        if !std::mem::replace(&mut state.scheduled, true) {
            self.run_queue.push(self.owner);
        }
    }

    /// Arms a timer, in place of one with the same key. Gives the number of this arming, for
    /// [`Mailbox::tick`] after `timer.after`, and the alarm that is void now.
    pub fn arm(&self, key: u64, timer: Timer) -> (u64, Option<Alarm>) {
        self.state().timers.arm(key, timer)
    }

    /// Remembers the clock's alarm for an arming; false if that is void already.
    pub fn set_alarm(&self, key: u64, generation: u64, alarm: Alarm) -> bool {
        self.state().timers.set_alarm(key, generation, alarm)
    }

    /// Disarms a timer. Gives the alarm that is void now.
    pub fn disarm(&self, key: u64) -> Option<Alarm> {
        self.state().timers.disarm(key)
    }

    /// The alarms of all its timers.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.state().timers.alarms()
    }

    /// Places reserved for notices and answers.
    pub fn reserved(&self) -> usize {
        self.state().reserved
    }

    /// Counts one more actor that its owner watches; false at the limit.
    pub fn watch(&self, most: usize) -> bool {
        let mut state = self.state();
        let room = state.watching < most;
        state.watching += usize::from(room);
        room
    }

    /// Counts watched actors out again: their `down` came, or the watch never began.
    pub fn unwatch(&self, count: usize) {
        let mut state = self.state();
        state.watching = state.watching.saturating_sub(count);
    }

    /// The keys of the armed timers, `more` included, are at most `most`.
    pub fn may_arm(&self, more: impl Iterator<Item = u64>, most: usize) -> bool {
        self.state().timers.with(more) <= most
    }

    /// A timer is due: if it still is that arming, its tick is put in, unless one waits already.
    /// Gives the time to its next tick, if there is one.
    pub fn tick(&self, key: u64, generation: u64) -> Option<Duration> {
        let mut state = self.state();
        let (message, next) = state.timers.tick(key, generation)?;
        if let Some(message) = message {
            self.admit(&mut state, message);
        }
        next
    }

    /// Messages waiting.
    pub fn len(&self) -> usize {
        self.state().queue.len()
    }

    /// No message is waiting.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl State {
    fn count_in(&mut self, message: &Message) {
        match message {
            Message::Letter(_) => self.letters += 1,
            Message::Answer { .. } | Message::Undelivered { .. } => self.reserved += 1,
            Message::Edge(_) => self.edges += 1,
            Message::Timer { key, .. } => self.timers.waits(*key, true),
            _ => {}
        }
    }

    fn count_out(&mut self, message: &Message) {
        match message {
            Message::Letter(_) => self.letters = self.letters.saturating_sub(1),
            Message::Answer { .. } | Message::Undelivered { .. } => {
                self.reserved = self.reserved.saturating_sub(1);
            }
            Message::Edge(_) => self.edges = self.edges.saturating_sub(1),
            Message::Timer { key, .. } => self.timers.waits(*key, false),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(capacity: usize) -> Mailbox {
        Mailbox::new(ActorId([1; 16]), capacity, Arc::default())
    }

    fn letter(body: &[u8]) -> Letter {
        Letter { body: body.to_vec(), carried: Vec::new(), reply: None }
    }

    #[test]
    fn a_full_mailbox_refuses_letters_but_takes_notices() {
        let mailbox = mailbox(2);
        assert_eq!(mailbox.post(letter(b"1")), Ok(()));
        assert_eq!(mailbox.post(letter(b"2")), Ok(()));
        assert_eq!(mailbox.post(letter(b"3")), Err(Reason::MailboxFull));
        assert!(mailbox.reserve());
        mailbox.notify(Message::Undelivered { token: 1, reason: Reason::Stopped });
        assert_eq!(mailbox.take(10).len(), 3);
        assert!(mailbox.post(letter(b"4")).is_ok());
    }

    #[test]
    fn a_notice_holds_its_place_until_it_is_taken() {
        let mailbox = mailbox(1);
        assert!(mailbox.reserve());
        assert!(!mailbox.reserve());
        mailbox.notify(Message::Undelivered { token: 1, reason: Reason::Stopped });
        assert!(!mailbox.reserve());
        mailbox.take(1);
        assert!(mailbox.reserve());
    }

    #[test]
    fn messages_put_back_come_first_again() {
        let mailbox = mailbox(4);
        for body in [b"1", b"2", b"3"] {
            mailbox.post(letter(body)).unwrap();
        }
        let taken = mailbox.take(2);
        mailbox.put_back(taken);
        let bodies: Vec<_> = mailbox.take(9).into_iter().map(body).collect();
        assert_eq!(bodies, [b"1", b"2", b"3"]);
    }

    #[test]
    fn edges_without_room_are_told_of_with_the_next() {
        let mailbox = mailbox(1);
        let edge = |sequence| Edge { pin: 7, level: true, at: 0, sequence, dropped: 0 };
        for sequence in 0..3 {
            mailbox.edge(edge(sequence));
        }
        mailbox.take(1);
        mailbox.edge(edge(3));
        assert_eq!(mailbox.take(1), [Message::Edge(Edge { dropped: 2, ..edge(3) })]);
    }

    #[test]
    fn a_closed_mailbox_gives_back_its_letters_and_says_why() {
        let mailbox = mailbox(4);
        mailbox.post(letter(b"1")).unwrap();
        assert_eq!(mailbox.close(Reason::Trapped).len(), 1);
        assert_eq!(mailbox.post(letter(b"2")), Err(Reason::Trapped));
    }

    #[test]
    fn an_actor_is_in_the_run_queue_once() {
        let queue = Arc::new(RunQueue::default());
        let mailbox = Mailbox::new(ActorId([1; 16]), 4, queue.clone());
        mailbox.post(letter(b"1")).unwrap();
        mailbox.wake();
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.pop(), Some(ActorId([1; 16])));
        mailbox.post(letter(b"2")).unwrap();
        assert_eq!(queue.len(), 0);
        mailbox.take(2);
        assert!(!mailbox.rest());
        mailbox.post(letter(b"3")).unwrap();
        assert_eq!(queue.len(), 1);
    }

    fn body(message: Message) -> Vec<u8> {
        match message {
            Message::Letter(letter) => letter.body,
            other => panic!("not a letter: {other:?}"),
        }
    }
}
