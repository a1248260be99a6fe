#!/usr/bin/env bash
# Fetches Prometheus and promtool from Debian's package, without installing it: that would start a service. Prints the
# folder that holds the programs. Done at once when they are there already.
#
# Usage: tools/install_prometheus.sh
# MILLRACE_CACHE  where the programs are kept (default ~/.cache/millrace)
set -euo pipefail

cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}
folder=$cache/prometheus-debian12

fail() { echo "prometheus: $*" >&2; exit 1; }

if [ ! -d "$folder" ]; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/prometheus.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  # apt's own user may not write here, and apt says so.
  (cd "$work" && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; }) \
    >"$work/log" 2>&1 || fail "Debian's package cannot be fetched: $(tail -1 "$work/log")"
  dpkg-deb -x "$work"/prometheus_*.deb "$work/unpacked"
  mv -T "$work/unpacked/usr/bin" "$folder" 2>/dev/null || [ -d "$folder" ]
fi
echo "$folder"
