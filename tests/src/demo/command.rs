//! Programs that the demo runs: each in a process group of its own, so that none outlives it.

use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::process::{Pid, Signal, kill_process_group};

/// Between two looks at a program.
const LOOK: Duration = Duration::from_millis(5);
/// Between two lines about a program that takes long, where nothing can be written over.
const NEWS: Duration = Duration::from_secs(10);

/// Whether Ctrl-C was pressed, or the demo was asked to end.
#[derive(Clone)]
pub(super) struct Interrupt(Arc<AtomicBool>);

/// What a program printed.
pub(super) struct Printed {
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
}

impl Interrupt {
    /// Takes SIGINT, SIGTERM and SIGHUP from now on.
    pub fn listen() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let seen = Arc::new(AtomicBool::new(false));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate, mut hangup) = {
            let _inside = runtime.enter();
            let take = |kind| signal(kind);
            (
                take(SignalKind::interrupt())?,
                take(SignalKind::terminate())?,
                take(SignalKind::hangup())?,
            )
        };
        let told = seen.clone();
        std::thread::spawn(move || {
            runtime.block_on(async {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                        _ = hangup.recv() => {}
                    }
                    told.store(true, Ordering::SeqCst);
                }
            });
        });
        Ok(Self(seen))
    }

    /// Whether it has come.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// An error if it has come.
    pub fn check(&self) -> anyhow::Result<()> {
        match self.came() {
            true => bail!("interrupted"),
            false => Ok(()),
        }
    }
}

/// Runs a program to its end; `about` what takes long is said while it runs.
pub(super) fn run(
    mut command: Command,
    about: Option<&str>,
    interrupt: &Interrupt,
) -> anyhow::Result<(ExitStatus, Printed)> {
    interrupt.check()?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let out = child.stdout.take().map(all);
    let lines = child.stderr.take().map(lines);
    let mut progress = Progress::new(about);
    let mut err = String::new();
    let status = loop {
        for line in lines.iter().flat_map(Receiver::try_iter) {
            progress.heard(&line);
            err += &line;
            err += "\n";
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupt.came() {
            end(&mut child);
            progress.clear();
            bail!("interrupted");
        }
        progress.show();
        std::thread::sleep(LOOK);
    };
    progress.clear();
    for line in lines.iter().flatten() {
        err += &line;
        err += "\n";
    }
    let out = out.and_then(|out| out.join().ok()).unwrap_or_default();
    Ok((status, Printed { out, err }))
}

/// Ends a program and all that it started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

fn all(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        // What can't be read is not shown; the exit status tells.
        let _ = pipe.read_to_string(&mut text);
        text
    })
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (give, take) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if give.send(line).is_err() {
                return;
            }
        }
    });
    take
}

/// What is said while a program runs.
struct Progress<'a> {
    about: Option<&'a str>,
    doing: String,
    began: Instant,
    said: Instant,
    terminal: bool,
    drawn: bool,
}

impl<'a> Progress<'a> {
    fn new(about: Option<&'a str>) -> Self {
        let (began, terminal) = (Instant::now(), std::io::stdout().is_terminal());
        Self { about, doing: String::new(), began, said: began, terminal, drawn: false }
    }

    fn heard(&mut self, line: &str) {
        let doing: String = line.trim().chars().take(60).collect();
        self.doing = format!(", {doing}");
    }

    fn show(&mut self) {
        let Some(about) = self.about else { return };
        let every = if self.terminal { Duration::from_millis(200) } else { NEWS };
        if self.said.elapsed() < every {
            return;
        }
        self.said = Instant::now();
        let (seconds, doing) = (self.began.elapsed().as_secs(), &self.doing);
        if self.terminal {
            print!("\r\x1b[K  {about}: {seconds} s{doing}");
            // A terminal that is gone has nobody to tell.
            let _ = std::io::stdout().flush();
            self.drawn = true;
        } else {
            println!("  {about}: {seconds} s{doing}");
        }
    }

    fn clear(&mut self) {
        if self.drawn {
            print!("\r\x1b[K");
            let _ = std::io::stdout().flush();
        }
    }
}
