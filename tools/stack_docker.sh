# shellcheck shell=bash
# What tools/stack.sh does in containers. Sourced by it.

minio_file=deploy/local/compose/docker-compose.minio.yaml

compose() {
  if "$docker" compose version >/dev/null 2>&1; then
    "$docker" compose "$@"
  elif command -v docker-compose >/dev/null; then
    docker-compose "$@"
  else
    fail "neither \`$docker compose\` nor docker-compose is there: install Docker's compose plugin"
  fi
}

# With all services that there may be.
compose_all() { compose -f docker-compose.yaml -f "$minio_file" --profile serve "$@"; }

containers() { "$docker" ps -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" "$@"; }

check_port() {
  local service=$1 number=$2 variable=$3
  [ -z "$(containers --filter "label=com.docker.compose.service=$service")" ] || return 0
  ! is_taken "$number" || fail "127.0.0.1:$number is taken by another process; set $variable"
}

# Waits until each service's container says that it is healthy.
wait_until_healthy() {
  local service id health deadline=$((SECONDS + ${WAIT_SECONDS:-120}))
  for service in "$@"; do
    while true; do
      id=$(containers --filter "label=com.docker.compose.service=$service" | head -1)
      health=$([ -z "$id" ] || "$docker" inspect -f '{{.State.Health.Status}}' "$id" 2>/dev/null || true)
      [ "$health" != healthy ] || break
      if [ "$SECONDS" -ge "$deadline" ]; then
        compose_all logs --tail=20 "$service" >&2 || true
        fail "$service is not ready (${health:-it does not run})"
      fi
      sleep 0.5
    done
  done
}

make_images() {
  [ -n "${MILLRACE_IMAGE:-}" ] || tools/image.sh millrace
  [ "${1:-}" != --minio ] || [ -n "${MINIO_IMAGE:-}" ] || tools/image.sh minio
}

stack_up() {
  local files=(-f docker-compose.yaml) services=(kafka ingest write aggregate query prometheus)
  check_port kafka "${KAFKA_PORT:-19092}" KAFKA_PORT
  check_port ingest "$port" MILLRACE_PORT
  check_port query "${QUERY_PORT:-8088}" QUERY_PORT
  check_port prometheus "${PROMETHEUS_PORT:-9090}" PROMETHEUS_PORT
  if [ "$1" = --minio ]; then
    check_port minio "${MINIO_PORT:-9000}" MINIO_PORT
    files+=(-f "$minio_file")
    services+=(minio)
  fi
  make_images "$1"
  compose "${files[@]}" up -d --remove-orphans || fail "the containers do not start; see \`make stack-logs\`"
  wait_until_healthy "${services[@]}"
  say "ready: API http://127.0.0.1:$port, web page http://127.0.0.1:${QUERY_PORT:-8088}/, Prometheus http://127.0.0.1:${PROMETHEUS_PORT:-9090}"
}

infra_up() {
  check_port kafka "${KAFKA_PORT:-19092}" KAFKA_PORT
  check_port prometheus "${PROMETHEUS_PORT:-9090}" PROMETHEUS_PORT
  compose up -d kafka topic prometheus
  wait_until_healthy kafka prometheus
  say "ready: Kafka on localhost:${KAFKA_PORT:-19092}; the workloads' configuration: config/examples/kafka.local.yaml"
}

stack_down() {
  local options=(--remove-orphans)
  [ "${CLEAN:-}" != 1 ] || options+=(--volumes)
  remove
  compose_all down "${options[@]}"
  [ "${CLEAN:-}" = 1 ] || say "the data stays in volumes; CLEAN=1 removes them"
}

# Without volumes that have no name: nobody would find them again.
remove() { compose_all rm --stop --force -v "$@" >&2; }

infra_down() {
  remove kafka topic prometheus
  [ "${CLEAN:-}" = 1 ] || return 0
  local name
  for name in kafka prometheus; do "$docker" volume rm --force "${COMPOSE_PROJECT_NAME}_$name" >/dev/null; done
}
stack_ps() { compose_all ps; }
stack_logs() { compose_all logs --tail="${TAIL:-100}"; }

millrace_in() {
  local id
  id=$(containers --filter "label=com.docker.compose.service=$1" | head -1)
  [ -n "$id" ] || fail "$1 does not run: \`make stack-up\` starts it"
  shift
  "$docker" exec -i "$id" /usr/local/bin/millrace "$@"
}

runs() {
  [ -n "$(containers --filter "label=com.docker.compose.service=ingest")" ] &&
    [ -n "$(containers --filter "label=com.docker.compose.service=write")" ]
}

millrace_query() { millrace_in write query --config /etc/millrace/config.yaml "$@"; }
millrace_send() { millrace_in ingest generate --records "$1" --seed "$2" | millrace_in ingest send --retry-for 1m -; }
