//! Kills a running process between two of its steps, by ptrace: nothing in the process knows of it.
//!
//! A step is a system call that leaves something behind: a write to a file, a sync, a packet. What
//! a process does between two of them dies with it, so that killing it just before each of them is
//! killing it at all the moments that can be told apart afterwards.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

/// Follows a process until its end.
pub struct Tracer {
    thread: JoinHandle<Result<bool, Errno>>,
}

/// What was seen of a process.
struct Trace {
    pid: Pid,
    /// What is in the text of the steps that count.
    kind: [&'static str; 2],
    /// How many of them are to pass yet.
    pass: usize,
    killed: bool,
}

impl Tracer {
    /// Follows a process from now on; lets so many steps of a kind pass and kills it before the
    /// next. A step's text is its call and its file: `fsync /data/state/0.jnl`.
    pub fn follow(pid: u32, kind: [&'static str; 2], pass: usize) -> Self {
        let (ready, follows) = channel();
        let pid = Pid::from_raw(i32::try_from(pid).unwrap());
        // Whoever seizes a process is the one thread that may wait for it.
        let thread = std::thread::spawn(move || {
            let trace = Trace { pid, kind, pass, killed: false };
            let seized = seize(pid);
            let _ = ready.send(());
            seized.and_then(|()| trace.follow())
        });
        wait(&follows);
        Self { thread }
    }

    /// Waits for the process's end; tells whether it was killed here.
    pub fn killed(self) -> bool {
        self.thread.join().unwrap().unwrap_or_else(|error| panic!("tracing failed: {error}"))
    }
}

fn wait(follows: &Receiver<()>) {
    // A tracer that panicked says so when it is joined.
    let _ = follows.recv();
}

/// Seizes all threads of a process, those to come included, and stops them once.
fn seize(pid: Pid) -> Result<(), Errno> {
    let options = Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_TRACESYSGOOD;
    let mut seized = BTreeSet::new();
    loop {
        let all = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
        let threads: Vec<i32> =
            all.filter_map(|thread| thread.file_name().to_str()?.parse().ok()).collect();
        let new: Vec<_> = threads.into_iter().filter(|thread| seized.insert(*thread)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for thread in new.into_iter().map(Pid::from_raw) {
            // One that a seized thread has begun meanwhile is seized already, or has ended.
            match ptrace::seize(thread, options) {
                Ok(()) => ptrace::interrupt(thread)?,
                Err(Errno::EPERM | Errno::ESRCH) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Trace {
    fn follow(mut self) -> Result<bool, Errno> {
        loop {
            let Some(status) = self.next()? else { return Ok(self.killed) };
            let (thread, signal) = match status {
                WaitStatus::PtraceSyscall(thread) => {
                    if !self.killed && self.step(thread) {
                        self.killed = true;
                        kill(self.pid, Signal::SIGKILL)?;
                    }
                    (thread, None)
                }
                WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
                WaitStatus::PtraceEvent(thread, ..) => (thread, None),
                _ => continue,
            };
            match ptrace::syscall(thread, signal) {
                // It was killed.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What happens next to a thread; none at the end of the process, which is left to its parent
    /// to be waited for.
    fn next(&self) -> Result<Option<WaitStatus>, Errno> {
        // Of this thread's only: other tests have processes, too.
        let own = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let look = own | WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::All, look) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..))
                    if pid == self.pid =>
                {
                    return Ok(None);
                }
                Ok(status) => return waitpid(status.pid(), Some(own)).map(Some),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A thread enters or leaves a call; true before the step that is not to be taken.
    fn step(&mut self, thread: Pid) -> bool {
        let enters = |info: libc::ptrace_syscall_info| info.op == libc::PTRACE_SYSCALL_INFO_ENTRY;
        if !ptrace::syscall_info(thread).is_ok_and(enters) {
            return false;
        }
        let step = self.named(thread).unwrap_or_default();
        if !self.kind.iter().all(|part| step.contains(part)) {
            return false;
        }
        let last = self.pass == 0;
        self.pass = self.pass.saturating_sub(1);
        last
    }

    /// The call that a thread is about to make and the file that it is for, if it leaves something.
    fn named(&self, thread: Pid) -> Option<String> {
        let text = std::fs::read_to_string(format!("/proc/{}/task/{thread}/syscall", self.pid));
        let text = text.ok()?;
        let mut words = text.split_whitespace();
        let number: c_long = words.next()?.parse().ok()?;
        let call = match number {
            libc::SYS_write => "write",
            libc::SYS_writev => "writev",
            libc::SYS_pwrite64 => "pwrite64",
            libc::SYS_ftruncate => "ftruncate",
            libc::SYS_fsync => "fsync",
            libc::SYS_fdatasync => "fdatasync",
            libc::SYS_sendto => "sendto",
            libc::SYS_sendmsg => "sendmsg",
            libc::SYS_sendmmsg => "sendmmsg",
            _ => return None,
        };
        let file = i32::from_str_radix(words.next()?.trim_start_matches("0x"), 16).ok()?;
        let path = std::fs::read_link(format!("/proc/{}/fd/{file}", self.pid)).ok()?;
        Some(format!("{call} {}", path.display()))
    }
}
