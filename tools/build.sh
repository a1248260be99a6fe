#!/usr/bin/env bash
# Configures and builds one preset of CMakePresets.json, quietly.
# Usage: tools/build.sh PRESET [TARGET ...]
# MILLRACE_BUILD  follows the version that the program says, such as +1a2b3c4
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
log=build/$preset.configure.log
mkdir -p build
cmake --preset "$preset" ${MILLRACE_BUILD:+-DMILLRACE_BUILD="$MILLRACE_BUILD"} >"$log" 2>&1 || { cat "$log"; exit 1; }
cmake --build --preset "$preset" --target "${@:-all}" -- --quiet
if [ "$preset" = release ]; then
  ln -sfn release/bin build/bin
  ln -sfn release/lib build/lib
fi
