#!/usr/bin/env bash
# Measures the whole path with real processes and a real broker, on this machine. Two cores or more, and nothing
# else that runs. The results go to build/bench/pipeline.md and .json.
# Usage: tools/bench.sh [OPTION ...]   (--help lists them)
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh release millrace beast_echo
tools/test_environment.sh
exec build/venv/bin/python bench/pipeline "$@"
