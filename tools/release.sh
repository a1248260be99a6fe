#!/usr/bin/env bash
# Writes what a platform team deploys: the manifests of each overlay as they are applied, and an archive of deploy/, into
# dist/, with their checksums. The same commit and image give the same bytes.
#
# Usage: tools/release.sh [IMAGE]
# IMAGE  name@sha256:digest, for all overlays (default: what each overlay says)
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "release: $*" >&2; exit 1; }
version=$(sed -n 's/^project(millrace VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
tag=$(git describe --exact-match --tags --match 'v*' 2>/dev/null || true)
[ -z "$tag" ] || [ "$tag" = "v$version" ] || fail "the tag is $tag, and CMakeLists.txt says $version"
# What is not the tagged commit says so.
[ -n "$tag" ] && [ -z "$(git status --porcelain)" ] || version+="+$(git rev-parse --short=7 HEAD)"
kubectl=$(tools/install_kubernetes_tools.sh)/kubectl

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/millrace-$version
mkdir -p "$root" dist
git ls-files -z deploy config/examples docs/runbook.md docs/metrics.md docs/tables.md CHANGELOG.md LICENSE tools/set_image.sh |
  xargs -0 cp --parents -t "$root"
rm -rf dist/millrace-* dist/SHA256SUMS
for overlay in "$root"/deploy/k8s/overlays/*/; do
  name=$(basename "$overlay")
  [ -z "${1:-}" ] || tools/set_image.sh "${overlay%/}" "$1"
  grep -qE 'digest: sha256:0{64}' "$overlay/kustomization.yaml" &&
    echo "release: $name has no image yet: make release IMAGE=registry/millrace@sha256:..." >&2
  "$kubectl" kustomize "$overlay" >"$root/$name.yaml"
  cp "$root/$name.yaml" "dist/millrace-$version-$name.yaml"
done
tar -C "$work" --sort=name --mtime="@$(git log -1 --format=%ct)" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw \
  -c "millrace-$version" | gzip -n9 >"dist/millrace-$version-deploy.tar.gz"
(cd dist && sha256sum millrace-* >SHA256SUMS)
(cd dist && sha256sum --check --quiet SHA256SUMS && ls -l)
