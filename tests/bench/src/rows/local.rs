//! Letters between actors of one node.

use std::cell::Cell;
use std::rc::Rc;

use anyhow::Context;
use bench::{Run, sized};
use serde_json::{Value, json};

use super::{MODULE, raw};
use crate::Bench;
use crate::ours::Node;
use crate::row::{Better, Measure, Row};

/// Limits that a ring of 10,000 needs: a conductor that knows each player, and room in a mailbox
/// for every token, since tokens may bunch.
const LIMITS: &str = "[limits]\nactors = 30000\nhandles = 20000\nmailbox = 16384\n";
/// A limit on live actors that a process has no mappings for, a guarded memory each: their memories
/// are packed, and checked at each access.
pub const PACKED: &str = "live = 30000\n";
/// Tokens are given out in the order of the ring.
pub const ALONG: &str = "Along";
/// The other way round.
const AGAINST: &str = "Against";

/// One actor asks another, waits for the answer, asks again: 64 bytes there and 64 back, each
/// round trip timed by itself, the median of all. Ours is `ask` with its deadline; the peers' is
/// their own call with a timeout, where they have one. Ours, the BEAM's and RUSM's asking side is
/// an actor; kameo's and ractor's is a task beside the actors. RUSM's component takes the time by
/// its own clock, and knows of no deadline.
///
/// The limit: the same two guests' modules, a call of one with the question and of the other with
/// the answer. No mailbox, scheduler, deadline or check of a handle is in it.
pub fn local_ask_p50(bench: &Bench) -> Row {
    let guests = [("conductor", "conductor"), ("player", "player")];
    Row::new("local_ask_p50", "µs", Better::Lower, "erlang")
        .limit(MODULE)
        .side("ours", ask(bench))
        .side(MODULE, raw(bench, "module_ask", &guests, &[]))
        .side("erlang", bench.peers.erlang("ask", bench.ms, &[]))
        .side("kameo", bench.peers.program("bench-native", "kameo_ask", bench.ms, &[]))
        .side("ractor", bench.peers.program("bench-native", "ractor_ask", bench.ms, &[]))
        .side("rusm", bench.peers.rusm("ask", bench.ms, &[]))
}

fn ask(bench: &Bench) -> anyhow::Result<Measure> {
    let node = ring(bench, 2, "")?;
    let (ms, mut size) = (bench.ms, 1000);
    Ok(Box::new(move || {
        let (figure, next) = sized(ms, size, |size| {
            let asked = node.ask("conductor", &json!({ "Ask": size.min(500_000) }))?;
            Ok(Run { ns: number(&asked, "ns")?, figure: number(&asked, "p50")? as f64 / 1000.0 })
        })?;
        size = next;
        Ok(figure)
    }))
}

/// 1,000 actors in a ring, one token of 64 bytes that goes round: letters between actors a second,
/// until the token has made all its hops and its last holder has said so. Our mailboxes are bounded
/// (16,384); the BEAM's, ractor's and RUSM's always are not, and kameo's is not here: a bounded one
/// that is full holds its sender up, and a ring of those stands still. RUSM's ring is of 300.
///
/// The limit: as many instances of the same guest's module on one core, each called with the token
/// that the one before sent. It leaves out mailboxes, scheduling and checks.
pub fn ring_1000_one(bench: &Bench) -> Row {
    rings(bench, "ring_1000_one", 1000, 1)
}

/// The same ring with a token for each actor, all under way at once, until the last one is done.
/// They are given out along the ring, each before its actor hears from the one behind. Given out
/// against it they keep apart for longer, and fewer are handled together: ours and the BEAM's,
/// given out that way, stand beside.
///
/// As everywhere, our memories are guarded, if the machine can; packed ones stand beside.
///
/// The limit: on each core its part of as many instances, called with as many tokens at a time as
/// the ring's activations had on average; the rates of all cores together.
pub fn ring_1000_many(bench: &Bench) -> Row {
    rings(bench, "ring_1000_many", 1000, 1000)
}

/// 10,000 actors in a ring and a token for each, as above.
pub fn ring_10000_many(bench: &Bench) -> Row {
    rings(bench, "ring_10000_many", 10_000, 10_000)
}

fn rings(bench: &Bench, key: &'static str, size: usize, tokens: usize) -> Row {
    let parameters = [format!("size={size}"), format!("tokens={tokens}")];
    let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
    let (peers, batch) = (&bench.peers, Rc::new(Cell::new(1)));
    // One token keeps one core busy.
    let busy = cores().min(tokens);
    let row = Row::new(key, "letters/s", Better::Higher, "erlang")
        .limit(MODULE)
        .side("ours", ring_rate(bench, size, tokens, ALONG, "", batch.clone()))
        .side("ours, packed", ring_rate(bench, size, tokens, ALONG, PACKED, Rc::default()))
        .side("erlang", peers.erlang("ring", bench.ms, &parameters))
        .side("kameo", peers.program("bench-native", "kameo_ring", bench.ms, &parameters))
        .side("ractor", peers.program("bench-native", "ractor_ring", bench.ms, &parameters))
        .side(MODULE, Ok(times(busy, raw_share(bench, "module_share", size, busy, Some(batch)))));
    // RUSM holds some 340 components at once: a ring of 300, a token each or one.
    let of_300 = ["size=300", if tokens == 1 { "tokens=1" } else { "tokens=300" }];
    let row = row.side("rusm (ring of 300)", peers.rusm("ring", bench.ms, &of_300));
    if tokens == 1 {
        return row;
    }
    let against = [parameters[0], parameters[1], "against=1"];
    row.side("ours, against", ring_rate(bench, size, tokens, AGAINST, "", Rc::default()))
        .side("erlang, against", peers.erlang("ring", bench.ms, &against))
}

/// Actors of the ring that [`call_share`] measures.
const RING: usize = 1000;

/// What one core makes of the ring with a token for each actor, against the raw call of the same
/// component: on each core its part of as many instances pass tokens on, as many in a call as the
/// ring's activations had on average. Letters between actors a second and core; all cores are busy
/// on both sides. With one instance on a core all of it stays in the cache.
///
/// The peer goes through wasmtime's component layer, as a host without a layer of its own would.
/// The limit calls the component's module by itself, as a node does: letters are lowered, lists are
/// checked and what is sent is copied on both sides; mailboxes, scheduling, handles and limits are
/// ours alone.
pub fn call_share(bench: &Bench) -> Row {
    let (batch, cores) = (Rc::new(Cell::new(1)), cores());
    let some = || Some(batch.clone());
    Row::new("call_share", "letters/s and core", Better::Higher, "raw wasmtime")
        .limit(MODULE)
        .side("ours", share(bench, batch.clone()))
        .side("raw wasmtime", Ok(raw_share(bench, "component_share", RING, cores, some())))
        .side(MODULE, Ok(raw_share(bench, "module_share", RING, cores, some())))
        .side("raw, 1 in a call", Ok(raw_share(bench, "component_share", RING, cores, None)))
        .side("raw, 1 instance", Ok(raw_share(bench, "component_share", 1, cores, some())))
}

fn share(bench: &Bench, batch: Rc<Cell<u64>>) -> anyhow::Result<Measure> {
    let mut all = ring_rate(bench, RING, RING, ALONG, "", batch)?;
    Ok(Box::new(move || Ok(all()? / cores() as f64)))
}

/// Letters a second and core, `batch` in a call, or one.
fn raw_share(
    bench: &Bench,
    row: &'static str,
    actors: usize,
    cores: usize,
    batch: Option<Rc<Cell<u64>>>,
) -> Measure {
    let (peers, ms) = (bench.peers.clone(), bench.ms);
    let component = format!("component={}", bench.ours.guest("player").display());
    let (actors, cores) = (format!("actors={}", actors.div_ceil(cores)), format!("cores={cores}"));
    Box::new(move || {
        let batch = format!("batch={}", batch.as_ref().map_or(1, |batch| batch.get()));
        peers.program("bench-raw", row, ms, &[&component, &actors, &cores, &batch])?()
    })
}

fn times(cores: usize, mut measure: Measure) -> Measure {
    Box::new(move || Ok(measure()? * cores as f64))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// `batch` is set to the tokens that an activation of one player had on average, rounded up: the
/// limit has as many in a call at least.
fn ring_rate(
    bench: &Bench,
    size: usize,
    tokens: usize,
    order: &'static str,
    limits: &str,
    batch: Rc<Cell<u64>>,
) -> anyhow::Result<Measure> {
    let node = ring(bench, size, limits)?;
    let (ms, mut hops) = (bench.ms, (20_000 / tokens as u64).max(1));
    Ok(Box::new(move || {
        let (figure, next) = sized(ms, hops, |hops| {
            let before = node.ask("conductor", &json!("Seen"))?;
            let took = node.ask("conductor", &json!({ "Run": [tokens, hops, order] }))?;
            let after = node.ask("conductor", &json!("Seen"))?;
            let grown =
                |name| Ok::<_, anyhow::Error>(number(&after, name)? - number(&before, name)?);
            batch.set(grown("tokens")?.div_ceil(grown("activations")?.max(1)).max(1));
            Ok(Run::rate(number(&took, "letters")?, number(&took, "ns")?))
        })?;
        hops = next;
        Ok(figure)
    }))
}

/// A node with these limits beside [`LIMITS`], and a ring of players.
pub fn ring(bench: &Bench, size: usize, limits: &str) -> anyhow::Result<Node> {
    let node = bench.ours.node(&format!(
        "{LIMITS}{limits}[actor.conductor]\ncomponent = \"$conductor\"\n\
        grant = {{ player = {{ spawn = \"$player\", max = {size} }} }}\n"
    ))?;
    node.ask("conductor", &json!({ "Build": size }))?;
    // All have started once each has had a token.
    node.ask("conductor", &json!({ "Run": [size, 1, ALONG] }))?;
    Ok(node)
}

/// 100 actors send letters of 64 bytes to one, each on a credit of 32 that the receiver renews
/// after every 16 that it has counted, so that a mailbox of 4,096 never overflows: letters counted
/// a second, until the last one. Ours also checks that each sender's letters come in order. kameo's
/// mailbox is bounded, too, at 4,096; the BEAM's and ractor's are not, and only the credit keeps
/// them short. With durable turns the count is safe on the disk before the credit for it leaves.
///
/// The limit: the same guests' modules, called one at a time with letters that lie ready, up to 64
/// in a call of the receiver. It is the less of two rates: the receiver's calls one after the
/// other, and all calls on all cores. Mailboxes, scheduling and the wait for one another are left
/// out.
pub fn fan_in_100(bench: &Bench) -> Row {
    let parameters = ["sources=100", "window=32", "size=64"];
    let guests = [("tally", "tally"), ("source", "source")];
    Row::new("fan_in_100", "letters/s", Better::Higher, "erlang")
        .limit(MODULE)
        .side("ours", fan_in(bench, false))
        .side("ours, durable turns", fan_in(bench, true))
        .side(MODULE, raw(bench, "module_fan_in", &guests, &parameters))
        .side("erlang", bench.peers.erlang("fan_in", bench.ms, &parameters))
        .side("kameo", bench.peers.program("bench-native", "kameo_fan_in", bench.ms, &parameters))
        .side("ractor", bench.peers.program("bench-native", "ractor_fan_in", bench.ms, &parameters))
}

fn fan_in(bench: &Bench, durable: bool) -> anyhow::Result<Measure> {
    let node = bench.ours.node(
        "[limits]\nmailbox = 4096\n[actor.tally]\ncomponent = \"$tally\"\n\
        grant = { source = { spawn = \"$source\", max = 100 } }\n",
    )?;
    node.ask("tally", &json!({ "Spawn": 100 }))?;
    let (ms, mut count) = (bench.ms, 160);
    Ok(Box::new(move || {
        let (figure, next) = sized(ms, count, |count| {
            let run = json!({
                "Run": { "count": count, "size": 64, "window": 32, "durable": durable },
            });
            let took = node.ask("tally", &run)?;
            Ok(Run::rate(number(&took, "letters")?, number(&took, "ns")?))
        })?;
        count = next;
        Ok(figure)
    }))
}

/// A number in an actor's answer.
pub fn number(answer: &Value, name: &str) -> anyhow::Result<u64> {
    answer[name].as_u64().with_context(|| format!("{answer} has no {name}"))
}
