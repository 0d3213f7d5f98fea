//! The actor around the core, on the bench.

use gossip::{Gossip, Message, Status, Wire};
use guest_sdk::{Bench, LinkEvent, NodeId, Reason, Receiver, Result, TopicId};

const NODE: NodeId = NodeId([9; 32]);
const TOPIC: TopicId = TopicId([7; 16]);

#[test]
fn what_is_published_goes_out_and_what_comes_in_is_delivered() -> Result {
    let mut bench = Bench::protocol();
    let mut gossip = bench.start::<Gossip>()?;
    bench.link(&mut gossip, LinkEvent::Reachable(NODE))?;
    assert_eq!(bench.connects(), [NODE]);
    bench.link(&mut gossip, LinkEvent::Up { link: 3, node: NODE })?;
    assert_eq!(bench.transmitted().len(), 1, "a digest");
    let body = b"21.5".to_vec();
    bench.link(&mut gossip, LinkEvent::Published { topic: TOPIC, body: body.clone() })?;
    let sent = bench.transmitted();
    let [(3, frame)] = &sent[..] else { panic!("{sent:?}") };
    let Ok(Wire::Post(post)) = Wire::decode(frame) else { panic!() };
    assert_eq!((post.body.clone(), bench.delivered()), (body.clone(), vec![]));
    // Another incarnation has another epoch: it does not take this for its own.
    let mut other = bench.start::<Gossip>()?;
    bench.link(&mut other, LinkEvent::Data { link: 3, body: frame.clone() })?;
    bench.link(&mut other, LinkEvent::Data { link: 3, body: frame.clone() })?;
    assert_eq!(bench.delivered(), [(TOPIC, body)]);
    Ok(())
}

#[test]
fn the_node_keeps_its_origin_and_changes_its_epoch() -> Result {
    let mut bench = Bench::protocol();
    let mut posts = Vec::new();
    for _ in 0..2 {
        let mut gossip = bench.start::<Gossip>()?;
        bench.link(&mut gossip, LinkEvent::Up { link: 1, node: NODE })?;
        bench.transmitted();
        bench.link(&mut gossip, LinkEvent::Published { topic: TOPIC, body: vec![1] })?;
        let Ok(Wire::Post(post)) = Wire::decode(&bench.transmitted()[0].1) else { panic!() };
        posts.push(post.id.stream);
    }
    assert_eq!(posts[0].origin, posts[1].origin);
    assert_ne!(posts[0].epoch, posts[1].epoch);
    Ok(())
}

#[test]
fn what_a_link_does_not_take_is_sent_when_it_is_writable() -> Result {
    let mut bench = Bench::protocol();
    let mut gossip = bench.start::<Gossip>()?;
    bench.link(&mut gossip, LinkEvent::Up { link: 1, node: NODE })?;
    for _ in 0..20 {
        bench.link(&mut gossip, LinkEvent::Published { topic: TOPIC, body: vec![1; 100 << 10] })?;
    }
    let before = bench.transmitted().len();
    assert!(before < 21);
    bench
        .link(&mut gossip, LinkEvent::Down { link: 1, node: NODE, reason: Reason::Unreachable })?;
    bench.link(&mut gossip, LinkEvent::Up { link: 2, node: NODE })?;
    let number = bench.ask(&mut gossip, Message::Status)?;
    let sent = bench.sent();
    let status: Status =
        sent.iter().find(|sent| sent.to == Receiver::Asker(number)).unwrap().decode()?;
    assert!(status.counts.refused > 0);
    assert_eq!(status.links, 1);
    Ok(())
}
