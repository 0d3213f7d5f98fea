//! Where components are compiled: in a child process of low priority with limits on memory and
//! time, so that no component takes the node down, or holds it up, by being compiled.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, nice, setrlimit};

use super::{ComponentError, Engine, Layout};

/// Address space of the child in bytes, at least and at most: a bound on what a hostile component
/// may take, not a need. The crdt actor (453 kB) took 45 MB resident.
const CHILD_BYTES: [u64; 2] = [512 << 20, 3 << 30];
/// Processor seconds of the child.
const CHILD_SECONDS: u64 = 120;
/// Of all processes of a machine or a control group the kernel ends this one first if memory runs
/// out (proc_pid_oom_score_adj(5)).
const FIRST_TO_END: &str = "1000";

/// Compiles components.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In a child process: this program, called with the argument `compile-component`.
    Child(PathBuf),
    /// In this process: for tests and the simulator.
    Here,
}

impl Compiler {
    /// Native code for a component, on a machine with so many bytes of memory. Takes seconds for a
    /// large one: not for a worker's thread.
    pub fn compile(
        &self,
        engine: &Engine,
        bytes: &[u8],
        memory: u64,
    ) -> Result<Vec<u8>, ComponentError> {
        super::World::of(bytes)?;
        let [least, most] = CHILD_BYTES;
        match self {
            Self::Here => engine.compile(bytes),
            Self::Child(program) => {
                in_child(program, engine.layout, bytes, (memory / 2).clamp(least, most))
            }
        }
    }
}

fn in_child(
    program: &PathBuf,
    layout: Layout,
    bytes: &[u8],
    most: u64,
) -> Result<Vec<u8>, ComponentError> {
    let failed = |error: std::io::Error| {
        ComponentError::Compile(format!(
            "its compiler process {} failed: {error}",
            program.display()
        ))
    };
    let mut child = Command::new(program)
        .args(["compile-component", &most.to_string()])
        .args((layout == Layout::Guarded).then_some("--guarded"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut input = child.stdin.take();
    let wrote = std::thread::scope(|scope| {
        let writer =
            scope.spawn(|| input.take().map_or(Ok(()), |mut input| input.write_all(bytes)));
        let output = child.wait_with_output();
        (writer.join(), output)
    });
    let output = wrote.1.map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(match (said.lines().last(), output.status.code()) {
        (Some(line), Some(_)) => match line.strip_prefix("edge-host: ") {
            Some(line) => ComponentError::Child(line.into()),
            None => ComponentError::Compile(line.into()),
        },
        _ => ComponentError::Compile(format!(
            "ended by {}: it takes over {CHILD_SECONDS} s or {} MiB of memory to compile, or more \
            than ulimit allows",
            output.status,
            most >> 20
        )),
    })
}

/// The child's part: a component on standard input, native code on standard output, for memories
/// that lie so, in so many bytes of address space.
pub fn child(most: u64, layout: Layout) -> Result<(), ComponentError> {
    let system = |error: std::io::Error| ComponentError::Compile(error.to_string());
    let limit = |value| Rlimit { current: Some(value), maximum: Some(value) };
    // A stricter limit that is already in force stays.
    let _ = setrlimit(Resource::As, limit(most));
    let _ = setrlimit(Resource::Cpu, limit(CHILD_SECONDS));
    nice(10).map_err(|error| system(error.into()))?;
    std::fs::write("/proc/self/oom_score_adj", FIRST_TO_END).map_err(system)?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(system)?;
    let native = Engine::new(layout)?.compile(&bytes)?;
    std::io::stdout().write_all(&native).map_err(system)
}
