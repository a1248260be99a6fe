#!/usr/bin/env bash
# Makes the Python environment of the end-to-end tests at build/venv, from tests/requirements.txt, and installs the
# browser in which they look at the web page. Quiet, and done at once, when all is there already.
#
# Usage: tools/test_environment.sh
# MILLRACE_PYTHON  the interpreter to use (default python3; 3.11 or later)
set -euo pipefail
cd "$(dirname "$0")/.."

python=${MILLRACE_PYTHON:-python3}
venv=build/venv

fail() { echo "test environment: $*" >&2; exit 1; }

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old; 3.11 or later is needed"

if ! command -v chromium >/dev/null; then
  echo "test environment: installing Debian's Chromium"
  root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi

interpreter=$("$python" -c 'import sys; print(sys.executable, sys.version)')
fingerprint=$(cat tests/requirements.txt tools/test_environment.sh <(echo "$interpreter" "$PWD") |
  sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$venv/fingerprint" 2>/dev/null)" = "$fingerprint" ]; then exit 0; fi

echo "test environment: installing $(grep -c == tests/requirements.txt) packages in $venv"
rm -rf "$venv"
mkdir -p build
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
  --only-binary :all: --requirement tests/requirements.txt
# Written last: an installation that was cut short is made anew.
echo "$fingerprint" >"$venv/fingerprint"
