//! A small UDP relay: nodes reach each other through it, so that they can be really cut off from
//! each other without root.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Between two looks whether the relay is gone.
const LOOK: Duration = Duration::from_millis(100);
/// Senders that one relay serves.
const MOST_SENDERS: usize = 64;

/// Passes datagrams on to one node, and its answers back, until it is dropped.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: Mutex<Option<SocketAddr>>,
    cut: AtomicBool,
    gone: AtomicBool,
}

impl Relay {
    /// A relay on loopback whose target isn't known yet.
    pub fn open() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = socket.local_addr()?;
        socket.set_read_timeout(Some(LOOK))?;
        let shared = Arc::new(Shared {
            target: Mutex::new(None),
            cut: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        });
        let seen = shared.clone();
        thread::spawn(move || seen.forward(&Arc::new(socket)));
        Ok(Self { address, shared })
    }

    /// Where to send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it all goes.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(target);
    }

    /// Drops everything, in both directions, or no longer.
    pub fn cut(&self, cut: bool) {
        self.shared.cut.store(cut, Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn forward(self: Arc<Self>, front: &Arc<UdpSocket>) {
        let mut senders: BTreeMap<SocketAddr, Arc<UdpSocket>> = BTreeMap::new();
        let mut buffer = vec![0; 65_536];
        while !self.gone.load(Ordering::SeqCst) {
            let Ok((size, sender)) = front.recv_from(&mut buffer) else { continue };
            let target = *self.target.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(target) = target.filter(|_| !self.cut.load(Ordering::SeqCst)) else {
                continue;
            };
            let back = match senders.get(&sender) {
                Some(back) => back.clone(),
                None if senders.len() >= MOST_SENDERS => continue,
                None => {
                    let Ok(back) = self.open_back(front, sender) else { continue };
                    senders.insert(sender, back.clone());
                    back
                }
            };
            // A datagram may be lost: that is what it is.
            let _ = back.send_to(&buffer[..size], target);
        }
    }

    fn open_back(
        self: &Arc<Self>,
        front: &Arc<UdpSocket>,
        sender: SocketAddr,
    ) -> io::Result<Arc<UdpSocket>> {
        let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        back.set_read_timeout(Some(LOOK))?;
        let (shared, socket, front) = (self.clone(), back.clone(), front.clone());
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !shared.gone.load(Ordering::SeqCst) {
                let Ok((size, _)) = socket.recv_from(&mut buffer) else { continue };
                if !shared.cut.load(Ordering::SeqCst) {
                    // As above.
                    let _ = front.send_to(&buffer[..size], sender);
                }
            }
        });
        Ok(back)
    }
}
