//! Peers with a valid key that do not keep to the protocol, and keys in the wrong place.

use std::thread::JoinHandle;

use quinn::{Connection, Endpoint, RecvStream, SendStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::*;
use crate::net::session::explain;
use crate::net::tls::{self, ADMIN_ALPN, NODE_ALPN, SERVER_NAME};
use crate::net::wire::{self, Control, Hello, Opening, frame};

/// A peer that says what a test wants. It runs on a thread of its own, so that it can be frozen.
pub struct RawPeer {
    driver: Driver,
    connection: Connection,
}

struct Driver {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    fn start() -> (Self, Handle) {
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        (Self { stop: Some(stop), thread: Some(thread) }, handle)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

impl RawPeer {
    pub async fn connect(node: &Node) -> Self {
        let identity = Identity::generate().unwrap();
        node.net.add_peer(PeerConfig { id: identity.id(), at: None }).unwrap();
        Self::dial(node, &identity, NODE_ALPN).await.unwrap()
    }

    async fn dial(
        node: &Node,
        identity: &Identity,
        alpn: &[u8],
    ) -> Result<Self, quinn::ConnectionError> {
        let (driver, runtime) = Driver::start();
        let crypto = tls::client(identity, node.id(), alpn).unwrap();
        let config = quinn::ClientConfig::new(Arc::new(crypto));
        let connecting = {
            let _inside = runtime.enter();
            let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
            endpoint.connect_with(config, node.net.local(), SERVER_NAME).unwrap()
        };
        let connection = timeout(LIMIT, connecting).await.unwrap()?;
        Ok(Self { driver, connection })
    }

    pub async fn hello(&self) -> (SendStream, RecvStream) {
        let hello = frame(&Hello { incarnation: 1 });
        let send = self.uni(&[&wire::preamble()[..], &hello].concat()).await;
        (send, timeout(LIMIT, self.connection.accept_uni()).await.unwrap().unwrap())
    }

    async fn uni(&self, bytes: &[u8]) -> SendStream {
        let mut send = self.connection.open_uni().await.unwrap();
        send.write_all(bytes).await.unwrap();
        send
    }

    async fn closed(&self) -> String {
        let why = timeout(LIMIT, self.connection.closed()).await.unwrap();
        explain(&why, 0).0
    }

    /// Stops everything at once, without a word to the other side.
    pub fn freeze(self) {
        drop(self.driver);
    }
}

/// A peer that says hello properly and then these bytes on a stream of its own, which it ends, is
/// closed with `named` in the reason, while others are served.
async fn check(bytes: &[u8], named: &str) {
    let (mut a, mut b) = pair().await;
    let raw = RawPeer::connect(&a).await;
    let _control = raw.hello().await;
    a.up().await;
    raw.uni(bytes).await.finish().unwrap();
    let why = a.down().await;
    assert!(why.contains(named), "{why:?} does not name {named:?}");
    let told = raw.closed().await;
    assert!(told.contains(named), "{told:?} does not name {named:?}");
    b.send(a.id(), 0, &letter(b"still here"), 1).unwrap();
    let (_, letter, receipt) = a.letter().await;
    assert_eq!(letter.body, b"still here");
    drop(receipt);
    let _ = b.next().await;
}

#[tokio::test]
async fn garbage_is_named() {
    check(&wire::raw_frame(b"\xff\xfe garbage"), "no opening").await;
    check(b"\0\0\0\0", "empty frame").await;
}

#[tokio::test]
async fn a_frame_over_the_limit_is_named_before_it_is_read() {
    check(b"\xff\xff\xff\xff", "frame-bytes").await;
    let body = vec![0; Limits::default().letter_bytes + 1];
    let lane = frame(&Opening::Lane { lane: 0 });
    check(&[lane, frame(&letter(&body))].concat(), "letter-bytes").await;
}

#[tokio::test]
async fn a_stop_in_the_middle_of_a_frame_is_named() {
    let lane = frame(&Opening::Lane { lane: 0 });
    let letter = frame(&letter(b"half of this"));
    check(&[&lane[..], &letter[..letter.len() / 2]].concat(), "middle of a frame").await;
}

#[tokio::test]
async fn an_unknown_kind_is_named() {
    check(&frame(&serde_json::json!({ "telepathy": { "lane": 0 } })), "telepathy").await;
    check(&frame(&Opening::Blob { cid: "x".into(), offset: 0 }), "needs an answer").await;
}

#[tokio::test]
async fn a_report_of_letters_that_were_never_sent_is_named() {
    let (mut a, _b) = pair().await;
    let raw = RawPeer::connect(&a).await;
    let (mut control, _) = raw.hello().await;
    a.up().await;
    let report = frame(&Control::Settled { lane: 0, next: 9, failed: vec![] });
    control.write_all(&report).await.unwrap();
    let why = a.down().await;
    assert!(why.contains("never sent"), "{why}");
}

#[tokio::test]
async fn another_version_is_closed_with_both_named() {
    let (mut a, mut b) = (node(), node());
    let raw = RawPeer::connect(&a).await;
    raw.uni(b"edge\0\0\0\x09 and what version 9 says next").await;
    let told = raw.closed().await;
    assert!(told.contains("version 9") && told.contains("version 0"), "{told}");
    let noted = a.net.peers()[0].last_error.clone().unwrap();
    assert!(noted.contains("version 9") && noted.contains("version 0"), "{noted}");
    connect(&mut a, &mut b).await;
}

#[tokio::test]
async fn an_admin_key_opens_the_admin_protocol_and_a_peers_key_does_not() {
    let (admin, peer) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let a = node_with(|config| {
        config.admin = Some(admin.id());
        config.peers = vec![PeerConfig { id: peer.id(), at: None }];
    });
    for (identity, alpn) in [(&admin, NODE_ALPN), (&peer, ADMIN_ALPN)] {
        let raw = RawPeer::dial(&a, identity, alpn).await.unwrap();
        let told = raw.closed().await;
        assert!(told.contains("may not speak this protocol"), "{told}");
    }
    let raw = RawPeer::dial(&a, &admin, ADMIN_ALPN).await.unwrap();
    let mut stream = raw.connection.open_bi().await.unwrap();
    stream.0.write_all(&wire::raw_frame(b"hello")).await.unwrap();
    let mut a = a;
    let Event::Admin { request, .. } = a.next().await else { panic!() };
    assert_eq!(request, b"hello");
}

#[tokio::test]
async fn half_handshakes_take_no_more_places_than_there_are() {
    let mut a = node_with(|config| {
        config.limits.handshakes = 4;
        config.limits.peer_patience_ms = 1000;
    });
    let identity = Identity::generate().unwrap();
    a.net.add_peer(PeerConfig { id: identity.id(), at: None }).unwrap();
    // Their keys are good, they say no hello, and they stay.
    let mut half = Vec::new();
    for _ in 0..20 {
        if let Ok(raw) = RawPeer::dial(&a, &identity, NODE_ALPN).await {
            half.push(raw);
        }
        let taken = a.net.shared.handshakes();
        assert!(taken <= 2, "{taken} places taken by one address, of 4");
    }
    assert!(half.len() < 20, "some were refused");
    // Their time runs out, and a peer gets in.
    let mut b = node();
    connect(&mut a, &mut b).await;
}
