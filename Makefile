# Each target is a line or two of plain cargo. Build output lives in a cache of the user's, so that
# fresh clones share it.
CACHE := $(or $(EDGE_HOST_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/edge-host)
export CARGO_TARGET_DIR ?= $(CACHE)/target

# `make test SEED=7` repeats a random test that failed; proptest has a name of its own for it.
ifdef SEED
export SEED
export PROPTEST_RNG_SEED := $(SEED)
endif

# `make demo KEEP=1` leaves the nodes up.
export KEEP
# `make bench`: QUICK=1 in minutes; ROW=ring_1000_many, or several with commas; ROUNDS=3;
# ATTRIBUTE=1 shows where a letter's time goes instead. ROW=million_parked takes ACTORS=100000, too.
export QUICK ROW ROUNDS ATTRIBUTE ACTORS
RUSM := $(CARGO_TARGET_DIR)/rusm

.PHONY: demo test test-parked soak bench microbench toolchain build lint fmt deny doc

## Three nodes on this machine: deploy by hash, talk, cut, heal, swap. KEEP=1 leaves them up.
demo: build
	@CARGO_MANIFEST_DIR="$(CURDIR)/tests" "$(CARGO_TARGET_DIR)/debug/demo"

## All tests: unit, doc and integration.
test: build
	cargo test --workspace --quiet

## The scenarios once more, with every actor parked between every two messages.
test-parked: build
	PARK=1 cargo test --workspace --test all

## A minute of full load with an account of every letter; SOAK=600 for ten. `make test` has seconds.
soak: build
	SOAK=$(or $(SOAK),60) cargo test --workspace --test all -- soak

## This project and its peers measured side by side; target/bench.json has the figures.
bench: toolchain
	@scripts/bench-peers.sh
	cargo build --release --quiet --package edge-host
	cargo build --release --quiet --manifest-path tests/bench/Cargo.toml
	-cd tests/bench/peers/rusm && RUSTC="$$(../../../../scripts/toolchain.sh --print)" cargo build \
	  --release --quiet --target wasm32-unknown-unknown --package rusm-guest --target-dir "$(RUSM)"
	-cd tests/bench/peers/rusm && cargo build --release --quiet --target-dir "$(RUSM)"
	@"$(CARGO_TARGET_DIR)/release/bench"

## What is small and hot, natively: the SDK's codec, merges, gossip's frames.
microbench:
	cargo bench --quiet --manifest-path tests/bench/Cargo.toml --package bench

## A rustc that builds for wasm32: rustup's target, or Debian's sources where rustup can't.
toolchain:
	@scripts/toolchain.sh

build: toolchain
	cargo build --workspace

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

deny:
	cargo deny check bans licenses sources
