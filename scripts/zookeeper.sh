#!/usr/bin/env bash
# A throw-away Apache ZooKeeper on loopback, for the demo and the tests: no root, nothing installed.
#
#   zookeeper.sh fetch                        get the jars (6 MB) and, without a java, a JRE (44 MB)
#   zookeeper.sh start DIR PORT               one server on 127.0.0.1:PORT, its files in DIR/1
#   zookeeper.sh ensemble DIR P1 P2 P3 ..     an ensemble; also uses the ports P+1000 and P+2000
#   zookeeper.sh stop DIR [N]                 end server N (or all) in order
#   zookeeper.sh kill DIR [N]                 crash:    SIGKILL
#   zookeeper.sh pause|resume DIR [N]         hang:     SIGSTOP, SIGCONT
#   zookeeper.sh up DIR [N]                   start again with the data it had
#   zookeeper.sh wipe DIR [N]                 delete the data of a server that is down
#   zookeeper.sh status DIR                   one line for each server
#   zookeeper.sh leader DIR                   the number of the leading server
#   zookeeper.sh cli DIR [command ..]         ZooKeeper's own zkCli, e.g. cli DIR ls -R /rpc
#   zookeeper.sh clean DIR                    end all servers and delete DIR
#
# start, ensemble and up return when the servers serve; start and ensemble print host:port,host:port.
#
# Environment:
#   RPC_ZOOKEEPER_CACHE  where the packages are unpacked (default ~/.cache/rpc-zookeeper)
#   RPC_ZOOKEEPER_JARS   use the jars in this folder (lib/ of Apache's archive), fetch nothing
#   RPC_ZOOKEEPER_JAVA   use this java
#   RPC_ZOOKEEPER_OWNER  a process id: servers and their files go when that process is gone
#   RPC_ZOOKEEPER_TICK   tickTime in ms (default 100)
#
# The packages are Debian's own, fetched by `apt-get download`: apt checks the signature of the
# release and the hash of each package, and is told here to refuse what it cannot check.
set -euo pipefail

CACHE=${RPC_ZOOKEEPER_CACHE:-${HOME:-/tmp}/.cache/rpc-zookeeper}
ROOT=$CACHE/root
TICK=${RPC_ZOOKEEPER_TICK:-100}
HOST=127.0.0.1
MARK=.rpc-zookeeper
# What ZooKeeper needs without its admin server; snappy is loaded though unused, commons-cli is for zkCli.
PACKAGES="libzookeeper-java libslf4j-java libdropwizard-metrics-java libsnappy-java libcommons-cli-java"
JARS="zookeeper zookeeper-jute slf4j-api slf4j-simple metrics-core snappy-java commons-cli"
JRES="openjdk-17-jre-headless openjdk-21-jre-headless openjdk-25-jre-headless openjdk-11-jre-headless"

fail() {
  echo "zookeeper.sh: $*" >&2
  exit 1
}

now_ms() {
  local now=${EPOCHREALTIME/[.,]/}
  echo $((now / 1000))
}

# --- the packages ---------------------------------------------------------------------------------

find_java() {
  local java
  for java in "${RPC_ZOOKEEPER_JAVA:-}" "$ROOT"/usr/lib/jvm/*/bin/java \
    "${JAVA_HOME:-/nonexistent}/bin/java" "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
    if [ -n "$java" ] && [ -x "$java" ] && "$java" -version >/dev/null 2>&1; then
      echo "$java"
      return
    fi
  done
  return 1
}

have_jars() {
  if [ -n "${RPC_ZOOKEEPER_JARS:-}" ]; then
    ls "$RPC_ZOOKEEPER_JARS"/zookeeper*.jar >/dev/null 2>&1 ||
      fail "RPC_ZOOKEEPER_JARS=$RPC_ZOOKEEPER_JARS has no zookeeper jar"
    return
  fi
  [ -e "$ROOT/usr/share/java/zookeeper.jar" ]
}

# The machine's apt with the given state, unable to install anything or to skip a check.
apt_options() {
  APT=(-qq -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Acquire::Languages=none
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
    -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false
    -o Acquire::AllowWeakRepositories=false -o Acquire::AllowDowngradeToInsecureRepositories=false
    "$@")
}

# Downloads into $1/deb; with a JRE if $2 is "jre".
download() {
  local wanted jre
  read -ra wanted <<<"$PACKAGES"
  if [ "$2" = jre ]; then
    for jre in $JRES; do
      if [ -n "$(apt-cache "${APT[@]}" madison "$jre" 2>/dev/null)" ]; then
        wanted+=("$jre")
        break
      fi
    done
  fi
  rm -rf "$1/deb" && mkdir -p "$1/deb" && (cd "$1/deb" && apt-get "${APT[@]}" download "${wanted[@]}")
}

# Debian's JRE links to /etc/java-..; makes absolute links that mean something inside $1 relative.
relink() {
  local link to
  find "$1" -type l | while read -r link; do
    to=$(readlink "$link")
    case $to in
    /*) if [ -e "$1$to" ]; then ln -sfnr "$1$to" "$link"; fi ;;
    esac
  done
}

fetch() {
  local jre=none new deb
  find_java >/dev/null || jre=jre
  if have_jars && [ "$jre" = none ]; then return; fi
  [ -z "${RPC_ZOOKEEPER_JARS:-}" ] || fail "RPC_ZOOKEEPER_JARS is set but there is no java"
  if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    fail "there is no ZooKeeper and no apt-get to get one with: set RPC_ZOOKEEPER_JARS to the lib" \
      "folder of an Apache ZooKeeper archive, or start one with docker"
  fi
  # Built aside and moved into place, so that two of us may fetch at once.
  mkdir -p "$CACHE"
  new=$(mktemp -d "$CACHE/new.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$new'" EXIT
  apt_options
  if ! download "$new" "$jre" >"$new/log" 2>&1; then
    # The machine's package lists are missing or old: private ones, which need no root.
    mkdir -p "$new"/apt/state/lists/partial "$new"/apt/cache/archives/partial
    apt_options -o "Dir::State=$new/apt/state" -o Dir::State::status=/var/lib/dpkg/status \
      -o "Dir::Cache=$new/apt/cache"
    if ! { apt-get "${APT[@]}" update && download "$new" "$jre"; } >>"$new/log" 2>&1; then
      tail -n 20 "$new/log" >&2
      fail "ZooKeeper could not be downloaded with apt-get (its words are above)"
    fi
  fi
  for deb in "$new"/deb/*.deb; do dpkg-deb -x "$deb" "$new/root"; done
  relink "$new/root"
  if [ "$jre" = jre ] && ! ls "$new"/root/usr/lib/jvm/*/bin/java >/dev/null 2>&1; then
    fail "there is no java, and none of these packages either: $JRES"
  fi
  # Somebody else may have been faster; what was there lacked something if we came here first.
  if ! { have_jars && find_java >/dev/null; }; then
    if [ -e "$ROOT" ]; then mv -T "$ROOT" "$new/old" 2>/dev/null || true; fi
    mv -T "$new/root" "$ROOT" 2>/dev/null || true
  fi
  rm -rf "$new"
  trap - EXIT
  have_jars || fail "the packages hold no zookeeper.jar"
  find_java >/dev/null || fail "the java that was fetched does not run"
}

classpath() {
  if [ -n "${RPC_ZOOKEEPER_JARS:-}" ]; then
    echo "$RPC_ZOOKEEPER_JARS/*"
    return
  fi
  local jar path=
  for jar in $JARS; do
    if [ -e "$ROOT/usr/share/java/$jar.jar" ]; then path=$path:$ROOT/usr/share/java/$jar.jar; fi
  done
  echo "${path#:}"
}

# --- the servers ----------------------------------------------------------------------------------

# absolute DIR: the folder of servers, which must be ours to be used.
folder() {
  [ -n "${1:-}" ] || fail "which folder?"
  [ -e "$1/$MARK" ] || fail "$1 was not made by zookeeper.sh start"
  (cd "$1" && pwd)
}

new_folder() {
  [ -n "${1:-}" ] || fail "which folder?"
  mkdir -p "$1"
  if [ ! -e "$1/$MARK" ] && [ -n "$(ls -A "$1")" ]; then
    fail "$1 exists and is not empty: give a new folder"
  fi
  touch "$1/$MARK"
  (cd "$1" && pwd)
}

# servers DIR [N]: their folders.
servers() {
  if [ -n "${2:-}" ]; then
    [ -d "$1/$2" ] || fail "there is no server $2 in $1"
    echo "$1/$2"
  else
    ls -d "$1"/[0-9]* 2>/dev/null || true
  fi
}

# The process of a server, if it runs: only one that says so itself is ever sent a signal.
process() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  if [ -n "$pid" ] && tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" |
    grep -qxF -- "-Drpc.zookeeper.server=$1"; then
    echo "$pid"
  else
    return 1
  fi
}

signal() {
  local pid
  if pid=$(process "$2"); then kill "-$1" "$pid" 2>/dev/null || true; fi
}

answer() {
  { exec 9<>"/dev/tcp/$HOST/$1"; } 2>/dev/null || return 1
  printf 'srvr' >&9 2>/dev/null || true
  timeout 2 cat <&9 2>/dev/null || true
  exec 9>&- 9<&-
}

configure() {
  local server=$1 port=$2
  if answer "$port" >/dev/null; then fail "port $port is in use"; fi
  mkdir -p "$server/data"
  echo "$port" >"$server/port"
  {
    echo "tickTime=$TICK"
    echo "dataDir=$server/data"
    echo "clientPort=$port"
    echo "clientPortAddress=$HOST"
    echo "maxClientCnxns=0"
    # Whatever timeout a client asks for is granted.
    echo "minSessionTimeout=$((2 * TICK))"
    echo "maxSessionTimeout=60000"
    cat
  } >"$server/zoo.cfg"
}

launch() {
  local server=$1 java pid
  if process "$server" >/dev/null; then return; fi
  java=$(find_java) || fail "there is no java: run zookeeper.sh fetch"
  # For tests: nothing is forced to disk, and little memory and time are used.
  setsid "$java" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m -XX:-UsePerfData \
    "-Drpc.zookeeper.server=$server" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
    -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
    -Dzookeeper.forceSync=no -Dzookeeper.preAllocSize=64 -Dzookeeper.admin.enableServer=false \
    -Dzookeeper.leaderConnectDelayDuringRetryMs=50 '-Dzookeeper.4lw.commands.whitelist=*' \
    -cp "$(classpath)" org.apache.zookeeper.server.quorum.QuorumPeerMain "$server/zoo.cfg" \
    >>"$server/log" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$server/pid"
  if [ -n "${RPC_ZOOKEEPER_OWNER:-}" ]; then
    # Ends with the server; ends the server with its owner, however that ends.
    setsid "$0" guard "$server" "$pid" "$RPC_ZOOKEEPER_OWNER" </dev/null >/dev/null 2>&1 &
  fi
}

guard() {
  local server=$1 pid=$2 owner=$3 born
  born=$(started "$owner")
  # Until exec has happened the process does not say yet that it is a server.
  sleep 1
  while [ "$(process "$server")" = "$pid" ]; do
    if [ -z "$born" ] || [ "$(started "$owner")" != "$born" ]; then
      kill -KILL "$pid" 2>/dev/null || true
      rm -rf "$server"
      if [ -z "$(servers "${server%/*}")" ]; then rm -rf "${server%/*}"; fi
      return
    fi
    sleep 0.5
  done
}

# When a process started, which tells it from a later one with the same number.
started() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  read -ra fields <<<"${stat##*) }"
  case ${fields[0]} in Z | X) ;; *) echo "${fields[19]}" ;; esac
}

wait_serving() {
  local server=$1 port deadline
  port=$(cat "$server/port")
  deadline=$(($(now_ms) + 30000))
  # That it answers is not enough: only a server with a mode serves.
  until [[ $(answer "$port") == *"Mode: "* ]]; do
    if ! kill -0 "$(cat "$server/pid")" 2>/dev/null; then
      tail -n 20 "$server/log" >&2
      fail "the server in $server ended (its log is above)"
    fi
    if [ "$(now_ms)" -gt "$deadline" ]; then
      tail -n 20 "$server/log" >&2
      fail "the server in $server does not serve after 30 s (its log is above)"
    fi
    sleep 0.02
  done
}

wait_gone() {
  local deadline
  deadline=$(($(now_ms) + $2))
  while process "$1" >/dev/null; do
    if [ "$(now_ms)" -gt "$deadline" ]; then return 1; fi
    sleep 0.02
  done
}

each() { # each COMMAND DIR [N]
  local server
  for server in $(servers "$2" "${3:-}"); do "$1" "$server"; done
}

kill_server() {
  signal KILL "$1"
  wait_gone "$1" 5000 || fail "the server in $1 cannot be killed"
}
stop_server() {
  signal CONT "$1"
  signal TERM "$1"
  wait_gone "$1" 5000 || kill_server "$1"
}
pause_server() { signal STOP "$1"; }
resume_server() { signal CONT "$1"; }
wipe_server() {
  if process "$1" >/dev/null; then fail "the server in $1 runs: stop it first"; fi
  rm -rf "$1/data/version-2"
}
show_server() {
  local pid port told
  port=$(cat "$1/port")
  if pid=$(process "$1"); then
    told=$(answer "$port" || true)
    echo "${1##*/} pid=$pid port=$port mode=$(sed -n 's/^Mode: //p' <<<"$told")" \
      "connections=$(sed -n 's/^Connections: //p' <<<"$told")"
  else
    echo "${1##*/} down port=$port"
  fi
}
leads() {
  if process "$1" >/dev/null && [[ $(answer "$(cat "$1/port")") == *"Mode: leader"* ]]; then
    echo "${1##*/}"
  fi
}

command=${1:-help}
case $command in
fetch)
  fetch
  echo "java $(find_java)"
  echo "jars $(classpath)"
  ;;
start)
  [ $# = 3 ] || fail "write: start DIR PORT"
  fetch
  dir=$(new_folder "$2")
  configure "$dir/1" "$3" </dev/null
  launch "$dir/1"
  wait_serving "$dir/1"
  echo "$HOST:$3"
  ;;
ensemble)
  [ $# -ge 5 ] || fail "write: ensemble DIR P1 P2 P3"
  fetch
  dir=$(new_folder "$2")
  shift 2
  peers='' number=0 hosts=''
  for port in "$@"; do
    number=$((number + 1))
    peers+="server.$number=$HOST:$((port + 1000)):$((port + 2000))"$'\n'
    hosts+=,$HOST:$port
  done
  number=0
  for port in "$@"; do
    number=$((number + 1))
    printf 'initLimit=50\nsyncLimit=10\nstandaloneEnabled=false\n%s' "$peers" |
      configure "$dir/$number" "$port"
    echo "$number" >"$dir/$number/data/myid"
    launch "$dir/$number"
  done
  each wait_serving "$dir"
  echo "${hosts#,}"
  ;;
up)
  dir=$(folder "${2:-}")
  each launch "$dir" "${3:-}"
  each wait_serving "$dir" "${3:-}"
  ;;
stop | kill | pause | resume | wipe)
  dir=$(folder "${2:-}")
  each "${command}_server" "$dir" "${3:-}"
  ;;
status)
  dir=$(folder "${2:-}")
  each show_server "$dir"
  ;;
leader)
  dir=$(folder "${2:-}")
  number=$(each leads "$dir")
  [ -n "$number" ] || fail "no server leads"
  echo "$number"
  ;;
cli)
  dir=$(folder "${2:-}")
  port=$(cat "$dir/1/port")
  shift 2
  exec "$(find_java)" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$(classpath)" \
    org.apache.zookeeper.ZooKeeperMain -server "$HOST:$port" "$@"
  ;;
clean)
  if [ ! -d "${2:-}" ]; then exit 0; fi
  dir=$(folder "$2")
  each kill_server "$dir"
  rm -rf "$dir"
  ;;
guard)
  guard "$2" "$3" "$4"
  ;;
*)
  sed -n '2,29p' "$0"
  [ "$command" = help ] || exit 2
  ;;
esac
