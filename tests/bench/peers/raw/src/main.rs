//! What the libraries under edge-host do by themselves: the limit that rows are held against.

mod bindings;
mod guest;
mod share;
mod spawn;

use anyhow::bail;
use bench::Call;

/// As edge-host has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let call = Call::read()?;
    let figure = match call.row.as_str() {
        "share" => share::letters_per_core(&call)?,
        "started" => spawn::started(&call)?,
        "answered" => spawn::answered(&call)?,
        "memory" => spawn::memory(&call)?,
        "renewed" => spawn::renewed(&call)?,
        row => bail!("no row {row:?}"),
    };
    println!("{figure}");
    Ok(())
}
