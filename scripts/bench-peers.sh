#!/usr/bin/env bash
# Installs what `make bench` measures against and cargo can't build: Erlang/OTP, from Debian, as root only.
# A peer that can't be had is named as missing by the benchmark itself, so this never fails.
set -euo pipefail

say() { echo "bench: $*" >&2; }

if command -v erl >/dev/null && erl -noshell -eval 'ssl:module_info(), halt().' >/dev/null 2>&1; then
  exit 0
fi
packages="erlang-base erlang-ssl"
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  say "Erlang/OTP is not here, and will be named as missing: apt-get install $packages"
  exit 0
fi
say "installing $packages"
log=$(mktemp)
if { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y install $packages; } >"$log" 2>&1; then
  rm -f "$log"
else
  say "Erlang/OTP can't be installed, and will be named as missing: $(tail -n1 "$log")"
fi
