//! `edge-host`: one binary for nodes and for those who tend them.

use std::process::ExitCode;

fn main() -> ExitCode {
    edge_host::cli::main()
}
