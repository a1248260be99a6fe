#!/usr/bin/env bash
# Formatting, clang-tidy, and the house rules that a machine can check.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files -co --exclude-standard '*.cc' '*.h')
clang-format-19 --dry-run -Werror "${sources[@]}"
python3 tools/house_rules.py "${sources[@]}"

[ -f build/release/compile_commands.json ] || cmake --preset release >/dev/null
# Tests are left to the compilers' warnings: gtest's macros are most of what tidy would see there.
mapfile -t checked < <(git ls-files -co --exclude-standard 'src/*.cc' 'apps/*.cc' | grep -v -e _test.cc -e /testing/)
printf '%s\0' "${checked[@]}" |
  xargs -0 -n 4 -P "$(nproc)" clang-tidy-19 --quiet -p build/release --warnings-as-errors='*' 2> >(
    grep -v -e 'warnings generated' -e 'Suppressed' -e '^Use -header-filter' >&2)
echo "lint: ${#sources[@]} files checked"
