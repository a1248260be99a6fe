#!/usr/bin/env bash
# Runs the tests, step by step, with the time that each step took.
# Usage: tools/test.sh gate|all|unit|asan|tsan|e2e|s3|stack|deploy
# S3_URL  `s3` runs on this S3 server alone, with the keys of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
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
  tools/build.sh release millrace s3_store_check delta_s3_check
  tools/test_environment.sh
  build/venv/bin/python -m pytest tests "$@"
}

# The end-to-end tests with their tables on a real S3 server.
on_s3() {
  local server=$1
  shift
  build/venv/bin/python -m pytest --store "$server" "$@"
}

# All that stores have in common, on two unrelated servers, and what only S3 has.
parity=(tests/test_formats.py tests/test_retries.py tests/test_crash.py tests/test_query.py tests/test_api.py
  tests/test_limits.py tests/test_shutdown.py tests/test_kafka.py tests/test_chaos.py)

s3() {
  tools/build.sh release
  tools/test_environment.sh
  if [ -n "${S3_URL:-}" ]; then
    on_s3 minio --store-url "$S3_URL" "${parity[@]}"
    return
  fi
  build/venv/bin/python -m pytest tests/test_s3.py
  for server in minio versitygw; do
    on_s3 "$server" "${parity[@]}"
  done
}

# The image and the stack of containers, in a real Docker engine.
stack() {
  tools/test_environment.sh
  build/venv/bin/python -m pytest tests/test_stack.py --stack -s
}

# The manifests of deploy/: alone, and in a real cluster.
deploy() {
  tools/build.sh release millrace
  tools/test_environment.sh
  build/venv/bin/python -m pytest tests/test_deploy.py
  build/venv/bin/python -m pytest tests/test_deploy_cluster.py tests/test_deploy_production.py --cluster -s -rs
}

case ${1:-} in
  unit) unit ;;
  stack) stack ;;
  deploy) deploy ;;
  s3) s3 ;;
  asan | tsan) sanitized "$1" ;;
  e2e) end_to_end ;;
  gate | all)
    step dependencies tools/install_dependencies.sh
    step "release build, unit tests" unit
    step "formatting and lint" tools/lint.sh
    step "clang-tidy" tools/tidy.sh
    step "ASan+UBSan unit tests" sanitized asan
    step "end to end" end_to_end
    step "end to end on S3 (MinIO)" on_s3 minio tests/test_formats.py tests/test_retries.py \
      tests/test_crash.py --kills 14
    if [ "$1" = all ]; then
      step "TSan unit tests" sanitized tsan
      step "long crash run" end_to_end -k crash --kills 400 --seed "${SEED:-$RANDOM}"
      step "all on two S3 servers" s3
      step "image and stack in Docker" stack
      step "deploy in a cluster" deploy
      step "long chaos run" end_to_end -k chaos -s --minutes 60 --seed "${SEED:-$RANDOM}"
    fi
    printf '%s\n' "=== all passed" "${summary[@]}"
    ;;
  *)
    echo "usage: tools/test.sh gate|all|unit|asan|tsan|e2e|s3|stack|deploy" >&2
    exit 2
    ;;
esac
