//! Deploy by hash: where a component comes from, and what is done about wrong, broken and missing
//! bytes.

use std::path::{Path, PathBuf};

use anyhow::Result;
use edge_host::store::blobs::cid_of;
use serde_json::json;
use tests::process::{self, Process};
use tests::relay::Relay;
use tests::{lives, wait_for};

use crate::nodes::{self, QUICK, Two, refusal};

/// Bytes of the large component: under the limit of 16 MiB, and some time on its way.
const LARGE: usize = 15 << 20;
/// So much of it has come when the link is cut.
const CUT_AT: u64 = 5 << 20;

fn blob(node: &Process, cid: &str) -> PathBuf {
    node.folder.join("data/blobs").join(cid)
}

fn part(node: &Process, cid: &str) -> PathBuf {
    node.folder.join("data/blobs/parts").join(cid)
}

fn add(node: &Process, file: &Path) -> Result<String> {
    Ok(node.run(&["add", &file.to_string_lossy()])?.trim().into())
}

/// Where the component of a newly started actor came from.
fn origin(node: &Process, cid: &str, name: &str) -> Result<String> {
    let started = node.json(&["start", cid, "--as", name])?;
    Ok(started["origin"].as_str().unwrap_or_default().into())
}

#[test]
fn a_component_that_is_not_here_comes_from_a_peer_and_is_compiled_once() -> Result<()> {
    let mut two = Two::start("")?;
    let cid = add(&two.b, &nodes::pair().file)?;
    assert_eq!(cid, nodes::pair().cid);
    let from_b = format!("fetched from peer {}", two.ids[1]);
    assert_eq!(origin(&two.a, &cid, "first")?, from_b);
    two.a.says(&format!("fetched {cid} from peer {}", two.ids[1]))?;
    assert!(two.a.run(&["log", "first"])?.contains(&from_b));
    assert_eq!(origin(&two.a, &cid, "second")?, "held here");
    assert_eq!(two.a.send("second", &json!("Version"))?, 1);
    let compiled = format!("compiled {cid}");
    assert_eq!(two.a.log().matches(&compiled).count(), 1, "{}", two.a.log());
    // Native code is kept over a restart.
    two.a.interrupt()?;
    let manifest = std::fs::read_to_string(two.a.folder.join("node.toml"))?;
    let again = Process::start(&two.a.folder.clone(), &manifest)?;
    assert_eq!(origin(&again, &cid, "third")?, "held here");
    assert_eq!(again.send("third", &json!("Version"))?, 1);
    assert!(!again.log().contains("compiled"), "{}", again.log());
    Ok(())
}

/// Their folders, the node in the middle, and its two peers with their ids.
type Between = (tempfile::TempDir, Process, [(String, Process); 2]);

/// A node with two peers that have a pair; gives it, and those in the order in which it asks them.
fn between_two_peers() -> Result<Between> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let me = process::id(&at("me"))?;
    let mut peers = Vec::new();
    for name in ["x", "y"] {
        let manifest = nodes::manifest(&[nodes::peer(&me, None)], "");
        let id = process::id(&at(name))?;
        let node = Process::start(&at(name), &manifest)?;
        add(&node, &nodes::pair().file)?;
        peers.push((id, node));
    }
    peers.sort_by(|one, other| one.0.cmp(&other.0));
    let mut known = Vec::new();
    for (id, node) in &peers {
        known.push(nodes::peer(id, Some(&node.address()?.to_string())));
    }
    let node = Process::start(&at("me"), &nodes::manifest(&known, ""))?;
    for (id, _) in &peers {
        nodes::peer_is(&node, id, "up")?;
    }
    let peers = peers.try_into().map_err(|_| anyhow::anyhow!("two"))?;
    Ok((folder, node, peers))
}

#[test]
fn a_peer_that_serves_wrong_bytes_is_refused_and_named_and_another_is_asked() -> Result<()> {
    let (_folder, node, [(liar, lying), (honest, _honest)]) = between_two_peers()?;
    let cid = &nodes::pair().cid;
    let mut bytes = std::fs::read(blob(&lying, cid))?;
    bytes[1000] ^= 1;
    std::fs::write(blob(&lying, cid), &bytes)?;
    assert_eq!(origin(&node, cid, "it")?, format!("fetched from peer {honest}"));
    assert_eq!(node.send("it", &json!("Version"))?, 1);
    node.says(&format!("{cid} not from peer {liar}: the bytes given for {cid} hash to "))?;
    assert!(!node.log().contains(&format!("not from peer {honest}")), "{}", node.log());
    assert!(!part(&node, cid).exists(), "wrong bytes were kept");
    Ok(())
}

#[test]
fn what_a_liar_left_of_a_broken_transfer_is_not_blamed_on_the_next_peer() -> Result<()> {
    let cid = &nodes::pair().cid;
    for left in [1000, nodes::pair().bytes as usize, nodes::pair().bytes as usize + 1] {
        let two = Two::start("")?;
        add(&two.b, &nodes::pair().file)?;
        std::fs::write(part(&two.a, cid), vec![7; left])?;
        let from_b = format!("fetched from peer {}", two.ids[1]);
        assert_eq!(origin(&two.a, cid, "it")?, from_b, "{left} bytes left");
        assert!(!two.a.log().contains("not from peer"), "{}", two.a.log());
    }
    Ok(())
}

/// The pair with a custom section that makes it large.
fn large_pair(folder: &Path) -> Result<(PathBuf, String)> {
    let mut component = std::fs::read(&nodes::pair().file)?;
    let mut size = LARGE as u32;
    component.push(0);
    while size >= 0x80 {
        component.push(size as u8 | 0x80);
        size >>= 7;
    }
    component.push(size as u8);
    // A name of one byte.
    component.extend([1, b'x']);
    component.extend((0..LARGE - 2).map(|at| (at as u32).wrapping_mul(2_654_435_761) as u8));
    let file = folder.join("large.wasm");
    std::fs::write(&file, &component)?;
    Ok((file, cid_of(&component).to_string()))
}

#[test]
fn a_transfer_that_breaks_goes_on_where_it_broke() -> Result<()> {
    let two = Two::start(QUICK)?;
    let (file, cid) = large_pair(two.folder.path())?;
    assert_eq!(add(&two.b, &file)?, cid);
    let have = || part(&two.a, &cid).metadata().map_or(0, |part| part.len());
    let broken = std::thread::scope(|scope| {
        let starting = scope.spawn(|| origin(&two.a, &cid, "large"));
        wait_for("some of it", || (have() >= CUT_AT).then_some(()))?;
        two.relay.cut(true);
        anyhow::Ok(refusal(starting.join().unwrap()))
    })?;
    assert!(broken.contains("no blob"), "{broken}");
    two.a.says(&format!("{cid} not from peer {}", two.ids[1]))?;
    let had = have();
    assert!((CUT_AT..LARGE as u64).contains(&had), "{had}");
    two.heal()?;
    assert_eq!(origin(&two.a, &cid, "large")?, format!("fetched from peer {}", two.ids[1]));
    assert_eq!(two.a.send("large", &json!("Version"))?, 1);
    let row = nodes::peer_row(&two.a, &two.ids[1])?;
    let came = row["bytes_in"].as_u64().unwrap();
    assert!(came < LARGE as u64 + had / 2, "{came} bytes came, {had} of them before the cut");
    Ok(())
}

#[test]
fn a_component_that_cannot_be_had_is_told_in_one_line() -> Result<()> {
    let two = Two::start("")?;
    let nowhere = cid_of(b"nobody has this").to_string();
    let refused = |cid: &str| refusal(origin(&two.a, cid, "it"));
    let missing = refused(&nowhere);
    assert!(missing.contains(&format!("no blob {nowhere}")) && missing.contains("edge-host add"));
    let malformed = refused("bafkshort");
    assert!(malformed.contains("\"bafkshort\" is not a CID"), "{malformed}");
    let dag_pb = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi";
    let codec = refused(dag_pb);
    assert!(codec.contains(dag_pb) && codec.contains("raw bytes by sha2-256"), "{codec}");
    let text = two.folder.path().join("hello.txt");
    std::fs::write(&text, "hello")?;
    let hello = add(&two.b, &text)?;
    let foreign = refused(&hello);
    assert!(foreign.contains(&hello) && foreign.contains("component"), "{foreign}");
    assert_eq!(two.a.json(&["ls", "actors"])?, json!([]));
    Ok(())
}

#[test]
fn an_actor_of_the_manifest_starts_as_soon_as_a_peer_has_its_component() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (at_a, at_b) = (folder.path().join("a"), folder.path().join("b"));
    let (a, b) = (process::id(&at_a)?, process::id(&at_b)?);
    let relay = Relay::open()?;
    let cid = &nodes::pair().cid;
    let to_b = nodes::peer(&b, Some(&relay.address().to_string()));
    let component = format!("component = \"{cid}\"\n");
    let actors = format!("[actor.waiter]\n{component}[actor.unwanted]\n{component}");
    let node = Process::start(&at_a, &nodes::manifest(&[to_b], &actors))?;
    node.says(&format!("actor waiter waits for a peer that has {cid}"))?;
    let row = node.actor("waiter")?;
    assert_eq!((&row["state"], &row["component"]), (&json!("waiting"), &json!(cid)));
    let why = format!("no blob {cid} here or at any connected peer: `edge-host add FILE`");
    assert!(row["last-failure"].as_str().is_some_and(|last| last.contains(&why)), "{row}");
    let refused = refusal(node.send("waiter", &json!("Version")));
    assert!(refused.contains(&format!("actor waiter does not run yet: {why}")), "{refused}");
    node.run(&["stop", "unwanted"])?;
    assert!(node.actor("unwanted").is_err());
    let peer = Process::start(&at_b, &nodes::manifest(&[nodes::peer(&a, None)], ""))?;
    add(&peer, &nodes::pair().file)?;
    relay.lead_to(peer.address()?);
    node.says(&format!("actor waiter starts at last: fetched from peer {b}"))?;
    assert_eq!(node.send("waiter", &json!("Version"))?, 1);
    let running = node.actor("waiter")?;
    assert!(lives(running["state"].as_str()));
    assert_eq!(running["address"], row["address"]);
    assert!(node.actor("unwanted").is_err());
    Ok(())
}
