//! The command line against a node elsewhere: `--node ID@HOST:PORT --key FILE`; and what passes
//! between them, read by an independent decoder.

use anyhow::{Context, Result};
use edge_host::limits::Limits;
use edge_host::net::client::Client;
use edge_host::net::identity::{ADMIN_KEY, Identity};
use edge_host::node::admin::{Answer, List, Request};
use pair::{Message, Report};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::process::{self, Process};

use crate::nodes::{self, refusal};

/// A node, and a folder elsewhere whose only way to it is a copy of its admin key.
struct Remote {
    node: Process,
    id: String,
    folder: TempDir,
}

impl Remote {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = folder.path().join("node");
        let id = process::id(&at)?;
        let node = Process::start(&at, &nodes::manifest(&[], ""))?;
        std::fs::copy(at.join("data").join(ADMIN_KEY), folder.path().join("key"))?;
        Ok(Self { node, id, folder })
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        self.run_as("key", &self.id, arguments)
    }

    fn run_as(&self, key: &str, id: &str, arguments: &[&str]) -> Result<String> {
        let node = format!("{id}@{}", self.node.address()?);
        let key = self.folder.path().join(key);
        let more = ["--node", &node, "--key", &key.to_string_lossy()];
        process::edge_host(&self.folder.path().join("elsewhere"), &[arguments, &more].concat())
    }
}

#[test]
fn all_that_works_here_works_on_a_node_elsewhere() -> Result<()> {
    let remote = Remote::start()?;
    for guest in [nodes::pair(), nodes::pair2()] {
        let cid = remote.run(&["add", &guest.file.to_string_lossy()])?;
        assert_eq!(cid.trim(), guest.cid);
    }
    remote.run(&["start", &nodes::pair().cid, "--as", "it"])?;
    assert_eq!(remote.run(&["send", "it", "\"Version\""])?.trim(), "1");
    remote.run(&["swap", "it", &nodes::pair2().cid])?;
    assert_eq!(remote.run(&["send", "it", "\"Version\""])?.trim(), "2");
    let rows: Value = serde_json::from_str(&remote.run(&["ls", "actors", "--json"])?)?;
    assert_eq!(rows[0]["component"], nodes::pair2().cid.as_str());
    let blobs = remote.run(&["ls", "blobs"])?;
    assert!(blobs.contains(&nodes::pair().cid) && blobs.contains(&nodes::pair2().cid), "{blobs}");
    assert!(remote.run(&["log", "it"])?.contains("held here"));
    remote.run(&["stop", "it"])?;
    assert!(refusal(remote.run(&["send", "it", "\"Version\""])).contains("no actor named it"));
    Ok(())
}

#[test]
fn a_wrong_key_node_or_form_is_refused_in_one_line() -> Result<()> {
    let remote = Remote::start()?;
    let stranger = Identity::open(&remote.folder.path().join("stranger"), ADMIN_KEY)?.id();
    let wrong = refusal(remote.run_as("stranger/admin.key", &remote.id, &["ls"]));
    assert!(wrong.contains("key"), "{wrong}");
    remote.node.says(&format!("turned away {stranger}"))?;
    let other = refusal(remote.run_as("key", &stranger.to_string(), &["ls"]));
    assert!(other.contains(&format!("another node is there, {}", remote.id)), "{other}");
    let missing = refusal(remote.run_as("nothing", &remote.id, &["ls"]));
    assert!(missing.contains("nothing"), "{missing}");
    let malformed = refusal(process::edge_host(remote.folder.path(), &["ls", "--node", "attic"]));
    assert!(malformed.contains("ID@HOST:PORT"), "{malformed}");
    // A node's own key is no administrator's.
    let node_key = format!("node/data/{}", edge_host::net::identity::NODE_KEY);
    let refused = refusal(remote.run_as(&node_key, &remote.id, &["ls"]));
    assert!(refused.contains("key"), "{refused}");
    Ok(())
}

/// Sends a request as bytes and gives the answer's.
async fn exchange(remote: &Remote, request: &Request) -> Result<Vec<u8>> {
    let key = Identity::read(&remote.folder.path().join("key"))?;
    let at = remote.node.address()?.to_string();
    let client = Client::connect(&at, remote.id.parse()?, &key, Limits::default()).await?;
    let bytes = serde_ipld_dagcbor::to_vec(request)?;
    serde_cbor::from_slice::<Request>(&bytes)?;
    let answer = client.request(&bytes, None).await?.next().await?.context("no answer")?;
    client.close().await;
    Ok(answer)
}

#[test]
fn an_independent_decoder_reads_what_a_node_and_its_actors_say() -> Result<()> {
    let remote = Remote::start()?;
    nodes::start(&remote.node, nodes::pair(), "it", &[])?;
    remote.node.send("it", &json!(Message::Letter(70_000)))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rows = runtime.block_on(exchange(&remote, &Request::List(List::Actors)))?;
    let Answer::Actors(rows) = serde_cbor::from_slice(&rows)? else { panic!("not actors") };
    assert_eq!((rows[0].name.as_str(), rows[0].component.as_str()), ("it", &*nodes::pair().cid));
    let body = serde_cbor::to_vec(&Message::Report)?;
    let ask = Request::Send { name: "it".into(), body, deadline_ms: 60_000 };
    let answer = runtime.block_on(exchange(&remote, &ask))?;
    let Answer::Answered(body) = serde_cbor::from_slice(&answer)? else { panic!("no answer") };
    let said: Report = serde_cbor::from_slice(&body)?;
    assert_eq!(said.letters, [70_000]);
    let blobs = runtime.block_on(exchange(&remote, &Request::List(List::Blobs)))?;
    let Answer::Blobs(blobs) = serde_cbor::from_slice(&blobs)? else { panic!("not blobs") };
    assert_eq!(blobs[0].bytes, nodes::pair().bytes);
    Ok(())
}
