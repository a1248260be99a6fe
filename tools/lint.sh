#!/usr/bin/env bash
# Formatting, and the house rules that a machine can check.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t sources < <(git ls-files -co --exclude-standard '*.cc' '*.h')
clang-format-19 --dry-run -Werror "${sources[@]}"
python3 tools/house_rules.py "${sources[@]}"

echo "lint: ${#sources[@]} files checked"
