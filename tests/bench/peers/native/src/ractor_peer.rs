//! ractor's side of the local rows.

use std::time::Instant;

use anyhow::bail;
use bench::{Call, Run, Sizing, percentile};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call_t};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::kameo_peer::wait;

const PATIENCE_MS: u64 = 10_000;

type Payload = [u8; 64];
const PAYLOAD: Payload = [7; 64];
type Outcome<T> = Result<T, ActorProcessingErr>;

struct Echo;
struct Player;
struct Tally;
struct Source;

enum Asked {
    Ask(Payload, RpcReplyPort<Payload>),
    Last(Payload, RpcReplyPort<Payload>),
}

enum Token {
    Next(ActorRef<Token>),
    Token(u64, Payload),
}

enum Counted {
    Due(u64),
    Letter(ActorRef<Credited>, u64, Payload),
}

enum Credited {
    Begin(u64, u64),
    Credit(u64),
}

impl Actor for Echo {
    type Msg = Asked;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Asked>, (): ()) -> Outcome<()> {
        Ok(())
    }

    async fn handle(&self, me: ActorRef<Asked>, message: Asked, (): &mut ()) -> Outcome<()> {
        match message {
            Asked::Ask(payload, reply) => reply.send(payload)?,
            Asked::Last(payload, reply) => {
                reply.send(payload)?;
                me.stop(None);
            }
        }
        Ok(())
    }
}

type Place = (Option<ActorRef<Token>>, UnboundedSender<()>);

impl Actor for Player {
    type Msg = Token;
    type State = Place;
    type Arguments = Place;

    async fn pre_start(&self, _: ActorRef<Token>, place: Place) -> Outcome<Place> {
        Ok(place)
    }

    async fn handle(&self, _: ActorRef<Token>, token: Token, place: &mut Place) -> Outcome<()> {
        match (token, &place.0) {
            (Token::Next(next), _) => place.0 = Some(next),
            (Token::Token(left, payload), Some(next)) if left > 0 => {
                next.send_message(Token::Token(left - 1, payload))?;
            }
            (Token::Token(..), _) => place.1.send(())?,
        }
        Ok(())
    }
}

struct Count {
    half: u64,
    left: u64,
    home: UnboundedSender<()>,
}

impl Actor for Tally {
    type Msg = Counted;
    type State = Count;
    type Arguments = Count;

    async fn pre_start(&self, _: ActorRef<Counted>, count: Count) -> Outcome<Count> {
        Ok(count)
    }

    async fn handle(
        &self,
        _: ActorRef<Counted>,
        message: Counted,
        count: &mut Count,
    ) -> Outcome<()> {
        match message {
            Counted::Due(letters) => count.left = letters,
            Counted::Letter(from, number, payload) => {
                std::hint::black_box(payload);
                if number % count.half == count.half - 1 {
                    from.send_message(Credited::Credit(count.half))?;
                }
                count.left -= 1;
                if count.left == 0 {
                    count.home.send(())?;
                }
            }
        }
        Ok(())
    }
}

struct Sent {
    tally: ActorRef<Counted>,
    next: u64,
    count: u64,
    credit: u64,
}

impl Actor for Source {
    type Msg = Credited;
    type State = Sent;
    type Arguments = Sent;

    async fn pre_start(&self, _: ActorRef<Credited>, sent: Sent) -> Outcome<Sent> {
        Ok(sent)
    }

    async fn handle(
        &self,
        me: ActorRef<Credited>,
        message: Credited,
        sent: &mut Sent,
    ) -> Outcome<()> {
        match message {
            Credited::Begin(count, window) => {
                (sent.next, sent.count, sent.credit) = (0, count, window);
            }
            Credited::Credit(more) => sent.credit += more,
        }
        while sent.credit > 0 && sent.next < sent.count {
            sent.tally.send_message(Counted::Letter(me.clone(), sent.next, PAYLOAD))?;
            sent.next += 1;
            sent.credit -= 1;
        }
        Ok(())
    }
}

/// Measures a row.
pub async fn measure(row: &str, call: &Call) -> anyhow::Result<f64> {
    match row {
        "ask" => ask(call.ms).await,
        "ring" => ring(call, call.number("size")?, call.number("tokens")?).await,
        "fan_in" => fan_in(call, call.number("sources")?, call.number("window")?).await,
        "spawn" => spawn(call, call.number("alive")?).await,
        "answer_stop" => answer_stop(call, call.number("at_once")?).await,
        _ => bail!("no row {row:?}"),
    }
}

async fn ask(ms: u64) -> anyhow::Result<f64> {
    let (echo, _) = Actor::spawn(None, Echo, ()).await?;
    let mut sizing = Sizing::new(ms, 1000);
    loop {
        let count = sizing.size();
        let began = Instant::now();
        let (mut times, mut last) = (Vec::with_capacity(count as usize), began);
        for _ in 0..count {
            call_t!(echo, Asked::Ask, PATIENCE_MS, PAYLOAD)?;
            let now = Instant::now();
            times.push((now - last).as_nanos() as u64);
            last = now;
        }
        let ns = began.elapsed().as_nanos() as u64;
        if let Some(figure) =
            sizing.done(Run { ns, figure: percentile(&mut times, 0.5) as f64 / 1000.0 })
        {
            return Ok(figure);
        }
    }
}

async fn ring(call: &Call, size: u64, tokens: u64) -> anyhow::Result<f64> {
    let (home, mut done) = unbounded_channel();
    let mut players: Vec<ActorRef<Token>> = Vec::new();
    for _ in 0..size {
        let place = (players.last().cloned(), home.clone());
        players.push(Actor::spawn(None, Player, place).await?.0);
    }
    if let (Some(first), Some(last)) = (players.first(), players.last()) {
        first.send_message(Token::Next(last.clone()))?;
    }
    let mut sizing = Sizing::new(call.ms, (20_000 / tokens).max(1));
    loop {
        let hops = sizing.size();
        let began = Instant::now();
        // Each before the one it passes tokens on to.
        for player in players.iter().rev().take(tokens as usize) {
            player.send_message(Token::Token(hops, PAYLOAD))?;
        }
        wait(&mut done, tokens).await?;
        if let Some(figure) =
            sizing.done(Run::rate(tokens * hops, began.elapsed().as_nanos() as u64))
        {
            return Ok(figure);
        }
    }
}

async fn fan_in(call: &Call, sources: u64, window: u64) -> anyhow::Result<f64> {
    let (home, mut done) = unbounded_channel();
    let count = Count { half: window / 2, left: 0, home };
    let (tally, _) = Actor::spawn(None, Tally, count).await?;
    let mut all = Vec::new();
    for _ in 0..sources {
        let sent = Sent { tally: tally.clone(), next: 0, count: 0, credit: 0 };
        all.push(Actor::spawn(None, Source, sent).await?.0);
    }
    let mut sizing = Sizing::new(call.ms, 160);
    loop {
        let count = sizing.size();
        let began = Instant::now();
        tally.send_message(Counted::Due(count * sources))?;
        for source in &all {
            source.send_message(Credited::Begin(count, window))?;
        }
        wait(&mut done, 1).await?;
        if let Some(figure) =
            sizing.done(Run::rate(count * sources, began.elapsed().as_nanos() as u64))
        {
            return Ok(figure);
        }
    }
}

async fn spawn(call: &Call, alive: u64) -> anyhow::Result<f64> {
    let (mut ns, mut actors) = (0, 0);
    while ns < call.ms * 1_000_000 {
        let mut echoes = Vec::with_capacity(alive as usize);
        let began = Instant::now();
        for _ in 0..alive {
            echoes.push(Actor::spawn(None, Echo, ()).await?);
        }
        ns += began.elapsed().as_nanos() as u64;
        actors += alive;
        for (echo, _) in &echoes {
            call_t!(echo, Asked::Ask, PATIENCE_MS, PAYLOAD)?;
        }
        for (echo, ended) in echoes {
            echo.stop(None);
            ended.await?;
        }
    }
    Ok(Run::rate(actors, ns).figure)
}

async fn answer_stop(call: &Call, at_once: u64) -> anyhow::Result<f64> {
    let mut sizing = Sizing::new(call.ms, 1000);
    loop {
        let count = sizing.size();
        let began = Instant::now();
        let each = count.div_ceil(at_once);
        let one_after_the_other = || async move {
            for _ in 0..each {
                let (echo, ended) = Actor::spawn(None, Echo, ()).await?;
                call_t!(echo, Asked::Last, PATIENCE_MS, PAYLOAD)?;
                ended.await?;
            }
            anyhow::Ok(())
        };
        let lines: Vec<_> = (0..at_once).map(|_| tokio::spawn(one_after_the_other())).collect();
        for line in lines {
            line.await??;
        }
        if let Some(figure) =
            sizing.done(Run::rate(each * at_once, began.elapsed().as_nanos() as u64))
        {
            return Ok(figure);
        }
    }
}
