#!/usr/bin/env bash
# Runs the tests, step by step, with the time that each step took.
# Usage: tools/test.sh gate|all|unit|asan|tsan|e2e
set -euo pipefail
cd "$(dirname "$0")/.."

summary=()
step() {
  local name=$1 start=$SECONDS
  shift
  echo "=== $name"
  "$@"
  summary+=("$(printf '%-28s %4d s' "$name" $((SECONDS - start)))")
}

unit() {
  tools/build.sh release
  ctest --preset release
}

sanitized() {
  tools/build.sh "$1"
  ctest --preset "$1"
}

end_to_end() {
  tools/build.sh release millrace
  tools/test_environment.sh
  build/venv/bin/python -m pytest tests "$@"
}

case ${1:-} in
  unit) unit ;;
  asan | tsan) sanitized "$1" ;;
  e2e) end_to_end ;;
  gate | all)
    step dependencies tools/install_dependencies.sh
    step "release build, unit tests" unit
    step "formatting and lint" tools/lint.sh
    step "clang-tidy" tools/tidy.sh
    step "ASan+UBSan unit tests" sanitized asan
    step "end to end" end_to_end
    if [ "$1" = all ]; then
      step "TSan unit tests" sanitized tsan
      step "long crash run" end_to_end -k crash --kills 400 --seed "${SEED:-$RANDOM}"
      step "long chaos run" end_to_end -k chaos -s --minutes 60 --seed "${SEED:-$RANDOM}"
    fi
    printf '%s\n' "=== all passed" "${summary[@]}"
    ;;
  *)
    echo "usage: tools/test.sh gate|all|unit|asan|tsan|e2e" >&2
    exit 2
    ;;
esac
