#!/usr/bin/env bash
# What grows with the number of endpoints, services and calls, and what does not: CPU time of a call
# (client and server together, the least of some rounds), memory, and what a change of the registry
# costs each consumer. Prints tables.
#
#   bench/scale.sh                      everything, some three minutes
#   bench/scale.sh endpoints waiting    these parts: endpoints, services, outstanding, waiting,
#                                       clients, servers, registry
#
# It needs Linux; ZooKeeper, for `registry`, comes from Debian's packages without root
# (scripts/zookeeper.sh). Instructions in place of CPU time: bench/instructions.sh call
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || {
  echo "scale.sh: there is no cargo: install Rust from https://rustup.rs" >&2
  exit 2
}
if [ $# = 0 ]; then
  set -- endpoints services outstanding waiting clients servers registry
fi
# A thousand services have a thousand connections, each with two ends here.
ulimit -n 8192 2>/dev/null || ulimit -n "$(ulimit -Hn)"

echo "Building (the first time takes some minutes)." >&2
cargo build --quiet --release --locked -p rpc-testkit --example cost
printf '| what | figure |\n|---|---:|\n'
for part in "$@"; do
  case $part in
  registry) scripts/zookeeper.sh fetch >/dev/null ;;
  esac
  "${CARGO_TARGET_DIR:-target}/release/examples/cost" scale "$part"
done
