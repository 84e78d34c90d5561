#!/usr/bin/env bash
# Counts the instructions of what one can make slower without noticing, and compares them with what
# is expected. The counts repeat on a machine that does other things too.
#
#   bench/instructions.sh             everything, some five minutes
#   bench/instructions.sh pick table  what begins with one of these
#   bench/instructions.sh --accept    writes what was counted to bench/instructions.tsv
#
# Each item is run by a program that does it N times and then 2 N times; the difference, by N, is
# what it costs once, without what is done only once. It needs valgrind. Exit status 1: a count is
# more than 10 % higher than expected (TOLERANCE=20 makes that 20 %).
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo >/dev/null || {
  echo "instructions.sh: there is no cargo: install Rust from https://rustup.rs" >&2
  exit 2
}
command -v valgrind >/dev/null || {
  echo "instructions.sh: there is no valgrind, which counts: apt-get install valgrind, or the" \
    "package of that name of your system" >&2
  exit 2
}
accept=''
if [ "${1:-}" = --accept ]; then
  accept=yes
  shift
fi
expected=bench/instructions.tsv
tolerance=${TOLERANCE:-10}

echo "Building (the first time takes some minutes)." >&2
cargo build --quiet --release --locked -p rpc-testkit --example cost
cost=${CARGO_TARGET_DIR:-target}/release/examples/cost
temp=$(mktemp -d "${TMPDIR:-/tmp}/rpc-instructions.XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

# count ITEM TIMES: the instructions of the whole program.
count() {
  if ! valgrind --tool=callgrind --callgrind-out-file=/dev/null --error-limit=no \
    "$cost" count "$1" "$2" >"$temp/out" 2>&1; then
    cat "$temp/out" >&2
    exit 2
  fi
  sed -n 's/^==[0-9]*== Collected : \([0-9]*\).*/\1/p' "$temp/out"
}

# wanted ITEM ARGS..: whether it begins with one of them, or there are none.
wanted() {
  local item=$1 start
  shift
  if [ $# = 0 ]; then return 0; fi
  for start in "$@"; do
    case $item in "$start"*) return 0 ;; esac
  done
  return 1
}

worse=0
printf '| what | instructions | expected | |\n|---|---:|---:|---|\n'
for item in $("$cost" list); do
  wanted "$item" "$@" || continue
  case $item in
  call/10000) times=20000 ;;
  call/*) times=2048 ;;
  *) times=8192 ;;
  esac
  once=$(count "$item" "$times")
  twice=$(count "$item" $((2 * times)))
  figure=$(((twice - once + times / 2) / times))
  before=$(awk -v item="$item" -F '\t' '$1 == item { print $2 }' "$expected" 2>/dev/null || true)
  note=''
  if [ -z "$before" ]; then
    note='new'
  elif [ $((figure * 100)) -gt $((before * (100 + tolerance))) ]; then
    note='MORE'
    worse=1
  elif [ $((figure * (100 + tolerance))) -lt $((before * 100)) ]; then
    note='less: accept it, so that it stays so'
  fi
  printf '| %s | %d | %s | %s |\n' "$item" "$figure" "${before:-}" "$note"
  printf '%s\t%d\n' "$item" "$figure" >>"$temp/new"
done

if [ -n "$accept" ]; then
  # What was not counted now stays as it is.
  touch "$expected"
  awk -F '\t' 'NR == FNR { new[$1] = $2; next } !($1 in new)' "$temp/new" "$expected" >"$temp/kept"
  sort "$temp/new" "$temp/kept" >"$expected"
  echo "Written to $expected." >&2
  exit 0
fi
if [ "$worse" = 1 ]; then
  echo "instructions.sh: something takes more instructions than expected; if that is meant, run it" \
    "with --accept and say why in the commit" >&2
  exit 1
fi
