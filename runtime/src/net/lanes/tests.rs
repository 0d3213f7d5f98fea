//! What is queued, refused, settled and lost.

use super::*;
use crate::address::ActorId;

/// A letter whose frame has so many bytes: below 60 or from 1000 to 60,000, for lengths take
/// bytes of their own.
fn push(outgoing: &Outgoing, pair: u64, key: u128, size: usize) -> Result<(), Unsent> {
    let to = ActorId([1; 16]);
    let letter = Letter { to, body: Vec::new(), carried: Vec::new(), reply: None };
    let body = vec![1; size - letter::frame_len(&letter) - if size < 64 { 0 } else { 2 }];
    let letter = Letter { body, ..letter };
    assert_eq!(letter::frame_len(&letter), size);
    let queued = outgoing.push(pair, &(), std::iter::once(Ok((letter, size, key))));
    queued.refused.map_or(Ok(()), Err)
}

fn small() -> Outgoing {
    Outgoing::new(&Limits { in_flight: 8, peer_queue_bytes: 1600, ..Limits::default() })
}

fn fates(settled: Vec<Settled>) -> Vec<(u128, Outcome)> {
    settled.into_iter().flat_map(|settled| settled.letters).collect()
}

#[test]
fn a_stalled_lane_leaves_room_for_the_others() {
    let outgoing = small();
    assert_eq!(push(&outgoing, 3, 0, 60), Ok(()));
    assert_eq!(push(&outgoing, 3 + 16, 1, 60), Ok(()));
    assert_eq!(push(&outgoing, 3, 2, 60), Err(Unsent::Full));
    for pair in 4..10 {
        assert_eq!(push(&outgoing, pair, u128::from(pair), 60), Ok(()));
    }
    assert_eq!(push(&outgoing, 10, 10, 60), Err(Unsent::Full), "eight in all");
}

#[test]
fn those_before_one_that_is_refused_are_queued() {
    let outgoing = small();
    let letter = Letter { to: ActorId([1; 16]), body: vec![], carried: vec![], reply: None };
    let size = letter::frame_len(&letter);
    let fits = |key| Ok((letter.clone(), size, key));
    let queued = outgoing.push(0, &(), [fits(1), Err(Unsent::TooLarge), fits(2)].into_iter());
    assert_eq!((queued.count, queued.refused), (1, Some(Unsent::TooLarge)));
    let queued = outgoing.push(0, &(), [fits(3), fits(4), fits(5)].into_iter());
    assert_eq!((queued.count, queued.refused), (1, Some(Unsent::Full)), "a quarter of eight");
    assert_eq!(outgoing.in_flight(), 2);
    assert_eq!(outgoing.take(0).map(|bytes| bytes.len()), Some(2 * size));
}

#[test]
fn what_gathers_is_written_at_once_up_to_a_limit() {
    let outgoing = Outgoing::new(&Limits::default());
    (0..3).for_each(|key| push(&outgoing, 5, key, 1000).unwrap());
    push(&outgoing, 5, 3, COALESCE - 2999).unwrap();
    push(&outgoing, 6, 4, 60).unwrap();
    assert_eq!(outgoing.lanes(), Some(1 << 5 | 1 << 6));
    assert_eq!(outgoing.lanes(), Some(0));
    assert_eq!(outgoing.take(5).map(|bytes| bytes.len()), Some(3000));
    assert_eq!(outgoing.take(5).map(|bytes| bytes.len()), Some(COALESCE - 2999));
    assert_eq!(outgoing.take(5), None);
    assert_eq!(outgoing.take(6).map(|bytes| bytes.len()), Some(60));
}

#[test]
fn letters_lost_unwritten_were_certainly_not_handled() {
    let outgoing = small();
    push(&outgoing, 0, 7, 60).unwrap();
    assert_eq!(outgoing.take(0).map(|bytes| bytes.len()), Some(60));
    push(&outgoing, 0, 8, 60).unwrap();
    let lost = fates(outgoing.lose());
    assert_eq!(lost, [(7, Err(Reason::Unknown)), (8, Err(Reason::Unreachable))]);
    assert_eq!(push(&outgoing, 0, 9, 60), Err(Unsent::Unreachable));
    assert_eq!(outgoing.lanes(), None);
    assert_eq!(outgoing.in_flight(), 0);
}

#[test]
fn each_sender_learns_of_its_own_letters_in_their_order() {
    let outgoing = Outgoing::new(&Limits::default());
    let letter = Letter { to: ActorId([1; 16]), body: vec![], carried: vec![], reply: None };
    for (key, owner) in (0..).zip([0, 0, 1, 0, 0, 0]) {
        let size = letter::frame_len(&letter);
        outgoing.push(0, &owner, std::iter::once(Ok((letter.clone(), size, key))));
    }
    outgoing.take(0);
    let full = Reason::MailboxFull;
    let mut settled = outgoing.settle(0, 4, &[(3, full), (1, full)]).unwrap();
    settled.extend(outgoing.settle(0, 6, &[(5, full)]).unwrap());
    let told: Vec<_> = settled
        .into_iter()
        .map(|told| (*told.owner.downcast_ref::<i32>().unwrap(), told.letters))
        .collect();
    let expected = [
        (0, vec![(0, Ok(())), (1, Err(full))]),
        (1, vec![(2, Ok(()))]),
        (0, vec![(3, Err(full))]),
        (0, vec![(4, Ok(())), (5, Err(full))]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_false_report_is_refused() {
    let outgoing = small();
    push(&outgoing, 0, 7, 60).unwrap();
    assert!(outgoing.settle(0, 1, &[]).is_err(), "it has not left");
    outgoing.take(0);
    assert!(outgoing.settle(0, 2, &[]).is_err(), "more than was sent");
    assert!(outgoing.settle(16, 1, &[]).is_err(), "no such lane");
    let report = outgoing.settle(0, 1, &[(0, Reason::NoActor)]).map(fates);
    assert_eq!(report, Ok(vec![(7, Err(Reason::NoActor))]));
    assert!(outgoing.settle(0, 0, &[]).is_err(), "it went back");
}
