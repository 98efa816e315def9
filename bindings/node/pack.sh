#!/usr/bin/env bash
# pack.sh BUILD OUT: makes OUT/steadfast-VERSION.tgz, this package with the shared library of BUILD in it. Needs npm; no network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -R "$here"/index.* "$here/lib" "$here/package.json" "$stage/"
cp "$here/../../docs/node.md" "$stage/README.md"
cp "$here/../../LICENSE" "$stage/"
native=$stage/native/$(node -p '`${process.platform}-${process.arch}`')
mkdir -p "$native"
for library in libsteadfast.so.0 libsteadfast.0.dylib; do
    if [ -e "$build/$library" ]; then cp -L "$build/$library" "$native/$library"; fi
done
[ -n "$(ls "$native")" ] || { echo "pack: there is no library in $build" >&2; exit 1; }
cd "$stage"
npm pack --silent --pack-destination "$out"
