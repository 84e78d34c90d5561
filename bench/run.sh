#!/usr/bin/env bash
# Builds the benchmark and runs all of it, some ten minutes; tables and JSON lines go to results/.
#
#   bench/run.sh            everything
#   bench/run.sh --quick    a fifth of the time for each measurement
#
# Other options go to every part: see `bench/run.sh --help`.
set -euo pipefail
cd "$(dirname "$0")"

cargo build --release --locked
bench=target/release/rpc-bench
if [[ " $* " == *" --help "* ]]; then exec "$bench" run --help; fi

mkdir -p results
for part in run mixed compute busy; do
  "$bench" "$part" --markdown "results/$part.md" --json "results/$part.jsonl" "$@"
done
