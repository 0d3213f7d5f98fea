//! What the libraries under edge-host do by themselves: what rows are held against.

mod ask;
mod bindings;
mod component;
mod fan_in;
mod module;
mod raw;
mod share;
mod spawn;

use anyhow::bail;
use bench::Call;

use crate::raw::Code;

/// As edge-host has it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let call = Call::read()?;
    let figure = match call.row.split_once('_') {
        Some(("component", row)) => measure::<component::Code>(row, &call)?,
        Some(("module", "ask")) => ask::microseconds(&call)?,
        Some(("module", "fan_in")) => fan_in::letters(&call)?,
        Some(("module", row)) => measure::<module::Code>(row, &call)?,
        _ => bail!("no row {:?}", call.row),
    };
    println!("{figure}");
    Ok(())
}

fn measure<C: Code>(row: &str, call: &Call) -> anyhow::Result<f64> {
    match row {
        "share" => share::letters_per_core::<C>(call),
        "started" => spawn::started::<C>(call),
        "answered" => spawn::answered::<C>(call),
        "memory" => spawn::memory::<C>(call),
        "renewed" => spawn::renewed::<C>(call),
        row => bail!("no row {row:?}"),
    }
}
