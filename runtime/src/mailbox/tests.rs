//! What a mailbox takes, refuses and gives.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::*;

/// An owner that counts how often it was scheduled.
struct Lone {
    mailbox: Mailbox,
    scheduled: AtomicUsize,
}

impl Owner for Lone {
    fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    fn any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn schedule(self: Arc<Self>) {
        self.scheduled.fetch_add(1, Ordering::Relaxed);
    }
}

fn lone(capacity: usize) -> (Arc<Lone>, Inlet) {
    let mailbox = Mailbox::new(ActorId([1; 16]), capacity);
    assert!(mailbox.rest(), "it begins scheduled, and nothing came");
    let lone = Arc::new(Lone { mailbox, scheduled: AtomicUsize::new(0) });
    (lone.clone(), Inlet::of(lone))
}

fn letter(body: &[u8]) -> Letter {
    Letter { body: body.to_vec(), carried: Vec::new(), reply: None }
}

fn messages(mailbox: &Mailbox) -> Vec<Message> {
    let mut messages = Vec::new();
    mailbox.take(|mail| match mail {
        Mail::Message(message) => messages.push(message),
        answer => panic!("not a message: {answer:?}"),
    });
    messages
}

#[test]
fn a_full_mailbox_refuses_letters_but_takes_notices() {
    let (lone, inlet) = lone(2);
    assert_eq!(inlet.post(letter(b"1")), Ok(()));
    assert_eq!(inlet.post(letter(b"2")), Ok(()));
    assert_eq!(inlet.post(letter(b"3")), Err(Reason::MailboxFull));
    lone.mailbox.reserve(1);
    inlet.notify(Message::Undelivered { token: 1, reason: Reason::Stopped });
    let taken = messages(&lone.mailbox);
    assert_eq!(taken.len(), 3);
    assert_eq!(inlet.post(letter(b"4")), Err(Reason::MailboxFull), "taken is not yet handed");
    lone.mailbox.handed(&taken);
    assert!(inlet.post(letter(b"4")).is_ok());
}

#[test]
fn a_notice_holds_its_place_until_the_actor_has_it() {
    let (lone, inlet) = lone(1);
    assert!(lone.mailbox.may_send(0));
    assert!(!lone.mailbox.may_send(1));
    lone.mailbox.reserve(1);
    assert!(!lone.mailbox.may_send(0));
    inlet.notify(Message::Undelivered { token: 1, reason: Reason::Stopped });
    let taken = messages(&lone.mailbox);
    assert!(!lone.mailbox.may_send(0));
    lone.mailbox.handed(&taken);
    assert!(lone.mailbox.may_send(0));
}

#[test]
fn letters_put_back_take_their_places_again() {
    let (lone, inlet) = lone(1);
    inlet.post(letter(b"1")).unwrap();
    let taken = messages(&lone.mailbox);
    lone.mailbox.handed(&taken);
    lone.mailbox.put_back(&taken);
    assert_eq!(inlet.post(letter(b"2")), Err(Reason::MailboxFull));
}

#[test]
fn the_last_edge_without_room_comes_when_there_is_some() {
    let (lone, inlet) = lone(1);
    let edge = |pin, sequence| Edge { pin, level: true, at: 0, sequence, dropped: 0 };
    for sequence in 0..3 {
        inlet.edge(edge(7, sequence));
        inlet.edge(edge(8, sequence));
    }
    let next = || {
        let taken = messages(&lone.mailbox);
        lone.mailbox.handed(&taken);
        taken
    };
    assert_eq!(next(), [Message::Edge(edge(7, 0))]);
    assert_eq!(next(), [Message::Edge(Edge { dropped: 2, ..edge(8, 2) })]);
    inlet.edge(edge(8, 3));
    assert_eq!(next(), [Message::Edge(Edge { dropped: 1, ..edge(7, 2) })]);
    assert_eq!(next(), [Message::Edge(edge(8, 3))]);
    assert_eq!(next(), []);
    assert!(lone.mailbox.rest(), "nothing is left, and none of it had it scheduled once more");
}

#[test]
fn of_letters_that_come_at_once_the_first_have_the_room_there_is() {
    let (lone, inlet) = lone(4);
    let three = || [b"1", b"2", b"3"].map(|body| letter(body));
    let post = || inlet.post_all(three().into_iter());
    assert_eq!((post(), post()), (Ok(()), Err((1, Reason::MailboxFull))));
    assert_eq!(post(), Err((0, Reason::MailboxFull)));
    let taken = messages(&lone.mailbox);
    let bodies = [b"1", b"2", b"3", b"1"].map(|body| Message::Letter(letter(body)));
    assert_eq!(taken, bodies);
    lone.mailbox.handed(&taken);
    assert_eq!((post(), lone.mailbox.letters()), (Ok(()), 3));
    assert_eq!(lone.mailbox.close(Reason::Trapped).len(), 3);
    assert_eq!(post(), Err((0, Reason::Trapped)));
}

#[test]
fn a_closed_mailbox_gives_back_its_letters_and_says_why() {
    let (lone, inlet) = lone(4);
    inlet.post(letter(b"1")).unwrap();
    assert_eq!(lone.mailbox.close(Reason::Trapped).len(), 1);
    assert_eq!(inlet.post(letter(b"2")), Err(Reason::Trapped));
}

#[test]
fn an_owner_is_scheduled_once_for_each_rest_it_leaves() {
    let (lone, inlet) = lone(4);
    let scheduled = || lone.scheduled.load(Ordering::Relaxed);
    inlet.post(letter(b"1")).unwrap();
    inlet.post(letter(b"2")).unwrap();
    assert_eq!(scheduled(), 1);
    assert_eq!(messages(&lone.mailbox).len(), 2);
    assert!(lone.mailbox.rest());
    inlet.post(letter(b"3")).unwrap();
    assert_eq!(scheduled(), 2);
    assert!(!lone.mailbox.rest(), "something came: it stays scheduled");
    assert_eq!(messages(&lone.mailbox).len(), 1);
    assert!(lone.mailbox.rest() && lone.mailbox.is_idle());
    inlet.nudge();
    assert_eq!(scheduled(), 3);
    lone.mailbox.take(|mail| assert!(matches!(mail, Mail::Nudge)));
    assert!(lone.mailbox.rest(), "it was taken");
}

#[test]
fn links_of_a_protocol_are_bounded() {
    let (lone, inlet) = lone(1);
    let event = || LinkEvent::Writable(1);
    let taken = (0..100).take_while(|_| inlet.link(event())).count();
    assert_eq!(taken, 16);
    let messages = messages(&lone.mailbox);
    lone.mailbox.handed(&messages);
    assert!(inlet.link(event()));
}

#[test]
fn questions_known_elsewhere_are_forgotten_with_their_place() {
    let (lone, _) = lone(1);
    let place = |at| Place { at, generation: 0 };
    lone.mailbox.make_known(place(1), ActorId([1; 16]));
    lone.mailbox.make_known(place(2), ActorId([2; 16]));
    assert_eq!(lone.mailbox.forget_known(|kept| kept == place(2)), [ActorId([1; 16])]);
    assert_eq!(lone.mailbox.forget_known(|_| false), [ActorId([2; 16])]);
}
