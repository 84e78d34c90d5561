#!/usr/bin/env bash
# The framework at work: three providers and a consumer over a real ZooKeeper, while providers are
# killed, stopped and replaced and ZooKeeper is restarted.
#
#   ./demo.sh
#
# With RPC_REGISTRY=zookeeper://host:port,../root that ZooKeeper is used, and left running. Without
# it one is started for the time of the demo: from Debian's packages, unpacked into a private cache
# without root (scripts/zookeeper.sh), or with docker. Everything that is started here is ended
# here, also after Ctrl-C. RPC_DEMO_RATE and RPC_DEMO_CALLS set the load: calls in a second, and
# calls in flight at most. Exit status 0: all that is claimed in the last lines holds.
set -euo pipefail
cd "$(dirname "$0")"

RATE=${RPC_DEMO_RATE:-400}
CONCURRENCY=${RPC_DEMO_CALLS:-32}
DELAY=40 # milliseconds that a call takes, so that some are in flight at the kill
IMAGE=${RPC_ZOOKEEPER_IMAGE:-zookeeper:3.9}

# --- what is to be ended, whatever happens --------------------------------------------------------

temp=$(mktemp -d "${TMPDIR:-/tmp}/rpc-demo.XXXXXX")
zookeeper='' # how it was started: nothing, script or docker
container=''
load=''
declare -A providers=() # process id by name

cleanup() {
  local status=$? name pid
  trap '' INT TERM
  set +e
  # Nobody looks at what becomes of its calls any more.
  if [ -n "$load" ]; then kill -KILL "$load" 2>/dev/null; fi
  for name in "${!providers[@]}"; do kill -TERM "${providers[$name]}" 2>/dev/null; done
  for name in "${!providers[@]}"; do
    pid=${providers[$name]}
    ended "$pid" 5 || kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
  done
  case $zookeeper in
  script) scripts/zookeeper.sh clean "$temp/zookeeper" >/dev/null 2>&1 ;;
  docker) docker rm -f "$container" >/dev/null 2>&1 ;;
  esac
  if [ "$status" != 0 ] && [ "$status" != 130 ]; then
    for name in "$temp"/*.log; do
      if [ -s "$name" ]; then
        echo "--- the last words of $(basename "$name" .log):"
        tail -n 15 "$name"
      fi
    done
  fi
  rm -rf "$temp"
  exit "$status"
}
trap cleanup EXIT
trap 'echo; echo "Ended by a signal; cleaning up."; exit 130' INT TERM

fail() {
  echo "demo.sh: $*" >&2
  exit 1
}

now_ms() {
  local now=${EPOCHREALTIME/[.,]/}
  echo $((now / 1000))
}

say() {
  local ms=$(($(now_ms) - began))
  printf '%3d.%d s  %s\n' $((ms / 1000)) $((ms % 1000 / 100)) "$*"
}

# ended PID SECONDS: waits for a process; false if it is there for longer.
ended() {
  local until=$((SECONDS + $2))
  while kill -0 "$1" 2>/dev/null; do
    if [ "$SECONDS" -gt "$until" ]; then return 1; fi
    sleep 0.05
  done
}

# --- ZooKeeper ------------------------------------------------------------------------------------

free_port() {
  local port
  for _ in {1..50}; do
    port=$((20000 + RANDOM % 9000))
    if ! { exec 9<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
      echo "$port"
      return
    fi
    exec 9>&-
  done
  fail "no free port was found"
}

docker_serves() {
  docker exec "$container" zkServer.sh status >/dev/null 2>&1
}

start_docker() {
  local port
  port=$(free_port)
  container=rpc-demo-$$
  zookeeper=docker
  docker run -d --name "$container" -p "127.0.0.1:$port:2181" "$IMAGE" >/dev/null
  for _ in {1..120}; do
    if docker_serves; then
      RPC_REGISTRY=zookeeper://127.0.0.1:$port/rpc
      return
    fi
    sleep 0.5
  done
  fail "ZooKeeper in docker does not serve after a minute: docker logs $container"
}

get_zookeeper() {
  if [ -n "${RPC_REGISTRY:-}" ]; then
    echo "Using the registry that RPC_REGISTRY names: $RPC_REGISTRY"
    return
  fi
  local hosts
  if scripts/zookeeper.sh fetch >"$temp/fetch" 2>&1; then
    zookeeper=script
    hosts=$(RPC_ZOOKEEPER_OWNER=$$ scripts/zookeeper.sh start "$temp/zookeeper" "$(free_port)")
    RPC_REGISTRY=zookeeper://$hosts/rpc
    echo "Started a ZooKeeper from Debian's packages at $hosts."
  elif command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    start_docker
    echo "Started a ZooKeeper with docker: $RPC_REGISTRY"
  else
    cat "$temp/fetch" >&2
    fail "there is no ZooKeeper: set RPC_REGISTRY=zookeeper://host:2181/rpc to use one that runs," \
      "or run this where there is apt-get (no root needed) or docker"
  fi
  export RPC_REGISTRY
}

crash_zookeeper() {
  case $zookeeper in
  script) scripts/zookeeper.sh kill "$temp/zookeeper" ;;
  docker) docker kill "$container" >/dev/null ;;
  esac
}

revive_zookeeper() {
  case $zookeeper in
  script) RPC_ZOOKEEPER_OWNER=$$ scripts/zookeeper.sh up "$temp/zookeeper" ;;
  docker)
    docker start "$container" >/dev/null
    for _ in {1..120}; do
      if docker_serves; then return; fi
      sleep 0.5
    done
    fail "ZooKeeper in docker does not come back"
    ;;
  esac
}

# --- providers ------------------------------------------------------------------------------------

# start_provider NAME
start_provider() {
  # In a process group of its own, so that Ctrl-C reaches this script alone, which ends it in order.
  setsid "$bin/demo-provider" --name "$1" --label "name=$1" --delay "$DELAY" \
    --executions "$temp/$1.executions" >"$temp/$1.log" 2>&1 </dev/null &
  providers[$1]=$!
}

# wait_ready NAME..
wait_ready() {
  local name
  for name in "$@"; do
    for _ in {1..200}; do
      if grep -q '^ready ' "$temp/$name.log"; then continue 2; fi
      kill -0 "${providers[$name]}" 2>/dev/null || fail "the provider $name did not start"
      sleep 0.05
    done
    fail "the provider $name is not ready after 10 s"
  done
}

# stop_provider NAME: as an operator would, with SIGTERM; it has to leave in order.
stop_provider() {
  local pid=${providers[$1]}
  kill -TERM "$pid"
  ended "$pid" 35 || fail "the provider $1 does not leave"
  wait "$pid" || fail "the provider $1 left with status $?"
  unset "providers[$1]"
}

# --- the demo -------------------------------------------------------------------------------------

[ $# = 0 ] || fail "takes no arguments; read its first lines"
command -v cargo >/dev/null || fail "there is no cargo: install Rust from https://rustup.rs"

echo "Building provider and consumer (the first time takes a minute or two)."
cargo build --quiet --locked -p demo-provider -p demo-consumer
bin=${CARGO_TARGET_DIR:-target}/debug
began=$(now_ms)
get_zookeeper

echo
echo "=== Three providers, and a tour of the kinds of call"
echo
start_provider alpha
start_provider beta
start_provider gamma
wait_ready alpha beta gamma
for name in alpha beta gamma; do
  echo "$name is $(sed -n 's/^ready //p' "$temp/$name.log")"
done
"$bin/demo-consumer" tour

echo
echo "=== Under load: $RATE calls a second, half of them not idempotent"
echo
# At the kill every call in flight may have been with the provider that is killed; no other call
# that is not idempotent may fail.
setsid "$bin/demo-consumer" run --calls-per-second "$RATE" --concurrency "$CONCURRENCY" \
  --allow-unknown "$CONCURRENCY" --record "$temp/record" >"$temp/load.log" 2>&1 </dev/null &
load=$!
still_calling() {
  kill -0 "$load" 2>/dev/null || fail "the load ended before its time"
}
for _ in {1..100}; do
  if grep -q 'has begun' "$temp/load.log"; then break; fi
  still_calling
  sleep 0.05
done
say "the load has begun"
sleep 3

killed_at=$(now_ms)
# The shell would say so too, in words of its own.
{ kill -KILL "${providers[alpha]}" && wait "${providers[alpha]}"; } 2>/dev/null || true
unset 'providers[alpha]'
say "alpha was killed (kill -9), with calls in flight"
sleep 2
start_provider delta
wait_ready delta
say "delta was started in its place"
sleep 2

say "beta is stopped (SIGTERM), and leaves in order .."
stop_provider beta
say ".. beta has left"
sleep 1

if [ -n "$zookeeper" ]; then
  crash_zookeeper
  say "ZooKeeper was killed; the calls go on with what is known"
  sleep 3
  revive_zookeeper
  say "ZooKeeper is back"
  sleep 2
else
  say "ZooKeeper is not restarted, since it is not ours"
fi

say "the providers are replaced one by one, as for a new version .."
for pair in gamma:epsilon delta:zeta; do
  start_provider "${pair#*:}"
  wait_ready "${pair#*:}"
  stop_provider "${pair%:*}"
  say ".. ${pair#*:} has replaced ${pair%:*}"
done
sleep 2
still_calling
kill -TERM "$load"
status=0
wait "$load" || status=$?
load=''
say "the load has ended"
for name in "${!providers[@]}"; do stop_provider "$name"; done

echo
echo "=== What came of it"
echo
cat "$temp/load.log"
executions=()
for file in "$temp"/*.executions; do executions+=(--executions "$file"); done
"$bin/demo-consumer" check --record "$temp/record" "${executions[@]}" --killed-at "$killed_at" ||
  status=1
if [ "$status" != 0 ]; then fail "not everything is as it should be: see above"; fi
echo "All is as it should be, after $((($(now_ms) - began) / 1000)) s."
