//! How far a run is, where a person looks on.

use std::io::{IsTerminal, Write};
use std::path::Path;

use sim::Far;

const WIDTH: u64 = 40;

/// What a scenario's runs are called.
pub fn label(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Shows it, over what was shown before.
pub fn show(label: &str, far: Far) {
    let mut err = std::io::stderr();
    if err.is_terminal() {
        // A lost bar harms nobody.
        let _ = write!(err, "{}", line(label, far)).and_then(|()| err.flush());
    }
}

fn line(label: &str, far: Far) -> String {
    let full = (far.done * WIDTH / far.all.max(1)).min(WIDTH) as usize;
    let bar = "#".repeat(full) + &" ".repeat(WIDTH as usize - full);
    let rounds = match far.of {
        0 => String::new(),
        of => format!(" round {} of {of},", far.rounds),
    };
    let end = if far.done >= far.all { "\n" } else { "" };
    format!("\r[{bar}] {label}:{rounds} {:.1} s of its time{end}", far.now.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_moves_the_bar_as_rounds_do() {
        let now = Duration::from_millis(90_500);
        let far = Far { rounds: 0, of: 0, done: 90, all: 180, now };
        let half = "#".repeat(20) + &" ".repeat(20);
        assert_eq!(line("rest", far), format!("\r[{half}] rest: 90.5 s of its time"));
        let far = Far { rounds: 30, of: 30, done: 31, all: 31, now };
        let full = "#".repeat(40);
        let told = format!("\r[{full}] talk: round 30 of 30, 90.5 s of its time\n");
        assert_eq!(line("talk", far), told);
    }
}
