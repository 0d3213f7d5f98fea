//! The commands that speak to a running node.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::Path;

use anyhow::{Context, bail};

use super::{Target, What, When, json, show};
use crate::config::grant::parse_grant;
use crate::config::{ActorConfig, Component, Restart};
use crate::limits::Limits;
use crate::net::client::{Client, Response};
use crate::net::identity::Identity;
use crate::node::admin::{Answer, List, Request};
use crate::reason::Reason;

pub(super) fn add(file: &Path, target: &Target) -> anyhow::Result<()> {
    let mut body =
        std::fs::File::open(file).with_context(|| format!("can't read {}", file.display()))?;
    match call(target, &Request::Add, Some(&mut body))? {
        Answer::Added { cid, bytes } if target.json => {
            println!("{}", serde_json::json!({ "cid": cid, "bytes": bytes }));
        }
        Answer::Added { cid, .. } => println!("{cid}"),
        other => return unexpected(&other),
    }
    Ok(())
}

pub(super) fn start(
    cid: String,
    name: String,
    grants: &[String],
    restart: When,
    target: &Target,
) -> anyhow::Result<()> {
    let folder = std::env::current_dir()?;
    let mut given = BTreeMap::new();
    for text in grants {
        let (name, grant) = text.split_once('=').with_context(|| {
            format!("--grant {text:?} is not NAME=GRANT, like room=sensor:proc:loadavg")
        })?;
        let grant =
            parse_grant(grant.trim(), &folder).with_context(|| format!("--grant {name}"))?;
        if given.insert(name.trim().to_string(), grant).is_some() {
            bail!("--grant {name} is given twice: leave one");
        }
    }
    let when = match restart {
        When::Always => crate::config::When::Always,
        When::Failed => crate::config::When::Failed,
        When::Never => crate::config::When::Never,
    };
    let config = Box::new(ActorConfig {
        component: Component::Cid(cid),
        grants: given,
        mailbox: None,
        memory: None,
        turn: None,
        storage: None,
        restart: Restart { when, ..Restart::default() },
    });
    match call(target, &Request::Start { name: name.clone(), config }, None)? {
        Answer::Started { address, cid, origin } if target.json => {
            let row = serde_json::json!({
                "name": name, "address": address, "cid": cid, "origin": origin,
            });
            println!("{row}");
        }
        Answer::Started { cid, origin, .. } => println!("{name} runs {cid} ({origin})"),
        other => return unexpected(&other),
    }
    Ok(())
}

pub(super) fn stop(name: String, target: &Target) -> anyhow::Result<()> {
    done(call(target, &Request::Stop { name: name.clone() }, None)?, &format!("{name} is stopped"))
}

pub(super) fn swap(name: String, cid: String, target: &Target) -> anyhow::Result<()> {
    let component = Component::Cid(cid);
    match call(target, &Request::Swap { name: name.clone(), component }, None)? {
        Answer::Swapped { cid, origin } if target.json => {
            println!("{}", serde_json::json!({ "name": name, "cid": cid, "origin": origin }));
        }
        Answer::Swapped { cid, origin } => println!("{name} runs {cid} ({origin})"),
        other => return unexpected(&other),
    }
    Ok(())
}

pub(super) fn list(what: What, target: &Target) -> anyhow::Result<()> {
    let list = match what {
        What::Actors => List::Actors,
        What::Peers => List::Peers,
        What::Blobs => List::Blobs,
        What::Pins => List::Pins,
        What::Aside => List::Aside,
    };
    let answer = call(target, &Request::List(list), None)?;
    show::list(&answer, target.json)
}

pub(super) fn send(
    name: String,
    message: &str,
    deadline_ms: u64,
    target: &Target,
) -> anyhow::Result<()> {
    let body = json::to_cbor(message)?;
    match call(target, &Request::Send { name: name.clone(), body, deadline_ms }, None)? {
        Answer::Answered(body) => println!("{}", json::from_cbor(&body)),
        Answer::Unanswered(Reason::NoAnswer) => eprintln!("{name} has it, and answers nothing"),
        Answer::Unanswered(reason) => {
            let hint = match reason {
                Reason::Deadline => {
                    format!("no answer in {deadline_ms} ms: wait longer with --deadline")
                }
                Reason::Trapped | Reason::OverBudget => format!("see `edge-host log {name}`"),
                Reason::MailboxFull => "it is busy: try again later".into(),
                _ => "see `edge-host ls actors`".into(),
            };
            bail!("{name}: {reason}: {hint}");
        }
        other => return unexpected(&other),
    }
    Ok(())
}

pub(super) fn send_again(name: String, number: u64, target: &Target) -> anyhow::Result<()> {
    let said = format!("message {number} is back in the mailbox of {name}");
    done(call(target, &Request::SendAgain { name, number }, None)?, &said)
}

pub(super) fn log(name: String, follow: bool, target: &Target) -> anyhow::Result<()> {
    let colour = std::io::stdout().is_terminal();
    with_response(target, &Request::Log { name, follow }, None, |answer| {
        match answer {
            Answer::Lines(lines) => {
                lines.iter().for_each(|line| show::line(line, target.json, colour))
            }
            Answer::Failed(why) => bail!(why),
            other => return unexpected(&other),
        }
        Ok(())
    })
}

fn done(answer: Answer, said: &str) -> anyhow::Result<()> {
    match answer {
        Answer::Done => eprintln!("{said}"),
        other => return unexpected(&other),
    }
    Ok(())
}

fn unexpected(answer: &Answer) -> anyhow::Result<()> {
    bail!("the node answered something else ({answer:?}): use the edge-host of the same version")
}

/// One request, one answer: the pieces of a list are one.
fn call(
    target: &Target,
    request: &Request,
    body: Option<&mut (dyn Read + Send)>,
) -> anyhow::Result<Answer> {
    let mut all: Option<Answer> = None;
    with_response(target, request, body, |answer| {
        match &mut all {
            None => all = Some(answer),
            Some(before) => {
                if let Err(other) = before.join(answer) {
                    return unexpected(&other);
                }
            }
        }
        Ok(())
    })?;
    match all {
        Some(Answer::Failed(why)) => bail!(why),
        Some(answer) => Ok(answer),
        None => bail!("the node ended the connection without an answer: see its log"),
    }
}

/// A request's bytes, and what a node answers from its bytes.
pub(super) fn written(request: &Request) -> anyhow::Result<Vec<u8>> {
    Ok(serde_ipld_dagcbor::to_vec(request)?)
}

/// See [`written`].
pub(super) fn read(answer: &[u8]) -> anyhow::Result<Answer> {
    serde_ipld_dagcbor::from_slice(answer)
        .context("the node's answer can't be read: use the edge-host of the same version")
}

fn with_response(
    target: &Target,
    request: &Request,
    body: Option<&mut (dyn Read + Send)>,
    mut take: impl FnMut(Answer) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (at, node, key) = target.resolve()?;
    let key = Identity::read(&key)?;
    let request = written(request)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(&at, node, &key, Limits::default()).await?;
        let mut response: Response = client.request(&request, body).await?;
        while let Some(frame) = response.next().await? {
            take(read(&frame)?)?;
        }
        client.close().await;
        Ok(())
    })
}
