//! Merges of replicated types: two copies that have most changes in common.

use crdt::{GCounter, LwwMap, Merge, OrSet};
use divan::Bencher;
use guest_sdk::Stamp;

fn main() {
    divan::main();
}

/// What each copy changed by itself.
const OWN: u64 = 10;
/// What both have seen.
const COMMON: [u64; 2] = [100, 1000];

/// Merges a copy's copy with another one.
fn merges<T: Merge + Clone>(bencher: Bencher, common: T, change: impl Fn(&mut T, u64)) {
    let copy = |replica: u64| {
        let mut copy = common.clone();
        (0..OWN).for_each(|number| change(&mut copy, (replica << 32) + number));
        copy
    };
    let (one, other) = (copy(1), copy(2));
    bencher.with_inputs(|| (one.clone(), other.clone())).bench_local_values(|(mut one, other)| {
        one.merge(other);
        one
    });
}

#[divan::bench(args = COMMON)]
fn counter(bencher: Bencher, replicas: u64) {
    let mut common = GCounter::default();
    (0..replicas).for_each(|replica| drop(common.increment(replica, 1)));
    merges(bencher, common, |counter, number| drop(counter.increment(number % 16, 1)));
}

#[divan::bench(args = COMMON)]
fn set(bencher: Bencher, items: u64) {
    let mut common = OrSet::default();
    (0..items).for_each(|item| drop(common.add(item % 8, item)));
    merges(bencher, common, |set, number| drop(set.add(number >> 32, number)));
}

#[divan::bench(args = COMMON)]
fn map(bencher: Bencher, keys: u64) {
    let mut common = LwwMap::default();
    (0..keys).for_each(|key| drop(common.set(key, key, Stamp::new(key, 1))));
    merges(bencher, common, |map, number| {
        drop(map.set(number % 100, number, Stamp::new(1 << 40, number)));
    });
}
