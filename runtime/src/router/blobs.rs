//! Blobs from peers, checked against their names.

use crate::address::NodeId;
use crate::net::Net;
use crate::net::blobs::FetchError;
use crate::store::Cid;
use crate::store::blobs::{BlobError, Blobs, Incoming};

/// Why a blob did not come from a peer.
#[derive(Debug, thiserror::Error)]
pub enum Unfetched {
    /// The peer did not send it.
    #[error(transparent)]
    Net(#[from] FetchError),
    /// What it sent can't be kept.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

/// Fetches a blob from a peer and keeps it. What came of one that breaks off is kept for the next
/// try; whoever tries one blob twice at once spoils both.
pub async fn fetch(net: &Net, blobs: &Blobs, peer: NodeId, cid: &Cid) -> Result<(), Unfetched> {
    let mut incoming = blobs.incoming(cid)?;
    let left = incoming.have();
    match rest(net, peer, incoming).await {
        // An earlier transfer may have left them: they are gone, and no fault of this peer's.
        Err(Unfetched::Blob(BlobError::WrongBytes { .. })) if left > 0 => {
            incoming = blobs.incoming(cid)?;
            rest(net, peer, incoming).await
        }
        fetched => fetched,
    }
}

async fn rest(net: &Net, peer: NodeId, mut incoming: Incoming<'_>) -> Result<(), Unfetched> {
    let (cid, have) = (incoming.cid().to_string(), incoming.have());
    let mut refused = None;
    let mut take = |piece: &[u8]| {
        incoming.push(piece).map_err(|why| {
            let told = std::io::Error::other(why.to_string());
            refused = Some(why);
            told
        })
    };
    let fetched = net.fetch(peer, &cid, have, &mut take).await;
    if let Some(why) = refused {
        return Err(why.into());
    }
    fetched?;
    Ok(incoming.finish()?)
}
