#!/usr/bin/env bash
# Builds what deploy/k8s is rendered and checked with, from the modules that tests/kubernetes pins. Prints the folder that
# holds the programs. Done at once when they are there already.
#
# Usage: tools/install_kubernetes_tools.sh           kubectl, with kustomize in it
#        tools/install_kubernetes_tools.sh all       and a linter, kubeseal, actionlint, the programs of a cluster, etcd,
#                                                    and the definitions of others' objects (crds/)
# MILLRACE_CACHE  where the programs are kept (default ~/.cache/millrace)
set -euo pipefail
cd "$(dirname "$0")/../tests/kubernetes"

cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}
fingerprint=$(cat {cluster,linter,firewall}/go.{mod,sum} crds.lock | sha256sum | cut -c1-16)
folder=$cache/kubernetes-$fingerprint

say() { echo "kubernetes tools: $*" >&2; }
fail() { say "$@"; exit 1; }

version=$(sed -n 's#^\tk8s.io/kubernetes \(v[0-9.]*\)$#\1#p' cluster/go.mod)
minor=$(cut -d. -f2 <<<"$version")
flags="-s -w"
for variable in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $variable.gitVersion=$version -X $variable.gitMajor=1 -X $variable.gitMinor=$minor"
done

# Usage: build MODULE_FOLDER PACKAGE
build() {
  local name=${2##*/} work
  [ ! -x "$folder/$name" ] || return 0
  command -v go >/dev/null || fail "Go is needed to build $name: see https://go.dev/doc/install"
  say "building $name"
  work=$(mktemp -d "$cache/kubernetes.XXXXXX")
  # Not -mod=mod: what go.sum does not have is refused.
  (cd "$1" && CGO_ENABLED=0 go build -trimpath -ldflags="$flags" -o "$work/" "$2") >&2 || fail "$name does not build"
  mv -f "$work/$name" "$folder/$name"
  rmdir "$work"
}

definitions() {
  [ ! -d "$folder/crds" ] || return 0
  local work module version sum files got
  work=$(mktemp -d "$cache/kubernetes.XXXXXX")
  while read -r module version sum files; do
    say "fetching $module $version"
    got=$(cd "$work" && go mod download -json "$module@$version") || fail "$module $version cannot be had: $got"
    [ "$(sed -n 's/^\t"Sum": "\(.*\)",\?$/\1/p' <<<"$got")" = "$sum" ] || fail "$module $version is not the one in crds.lock"
    for file in $files; do
      cp "$(sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p' <<<"$got")/$file" "$work/"
    done
  done < <(grep -v '^#' crds.lock)
  chmod -R u+w "$work"
  mv -T "$work" "$folder/crds"
}

# etcd from Debian's package, without installing it: that would start a service.
store() {
  [ ! -x "$folder/etcd" ] || return 0
  local work
  work=$(mktemp -d "$cache/kubernetes.XXXXXX")
  (cd "$work" && { apt-get download -qq etcd-server || { apt-get update -qq && apt-get download -qq etcd-server; }; }) \
    >"$work/log" 2>&1 || fail "Debian's package etcd-server cannot be fetched: $(tail -1 "$work/log")"
  dpkg-deb -x "$work"/etcd-server_*.deb "$work/unpacked"
  mv -f "$work/unpacked/usr/bin/etcd" "$folder/etcd"
  rm -rf "$work"
}

mkdir -p "$folder"
build cluster k8s.io/kubernetes/cmd/kubectl
if [ "${1:-}" = all ]; then
  build linter github.com/zegl/kube-score/cmd/kube-score
  build cluster github.com/bitnami-labs/sealed-secrets/cmd/kubeseal
  build cluster github.com/rhysd/actionlint/cmd/actionlint
  for program in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
    build cluster "k8s.io/kubernetes/cmd/$program"
  done
  build cluster github.com/coredns/coredns
  build firewall github.com/cloudnativelabs/kube-router/v2/cmd/kube-router
  definitions
  store
elif [ $# -gt 0 ]; then
  fail "usage: tools/install_kubernetes_tools.sh [all]"
fi
echo "$folder"
