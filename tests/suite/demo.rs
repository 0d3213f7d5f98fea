//! The demo, as people run it: it shows all that it claims, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

use tests::wait_for;

/// A demo that runs.
struct Demo {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Demo {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo"))
            .env("KEEP", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (heard, out) = (said.clone(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        Self { child, said }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a line; the demo takes longer than one wait, so each step of it is waited for.
    fn says(&mut self, text: &str) {
        let mut before = self.said().len();
        while !self.said().contains(text) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended without {text:?}: {}", self.said());
            let grown = || (self.said().len() > before || self.said().contains(text)).then_some(());
            wait_for("the demo goes on", grown).unwrap_or_else(|_| panic!("{}", self.said()));
            before = self.said().len();
        }
    }

    /// The folder that it plays in.
    fn folder(&self) -> PathBuf {
        let said = self.said();
        let line = said.lines().find_map(|line| line.strip_prefix("$ cd "));
        line.unwrap_or_else(|| panic!("no folder in {said}")).into()
    }

    /// Ctrl-C; gives whether it ended well.
    fn interrupt(mut self) -> bool {
        let pid = Pid::from_raw(self.child.id() as i32).unwrap();
        kill_process(pid, Signal::INT).unwrap();
        let ended = wait_for("the demo ends", || self.child.try_wait().unwrap());
        ended.unwrap_or_else(|_| panic!("{}", self.said())).success()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It has ended, but where a test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Programs that were started with something in this folder.
fn programs_in(folder: &Path) -> usize {
    let folder = folder.to_string_lossy().into_owned();
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&folder)).count()
}

#[test]
fn the_demo_shows_what_it_claims_and_the_kept_nodes_end_with_it() {
    let mut demo = Demo::start();
    demo.says("The nodes stay up");
    let folder = demo.folder();
    assert_eq!(programs_in(&folder), 3);
    let alive = tests::process::edge_host(&folder.join("shed"), &["ls", "actors"]).unwrap();
    assert!(alive.contains("thermostat"), "{alive}");
    let said = demo.said.clone();
    assert!(demo.interrupt(), "{}", said.lock().unwrap());
    assert_eq!(programs_in(&folder), 0);
    assert!(!folder.exists());
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let mut demo = Demo::start();
    demo.says("$ edge-host ls peers");
    let folder = demo.folder();
    assert!(!demo.interrupt(), "an interrupted demo has not shown what it claims");
    assert_eq!(programs_in(&folder), 0);
    assert!(!folder.exists());
}
