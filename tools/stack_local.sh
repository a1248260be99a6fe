# shellcheck shell=bash
# What tools/stack.sh does with processes of this machine. Sourced by it.

folder=$(realpath -m "${STACK_DATA:-build/stack}")
minio_port=${MINIO_PORT:-9000}
export AWS_ACCESS_KEY_ID=${MINIO_ROOT_USER:-millrace}
export AWS_SECRET_ACCESS_KEY=${MINIO_ROOT_PASSWORD:-millrace-secret}

# The process that `up` started under a name, if it runs. Its start time tells it from another with the same pid.
started_at() { cut -d' ' -f22 "/proc/$1/stat" 2>/dev/null; }
pid_of() {
  local pid started
  read -r pid started 2>/dev/null <"$folder/$1.pid" || return 1
  [ "$(started_at "$pid")" = "$started" ] || return 1
  echo "$pid"
}

start() {
  local name=$1
  shift
  setsid nohup "$@" >>"$folder/$name.log" 2>&1 </dev/null &
  echo "$! $(started_at $!)" >"$folder/$name.pid"
  say "started $name (pid $!), log $folder/$name.log"
}

stop() {
  local name=$1 pid
  pid=$(pid_of "$name") || return 0
  kill "$pid"
  for _ in $(seq 600); do pid_of "$name" >/dev/null || break; sleep 0.1; done
  pid_of "$name" >/dev/null && fail "$name (pid $pid) does not end"
  rm -f "$folder/$name.pid"
  say "stopped $name"
}

wait_until_ready() {
  local name=$1 url=$2
  for _ in $(seq $((${WAIT_SECONDS:-120} * 5))); do
    curl --silent --fail --output /dev/null "$url" && return 0
    pid_of "$name" >/dev/null || fail "$name ended: $(tail -1 "$folder/$name.log")"
    sleep 0.2
  done
  fail "$name is not ready: $(tail -1 "$folder/$name.log")"
}

start_minio() {
  local programs
  programs=$(tools/install_s3_servers.sh)
  ! is_taken "$minio_port" || fail "127.0.0.1:$minio_port is taken by another process; set MINIO_PORT"
  MINIO_ROOT_USER=$AWS_ACCESS_KEY_ID MINIO_ROOT_PASSWORD=$AWS_SECRET_ACCESS_KEY start minio "$programs/minio" \
    server "$folder/minio" --address "127.0.0.1:$minio_port" \
    --console-address "127.0.0.1:${MINIO_CONSOLE_PORT:-9001}"
  wait_until_ready minio "http://127.0.0.1:$minio_port/minio/health/ready"
  deploy/local/s3/make_bucket "http://127.0.0.1:$minio_port" lake >&2
}

# The example's settings, with this stack's ports.
configure() {
  sed -e "s|localhost:19092|localhost:${KAFKA_PORT:-19092}|; s|127.0.0.1:9000|127.0.0.1:$minio_port|" \
    -e "s|^data: .*|data: $folder/data|; s|listen: 127.0.0.1:8080|listen: 127.0.0.1:$port|" "$1" >"$folder/config.yaml"
}

stack_up() {
  tools/install_dependencies.sh
  tools/build.sh release millrace >&2
  mkdir -p "$folder"
  infra_up
  local example=config/examples/kafka.local.yaml
  if [ "$1" = --minio ]; then
    example=config/examples/s3.local.yaml
    pid_of minio >/dev/null || start_minio
  fi
  configure "$example"
  # A stack that runs with other settings takes these over.
  if ! cmp -s "$folder/config.yaml" "$folder/running.yaml"; then stop_workloads; fi
  cp "$folder/config.yaml" "$folder/running.yaml"
  [ -n "$(pid_of ingest)" ] || ! is_taken "$port" || fail "127.0.0.1:$port is taken by another process; set MILLRACE_PORT"
  local admin=${ADMIN_PORT:-8081} query_port=${QUERY_PORT:-8088} name
  [ -n "$(pid_of query)" ] || ! is_taken "$query_port" || fail "127.0.0.1:$query_port is taken by another process; set QUERY_PORT"
  for name in ingest write "aggregate --every 10s" "query --serve --listen 127.0.0.1:$query_port"; do
    # shellcheck disable=SC2086  # The words of a command.
    if ! pid_of "${name%% *}" >/dev/null; then
      ! is_taken "$admin" || fail "127.0.0.1:$admin is taken by another process; set ADMIN_PORT"
      start "${name%% *}" build/bin/millrace $name --config "$folder/config.yaml" --admin "127.0.0.1:$admin"
    fi
    wait_until_ready "${name%% *}" "http://127.0.0.1:$admin/readyz"
    admin=$((admin + 1))
  done
  say "ready: API http://127.0.0.1:$port, web page http://127.0.0.1:$query_port/, metrics on ports ${ADMIN_PORT:-8081} and the next three"
}

stop_workloads() { for name in ingest write aggregate query; do stop "$name"; done; }

stack_down() {
  stop_workloads
  stop minio
  infra_down
  if [ "${CLEAN:-}" = 1 ]; then
    rm -rf "$folder"
    say "removed $folder"
  else
    say "the data stays in $folder; CLEAN=1 removes it"
  fi
}

infra_up() { tools/infra.sh up; }
infra_down() { tools/infra.sh down; }

stack_ps() {
  local name pid
  tools/infra.sh status || true
  for name in ingest write aggregate query minio; do
    if pid=$(pid_of "$name"); then echo "$name runs (pid $pid)"; else echo "$name does not run"; fi
  done
}

stack_logs() { tail -n "${TAIL:-100}" "$folder"/*.log; }

runs() { pid_of ingest >/dev/null && pid_of write >/dev/null; }
millrace_query() { build/bin/millrace query --config "$folder/config.yaml" "$@"; }
millrace_send() {
  build/bin/millrace generate --records "$1" --seed "$2" |
    build/bin/millrace send --retry-for 1m --to "http://127.0.0.1:$port" -
}
