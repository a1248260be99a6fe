#!/usr/bin/env bash
# Configures and builds one preset of CMakePresets.json, quietly.
# Usage: tools/build.sh PRESET [TARGET ...]
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
log=build/$preset.configure.log
mkdir -p build
cmake --preset "$preset" >"$log" 2>&1 || { cat "$log"; exit 1; }
cmake --build --preset "$preset" --target "${@:-all}" -- --quiet
if [ "$preset" = release ]; then
  ln -sfn release/bin build/bin
  ln -sfn release/lib build/lib
fi
