#!/usr/bin/env bash
# Compares the cost of each stage, relative to its limit in the same run, with bench/ratios.json. Fails on a loss of
# more than a fifth. Nothing else should run on the machine meanwhile.
# Usage: tools/bench_check.sh [--record] [--repetitions N]
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh release record_bench crawler_bench columnar_bench journal_bench produce_bench
tools/test_environment.sh
exec build/venv/bin/python bench/check.py "$@"
