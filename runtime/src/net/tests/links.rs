//! Links: opened, used, full, closed, lost.

use super::*;
use crate::net::Unsent;
use crate::reason::Reason;

const NAME: &str = "gossip";

async fn opened(node: &mut Node) {
    let event = node.next().await;
    let Event::LinkOpened { name, .. } = event else { panic!("{event:?}") };
    assert_eq!(name, NAME);
}

async fn linked() -> (Node, Node) {
    let (mut a, mut b) = pair().await;
    a.net.link_open(b.id(), NAME).unwrap();
    opened(&mut a).await;
    opened(&mut b).await;
    (a, b)
}

#[tokio::test]
async fn a_link_carries_bytes_both_ways_in_order() {
    let (mut a, mut b) = linked().await;
    b.net.link_open(a.id(), NAME).unwrap();
    let (mut from, mut to) = (&mut a, &mut b);
    for _ in 0..2 {
        for number in 0..200u8 {
            from.net.link_send(to.id(), NAME, 2, &[number]).unwrap();
        }
        for number in 0..200u8 {
            let Event::LinkData { node, name, class, body } = to.next().await else { panic!() };
            assert_eq!((node, name.as_str(), class), (from.id(), NAME, 2));
            assert_eq!(body, [number]);
        }
        std::mem::swap(&mut from, &mut to);
    }
}

#[tokio::test]
async fn both_ends_may_ask_at_once() {
    for _ in 0..5 {
        let (mut a, mut b) = pair().await;
        a.net.link_open(b.id(), NAME).unwrap();
        b.net.link_open(a.id(), NAME).unwrap();
        opened(&mut a).await;
        opened(&mut b).await;
        a.net.link_send(b.id(), NAME, 0, b"to b").unwrap();
        b.net.link_send(a.id(), NAME, 0, b"to a").unwrap();
        let Event::LinkData { body, .. } = a.next().await else { panic!() };
        assert_eq!(body, b"to a");
        let Event::LinkData { body, .. } = b.next().await else { panic!() };
        assert_eq!(body, b"to b");
    }
}

#[tokio::test]
async fn a_closed_link_says_why_and_may_be_opened_again() {
    let (mut a, mut b) = linked().await;
    b.net.link_close(a.id(), NAME, Reason::NoActor);
    let Event::LinkClosed { name, reason, .. } = a.next().await else { panic!() };
    assert_eq!((name.as_str(), reason), (NAME, Reason::NoActor));
    assert_eq!(a.net.link_send(b.id(), NAME, 0, b"x"), Err(Unsent::Unreachable));
    a.net.link_open(b.id(), NAME).unwrap();
    opened(&mut a).await;
    opened(&mut b).await;
    a.net.link_send(b.id(), NAME, 0, b"again").unwrap();
    let Event::LinkData { body, .. } = b.next().await else { panic!() };
    assert_eq!(body, b"again");
}

#[tokio::test]
async fn a_full_class_says_so_leaves_the_others_free_and_tells_when_it_has_room() {
    let mut a = node();
    let mut b = node_with(|config| config.limits.events = 1);
    connect(&mut a, &mut b).await;
    a.net.link_open(b.id(), NAME).unwrap();
    opened(&mut a).await;
    opened(&mut b).await;
    let mut sent = 0;
    while a.net.link_send(b.id(), NAME, 3, &[3; 10_000]) == Ok(()) {
        sent += 1;
    }
    assert_eq!(a.net.link_send(b.id(), NAME, 3, &[3; 10_000]), Err(Unsent::Full));
    a.net.link_send(b.id(), NAME, 0, b"urgent").unwrap();
    let mut urgent_after = 0;
    for number in 0..=sent {
        let Event::LinkData { class, .. } = b.next().await else { panic!() };
        if class == 0 {
            urgent_after = number;
        }
    }
    assert!(urgent_after < sent, "it did not wait for all the others");
    let Event::LinkWritable { name, .. } = a.next().await else { panic!() };
    assert_eq!(name, NAME);
    a.net.link_send(b.id(), NAME, 3, b"more").unwrap();
}

#[tokio::test]
async fn links_end_with_their_connection_and_are_bounded() {
    let (mut a, mut b) = linked().await;
    let most = Limits::default().links;
    for number in 1..most {
        a.net.link_open(b.id(), &number.to_string()).unwrap();
    }
    assert_eq!(a.net.link_open(b.id(), "one more"), Err(Unsent::Full));
    for _ in 1..most {
        assert!(matches!(a.next().await, Event::LinkOpened { .. }));
        assert!(matches!(b.next().await, Event::LinkOpened { .. }));
    }
    b.net.remove_peer(a.id());
    for _ in 0..most {
        let Event::LinkClosed { reason, .. } = a.next().await else { panic!() };
        assert_eq!(reason, Reason::Unreachable);
    }
    assert!(matches!(a.next().await, Event::PeerDown { .. }));
}
