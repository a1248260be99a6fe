#!/usr/bin/env bash
# A Docker engine for tests/test_stack.py, where none runs; and images of our own making for those that cannot be
# pulled: Debian by debootstrap, a broker of Kafka's jars, Debian's Prometheus, the Go that is installed here.
#
# Usage: tests/stack/engine.sh up FOLDER     starts it with its socket and pid in FOLDER, and prints the variables
#                                            that tools/image.sh and tools/stack.sh want, to be evaluated by a shell
#        tests/stack/engine.sh down FOLDER   ends the engine that `up` started
# MILLRACE_CACHE  where its images and layers are kept (default ~/.cache/millrace)
set -euo pipefail
cd "$(dirname "$0")/../.."

cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}
folder=$(realpath -m "${2:?usage: tests/stack/engine.sh up|down FOLDER}")
ca=/etc/ssl/certs/ca-certificates.crt

say() { echo "engine: $*" >&2; }
fail() { say "$@"; exit 1; }
# The client with BuildKit is the one of the engine's own package.
docker=/usr/bin/docker

install_packages() {
  local missing=() package
  for package in docker.io docker-compose iptables debootstrap; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

start_engine() {
  install_packages
  mkdir -p "$folder" "$cache"
  setsid nohup dockerd --host="$DOCKER_HOST" --data-root="$cache/docker-engine" --exec-root="$folder/exec" \
    --pidfile="$folder/dockerd.pid" --storage-driver=overlay2 >"$folder/dockerd.log" 2>&1 &
  for _ in $(seq 150); do
    "$docker" info >/dev/null 2>&1 && return 0
    sleep 0.2
  done
  fail "dockerd does not start: $(tail -1 "$folder/dockerd.log")"
}

has_image() { "$docker" image inspect "$1" >/dev/null 2>&1; }

# A Debian without what its slim image leaves out either.
make_base() {
  local work
  work=$(mktemp -d)
  debootstrap --variant=minbase bookworm "$work" \
    "$(awk '/^URIs:/{print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || echo http://deb.debian.org/debian)" >/dev/null
  rm -rf "$work"/usr/share/{doc,man,info,locale,lintian} "$work"/var/cache/apt/* "$work"/var/lib/apt/lists/* \
    "$work"/var/log/*
  tar -C "$work" -c . | "$docker" import - "$1" >/dev/null
  rm -rf "$work"
}

build() {
  DOCKER_BUILDKIT=1 "$docker" build -q --network=host --build-arg BASE_IMAGE="$BASE_IMAGE" -t "$1" "$2" >/dev/null
}

make_kafka() {
  local work
  work=$(mktemp -d)
  cp -r "$(tools/infra.sh jars)" "$work/jars"
  cp deploy/local/kafka/{Dockerfile,kafka-topics.sh,run_broker} "$work/"
  build "$1" "$work"
  rm -rf "$work"
}

make_prometheus() {
  local work
  work=$(mktemp -d)
  cp "$(tools/install_prometheus.sh)"/{prometheus,promtool} "$work/"
  cat >"$work/Dockerfile" <<'END'
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY prometheus promtool /bin/
RUN install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
ENTRYPOINT ["/bin/prometheus"]
END
  build "$1" "$work"
  rm -rf "$work"
}

make_go() {
  local work
  work=$(mktemp -d)
  cp -r "$(go env GOROOT)" "$work/go"
  cat >"$work/Dockerfile" <<'END'
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY go /usr/local/go
ENV PATH=/usr/local/go/bin:/usr/bin:/bin
END
  build "$1" "$work"
  rm -rf "$work"
}

# Prints VARIABLE=image: the public one if the engine has it or can pull it, else one that we make.
provide() {
  local variable=$1 public=$2 ours=millrace-test/$3 make=make_$3
  if has_image "$public" || timeout 120 "$docker" pull -q "$public" >/dev/null 2>&1; then
    echo "$variable=$public"
    return 0
  fi
  if ! has_image "$ours"; then
    say "$public cannot be pulled: making $ours"
    "$make" "$ours" || fail "$ours cannot be made"
  fi
  echo "$variable=$ours"
}

case $1 in
  up)
    if [ -z "${DOCKER_HOST:-}" ] && ! "$docker" info >/dev/null 2>&1; then
      export DOCKER_HOST=unix://$folder/docker.sock
      # An engine without its images is of no use to anybody.
      trap '[ $? = 0 ] || kill "$(cat "$folder/dockerd.pid")"' EXIT
      start_engine
    fi
    BASE_IMAGE=$(provide BASE_IMAGE debian:bookworm-slim base | cut -d= -f2)
    # An image's stand-in may have been made beside the public base.
    variables=$(
      echo "BASE_IMAGE=$BASE_IMAGE"
      provide KAFKA_IMAGE apache/kafka:4.1.0 kafka
      provide PROMETHEUS_IMAGE prom/prometheus:v3.5.0 prometheus
      provide GO_IMAGE golang:1.26-bookworm go
      echo "DOCKER=$docker"
      [ -z "${DOCKER_HOST:-}" ] || echo "DOCKER_HOST=$DOCKER_HOST"
      # Where a proxy stands before the registries, this machine's certificates have its own.
      echo "BUILD_CA=$ca"
      echo "BUILD_NETWORK=host"
    )
    echo "$variables"
    ;;
  down)
    pid=$(cat "$folder/dockerd.pid" 2>/dev/null) || exit 0
    kill "$pid"
    for _ in $(seq 300); do kill -0 "$pid" 2>/dev/null || exit 0; sleep 0.1; done
    fail "dockerd (pid $pid) does not end"
    ;;
  *) fail "usage: tests/stack/engine.sh up|down FOLDER" ;;
esac
