//! RUSM's side of the rows: components in stores of their own on rusm-wasm, as ours are on
//! edge-host. What each row does is written in the driver's `src/rows`.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bench::{Call, Run, Sizing, percentile, resident};
use rusm_otp::{ProcessHandle, Runtime};
use rusm_wasm::{PreparedComponent, WasmRuntime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const PAYLOAD: [u8; 64] = [7; 64];
/// Components that are alive in the spawn and memory rows: it holds some 340.
const ALIVE: usize = 200;

/// A runtime, its component, and a native process that hears what components say.
struct Lab {
    otp: Runtime,
    wasm: WasmRuntime,
    component: PreparedComponent,
    home: u64,
    heard: UnboundedReceiver<Vec<u8>>,
}

fn main() -> anyhow::Result<()> {
    let call = Call::read()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figure = runtime.block_on(measure(&call))?;
    println!("{figure}");
    // Guests that loop would hold the runtime's end up.
    std::process::exit(0)
}

async fn measure(call: &Call) -> anyhow::Result<f64> {
    let mut lab = Lab::new(call)?;
    match call.row.as_str() {
        "ask" => lab.ask(call.ms).await,
        "ring" => lab.ring(call.ms, call.number("size")?, call.number("tokens")?).await,
        "spawn_started" => lab.spawn_started(call.ms).await,
        "spawn_answer_stop" => lab.spawn_answer_stop(call.ms, call.number("at_once")?).await,
        "memory" => lab.memory().await,
        "hog" => lab.hog(call.ms, call.text("part")?.parse()?).await,
        row => bail!("no row {row:?}"),
    }
}

impl Lab {
    fn new(call: &Call) -> anyhow::Result<Self> {
        let module = std::fs::read(call.text("module")?)?;
        let bytes = wit_component::ComponentEncoder::default().module(&module)?.encode()?;
        let otp = Runtime::new();
        let wasm = WasmRuntime::new(otp.clone())?;
        let component = wasm.prepare_component(&wasm.compile_component(bytes)?, "run")?;
        let (said, heard) = unbounded_channel();
        let home = otp.spawn(move |mut context| async move {
            loop {
                if let Some(message) = context.recv().await.message()
                    && said.send(message).is_err()
                {
                    return;
                }
            }
        });
        Ok(Self { otp, wasm, component, home: home.pid().raw(), heard })
    }

    fn spawn(&self) -> ProcessHandle {
        self.wasm.spawn_component(&self.component)
    }

    fn tell(&self, whom: &ProcessHandle, kind: u8, numbers: &[u64], payload: &[u8]) {
        let mut bytes = vec![kind];
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        bytes.extend_from_slice(payload);
        self.otp.send(whom.pid(), bytes);
    }

    async fn hear(&mut self, count: usize) -> anyhow::Result<()> {
        for _ in 0..count {
            self.heard().await?;
        }
        Ok(())
    }

    async fn heard(&mut self) -> anyhow::Result<Vec<u8>> {
        timeout(PATIENCE, self.heard.recv()).await?.context("nobody is left")
    }

    /// Between two components, by the asking one's clock: microseconds, the median.
    async fn ask(&mut self, ms: u64) -> anyhow::Result<f64> {
        let pair = (self.spawn(), self.spawn());
        let mut sizing = Sizing::new(ms, 1000);
        loop {
            let mut times = Vec::new();
            while (times.len() as u64) < sizing.size() {
                times.extend(self.times(&pair, 10_000.min(sizing.size())).await?);
            }
            let ns = times.iter().sum();
            let figure = percentile(&mut times, 0.5) as f64 / 1e3;
            if let Some(figure) = sizing.done(Run { ns, figure }) {
                return Ok(figure);
            }
        }
    }

    /// So many round trips of a pair: nanoseconds of each.
    async fn times(
        &mut self,
        (asker, asked): &(ProcessHandle, ProcessHandle),
        count: u64,
    ) -> anyhow::Result<Vec<u64>> {
        self.tell(asker, b'P', &[asked.pid().raw(), self.home, count], &[]);
        let told = self.heard().await?;
        let (times, _) = told.as_chunks::<4>();
        if times.len() as u64 != count {
            bail!("{} of {count} round trips were told of", times.len());
        }
        Ok(times.iter().map(|time| u64::from(u32::from_le_bytes(*time))).collect())
    }

    async fn ring(&mut self, ms: u64, size: u64, tokens: u64) -> anyhow::Result<f64> {
        let players: Vec<_> = (0..size).map(|_| self.spawn()).collect();
        for (at, player) in players.iter().enumerate() {
            let next = players[(at + 1) % players.len()].pid().raw();
            self.tell(player, b'N', &[next, self.home], &[]);
        }
        let mut sizing = Sizing::new(ms, (20_000 / tokens).max(1));
        loop {
            let hops = sizing.size();
            let began = Instant::now();
            for player in &players[..tokens as usize] {
                self.tell(player, b'T', &[hops], &PAYLOAD);
            }
            self.hear(tokens as usize).await?;
            let ns = began.elapsed().as_nanos() as u64;
            if let Some(figure) = sizing.done(Run::rate(tokens * hops, ns)) {
                return Ok(figure);
            }
        }
    }

    /// Until each has answered: a component does not know its parent before it is told.
    async fn spawn_started(&mut self, ms: u64) -> anyhow::Result<f64> {
        let (mut ns, mut actors) = (0, 0);
        while ns < ms * 1_000_000 {
            let began = Instant::now();
            let all = self.alive(ALIVE).await?;
            ns += began.elapsed().as_nanos() as u64;
            actors += all.len() as u64;
            for process in all {
                process.kill();
                process.join().await;
            }
        }
        Ok(Run::rate(actors, ns).figure)
    }

    async fn alive(&mut self, count: usize) -> anyhow::Result<Vec<ProcessHandle>> {
        let all: Vec<_> = (0..count).map(|_| self.spawn()).collect();
        all.iter().for_each(|process| self.tell(process, b'A', &[self.home], &PAYLOAD));
        self.hear(count).await?;
        Ok(all)
    }

    async fn spawn_answer_stop(&mut self, ms: u64, at_once: u64) -> anyhow::Result<f64> {
        let mut sizing = Sizing::new(ms, 1000);
        loop {
            let each = sizing.size().div_ceil(at_once);
            let began = Instant::now();
            let mut living = std::collections::VecDeque::new();
            for number in 0..each * at_once + at_once {
                if number >= at_once {
                    self.hear(1).await?;
                    let process: Option<ProcessHandle> = living.pop_front();
                    process.context("none is left")?.join().await;
                }
                if number < each * at_once {
                    let process = self.spawn();
                    self.tell(&process, b'L', &[self.home], &PAYLOAD);
                    living.push_back(process);
                }
            }
            let ns = began.elapsed().as_nanos() as u64;
            if let Some(figure) = sizing.done(Run::rate(each * at_once, ns)) {
                return Ok(figure);
            }
        }
    }

    async fn memory(&mut self) -> anyhow::Result<f64> {
        let few = self.alive(100).await?;
        let before = resident(std::process::id())?;
        let more = self.alive(ALIVE).await?;
        let bytes = resident(std::process::id())?.saturating_sub(before);
        drop((few, more));
        Ok(bytes as f64 / ALIVE as f64)
    }

    /// Round trips of two components, as in `ask`, beside components that loop: milliseconds, of
    /// all the one at this part.
    async fn hog(&mut self, ms: u64, part: f64) -> anyhow::Result<f64> {
        let pair = (self.spawn(), self.spawn());
        self.times(&pair, 1).await?;
        for _ in 0..std::thread::available_parallelism()?.get() {
            self.tell(&self.spawn(), b'H', &[], &[]);
        }
        let (mut times, began) = (Vec::new(), Instant::now());
        while began.elapsed() < Duration::from_millis(ms) {
            times.extend(self.times(&pair, 10).await?);
        }
        Ok(percentile(&mut times, part) as f64 / 1e6)
    }
}
