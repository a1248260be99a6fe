#!/usr/bin/env bash
# clang-tidy over the sources; tests are left to the compilers' warnings.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -f build/release/compile_commands.json ] || cmake --preset release >/dev/null
mapfile -t checked < <(git ls-files 'src/*.cc' 'apps/*.cc' | grep -v -e _test.cc -e /testing/)
printf '%s\0' "${checked[@]}" |
  xargs -0 -n 4 -P "$(nproc)" clang-tidy-19 --quiet -p build/release \
    --extra-arg=-Wno-unknown-warning-option \
    2> >(grep -v ' generated\.' >&2)
