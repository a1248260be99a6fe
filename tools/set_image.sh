#!/usr/bin/env bash
# Says which image an overlay runs: two lines of its kustomization.yaml.
# Usage: tools/set_image.sh deploy/k8s/overlays/prod registry.example.com/millrace@sha256:...
set -euo pipefail

fail() { echo "set image: $*" >&2; exit 1; }
[ $# = 2 ] || fail "usage: tools/set_image.sh OVERLAY IMAGE"
file=$1/kustomization.yaml
[ -f "$file" ] || fail "$file is not there"
[[ $2 =~ ^([a-z0-9][a-z0-9._:/-]*)@(sha256:[0-9a-f]{64})$ ]] ||
  fail "\"$2\" is not an image by digest (want e.g. registry.example.com/millrace@sha256:<64 digits>)"
name=${BASH_REMATCH[1]} digest=${BASH_REMATCH[2]}
sed -i -E "/^  - name: millrace\$/,/^  - name: |^[a-z]/{s|^(    newName: ).*|\1$name|; s|^(    digest: ).*|\1$digest|}" "$file"
grep -q "digest: $digest" "$file" || fail "$file has no digest of the image millrace"
echo "set image: $1 runs $2" >&2
