//! The network between real nodes of one machine: for each pair a road that takes as long, loses as
//! much and is cut as a scenario says. A road is a UDP socket that passes datagrams on.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

/// What happens to datagrams on every road.
#[derive(Clone, Copy)]
pub struct Weather {
    /// Share that is lost.
    pub loss: f64,
    /// Share that comes twice.
    pub duplicate: f64,
    /// Shortest and longest delay, if each datagram has its own.
    pub each: Option<(Duration, Duration)>,
}

/// All roads, by the lower and the higher node.
pub struct Roads {
    runtime: tokio::runtime::Handle,
    weather: Weather,
    roads: BTreeMap<(usize, usize), Arc<Road>>,
}

struct Road {
    /// Where the higher node finds the lower one.
    address: SocketAddr,
    delay: Duration,
    weather: Weather,
    /// Where the lower node listens; 0 while it does not.
    low: Arc<AtomicU16>,
    /// What the lower node sends is stopped, and what the higher one sends.
    stops: [AtomicBool; 2],
}

/// A datagram on its way.
struct Cargo {
    due: Instant,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Roads {
    /// None so far; those to come are served by this runtime.
    pub fn new(runtime: tokio::runtime::Handle, weather: Weather) -> Self {
        Self { runtime, weather, roads: BTreeMap::new() }
    }

    /// Opens a road, on which the higher node finds the lower one, which listens on port `at`.
    pub fn open(
        &mut self,
        low: usize,
        high: usize,
        at: Arc<AtomicU16>,
        delay: Duration,
    ) -> io::Result<()> {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let stops = [AtomicBool::new(false), AtomicBool::new(false)];
        let road = Arc::new(Road { address, delay, weather: self.weather, low: at, stops });
        self.roads.insert((low, high), road.clone());
        let _inside = self.runtime.enter();
        let socket = UdpSocket::from_std(socket)?;
        self.runtime
            .spawn(async move { road.carry(&socket, (low as u64) << 32 | high as u64).await });
        Ok(())
    }

    /// The address under which a node finds another, if it is the one that calls.
    pub fn way(&self, to: usize, from: usize) -> Option<SocketAddr> {
        self.roads.get(&(to, from)).map(|road| road.address)
    }

    /// Stops what goes from one node to another, or no longer.
    pub fn stop(&self, from: usize, to: usize, stop: bool) {
        if let Some(road) = self.roads.get(&(from.min(to), from.max(to))) {
            road.stops[usize::from(from > to)].store(stop, Ordering::SeqCst);
        }
    }

    /// Cuts the road between two nodes in both directions, or mends it.
    pub fn cut(&self, a: usize, b: usize, cut: bool) {
        self.stop(a, b, cut);
        self.stop(b, a, cut);
    }

    /// Mends all roads.
    pub fn mend(&self) {
        self.roads.keys().for_each(|(low, high)| self.cut(*low, *high, false));
    }

    /// Whether nothing is stopped.
    pub fn all_open(&self) -> bool {
        self.roads.keys().all(|(low, high)| self.are_open(*low, *high))
    }

    /// Whether the road between two nodes is open in both directions.
    pub fn are_open(&self, a: usize, b: usize) -> bool {
        let road = self.roads.get(&(a.min(b), a.max(b)));
        road.is_some_and(|road| road.stops.iter().all(|stop| !stop.load(Ordering::SeqCst)))
    }
}

impl Road {
    async fn carry(&self, socket: &UdpSocket, seed: u64) {
        let mut chance = Chance(seed);
        let mut high = None;
        let mut under_way: VecDeque<Cargo> = VecDeque::new();
        let mut buffer = vec![0; 65_536];
        loop {
            let due = under_way.front().map(|cargo| cargo.due);
            tokio::select! {
                // What a node that is gone refuses is an error here, and harms nobody.
                got = socket.recv_from(&mut buffer) => {
                    let Ok((size, from)) = got else { continue };
                    let Some(to) = self.way(from, &mut high) else { continue };
                    let last = under_way.back().map(|cargo| cargo.due);
                    let due = self.due(last, &mut chance);
                    if chance.happens(self.weather.loss) {
                        continue;
                    }
                    let copies = 1 + usize::from(chance.happens(self.weather.duplicate));
                    for _ in 0..copies {
                        under_way.push_back(Cargo { due, to, bytes: buffer[..size].to_vec() });
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Some(cargo) = under_way.pop_front() {
                        // A datagram may be lost: that is what it is.
                        let _ = socket.send_to(&cargo.bytes, cargo.to).await;
                    }
                }
            }
        }
    }

    /// Where a datagram goes, if it is not stopped. The lower node is known by its port, and who
    /// else sends is the higher one.
    fn way(&self, from: SocketAddr, high: &mut Option<SocketAddr>) -> Option<SocketAddr> {
        let port = self.low.load(Ordering::SeqCst);
        let upward = from.port() == port;
        if !upward {
            *high = Some(from);
        }
        let to = if upward { *high } else { Some((Ipv4Addr::LOCALHOST, port).into()) };
        to.filter(|_| !self.stops[usize::from(!upward)].load(Ordering::SeqCst) && port != 0)
    }

    /// When it arrives: after all that was sent before it.
    fn due(&self, last: Option<Instant>, chance: &mut Chance) -> Instant {
        let delay = match self.weather.each {
            Some((least, most)) => least + (most.saturating_sub(least)).mul_f64(chance.share()),
            None => self.delay,
        };
        let due = Instant::now() + delay;
        last.map_or(due, |last| last.max(due))
    }
}

/// SplitMix64 (Steele, Lea, Flood, 2014): which datagrams are lost need not be told beforehand.
struct Chance(u64);

impl Chance {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.share() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAR: Weather = Weather { loss: 0.0, duplicate: 0.0, each: None };
    const DELAY: Duration = Duration::from_millis(20);

    /// Two sockets with a road between them; the second one has said something, so that the way
    /// back is known.
    async fn two(weather: Weather) -> (Roads, UdpSocket, UdpSocket, SocketAddr) {
        let mut roads = Roads::new(tokio::runtime::Handle::current(), weather);
        let low = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let high = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = Arc::new(AtomicU16::new(low.local_addr().unwrap().port()));
        roads.open(0, 1, port, DELAY).unwrap();
        let road = roads.way(0, 1).unwrap();
        assert_eq!(roads.way(1, 0), None, "the lower one is called");
        (roads, low, high, road)
    }

    async fn comes(socket: &UdpSocket) -> Option<(u8, SocketAddr)> {
        let mut byte = [0];
        let got = tokio::time::timeout(DELAY * 10, socket.recv_from(&mut byte)).await;
        got.ok().map(|got| (byte[0], got.unwrap().1))
    }

    fn block_on(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn a_road_takes_its_time_in_both_directions() {
        block_on(async {
            let (_roads, low, high, road) = two(CLEAR).await;
            let began = Instant::now();
            high.send_to(&[1], road).await.unwrap();
            assert_eq!(comes(&low).await, Some((1, road)));
            low.send_to(&[2], road).await.unwrap();
            assert_eq!(comes(&high).await, Some((2, road)));
            assert!(began.elapsed() >= 2 * DELAY);
        });
    }

    #[test]
    fn what_is_cut_stops_in_its_direction_until_it_is_mended() {
        block_on(async {
            let (roads, low, high, road) = two(CLEAR).await;
            high.send_to(&[1], road).await.unwrap();
            assert!(comes(&low).await.is_some());
            roads.stop(1, 0, true);
            assert!(!roads.are_open(0, 1));
            high.send_to(&[2], road).await.unwrap();
            low.send_to(&[3], road).await.unwrap();
            assert_eq!(comes(&high).await, Some((3, road)));
            assert_eq!(comes(&low).await, None);
            roads.mend();
            high.send_to(&[4], road).await.unwrap();
            assert_eq!(comes(&low).await, Some((4, road)));
        });
    }

    #[test]
    fn weather_loses_and_doubles() {
        block_on(async {
            let (_roads, low, high, road) = two(Weather { loss: 1.0, ..CLEAR }).await;
            high.send_to(&[1], road).await.unwrap();
            assert_eq!(comes(&low).await, None);
            let (_roads, low, high, road) = two(Weather { duplicate: 1.0, ..CLEAR }).await;
            high.send_to(&[1], road).await.unwrap();
            assert_eq!(comes(&low).await, Some((1, road)));
            assert_eq!(comes(&low).await, Some((1, road)));
        });
    }
}
