#!/usr/bin/env bash
# Builds the web page of web/, and writes it as a C++ source that holds its files, compressed.
# Usage: tools/build_web.sh FOLDER OUTPUT.cc     FOLDER: for the files themselves
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "$1"
folder=$(realpath "$1") output=$(realpath "$2")
[ -d build/dependencies/node ] && PATH=$PWD/build/dependencies/node/bin:$PATH
log=$folder.log
(cd web && node_modules/.bin/tsc --noEmit && MILLRACE_WEB_OUT=$folder node_modules/.bin/vite build) >"$log" 2>&1 ||
  { cat "$log" >&2; exit 1; }
python3 tools/embed_files.py "$folder" "$output"
