//! `edge-host`: one binary for nodes and for those who tend them.

use std::process::ExitCode;

/// A parked actor is a dozen small pieces that stay while live instances between them come and go.
/// glibc's malloc leaves as many bytes in holes there as the pieces have; jemalloc keeps each size
/// in pages of its own, and gives back those that are empty. `.cargo/config.toml` sets it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    edge_host::cli::main()
}
