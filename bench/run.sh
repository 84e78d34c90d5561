#!/usr/bin/env bash
# Builds the benchmark and runs it; tables and JSON lines go to bench/results/.
#
#   bench/run.sh                     everything, some twelve minutes
#   bench/run.sh --quick             a fifth of the time for each measurement
#   bench/run.sh run --payloads 32   one part with its options: run, mixed, compute, busy
set -euo pipefail
cd "$(dirname "$0")"

parts=(run mixed compute busy)
case ${1:-} in
run | mixed | compute | busy)
  parts=("$1")
  shift
  ;;
esac

cargo build --release --locked
mkdir -p results
for part in "${parts[@]}"; do
  target/release/rpc-bench "$part" \
    --markdown "results/$part.md" --json "results/$part.jsonl" "$@"
done
