//! How long a datagram takes from one node to another.

use std::time::Duration;

/// How a pair's delay is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// Each datagram's is drawn between the network's shortest and longest.
    #[default]
    Each,
    /// Each pair's is drawn once between the network's shortest and longest.
    Pair,
    /// By the map: nodes are in 19 regions of the world, the larger ones with more nodes.
    Regions,
}

/// A place with machines: degrees north and east, and its weight among the others.
struct Region {
    north: f64,
    east: f64,
    weight: u64,
}

const fn region(north: f64, east: f64, weight: u64) -> Region {
    Region { north, east, weight }
}

/// The regions of Fly.io and their sizes, as in Corrosion's simulator
/// (superfly/corrosion@0d0dd7a6, crates/plum-foca/tests/sim.rs), in the same order: ams arn bom cdg
/// dfw ewr fra gru iad jnb lax lhr nrt ord qmx sin sjc syd yyz.
const REGIONS: [Region; 19] = [
    region(52.31, 4.76, 274),
    region(59.65, 17.92, 20),
    region(19.09, 72.87, 33),
    region(49.01, 2.55, 175),
    region(32.90, -97.04, 528),
    region(40.69, -74.17, 245),
    region(50.03, 8.57, 347),
    region(-23.43, -46.47, 111),
    region(38.94, -77.46, 442),
    region(-26.14, 28.25, 16),
    region(33.94, -118.41, 306),
    region(51.47, -0.45, 74),
    region(35.77, 140.39, 76),
    region(41.97, -87.91, 559),
    region(19.43, -99.13, 42),
    region(1.36, 103.99, 209),
    region(37.36, -121.93, 682),
    region(-33.95, 151.18, 200),
    region(43.68, -79.63, 114),
];

/// Kilometres that a round trip gains in a millisecond, and what it takes at least: as measured
/// between those regions.
const KILOMETRES_PER_MS: f64 = 75.0;
const FLOOR_MS: f64 = 4.0;

impl Latency {
    /// Nanoseconds from node to node, or `None` if each datagram has its own.
    pub(crate) fn between(
        self,
        (a, b): (usize, usize),
        (least, most): (u64, u64),
        salt: u64,
    ) -> Option<u64> {
        let low = a.min(b) as u64;
        let high = a.max(b) as u64;
        match self {
            Latency::Each => None,
            Latency::Pair => {
                let drawn = mix(salt ^ mix(low << 32 | high));
                Some(least + below(drawn, most.saturating_sub(least) + 1))
            }
            Latency::Regions => {
                let ms = round_trip(region_of(low, salt), region_of(high, salt));
                Some(Duration::from_millis(ms).as_nanos() as u64 / 2)
            }
        }
    }
}

/// The index of a node's region.
fn region_of(node: u64, salt: u64) -> usize {
    let sum: u64 = REGIONS.iter().map(|region| region.weight).sum();
    let mut left = below(mix(salt ^ mix(node)), sum);
    for (index, region) in REGIONS.iter().enumerate() {
        match left.checked_sub(region.weight) {
            Some(rest) => left = rest,
            None => return index,
        }
    }
    0
}

/// Milliseconds, whole ones as in the source of the table.
fn round_trip(a: usize, b: usize) -> u64 {
    if a == b {
        return 1;
    }
    let (a, b) = (&REGIONS[a], &REGIONS[b]);
    let (from, to) = (a.north.to_radians(), b.north.to_radians());
    let (north, east) = (to - from, (b.east - a.east).to_radians());
    let half = (north / 2.0).sin().powi(2) + from.cos() * to.cos() * (east / 2.0).sin().powi(2);
    let kilometres = 2.0 * 6371.0 * half.sqrt().asin();
    (FLOOR_MS + kilometres / KILOMETRES_PER_MS) as u64
}

fn below(drawn: u64, end: u64) -> u64 {
    ((u128::from(drawn) * u128::from(end)) >> 64) as u64
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_pair_keeps_its_delay_in_both_directions() {
        for b in 1..100 {
            let delay = |pair| Latency::Pair.between(pair, (10 * MS, 50 * MS), 7).unwrap();
            assert_eq!(delay((0, b)), delay((b, 0)));
            assert!((10 * MS..=50 * MS).contains(&delay((0, b))));
        }
    }

    #[test]
    fn sydney_is_far_from_london() {
        assert_eq!(round_trip(11, 11), 1);
        assert!((5..12).contains(&round_trip(0, 11)), "Amsterdam and London");
        assert!((220..240).contains(&round_trip(17, 11)));
    }
}
