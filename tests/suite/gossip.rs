//! Publications over real nodes that stand in a line.

use std::path::Path;

use anyhow::Result;
use pair::Message;
use tests::process::{self, Process};

use crate::nodes::{self, tell, until};

/// Starts a node with gossip and a pair that reads and writes the news. The pair starts first (its
/// name does), so that it misses nothing.
fn node(folder: &Path, peers: &[String]) -> Result<Process> {
    let rest = format!(
        "[actor.ear]\ncomponent = \"{}\"\nmailbox = 1024\ngrant = {{ news = \"topic:news\" }}\n\n\
         [actor.gossip]\ncomponent = \"{}\"\ngrant = {{ links = \"links\" }}\n",
        nodes::pair().file.display(),
        nodes::gossip().file.display()
    );
    Process::start(folder, &nodes::manifest(peers, &rest))
}

#[test]
fn news_reach_the_end_of_the_line_once_and_a_late_joiner_is_caught_up() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(process::id(&at(name))?);
    }
    let known = |of: usize| nodes::peer(&ids[of], None);
    let to = |of: usize, node: &Process| -> Result<String> {
        Ok(nodes::peer(&ids[of], Some(&node.address()?.to_string())))
    };
    let a = node(&at("a"), &[known(1)])?;
    let b = node(&at("b"), &[to(0, &a)?, known(2)])?;
    let c = node(&at("c"), &[to(1, &b)?, known(3)])?;
    nodes::peer_is(&b, &ids[0], "up")?;
    nodes::peer_is(&b, &ids[2], "up")?;
    tell(&a, "ear", &Message::Publish { first: 0, count: 100 })?;
    let all: Vec<u64> = (0..100).collect();
    for node in [&b, &c] {
        let got = until(node, "ear", "100 news", |report| report.letters.len() >= 100)?;
        assert_eq!(sorted(got.letters), all);
    }
    let d = node(&at("d"), &[to(2, &c)?])?;
    let got = until(&d, "ear", "100 old news", |report| report.letters.len() >= 100)?;
    assert_eq!(sorted(got.letters), all);
    // What comes twice would come before this has gone all the way.
    tell(&d, "ear", &Message::Publish { first: 100, count: 1 })?;
    until(&a, "ear", "the news from the end", |report| report.letters.contains(&100))?;
    assert_eq!(nodes::report(&a, "ear")?.letters, [100], "it heard its own news");
    for node in [&b, &c] {
        let got = until(node, "ear", "one more", |report| report.letters.contains(&100))?;
        assert_eq!(got.letters.len(), 101, "news came twice: {got:?}");
    }
    Ok(())
}

/// Each once, in whatever order.
fn sorted(mut letters: Vec<u64>) -> Vec<u64> {
    letters.sort();
    letters
}
