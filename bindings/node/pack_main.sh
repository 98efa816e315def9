#!/usr/bin/env bash
# Makes the npm package that is the same for every platform: pack_main.sh OUT
#
# Prints the archive's path. Needs npm; no network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -R "$here"/index.* "$here/compat" "$here/lib" "$here/package.json" "$stage/"
cp "$here/../../docs/node.md" "$stage/README.md"
cp "$here/../../LICENSE" "$stage/"
cd "$stage"
echo "$out/$(npm pack --silent --pack-destination "$out")"
