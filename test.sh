#!/usr/bin/env bash
# Everything that is checked: format, lints, documentation and all tests, with a real ZooKeeper.
#
#   ./test.sh         what every change has to pass
#   ./test.sh --all   also the tests that need minutes, root or other tools (#[ignore])
#
# ZooKeeper comes from Debian's packages without root (scripts/zookeeper.sh). A test that could not
# have one counts as a failure, unless RPC_TEST_ZOOKEEPER=off says that it may be left out; in the
# same way RPC_TEST_LINTS=off does without rustfmt and clippy where there are none.
set -euo pipefail
cd "$(dirname "$0")"

all=''
case ${1:-} in
'') ;;
--all) all=yes ;;
*)
  echo "usage: ./test.sh [--all]" >&2
  exit 2
  ;;
esac

temp=$(mktemp -d "${TMPDIR:-/tmp}/rpc-test.XXXXXX")
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

export RPC_TEST_ZOOKEEPER=${RPC_TEST_ZOOKEEPER:-required}
export RPC_TEST_REPORT=$temp/report
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}
# What a developer has set for programs must not reach the tests.
for name in "${!RPC_@}"; do
  case $name in
  RPC_TEST_* | RPC_LAB_* | RPC_CHAOS_* | RPC_ZOOKEEPER_*) ;;
  *) unset "$name" ;;
  esac
done
unset RUST_LOG
: >"$RPC_TEST_REPORT"
: >"$temp/log"

failures=()
began=$SECONDS

# step NAME COMMAND..: goes on after a failure, so that one run tells everything.
step() {
  local name=$1 start=$SECONDS
  shift
  echo "=== $name"
  if "$@"; then
    echo "=== $name: well, $((SECONDS - start)) s"
  else
    failures+=("$name")
    echo "=== $name: FAILED, $((SECONDS - start)) s"
  fi
  echo
}

# Keeps what is printed, to count the tests in it.
tests() {
  cargo test --locked --no-fail-fast "$@" 2>&1 | tee -a "$temp/log"
}

# The same under AddressSanitizer, which also finds leaks: what breaks memory in a crate below is seen
# here. The flag is not stable, but the stable compiler brings all that it needs. What measures its own
# memory is left out.
sanitized() {
  local host
  host=$(rustc -vV | sed -n 's/^host: //p')
  case $host in
  x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
  *)
    echo "There is no AddressSanitizer for $host."
    return
    ;;
  esac
  RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=target/sanitized \
    tests --target "$host" "$@"
}

# component NAME: whether cargo has it; rustup is asked for it once.
component() {
  if cargo "$1" --version >/dev/null 2>&1; then return 0; fi
  if command -v rustup >/dev/null; then
    if rustup component add "${1/#fmt/rustfmt}" >/dev/null 2>&1; then return 0; fi
  fi
  echo "cargo $1 is missing: run 'rustup component add ${1/#fmt/rustfmt}', or set" \
    "RPC_TEST_LINTS=off to do without"
  return 1
}

format() {
  component fmt && cargo fmt --all --check
}

lints() {
  component clippy && cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
}

documentation() {
  RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
}

zookeeper() {
  scripts/zookeeper.sh fetch >"$temp/fetch" 2>&1 || {
    cat "$temp/fetch"
    return 1
  }
}

if [ "${RPC_TEST_LINTS:-}" = off ]; then
  echo "RPC_TEST_LINTS=off: format and lints are not looked at."
else
  step "format" format
  step "lints" lints
fi
step "documentation" documentation
if [ "$RPC_TEST_ZOOKEEPER" != off ]; then
  # Once and before the tests, which would otherwise all wait for it.
  step "a ZooKeeper for the tests" zookeeper
fi
step "tests" tests --workspace --exclude rpc-testkit
# Each of these has the machine for itself: they kill, pause and count.
step "fault tests, one at a time" tests -p rpc-testkit -- --test-threads=1
if [ -n "$all" ]; then
  step "tests that need minutes, root or other tools" \
    tests --workspace -- --ignored --test-threads=1
  step "tests under AddressSanitizer" \
    sanitized -p rpc-core -p rpc-client -p rpc-server --lib --tests -- --skip peaks_stay_low
  step "spoilt frames and panics under AddressSanitizer" \
    sanitized -p rpc-testkit --test faults -- --test-threads=1 b1_ b4_ p5_
fi

# A test that does not reach its end is counted by no summary, but fails its step.
sum() {
  awk -v what="$1" '
    /^test result: / {
      for (i = 2; i <= NF; i++) if ($i ~ "^" what) total += $(i - 1)
    }
    END { print total + 0 }' "$temp/log"
}
count() {
  grep -c "^$1 " "$RPC_TEST_REPORT" || true
}

passed=$(sum passed)
failed=$(sum failed)
left_out=$(count skipped)
ignored=$(sum ignored)
# A test without its ZooKeeper returns early, which the harness takes for a pass.
passed=$((passed - left_out))
if [ -n "$all" ]; then
  ignored=0
fi

if [ "$left_out" != 0 ]; then
  echo "Left out for want of a ZooKeeper:"
  sed -n 's/^skipped /  /p' "$RPC_TEST_REPORT"
  if [ "$RPC_TEST_ZOOKEEPER" != off ]; then
    failures+=("tests were left out")
  fi
fi
echo "With a real ZooKeeper: $(count ran) ran, $left_out left out."
if [ "$ignored" != 0 ]; then
  echo "For ./test.sh --all: $ignored, which need minutes, root or other tools."
fi
if [ "$passed" = 0 ]; then
  failures+=("no test passed")
fi
for failure in "${failures[@]}"; do echo "FAILED: $failure"; done
echo "It took $((SECONDS - began)) s."
echo "$passed passed, $failed failed, $((left_out + ignored)) skipped"
[ ${#failures[@]} = 0 ] && [ "$failed" = 0 ]
