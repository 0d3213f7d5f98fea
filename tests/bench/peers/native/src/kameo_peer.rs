//! kameo's side of the local rows. Rings have unbounded mailboxes: a bounded one that is full holds
//! its sender up, and a ring of those stands still.

use std::time::{Duration, Instant};

use anyhow::bail;
use bench::{Call, Run, Sizing, percentile};
use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::mailbox;
use kameo::message::{Context, Message};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

const PATIENCE: Duration = Duration::from_secs(10);
/// The bounded mailbox of a fan-in.
const BOUND: usize = 4096;

#[derive(Clone, Copy)]
struct Payload([u8; 64]);

const PAYLOAD: Payload = Payload([7; 64]);

#[derive(Actor)]
struct Echo;

#[derive(Actor)]
struct Player {
    next: Option<ActorRef<Player>>,
    home: UnboundedSender<()>,
}

#[derive(Actor)]
struct Tally {
    half: u64,
    left: u64,
    home: UnboundedSender<()>,
}

#[derive(Actor)]
struct Source {
    tally: ActorRef<Tally>,
    next: u64,
    count: u64,
    credit: u64,
}

struct Ask(Payload);
struct Last(Payload);
struct Next(ActorRef<Player>);
struct Token(u64, Payload);
struct Letter(ActorRef<Source>, u64, Payload);
struct Due(u64);
struct Credit(u64);
struct Begin(u64, u64);

impl Message<Ask> for Echo {
    type Reply = Vec<u8>;

    async fn handle(&mut self, Ask(payload): Ask, _: &mut Context<Self, Vec<u8>>) -> Vec<u8> {
        payload.0.to_vec()
    }
}

impl Message<Last> for Echo {
    type Reply = Vec<u8>;

    async fn handle(&mut self, Last(payload): Last, cx: &mut Context<Self, Vec<u8>>) -> Vec<u8> {
        cx.stop();
        payload.0.to_vec()
    }
}

impl Message<Next> for Player {
    type Reply = ();

    async fn handle(&mut self, Next(next): Next, _: &mut Context<Self, ()>) {
        self.next = Some(next);
    }
}

impl Message<Token> for Player {
    type Reply = ();

    async fn handle(&mut self, Token(left, payload): Token, _: &mut Context<Self, ()>) {
        match &self.next {
            Some(next) if left > 0 => {
                // A ring lives as long as its program.
                let _ = next.tell(Token(left - 1, payload)).await;
            }
            _ => drop(self.home.send(())),
        }
    }
}

impl Message<Due> for Tally {
    type Reply = ();

    async fn handle(&mut self, Due(letters): Due, _: &mut Context<Self, ()>) {
        self.left = letters;
    }
}

impl Message<Letter> for Tally {
    type Reply = ();

    async fn handle(&mut self, letter: Letter, _: &mut Context<Self, ()>) {
        let Letter(from, number, payload) = letter;
        std::hint::black_box(payload.0);
        if number % self.half == self.half - 1 {
            // The source lives as long as the program.
            let _ = from.tell(Credit(self.half)).await;
        }
        self.left -= 1;
        if self.left == 0 {
            let _ = self.home.send(());
        }
    }
}

impl Message<Begin> for Source {
    type Reply = ();

    async fn handle(&mut self, Begin(count, window): Begin, cx: &mut Context<Self, ()>) {
        (self.next, self.count, self.credit) = (0, count, window);
        self.send(cx.actor_ref().clone()).await;
    }
}

impl Message<Credit> for Source {
    type Reply = ();

    async fn handle(&mut self, Credit(more): Credit, cx: &mut Context<Self, ()>) {
        self.credit += more;
        self.send(cx.actor_ref().clone()).await;
    }
}

impl Source {
    async fn send(&mut self, me: ActorRef<Source>) {
        while self.credit > 0 && self.next < self.count {
            // The tally lives as long as the program.
            let _ = self.tally.tell(Letter(me.clone(), self.next, PAYLOAD)).await;
            self.next += 1;
            self.credit -= 1;
        }
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
    let echo = Echo::spawn(Echo);
    let mut sizing = Sizing::new(ms, 1000);
    loop {
        let count = sizing.size();
        let began = Instant::now();
        let (mut times, mut last) = (Vec::with_capacity(count as usize), began);
        for _ in 0..count {
            echo.ask(Ask(PAYLOAD)).reply_timeout(PATIENCE).await?;
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
    let mut players: Vec<ActorRef<Player>> = Vec::new();
    for _ in 0..size {
        let player = Player { next: players.last().cloned(), home: home.clone() };
        players.push(Player::spawn_with_mailbox(player, mailbox::unbounded()));
    }
    if let (Some(first), Some(last)) = (players.first(), players.last()) {
        first.ask(Next(last.clone())).await?;
    }
    let mut sizing = Sizing::new(call.ms, (20_000 / tokens).max(1));
    loop {
        let hops = sizing.size();
        let began = Instant::now();
        // Each before the one it passes tokens on to.
        for player in players.iter().rev().take(tokens as usize) {
            player.tell(Token(hops, PAYLOAD)).await?;
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
    let tally = Tally { half: window / 2, left: 0, home };
    let tally = Tally::spawn_with_mailbox(tally, mailbox::bounded(BOUND));
    let source = || Source { tally: tally.clone(), next: 0, count: 0, credit: 0 };
    let all: Vec<_> = (0..sources)
        .map(|_| Source::spawn_with_mailbox(source(), mailbox::bounded(BOUND)))
        .collect();
    let mut sizing = Sizing::new(call.ms, 160);
    loop {
        let count = sizing.size();
        let began = Instant::now();
        tally.ask(Due(count * sources)).await?;
        for source in &all {
            source.tell(Begin(count, window)).await?;
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
        let began = Instant::now();
        let echoes: Vec<_> = (0..alive).map(|_| Echo::spawn(Echo)).collect();
        ns += began.elapsed().as_nanos() as u64;
        actors += alive;
        for echo in &echoes {
            echo.ask(Ask(PAYLOAD)).await?;
        }
        for echo in &echoes {
            echo.stop_gracefully().await?;
            echo.wait_for_shutdown().await;
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
                let echo = Echo::spawn(Echo);
                echo.ask(Last(PAYLOAD)).await?;
                echo.wait_for_shutdown().await;
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

/// Waits for so many to be done.
pub async fn wait(done: &mut UnboundedReceiver<()>, count: u64) -> anyhow::Result<()> {
    for _ in 0..count {
        if done.recv().await.is_none() {
            bail!("nobody is left");
        }
    }
    Ok(())
}
