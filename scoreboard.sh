#!/usr/bin/env bash
# What faults cost: providers are killed, paused, replaced, slowed down and overloaded, ZooKeeper is
# killed, wiped and cut off, all under a steady load, and every call and every execution is counted.
#
#   ./scoreboard.sh                         the table of the README: 5 min
#   ./scoreboard.sh --quick                 the same with shorter outages
#   ./scoreboard.sh --more                  also other faults and combinations: 15 min
#   ./scoreboard.sh --only "kill -9"        the rows whose name contains this
#   ./scoreboard.sh --combine kill,pause --between 300 --providers 2
#   ./scoreboard.sh --chaos 7 --seconds 60  random faults, decided by the number
#   ./scoreboard.sh --help                  all options
#
# ZooKeeper comes from Debian's packages without root (scripts/zookeeper.sh). The table and JSON
# lines go to scoreboard/, unless --markdown and --json say where. Everything that is started ends
# with this script, also after Ctrl-C. Exit status 0: every bound holds; 1: one is broken.
set -euo pipefail
cd "$(dirname "$0")"

command -v cargo >/dev/null || {
  echo "scoreboard.sh: there is no cargo: install Rust from https://rustup.rs" >&2
  exit 2
}
echo "Building (the first time takes some minutes)." >&2
cargo build --quiet --release --locked -p rpc-testkit --example scoreboard
scripts/zookeeper.sh fetch >/dev/null

# What journals and servers write goes here and nowhere else.
temp=$(mktemp -d "${TMPDIR:-/tmp}/rpc-scoreboard.XXXXXX")
board=''
cleanup() {
  local status=$?
  trap '' INT TERM
  set +e
  if [ -n "$board" ]; then
    kill -TERM "$board" 2>/dev/null
    wait "$board" 2>/dev/null
  fi
  rm -rf "$temp"
  exit "$status"
}
trap cleanup EXIT
trap 'echo "Ended by a signal; cleaning up." >&2; exit 130' INT TERM

out=()
case " $* " in
*" --markdown"* | *" --json"* | *" --list"* | *" --help"*) ;;
*)
  mkdir -p scoreboard
  out=(--markdown scoreboard/table.md --json scoreboard/rows.jsonl)
  ;;
esac
# What a developer has set for the demos must not reach it. In a process group of its own, so that
# Ctrl-C reaches this script alone, which ends it in order.
env -u RPC_REGISTRY -u RPC_BIND -u RPC_ADVERTISE -u RPC_BALANCE TMPDIR="$temp" \
  setsid "${CARGO_TARGET_DIR:-target}/release/examples/scoreboard" "${out[@]}" "$@" </dev/null &
board=$!
wait "$board"
