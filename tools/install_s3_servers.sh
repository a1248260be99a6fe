#!/usr/bin/env bash
# Builds two unrelated S3 servers, MinIO and versitygw, from the modules that deploy/local/s3/go.sum pins,
# for tests and local development. Prints the folder that holds the programs. Done at once when they are
# there already.
#
# Usage: tools/install_s3_servers.sh
# MILLRACE_CACHE  where the programs are kept (default ~/.cache/millrace)
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}
fingerprint=$(cat deploy/local/s3/go.mod deploy/local/s3/go.sum "$0" | sha256sum | cut -c1-16)
folder=$cache/s3-servers-$fingerprint

fail() { echo "s3 servers: $*" >&2; exit 1; }

if [ ! -d "$folder" ]; then
  command -v go >/dev/null || fail "Go is needed to build MinIO and versitygw: see https://go.dev/doc/install"
  echo "s3 servers: building MinIO and versitygw (some minutes)" >&2
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/s3-servers.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (cd deploy/local/s3 && CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o "$work/" \
    github.com/minio/minio github.com/versity/versitygw/cmd/versitygw) >&2 ||
    fail "they do not build"
  mv -T "$work" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
