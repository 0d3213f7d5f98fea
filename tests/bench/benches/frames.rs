//! gossip's frames between neighbours: a publication of 1 KiB, and the names of 64.

use divan::{Bencher, black_box};
use gossip::{Id, Post, Stream, Wire};

fn main() {
    divan::main();
}

fn stream(origin: u64) -> Stream {
    Stream { origin, epoch: 7 }
}

fn post() -> Wire {
    Wire::Post(Post {
        id: Id { stream: stream(1), seq: 1000 },
        age: 20,
        hop: 3,
        tree: None,
        topic: [9; 16],
        body: vec![7; 1024],
    })
}

fn have() -> Wire {
    Wire::Have((1..=64).map(|seq| Id { stream: stream(seq % 5), seq }).collect())
}

fn reads(bencher: Bencher, wire: &Wire) {
    let frame = wire.encode();
    assert_eq!(Wire::decode(&frame).as_ref(), Ok(wire));
    bencher.bench_local(|| Wire::decode(black_box(&frame)));
}

#[divan::bench]
fn read_post(bencher: Bencher) {
    reads(bencher, &post());
}

#[divan::bench]
fn write_post(bencher: Bencher) {
    let post = post();
    bencher.bench_local(|| black_box(&post).encode());
}

#[divan::bench]
fn read_have(bencher: Bencher) {
    reads(bencher, &have());
}

#[divan::bench]
fn write_have(bencher: Bencher) {
    let have = have();
    bencher.bench_local(|| black_box(&have).encode());
}
