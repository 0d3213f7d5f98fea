//! What changes inputs, and tells which of them are worth another change.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What an input brought about.
#[derive(Default)]
pub struct Found(BTreeSet<u64>);

impl Found {
    pub fn new(features: impl IntoIterator<Item = u64>) -> Self {
        Self(features.into_iter().collect())
    }

    pub fn add(&mut self, feature: u64) {
        self.0.insert(feature);
    }
}

/// For so long, where nothing else is said.
const TIME: Duration = Duration::from_secs(2);
/// Longer inputs are cut.
const LONGEST: usize = 4096;
/// Bytes that are likely to be at an edge of something.
const EDGES: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 18];

/// Runs `target` on the corpus of this name and `more`, and then on changes of them.
///
/// # Panics
/// When the target does; the line says for which input.
pub fn fuzz(name: &str, more: &[Vec<u8>], target: impl Fn(&[u8]) -> Found) {
    // A new one for each run, so that no run only repeats the last.
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| RandomState::new().hash_one(name) >> 32);
    println!("SEED={seed}");
    let seconds = std::env::var("FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = Instant::now() + seconds.map_or(TIME, Duration::from_secs);
    let mut chance = Chance(seed);
    let (mut known, mut corpus, mut new) = (BTreeSet::new(), Vec::new(), Vec::new());
    for input in read(name).into_iter().chain(more.iter().cloned()) {
        known.append(&mut run(&target, &input).0);
        corpus.push(input);
    }
    assert!(!corpus.is_empty(), "there is no corpus {name}");
    let mut runs = 0u64;
    while Instant::now() < until {
        let input = change(&corpus, &mut chance);
        let mut found = run(&target, &input);
        if !found.0.is_subset(&known) {
            known.append(&mut found.0);
            new.push(input.clone());
            corpus.push(input);
        }
        runs += 1;
    }
    println!("{name}: {runs} runs, {} features, {} inputs found", known.len(), new.len());
    assert!(runs > 0 && known.len() > 1);
    // `make` sets it whether it was given or not.
    if std::env::var("KEEP").is_ok_and(|keep| !keep.is_empty() && keep != "0") {
        let lines: String = read(name).iter().chain(&new).map(|input| hex(input) + "\n").collect();
        std::fs::create_dir_all(file(name).parent().unwrap()).unwrap();
        std::fs::write(file(name), lines).unwrap();
    }
}

fn run(target: &impl Fn(&[u8]) -> Found, input: &[u8]) -> Found {
    catch_unwind(AssertUnwindSafe(|| target(input)))
        .unwrap_or_else(|_| panic!("this input does it: {}", hex(input)))
}

fn change(corpus: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut input = corpus[chance.below(corpus.len())].clone();
    for _ in 0..1 + chance.below(4) {
        let at = chance.below(input.len().max(1));
        let end = (at + 1 + chance.below(40)).min(input.len());
        match chance.below(8) {
            _ if input.is_empty() => input.push(chance.next() as u8),
            0 => input[at] ^= 1 << chance.below(8),
            1 => input[at] = chance.next() as u8,
            2 => input[at] = EDGES[chance.below(EDGES.len())],
            3 => input.insert(at, EDGES[chance.below(EDGES.len())]),
            4 => drop(input.drain(at..end)),
            5 => {
                let part = input[at..end].to_vec();
                input.splice(at..at, part);
            }
            6 => input.truncate(at),
            _ => {
                let other = &corpus[chance.below(corpus.len())];
                let from = chance.below(other.len().max(1)).min(other.len());
                input.truncate(at);
                input.extend(&other[from..]);
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

fn file(name: &str) -> PathBuf {
    // Cargo runs tests in their package's folder. What `env!` says may be another checkout's, which
    // shares the build cache.
    Path::new("tests/corpus").join(format!("{name}.txt"))
}

/// A corpus is a file with a line of hexadecimal digits for each input.
fn read(name: &str) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(file(name)).unwrap_or_default();
    text.lines().map(bytes).collect()
}

fn bytes(line: &str) -> Vec<u8> {
    let digits = line.as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
