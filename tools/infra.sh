#!/usr/bin/env bash
# Starts and stops what Millrace's three workloads need beside them on a development machine: one Kafka
# broker, with the topic. Both are safe to repeat.
#
# Usage: tools/infra.sh up|down|status
#        tools/infra.sh tool CLASS ARGUMENT...   one of Kafka's own command-line tools
#        tools/infra.sh jars                     fetches Kafka's jars, and prints their folder
# KAFKA_PORT   where the broker listens on loopback (default 19092; its controller on the next port)
# KAFKA_TOPIC  the topic that is made (default millrace, 6 partitions)
# KAFKA_PROPERTIES  a file with more settings of the broker, which win over ours
# KAFKA_CLUSTER_ID  the id of a new cluster (default: a random one)
# INFRA_DATA   where the broker keeps its data, log and pid (default build/infra/kafka)
# CLEAN=1      `down` removes the data too
set -euo pipefail
cd "$(dirname "$0")/.."

port=${KAFKA_PORT:-19092}
topic=${KAFKA_TOPIC:-millrace}
folder=$(realpath -m "${INFRA_DATA:-build/infra/kafka}")
cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}
fingerprint=$(cat deploy/local/kafka/pom.xml deploy/local/kafka/jars.sha256 | sha256sum | cut -c1-16)
jars=$cache/kafka-$fingerprint

say() { echo "infra: $*" >&2; }
fail() { echo "infra: $*" >&2; exit 1; }

# The broker that this folder's last `up` started.
pid() {
  local pid
  pid=$(cat "$folder/pid" 2>/dev/null) || return 1
  [ "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -c kafka.Kafka)" = 1 ] || return 1
  echo "$pid"
}

install_broker() {
  [ -d "$jars" ] && return 0
  local missing=()
  command -v java >/dev/null || missing+=(default-jre-headless)
  command -v mvn >/dev/null || missing+=(maven)
  if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    local root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
  say "fetching Kafka's jars into $jars"
  mkdir -p "$cache"
  local work
  work=$(mktemp -d "$cache/kafka.XXXXXX")
  mvn -q -B -f deploy/local/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory="$work" >&2 ||
    fail "Maven cannot fetch the jars of deploy/local/kafka/pom.xml"
  (cd "$work" && sha256sum --check --quiet --strict -) <deploy/local/kafka/jars.sha256 >&2 ||
    fail "the jars' checksums are not those of deploy/local/kafka/jars.sha256"
  mv -T "$work" "$jars" 2>/dev/null || [ -d "$jars" ]
}

java_tool() { java -Xmx256m -cp "$jars/*" "$@"; }

start_broker() {
  mkdir -p "$folder"
  sed -e "s|@PORT@|$port|g; s|@CONTROLLER_PORT@|$((port + 1))|g; s|@DATA@|$folder/data|g" \
    deploy/local/kafka/server.properties >"$folder/server.properties"
  [ -z "${KAFKA_PROPERTIES:-}" ] || cat "$KAFKA_PROPERTIES" >>"$folder/server.properties"
  if [ ! -f "$folder/data/meta.properties" ]; then
    local id
    id=${KAFKA_CLUSTER_ID:-$(java_tool kafka.tools.StorageTool random-uuid 2>/dev/null | tail -1)}
    java_tool kafka.tools.StorageTool format -t "$id" -c "$folder/server.properties" >"$folder/format.log" 2>&1 ||
      fail "the broker's data folder cannot be made: $folder/format.log"
  fi
  setsid nohup java -Xms128m -Xmx512m -XX:+UseSerialGC -cp "$jars/*" kafka.Kafka "$folder/server.properties" \
    >"$folder/broker.log" 2>&1 &
  local started=$!
  echo "$started" >"$folder/pid"
  # It is a shell's child for a moment before it is Kafka.
  for _ in $(seq 50); do
    pid >/dev/null && break
    kill -0 "$started" 2>/dev/null || break
    sleep 0.1
  done
  say "started a broker (pid $started) on 127.0.0.1:$port, log $folder/broker.log"
}

# Also tells when the broker is ready: it answers then. Kafka 4.1 at times ends while it starts after a
# kill ("Attempted to remove publisher"), and not the next time.
make_topic() {
  local attempt starts=1
  for attempt in $(seq 60); do
    if ! pid >/dev/null; then
      [ "$starts" -lt 3 ] || fail "the broker ended; see $folder/broker.log: $(tail -1 "$folder/broker.log")"
      starts=$((starts + 1))
      say "the broker ended while it started; trying again"
      start_broker
    fi
    # 48 MiB is journal.entry_size_max; the rest is for what the protocol adds.
    if java_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create \
      --if-not-exists --topic "$topic" --partitions 6 --replication-factor 1 \
      --config max.message.bytes=50397184 >"$folder/topic.log" 2>&1; then
      return 0
    fi
    sleep 1
  done
  fail "the topic cannot be made: $(tail -1 "$folder/topic.log")"
}

case ${1:-} in
  up)
    install_broker
    if pid >/dev/null; then
      say "the broker is up already (pid $(pid))"
    elif (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      fail "127.0.0.1:$port is taken by another process; set KAFKA_PORT"
    else
      start_broker
    fi
    make_topic
    say "topic $topic is there"
    ;;
  down)
    if running=$(pid); then
      kill "$running"
      for _ in $(seq 300); do pid >/dev/null || break; sleep 0.1; done
      pid >/dev/null && fail "the broker (pid $running) does not end"
      say "stopped the broker (pid $running)"
    else
      say "no broker runs"
    fi
    rm -f "$folder/pid"
    if [ "${CLEAN:-}" = 1 ]; then
      rm -rf "$folder"
      say "removed $folder"
    fi
    ;;
  status) if running=$(pid); then say "the broker runs (pid $running) on 127.0.0.1:$port"; else say "no broker runs"; exit 1; fi ;;
  jars)
    install_broker
    echo "$jars"
    ;;
  tool)
    install_broker
    shift
    java_tool "$@"
    ;;
  *)
    echo "usage: tools/infra.sh up|down|status|jars|tool" >&2
    exit 2
    ;;
esac
