//! Lists and log lines, for people and as JSON.

use anyhow::bail;
use serde::Serialize;

use crate::actor::Status;
use crate::journal::Line;
use crate::node::admin::{Answer, PeerRow};

pub(super) fn list(answer: &Answer, json: bool) -> anyhow::Result<()> {
    match answer {
        Answer::Actors(rows) => print(json, rows, &ACTORS, actor),
        Answer::Peers(rows) => print(json, rows, &PEERS, peer),
        Answer::Blobs(rows) => {
            print(json, rows, &["CID", "BYTES"], |row| vec![row.cid.clone(), row.bytes.to_string()])
        }
        Answer::Pins(rows) => {
            print(json, rows, &["PIN", "ACTOR", "LEVEL", "LEASE", "EDGES"], |row| {
                let lease = row.lease_ms.map(|ms| format!("{ms} ms"));
                let level = row.level.clone();
                vec![
                    row.pin.clone(),
                    row.actor.clone(),
                    dash(level),
                    dash(lease),
                    row.edges.to_string(),
                ]
            })
        }
        Answer::Aside(rows) => print(json, rows, &["ACTOR", "NUMBER", "MESSAGE", "WHY"], |row| {
            vec![row.actor.clone(), row.number.to_string(), row.message.clone(), row.why.clone()]
        }),
        other => bail!(
            "the node answered something else ({other:?}): use the edge-host of the same version"
        ),
    }
}

const ACTORS: [&str; 8] =
    ["NAME", "STATE", "WORLD", "INCARNATION", "HANDLED", "WAITING", "COMPONENT", "LAST FAILURE"];
const PEERS: [&str; 5] = ["PEER", "STATE", "AT", "RTT", "LAST ERROR"];

fn actor(row: &Status) -> Vec<String> {
    let state = match row.reason {
        Some(reason) => format!("{} ({reason})", row.state),
        None => row.state.clone(),
    };
    vec![
        row.name.clone(),
        state,
        row.world.clone(),
        row.incarnations.to_string(),
        row.handled.to_string(),
        row.waiting.to_string(),
        row.component.clone(),
        dash(row.last_failure.clone()),
    ]
}

fn peer(row: &PeerRow) -> Vec<String> {
    let at = row.remote.clone().or_else(|| row.at.clone());
    let rtt = row.rtt_us.map(|us| format!("{us} µs"));
    vec![row.id.clone(), row.state.clone(), dash(at), dash(rtt), dash(row.last_error.clone())]
}

fn dash(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".into())
}

fn print<T: Serialize>(
    json: bool,
    rows: &[T],
    heads: &[&str],
    cells: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(rows)?);
        return Ok(());
    }
    let columns = heads.len();
    let heads = heads.iter().map(ToString::to_string).collect();
    let table: Vec<Vec<String>> = std::iter::once(heads).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &table {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
    Ok(())
}

pub(super) fn line(line: &Line, json: bool, colour: bool) {
    if json {
        println!(
            "{}",
            serde_json::json!({ "number": line.number, "at": line.at, "text": line.text })
        );
        return;
    }
    let (seconds, millis) = (line.at / 1000 % 86_400, line.at % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let time = format!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03}");
    // A guest's text may hold control characters that would reach the terminal.
    let text: String =
        line.text.chars().map(|char| if char.is_control() { '·' } else { char }).collect();
    match colour {
        true => println!("\x1b[2m{time}\x1b[0m {text}"),
        false => println!("{time} {text}"),
    }
}
