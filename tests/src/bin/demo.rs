//! `make demo`: what edge-host does, shown on three nodes of this machine.

use std::process::ExitCode;

fn main() -> ExitCode {
    let keep = std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0");
    match tests::demo::run(keep) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("demo: {why:#}");
            ExitCode::FAILURE
        }
    }
}
