#!/usr/bin/env bash
# Makes sure that there is a rustc which builds for wasm32-unknown-unknown.
#
#   scripts/toolchain.sh            silent when there is one already
#   scripts/toolchain.sh --print    ... and prints the rustc to use (a path, or `rustc` for the one in PATH)
#
# The first of these that has the target's standard library wins (`edge-host build` looks in the same order):
#   1. $EDGE_HOST_RUSTC, when set: it must have it
#   2. the rustc in PATH, as a rule rustup's; `rustup target add` is tried before 3 is made
#   3. $PREFIX/bin/rustc, which this script makes from Debian's packages (no root needed, nothing is installed)
set -euo pipefail

target=wasm32-unknown-unknown
PREFIX=${EDGE_HOST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/edge-host}/toolchain
tmp=$PREFIX.tmp log=$PREFIX.log

say() { echo "toolchain: $*" >&2; }
die() { say "error: $*"; exit 1; }
has_target() {
  local lib
  lib=$("$1" --print target-libdir --target "$target" 2>/dev/null) && compgen -G "$lib/libstd-*.rlib" >/dev/null
}
found() { [ -z "$print" ] || echo "$1"; exit 0; }

case "$*" in
  "") print= ;;
  --print) print=1 ;;
  *) die "usage: $0 [--print]" ;;
esac

# What is there already.
if [ -n "${EDGE_HOST_RUSTC:-}" ]; then
  has_target "$EDGE_HOST_RUSTC" && found "$EDGE_HOST_RUSTC"
  die "EDGE_HOST_RUSTC=$EDGE_HOST_RUSTC cannot build for $target; unset it, or with rustup run: rustup target add $target"
fi
has_target rustc && found rustc
has_target "$PREFIX/bin/rustc" && found "$PREFIX/bin/rustc"

# The ordinary way; it must not hold up a machine without a network.
if command -v rustup >/dev/null; then
  say "adding $target with rustup"
  timeout -k 1 60 rustup target add "$target" >/dev/null 2>&1 || true
  has_target rustc && found rustc
fi

# Debian's rustc and the standard library built from its source, for a machine where rustup can fetch nothing.
help="with rustup run: rustup target add $target"
for tool in apt-get dpkg cargo cc flock; do
  command -v $tool >/dev/null || die "no rustc here builds for $target, and without $tool none can be made from Debian's packages; $help"
done
cargo=$(rustup which cargo 2>/dev/null || command -v cargo)

# Two runs at once: the second waits and finds the work done.
mkdir -p "${PREFIX%/*}"
exec 9>"$PREFIX.lock"
flock -n 9 || { say "waiting for another run"; flock 9; }
has_target "$PREFIX/bin/rustc" && found "$PREFIX/bin/rustc"

# All is made in $tmp and moved into place at the end. Any failure from here on ends in one line; the details are in $log.
finish() {
  local rc=$?
  rm -rf "$tmp"
  [ $rc = 0 ] || [ $rc = 130 ] || say "error: no rustc here builds for $target, and $step failed ($(grep -m1 -E '^(E:|error)' "$log" || tail -n1 "$log"); see $log); $help"
}
trap finish EXIT
trap 'exit 130' INT TERM
rm -rf "$tmp"
mkdir -p "$tmp"/{bin,root,std/src,apt/lists/partial,apt/cache/archives/partial}
: >"$log"

say "making a rustc with $target in $PREFIX from Debian's packages (once: 140 MB, a minute or two)"
step="reading Debian's package lists"
# Lists and cache of our own: works as any user, is never out of date and changes nothing in the system.
apt_opts=(-qq -o Dir::State::lists="$tmp/apt/lists" -o Dir::Cache="$tmp/apt/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1)
apt-get "${apt_opts[@]}" -o APT::Update::Error-Mode=any update >>"$log" 2>&1
depends() { apt-cache "${apt_opts[@]}" --no-all-versions show "$1" 2>>"$log" | sed -n 's/^Depends: //p' | grep -oE -m1 "$2" | head -n1; }
# apt knows the versions: rustc's library package, the LLVM it wants, and that LLVM's linker.
libstd=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9.]+')
llvm=$(depends "$libstd" 'libllvm[0-9]+')

step="downloading Debian's packages"
# `install --download-only` also fetches libraries these need which the machine lacks; --reinstall also what it has.
apt-get "${apt_opts[@]}" -y --no-install-recommends --reinstall --download-only install \
  rustc-web libstd-rust-web-dev "$libstd" "$llvm" "lld-${llvm#libllvm}" rust-web-src >>"$log" 2>&1

step="unpacking Debian's packages"
for deb in "$tmp"/apt/cache/archives/*.deb; do # of the source only library/ is needed
  dpkg --fsys-tarfile "$deb" | tar -x -C "$tmp/root" --wildcards --no-wildcards-match-slash \
    --exclude='./usr/share' --exclude='./usr/src/*/src' --exclude='./usr/src/*/compiler' 2>>"$log"
done
cat >"$tmp/bin/rustc" <<'WRAPPER'
#!/bin/sh
# Made by edge-host's scripts/toolchain.sh: Debian's rustc, with its own libraries.
root=$(dirname "$(dirname "$(readlink -f "$0")")")/root
for lib in "$root"/usr/lib/*-linux-gnu*; do
  LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH
exec "$root/usr/bin/rustc" "$@"
WRAPPER
chmod +x "$tmp/bin/rustc"

step="running Debian's rustc"
rustc=$tmp/bin/rustc
version=$("$rustc" --version 2>>"$log" | cut -d' ' -f2)
host=$("$rustc" -vV | sed -n 's/^host: //p')
library=$(echo "$tmp"/root/usr/src/rustc-*/library)
rustlib=$tmp/root/usr/lib/rustlib
# rustc looks for its linker `rust-lld` here; it is the same program as Debian's lld.
mkdir -p "$rustlib/$host/bin" "$rustlib/$target/lib"
ln -sf "../../../llvm-${llvm#libllvm}/bin/lld" "$rustlib/$host/bin/rust-lld"

step="building the standard library"
say "building the standard library of rustc $version"
printf '[package]\nname = "empty"\nedition = "2021"\n[workspace]\n' >"$tmp/std/Cargo.toml"
: >"$tmp/std/src/lib.rs"
(
  cd "$tmp/std"
  unset RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_TARGET MAKEFLAGS CARGO_MAKEFLAGS
  # -Zbuild-std is for nightly only: the two variables stand in for that and for rustup's rust-src. The crates which
  # the standard library needs come with its source.
  export RUSTC="$rustc" RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$library" CARGO_TARGET_DIR="$tmp/target"
  # Bitcode for guests with `lto`; no path of this machine in a guest's panic messages.
  export CARGO_ENCODED_RUSTFLAGS="-Cembed-bitcode=yes"$'\x1f'"--remap-path-prefix=$library=/rustc/$version/library"
  "$cargo" build --release --offline -Zbuild-std=std,panic_abort --target "$target" \
    --config 'source.crates-io.replace-with="debian"' --config "source.debian.directory='$library/vendor'"
) >>"$log" 2>&1
cp "$tmp/target/$target"/release/deps/*.rlib "$rustlib/$target/lib/"
rm -rf "$rustlib/$target"/lib/libempty-*.rlib "$tmp"/{std,target,apt} "$tmp/root/usr/src"

step="the finished rustc's check"
has_target "$rustc"
rm -rf "$PREFIX"
mv "$tmp" "$PREFIX"
rm -f "$log"
say "ready: rustc $version"
found "$PREFIX/bin/rustc"
