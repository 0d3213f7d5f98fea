//! Blobs from one node to another, and the command line's requests.

use std::path::PathBuf;

use super::*;
use crate::net::admin::AdminError;
use crate::net::blobs::FetchError;
use crate::net::client::{Client, ClientError};

const SIZE: usize = 3_000_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|at| (at * 7 % 251) as u8).collect()
}

/// Two nodes, and the second has a blob.
async fn with_blob() -> (Node, Node, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file: PathBuf = directory.path().join("blob");
    std::fs::write(&file, content()).unwrap();
    let mut a = node();
    let mut b = node_with(|config| {
        config.blobs = Arc::new(move |cid| (cid == "bafk").then(|| file.clone()));
    });
    connect(&mut a, &mut b).await;
    (a, b, directory)
}

async fn fetch(a: &Node, b: &Node, cid: &str, offset: u64) -> Result<(u64, Vec<u8>), FetchError> {
    let (net, node, cid) = (a.net.clone(), b.id(), cid.to_owned());
    let task = a.net.spawn(async move {
        let mut got = Vec::new();
        let mut sink = |piece: &[u8]| {
            got.extend_from_slice(piece);
            Ok(())
        };
        let size = net.fetch(node, &cid, offset, &mut sink).await?;
        Ok((size, got))
    });
    timeout(LIMIT, task).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_blob_comes_whole_or_from_where_it_broke_off() {
    let (a, b, _directory) = with_blob().await;
    let whole = content();
    for offset in [0, 1, 1_234_567, SIZE] {
        let (size, got) = fetch(&a, &b, "bafk", offset as u64).await.unwrap();
        assert_eq!(size, SIZE as u64);
        assert!(got == whole[offset..], "from {offset}");
    }
    let past = fetch(&a, &b, "bafk", SIZE as u64 + 1).await.unwrap();
    assert_eq!(past, (SIZE as u64, Vec::new()), "nothing is beyond its end");
}

#[tokio::test]
async fn a_blob_that_is_not_there_is_missing() {
    let (a, b, _directory) = with_blob().await;
    assert!(matches!(fetch(&a, &b, "other", 0).await, Err(FetchError::Missing)));
    assert!(matches!(fetch(&a, &b, &"x".repeat(300), 0).await, Err(FetchError::Missing)));
    a.net.remove_peer(b.id());
    assert!(matches!(fetch(&a, &b, "bafk", 0).await, Err(FetchError::Unreachable)));
}

#[tokio::test]
async fn a_blob_over_the_limit_is_not_taken() {
    let (mut a, mut b, _directory) = with_blob().await;
    let mut small = node_with(|config| config.limits.blob_bytes = 1000);
    connect(&mut small, &mut b).await;
    let outcome = fetch(&small, &b, "bafk", 0).await;
    assert!(matches!(outcome, Err(FetchError::TooLarge { .. })), "{outcome:?}");
    connect(&mut a, &mut small).await;
}

async fn with_client(limits: Limits) -> (Node, Client) {
    let admin = Identity::generate().unwrap();
    let node = node_with(|config| {
        config.admin = Some(admin.id());
        config.limits = limits;
    });
    let at = node.net.local().to_string();
    let client = Client::connect(&at, node.id(), &admin, Limits::default()).await.unwrap();
    (node, client)
}

#[tokio::test]
async fn a_request_with_a_body_gets_a_row_of_answers() {
    let (mut node, client) = with_client(Limits::default()).await;
    let sent = content();
    let serving = tokio::spawn(async move {
        let Event::Admin { request, mut body, mut reply } = node.next().await else { panic!() };
        let mut got = Vec::new();
        while let Some(chunk) = body.chunk().await.unwrap() {
            got.extend_from_slice(chunk);
        }
        for number in 0..3u8 {
            reply.send(&[number]).await.unwrap();
        }
        reply.finish().await.unwrap();
        (node, request, got)
    });
    let mut response = client.request(b"add", Some(&mut &sent[..])).await.unwrap();
    for number in 0..3u8 {
        assert_eq!(response.next().await.unwrap(), Some(vec![number]));
    }
    assert_eq!(response.next().await.unwrap(), None);
    let (_node, request, got) = timeout(LIMIT, serving).await.unwrap().unwrap();
    assert!(request == b"add" && got == sent);
    client.close().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_told_and_answered() {
    let (mut node, client) = with_client(Limits { blob_bytes: 100_000, ..Limits::default() }).await;
    let sent = content();
    let serving = tokio::spawn(async move {
        let Event::Admin { mut body, mut reply, .. } = node.next().await else { panic!() };
        let error = loop {
            match body.chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("all of it came"),
                Err(error) => break error,
            }
        };
        drop(body);
        reply.send(error.to_string().as_bytes()).await.unwrap();
        reply.finish().await.unwrap();
        node
    });
    let mut response = client.request(b"add", Some(&mut &sent[..])).await.unwrap();
    let answer = String::from_utf8(response.next().await.unwrap().unwrap()).unwrap();
    assert!(answer.contains("blob-bytes"), "{answer}");
    serving.await.unwrap();
}

#[tokio::test]
async fn an_answer_to_a_client_that_went_away_says_so() {
    let (mut node, client) = with_client(Limits::default()).await;
    let response = client.request(b"log -f", None).await.unwrap();
    let Event::Admin { mut reply, .. } = node.next().await else { panic!() };
    reply.send(b"a line").await.unwrap();
    drop(response);
    client.close().await;
    timeout(LIMIT, reply.gone()).await.unwrap();
    assert_eq!(reply.send(b"another").await, Err(AdminError::Gone));
}

#[tokio::test]
async fn a_wrong_key_a_wrong_node_and_a_stopped_node_are_told_apart() {
    let (node, client) = with_client(Limits::default()).await;
    let at = node.net.local().to_string();
    let stranger = Identity::generate().unwrap();
    let limits = Limits { peer_patience_ms: 500, ..Limits::default() };
    let wrong_node = Client::connect(&at, stranger.id(), &stranger, limits.clone()).await;
    assert!(matches!(wrong_node, Err(ClientError::Connect { .. })));
    // TLS 1.3: a client hears about its own key only after the handshake, with its first request.
    let wrong_key = match Client::connect(&at, node.id(), &stranger, limits.clone()).await {
        Ok(client) => match client.request(b"ls", None).await {
            Ok(mut response) => response.next().await.unwrap_err().to_string(),
            Err(why) => why.to_string(),
        },
        Err(why) => why.to_string(),
    };
    assert!(wrong_key.contains("does not know this node's key"), "{wrong_key}");
    client.close().await;
    drop(node);
    let stopped = Client::connect(&at, stranger.id(), &stranger, limits).await.err().unwrap();
    assert!(stopped.to_string().contains("edge-host run"), "{stopped}");
}
