//! Letters: order, settlement, back-pressure, and their fate when the connection breaks.

use super::*;
use crate::address::Address;
use crate::net::Unsent;
use crate::reason::Reason;

#[tokio::test]
async fn ten_thousand_letters_arrive_in_order_and_each_is_settled() {
    const COUNT: u64 = 10_000;
    const PAIRS: u64 = 40;
    let (mut a, mut b) = pair().await;
    let (sender, to) = (a.net.clone(), b.id());
    let sending = tokio::spawn(async move {
        for ticket in 0..COUNT {
            let letter = letter(&ticket.to_be_bytes());
            while let Err(why) = send(&sender, to, ticket % PAIRS, &letter, ticket) {
                assert_eq!(why, Unsent::Full);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let receiving = tokio::spawn(async move {
        let mut last = [None; PAIRS as usize];
        for _ in 0..COUNT {
            let (_, letter, receipt) = b.letter().await;
            let number = u64::from_be_bytes(letter.body.try_into().unwrap());
            let last = &mut last[(number % PAIRS) as usize];
            assert!(*last < Some(number), "a pair's letters are in order");
            *last = Some(number);
            receipt.settle([if number % 100 == 7 { Err(Reason::MailboxFull) } else { Ok(()) }]);
        }
        b
    });
    let mut settled = vec![None; COUNT as usize];
    for _ in 0..COUNT {
        let (ticket, outcome) = a.settlement().await;
        assert_eq!(settled[ticket as usize].replace(outcome), None, "settled once");
        let nack = ticket % 100 == 7;
        assert_eq!(outcome, if nack { Err(Reason::MailboxFull) } else { Ok(()) });
    }
    sending.await.unwrap();
    let b = receiving.await.unwrap();
    let (out, back) = (&a.net.peers()[0], &b.net.peers()[0]);
    assert_eq!((out.letters_out, out.in_flight, back.letters_in), (COUNT, 0, COUNT));
    assert!(out.bytes_out > COUNT * 8 && out.rtt.is_some() && out.remote == Some(b.net.local()));
}

#[tokio::test]
async fn a_letter_brings_its_addresses_and_every_reason_comes_back() {
    let (mut a, mut b) = pair().await;
    let address = Address::new(ActorId([9; 16]), a.id());
    let mut sent = letter(b"hello");
    (sent.carried, sent.reply) = (vec![address.clone()], Some(Box::new(address)));
    for (ticket, reason) in (0..).zip(Reason::ALL) {
        a.send(b.id(), 3, &sent, ticket).unwrap();
        let (from, letter, receipt) = b.letter().await;
        assert_eq!((from, &letter), (a.id(), &sent));
        receipt.settle([Err(reason)]);
        assert_eq!(a.settlement().await, (ticket, Err(reason)));
    }
    a.send(b.id(), 3, &sent, 77).unwrap();
    let (_, _, receipt) = b.letter().await;
    drop(receipt);
    assert_eq!(a.settlement().await, (77, Err(Reason::Unknown)), "never left open");
}

#[tokio::test]
async fn a_letter_that_cannot_go_is_refused_at_once() {
    let (a, b) = pair().await;
    let large = letter(&vec![0; Limits::default().letter_bytes + 1]);
    assert_eq!(a.send(b.id(), 0, &large, 1), Err(Unsent::TooLarge));
    assert_eq!(a.send(NodeId([0; 32]), 0, &letter(b""), 1), Err(Unsent::Unreachable));
    assert_eq!(a.send(a.id(), 0, &letter(b""), 1), Err(Unsent::Unreachable));
}

#[tokio::test]
async fn a_broken_connection_leaves_no_letter_without_its_fate() {
    let (mut a, mut b) = pair().await;
    for ticket in 0..3 {
        a.send(b.id(), 0, &letter(b"x"), ticket).unwrap();
    }
    // All three have arrived, and none is settled, when the connection breaks.
    let mut receipts = Vec::new();
    for _ in 0..3 {
        let (_, _, receipt) = b.letter().await;
        receipts.push(receipt);
    }
    b.net.remove_peer(a.id());
    for ticket in 0..3 {
        assert_eq!(a.settlement().await, (ticket, Err(Reason::Unknown)));
    }
    let Event::PeerDown { node, why, reason } = a.next().await else { panic!() };
    assert_eq!((node, reason), (b.id(), Reason::Refused));
    assert!(why.contains("no longer a peer"), "{why}");
    assert_eq!(a.send(b.id(), 0, &letter(b"x"), 9), Err(Unsent::Unreachable));
}

#[tokio::test]
async fn a_node_that_takes_no_events_slows_its_peer_and_loses_nothing() {
    let mut a = node();
    let mut b = node_with(|config| config.limits.events = 2);
    connect(&mut a, &mut b).await;
    let mut sent = 0;
    let full = async {
        loop {
            match a.send(b.id(), 5, &letter(&[0; 1000]), sent) {
                Ok(()) => sent += 1,
                Err(why) => return why,
            }
        }
    };
    assert_eq!(full.await, Unsent::Full);
    for _ in 0..sent {
        let (_, _, receipt) = b.letter().await;
        receipt.settle([Ok(())]);
    }
    for ticket in 0..sent {
        assert_eq!(a.settlement().await, (ticket, Ok(())));
    }
}

#[tokio::test]
async fn a_monitor_is_answered_with_its_token() {
    let (mut a, mut b) = pair().await;
    a.net.monitor(b.id(), ActorId([4; 16]), 11).unwrap();
    let Event::Monitor { from, actor, token } = b.next().await else { panic!() };
    assert_eq!((from, actor, token), (a.id(), ActorId([4; 16]), 11));
    b.net.down(from, token, Reason::Trapped).unwrap();
    let Event::Down { from, token, reason } = a.next().await else { panic!() };
    assert_eq!((from, token, reason), (b.id(), 11, Reason::Trapped));
}
