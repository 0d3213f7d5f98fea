//! Letters, questions and monitors between nodes: order, honesty, and who is refused.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};

use anyhow::Result;
use edge_host::address::{ActorId, Address};
use guest_sdk::Reason;
use pair::{Message, Outcome};
use tests::process::{self, Process};
use tests::wait_for;

use crate::nodes::{self, QUICK, Two, report, start, tell, until};

fn ask(what: Message, token: u64, within: u64) -> Message {
    Message::Ask { what: Box::new(what), token, within }
}

#[test]
fn thousands_of_letters_between_two_nodes_arrive_in_order_and_once() -> Result<()> {
    let two = Two::start("[limits]\nmailbox = 8192\nin-flight = 8192\n")?;
    two.pair()?;
    let to = format!("other={}", two.a.actor("a")?["address"].as_str().unwrap());
    start(&two.b, nodes::pair(), "back", &[&to])?;
    for first in [0, 1000, 2000, 3000] {
        tell(&two.a, "a", &Message::Send { first, count: 1000 })?;
        tell(&two.b, "back", &Message::Send { first, count: 1000 })?;
    }
    let all: Vec<u64> = (0..4000).collect();
    for (node, name) in [(&two.b, "b"), (&two.a, "a")] {
        let got = until(node, name, "4000 letters", |report| report.letters.len() >= 4000)?;
        assert_eq!(got.letters, all, "{name} got others, or in another order");
    }
    assert!(report(&two.a, "a")?.undelivered.is_empty());
    assert!(report(&two.b, "back")?.undelivered.is_empty());
    Ok(())
}

#[test]
fn a_question_to_another_node_has_its_answer_or_the_reason_why_not() -> Result<()> {
    let two = Two::start("")?;
    two.pair()?;
    tell(&two.a, "a", &ask(Message::Question(41), 1, 60_000))?;
    tell(&two.a, "a", &ask(Message::Silence, 2, 60_000))?;
    tell(&two.a, "a", &ask(Message::Hold, 3, 50))?;
    // The held question has to reach its deadline first: the failure ends what its actor holds.
    until(&two.a, "a", "three outcomes", |report| report.answers.len() == 3)?;
    tell(&two.a, "a", &ask(Message::Fail, 4, 60_000))?;
    let got = until(&two.a, "a", "four outcomes", |report| report.answers.len() == 4)?;
    let of = |token| got.answers.iter().find(|answer| answer.0 == token).unwrap().1;
    assert_eq!(of(1), Outcome::Number(42));
    assert_eq!(of(2), Outcome::None(Reason::NoAnswer));
    assert_eq!(of(3), Outcome::None(Reason::Deadline));
    assert_eq!(of(4), Outcome::None(Reason::Trapped));
    Ok(())
}

#[test]
fn a_guessed_id_on_another_node_reaches_nothing() -> Result<()> {
    let two = Two::start("")?;
    let b: Address = start(&two.b, nodes::pair(), "b", &[])?.parse()?;
    let guessed = Address { id: ActorId([7; 16]), ..b };
    start(&two.a, nodes::pair(), "a", &[&format!("other={guessed}")])?;
    tell(&two.a, "a", &Message::Send { first: 5, count: 1 })?;
    tell(&two.a, "a", &ask(Message::Question(1), 6, 60_000))?;
    tell(&two.a, "a", &Message::Monitor(7))?;
    let all = |report: &pair::Report| {
        report.undelivered.len() + report.answers.len() + report.down.len() == 3
    };
    let got = until(&two.a, "a", "three notices", all)?;
    assert_eq!(got.undelivered, [(5, Reason::NoActor)]);
    assert_eq!(got.answers, [(6, Outcome::None(Reason::NoActor))]);
    assert_eq!(got.down, [(7, Reason::NoActor)]);
    assert!(report(&two.b, "b")?.letters.is_empty());
    Ok(())
}

#[test]
fn a_stopped_actor_on_another_node_is_told_from_one_that_never_was() -> Result<()> {
    let two = Two::start("")?;
    two.pair()?;
    tell(&two.a, "a", &Message::Monitor(1))?;
    two.b.run(&["stop", "b"])?;
    let got = until(&two.a, "a", "a down", |report| report.down.len() == 1)?;
    assert_eq!(got.down, [(1, Reason::Stopped)]);
    tell(&two.a, "a", &Message::Send { first: 2, count: 1 })?;
    tell(&two.a, "a", &Message::Monitor(3))?;
    let both = |report: &pair::Report| report.undelivered.len() + report.down.len() == 3;
    let got = until(&two.a, "a", "two notices", both)?;
    assert_eq!(got.undelivered, [(2, Reason::Stopped)]);
    assert_eq!(got.down[1], (3, Reason::Stopped));
    Ok(())
}

#[test]
fn a_full_mailbox_on_another_node_is_told_for_each_letter() -> Result<()> {
    let roomy = "[limits]\nmailbox = 1024\n";
    let two = Two::start_each(roomy, "[limits]\nmailbox = 4\nturn-ms = 30000\n")?;
    two.pair()?;
    tell(&two.a, "a", &Message::Flood { spin: 300_000_000, count: 500 })?;
    let mut letters = Vec::new();
    let all = |got: &pair::Report| {
        letters = report(&two.b, "b").map(|report| report.letters).unwrap_or_default();
        letters.len() + got.undelivered.len() == 500
    };
    let got = until(&two.a, "a", "the fate of 500 letters", all)?;
    assert!(got.undelivered.len() > 400, "{} of 500", got.undelivered.len());
    assert!(got.undelivered.iter().all(|notice| notice.1 == Reason::MailboxFull), "{got:?}");
    assert!(letters.is_sorted(), "{letters:?}");
    Ok(())
}

#[test]
fn letters_to_a_node_that_is_gone_are_unreachable() -> Result<()> {
    let mut two = Two::start(QUICK)?;
    two.pair()?;
    two.b.kill()?;
    nodes::peer_is(&two.a, &two.ids[1], "down")?;
    tell(&two.a, "a", &Message::Send { first: 0, count: 10 })?;
    tell(&two.a, "a", &ask(Message::Question(1), 1, 60_000))?;
    tell(&two.a, "a", &Message::Monitor(2))?;
    let all = |report: &pair::Report| {
        report.undelivered.len() + report.answers.len() + report.down.len() == 12
    };
    let got = until(&two.a, "a", "twelve notices", all)?;
    assert!(got.undelivered.iter().all(|notice| notice.1 == Reason::Unreachable), "{got:?}");
    assert_eq!(got.answers, [(1, Outcome::None(Reason::Unreachable))]);
    assert_eq!(got.down, [(2, Reason::Unreachable)]);
    Ok(())
}

#[test]
fn letters_under_way_when_the_link_breaks_are_unknown_and_none_comes_twice() -> Result<()> {
    let quick = format!("{QUICK}mailbox = 8192\nin-flight = 8192\n");
    let two = Two::start(&quick)?;
    two.pair()?;
    tell(&two.a, "a", &Message::Monitor(1))?;
    tell(&two.a, "a", &Message::Stream { first: 0, count: 4000, each: 2 })?;
    until(&two.b, "b", "some letters", |report| report.letters.len() > 100)?;
    two.cut()?;
    let down = until(&two.a, "a", "a down", |report| !report.down.is_empty())?;
    assert_eq!(down.down, [(1, Reason::Unreachable)]);
    let last = (3999, Reason::Unreachable);
    until(&two.a, "a", "the end", |report| report.undelivered.contains(&last))?;
    // It heals by itself, and letters flow again.
    two.heal()?;
    tell(&two.a, "a", &Message::Send { first: 9000, count: 1 })?;
    let arrived = until(&two.b, "b", "letter 9000", |report| report.letters.contains(&9000))?;
    let end = |report: &pair::Report| {
        let known: BTreeSet<u64> = report.undelivered.iter().map(|notice| notice.0).collect();
        (0..4000).all(|number| known.contains(&number) || arrived.letters.contains(&number))
    };
    let got = until(&two.a, "a", "a fate for each letter", end)?;
    assert_eq!(
        got.undelivered.len(),
        got.undelivered.iter().map(|notice| notice.0).collect::<BTreeSet<_>>().len()
    );
    let mut unknown = 0;
    for (number, reason) in &got.undelivered {
        match reason {
            Reason::Unknown => unknown += 1,
            Reason::Unreachable => {
                assert!(!arrived.letters.contains(number), "{number} was sent, and arrived");
            }
            other => panic!("letter {number}: {other}"),
        }
    }
    assert!(unknown > 0, "some were under way");
    let once: BTreeSet<u64> = arrived.letters.iter().copied().collect();
    assert_eq!(once.len(), arrived.letters.len(), "a letter came twice");
    assert!(arrived.letters.is_sorted(), "out of order");
    Ok(())
}

#[test]
fn a_stranger_is_refused_and_both_sides_say_whom() -> Result<()> {
    let two = Two::start("")?;
    let at = two.b.address()?.to_string();
    // It knows where the node is and who, but the node knows nothing of it.
    let folder = two.folder.path().join("stranger");
    let id = process::id(&folder)?;
    let manifest = nodes::manifest(&[nodes::peer(&two.ids[1], Some(&at))], "");
    let stranger = Process::start(&folder, &manifest)?;
    let noted = |node: &Process, peer: &str| {
        wait_for("a refusal", || {
            let row = nodes::peer_row(node, peer).ok()?;
            row["last_error"].as_str().map(str::to_string)
        })
    };
    let told = noted(&stranger, &two.ids[1])?;
    assert!(told.contains("peer"), "{told}");
    two.b.says(&format!("turned away {id}"))?;
    assert_eq!(nodes::peer_row(&stranger, &two.ids[1])?["state"], "down");
    // One that has the right address of the wrong node.
    let wrong = two.folder.path().join("wrong");
    let manifest = nodes::manifest(&[nodes::peer(&two.ids[0], Some(&at))], "");
    let wrong = Process::start(&wrong, &manifest)?;
    let told = noted(&wrong, &two.ids[0])?;
    assert!(told.contains(&two.ids[1]), "{told} doesn't name the node that is there");
    two.pair()?;
    tell(&two.a, "a", &Message::Send { first: 1, count: 1 })?;
    until(&two.b, "b", "a letter", |report| report.letters == [1])?;
    Ok(())
}

#[test]
fn a_port_that_gets_garbage_goes_on_serving() -> Result<()> {
    let two = Two::start("")?;
    two.pair()?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let seed = guest_sdk::seed();
    let mut chance = seed;
    let mut byte = || {
        // Knuth's MMIX generator: any bytes will do.
        chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 56) as u8
    };
    for size in 0..1400 {
        let mut garbage: Vec<u8> = (0..size).map(|_| byte()).collect();
        if size % 2 == 0 && size > 5 {
            // As a first packet of QUIC version 1 begins.
            garbage[..5].copy_from_slice(&[0xc0, 0, 0, 0, 1]);
        }
        socket.send_to(&garbage, two.b.address()?)?;
    }
    tell(&two.a, "a", &Message::Send { first: 0, count: 60 })?;
    until(&two.b, "b", "60 letters", |report| report.letters.len() == 60)?;
    Ok(())
}
