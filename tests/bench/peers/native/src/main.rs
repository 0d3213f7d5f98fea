//! Peers written in Rust: kameo and ractor, actors on tokio; and quinn by itself.
//!
//! What each row does is written where the rows are, in the driver's `src/rows`.

mod kameo_peer;
mod quinn_far;
mod quinn_peer;
mod quinn_tuned;
mod ractor_peer;

use anyhow::bail;
use bench::Call;
use tokio::runtime::Builder;

fn main() -> anyhow::Result<()> {
    let call = Call::read()?;
    if let Some(row) = call.row.strip_prefix("quinn_") {
        let mut builder = match call.number("mt")? {
            0 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime = builder.enable_all().build()?;
        if row == "far" {
            return runtime.block_on(quinn_far::serve(&call));
        }
        println!("{}", runtime.block_on(quinn_peer::measure(row, &call))?);
        return Ok(());
    }
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let figure = runtime.block_on(async {
        // On a worker, as the actors are.
        let call = async move {
            match call.row.split_once('_') {
                Some(("kameo", row)) => kameo_peer::measure(row, &call).await,
                Some(("ractor", row)) => ractor_peer::measure(row, &call).await,
                _ => bail!("no row {:?}", call.row),
            }
        };
        tokio::spawn(call).await?
    })?;
    println!("{figure}");
    Ok(())
}
