#!/usr/bin/env bash
# The workloads with Kafka and Prometheus, for development: in containers (docker-compose.yaml), or as processes
# of this machine where no Docker engine answers. All commands are safe to repeat.
#
# Usage: tools/stack.sh up [--minio]     starts all, and waits until it is ready; --minio: the tables on S3
#        tools/stack.sh infra-up, infra-down   Kafka (and Prometheus) alone, for workloads on the host
#        tools/stack.sh down             stops all (CLEAN=1 removes the data too)
#        tools/stack.sh ps | logs
#        tools/stack.sh smoke            sends sample records and waits for them in the table
#        tools/stack.sh loadtest         sends RECORDS records (default 1000000) and says how long they took
# STACK=docker, STACK=local    one or the other, whatever is there
# DOCKER                       the client (default docker)
# COMPOSE_PROJECT_NAME         of the containers, networks and volumes (default millrace)
# MILLRACE_PORT, QUERY_PORT, KAFKA_PORT, PROMETHEUS_PORT, MINIO_PORT, ...: see docker-compose.yaml
set -euo pipefail
cd "$(dirname "$0")/.."

docker=${DOCKER:-docker}
export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-millrace}
port=${MILLRACE_PORT:-8080}

say() { echo "stack: $*" >&2; }
fail() { echo "stack: $*" >&2; exit 1; }
is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

if [ -z "${STACK:-}" ]; then
  STACK=local
  "$docker" info >/dev/null 2>&1 && STACK=docker
  [ "$STACK" = docker ] || say "no Docker engine answers \`$docker info\`: with processes of this machine instead"
fi
case $STACK in
  docker | local) . "tools/stack_$STACK.sh" ;;
  *) fail "STACK is docker or local, not \"$STACK\"" ;;
esac

# Not every date has nanoseconds.
milliseconds() { python3 -c "import time; print(time.time_ns() // 1000000)" 2>/dev/null || echo "$(date +%s)000"; }
count_records() { millrace_query --format csv "SELECT count(*) FROM access_logs" 2>/dev/null | tail -1 | tr -d '\r'; }

# Sends $1 generated records and waits until the table has them.
send_and_wait() {
  local records=$1 before="" begin count deadline
  runs || fail "ingest and write do not run: \`make stack-up\` starts them"
  for _ in $(seq 20); do
    before=$(count_records || true)
    [ -z "$before" ] || break
    sleep 0.5
  done
  [ -n "$before" ] || fail "the table cannot be read: $(millrace_query "SELECT count(*) FROM access_logs" 2>&1 | tail -1)"
  begin=$(milliseconds)
  # Other records each time: the same ones again would be taken for a retry.
  millrace_send "$records" "$begin" || fail "the records were not taken"
  say "sent after $(($(milliseconds) - begin)) ms"
  deadline=$((SECONDS + ${WAIT_SECONDS:-120}))
  while true; do
    count=$(count_records || true)
    [ "${count:-0}" -lt $((before + records)) ] || break
    [ "$SECONDS" -lt "$deadline" ] || fail "the table has $((${count:-0} - before)) of the $records records; see \`make stack-logs\`"
    sleep 0.5
  done
  say "all $records are in the table after $(($(milliseconds) - begin)) ms"
}

case ${1:-} in
  up) stack_up "${2:-}" ;;
  down) stack_down ;;
  infra-up) infra_up ;;
  infra-down) infra_down ;;
  ps) stack_ps ;;
  logs) stack_logs ;;
  smoke)
    send_and_wait 1000
    millrace_query "SELECT path, count(*) AS requests FROM access_logs GROUP BY path ORDER BY requests DESC, path LIMIT 10"
    ;;
  loadtest)
    send_and_wait "${RECORDS:-1000000}"
    ;;
  *) echo "usage: tools/stack.sh up|down|infra-up|infra-down|ps|logs|smoke|loadtest" >&2; exit 2 ;;
esac
