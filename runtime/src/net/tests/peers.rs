//! Who is connected with whom, and how a connection comes, goes and comes back.

use super::*;
use crate::net::{ListenError, PeerState};
use crate::reason::Reason;

#[tokio::test]
async fn a_stranger_is_turned_away_and_a_peer_is_not() {
    let (mut a, mut b, stranger) = (node(), node(), node());
    stranger.net.add_peer(a.at()).unwrap();
    let refused = async {
        loop {
            let error = stranger.net.peers()[0].last_error.clone().unwrap_or_default();
            if error.contains("does not know this node's key") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, refused).await.unwrap();
    connect(&mut a, &mut b).await;
    assert_eq!(stranger.net.peers()[0].state, PeerState::Dialling);
    assert_eq!(a.net.peers().len(), 1);
}

#[tokio::test]
async fn a_node_that_has_not_the_expected_key_is_not_connected_with() {
    let (a, b) = (node(), node());
    let other = Identity::generate().unwrap().id();
    a.net.add_peer(b.waited_for()).unwrap();
    b.net.add_peer(PeerConfig { id: other, at: Some(a.net.local().to_string()) }).unwrap();
    let noted = async {
        while b.net.peers()[0].last_error.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LIMIT, noted).await.unwrap();
    assert!(a.net.peers()[0].remote.is_none());
}

#[tokio::test]
async fn nodes_that_dial_each_other_at_once_have_one_connection() {
    for _ in 0..5 {
        let (mut a, mut b) = (node(), node());
        a.net.add_peer(b.at()).unwrap();
        b.net.add_peer(a.at()).unwrap();
        a.up().await;
        b.up().await;
        // Both directions work, and go on working over the same connection.
        let (mut from, mut to) = (&mut a, &mut b);
        for ticket in 0..40 {
            {
                from.send(to.id(), ticket, &letter(b"x"), ticket).unwrap();
                let (_, _, receipt) = to.letter().await;
                receipt.settle([Ok(())]);
                let (_, outcome) = from.settlement().await;
                assert_eq!(outcome, Ok(()));
                std::mem::swap(&mut from, &mut to);
            }
        }
        // The losing connection, if there was one, takes a moment to drain.
        let one = async {
            while a.net.shared.endpoint.open_connections() != 1 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, one).await.unwrap();
        // That one of two connections gives way is no failure; a dial that came before the other
        // side knew this one is.
        for net in [&a.net, &b.net] {
            let error = net.peers().remove(0).last_error;
            let early = |why: &String| why.contains("it does not know this node's key");
            assert!(error.as_ref().is_none_or(early), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_restarted_peer_is_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let key = || Identity::open(directory.path(), "identity.key").unwrap();
    let mut a = start(config(key()));
    let mut b = node();
    connect(&mut a, &mut b).await;
    let (at, peer) = (a.net.local(), b.waited_for());
    drop(a);
    let Event::PeerDown { why, reason, .. } = b.next().await else { panic!() };
    assert_eq!(reason, Reason::Stopped, "{why}");
    let mut again = start(Config { listen: at, peers: vec![peer], ..config(key()) });
    again.up().await;
    b.up().await;
}

#[tokio::test]
async fn a_silent_peer_is_noticed() {
    let mut a = node_with(|config| config.limits.idle_ms = 300);
    let raw = strangers::RawPeer::connect(&a).await;
    let _control = raw.hello().await;
    a.up().await;
    // The connection is there and nobody drives it: no keep-alive, no acknowledgement.
    raw.freeze();
    let why = a.down().await;
    assert!(why.contains("no sign of life for 300 ms"), "{why}");
}

#[test]
fn a_port_in_use_and_too_many_peers_are_told_in_a_line() {
    let a = node();
    let again = Config { listen: a.net.local(), ..config(Identity::generate().unwrap()) };
    let error = Net::listen(again).err().unwrap().to_string();
    assert!(error.contains("listen") && !error.contains('\n'), "{error}");
    assert!(matches!(a.net.add_peer(a.at()), Err(ListenError::OwnId)));
    let most = Limits::default().peers;
    let peer = |number: usize| PeerConfig { id: NodeId([number as u8 + 1; 32]), at: None };
    (0..most).for_each(|number| a.net.add_peer(peer(number)).unwrap());
    let error = a.net.add_peer(peer(most)).unwrap_err().to_string();
    assert!(error.contains("raise `peers`"), "{error}");
}
