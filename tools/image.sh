#!/usr/bin/env bash
# Builds the container image of Millrace, or of MinIO for local development.
#
# Usage: tools/image.sh [millrace|minio]
# MILLRACE_IMAGE, MINIO_IMAGE  its name (default millrace:dev, millrace-minio:dev)
# BASE_IMAGE, GO_IMAGE         what it is built on (default debian:bookworm-slim, golang:1.26-bookworm)
# BUILD_CA                     a file of certificates, where a proxy stands before the package registries
# BUILD_NETWORK                the network of the build's commands (default: the engine's)
# DOCKER                       the client (default docker); it must have BuildKit
set -euo pipefail
cd "$(dirname "$0")/.."

options=(--build-arg BASE_IMAGE="${BASE_IMAGE:-debian:bookworm-slim}")
[ -z "${BUILD_CA:-}" ] || options+=(--secret "id=ca,src=$BUILD_CA")
[ -z "${BUILD_NETWORK:-}" ] || options+=(--network "$BUILD_NETWORK")

case ${1:-millrace} in
  millrace)
    version=$(sed -n 's/^project(millrace VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
    revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
    options+=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision" --build-arg "BUILD=+${revision:0:7}")
    # The time of the commit: the same sources give the same labels.
    options+=(--build-arg "CREATED=$(git log -1 --format=%cI 2>/dev/null || echo unknown)")
    image=${MILLRACE_IMAGE:-millrace:dev}
    folder=.
    ;;
  minio)
    options+=(--build-arg GO_IMAGE="${GO_IMAGE:-golang:1.26-bookworm}")
    image=${MINIO_IMAGE:-millrace-minio:dev}
    folder=deploy/local/s3
    ;;
  *) echo "usage: tools/image.sh [millrace|minio]" >&2; exit 2 ;;
esac

docker=${DOCKER:-docker}
"$docker" info >/dev/null 2>&1 || { echo "image: no Docker engine answers \`$docker info\`" >&2; exit 1; }
echo "image: building $image (the first time takes some minutes)" >&2
DOCKER_BUILDKIT=1 "$docker" build "${options[@]}" -t "$image" "$folder"
"$docker" image inspect -f "image: $image has {{.Size}} bytes" "$image" >&2
