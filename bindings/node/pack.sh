#!/usr/bin/env bash
# Makes the npm packages: pack.sh BUILD OUT, or pack.sh --main OUT
#
# OUT/steadfast-VERSION.tgz is this package, which is the same for every platform. The other one carries the library of BUILD, for
# this platform; --main leaves it out. Prints the path of each. Needs npm; no network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=
[ "$1" = --main ] || library=$(cd "$1" && pwd)/libsteadfast.so.0
mkdir -p "$2"
out=$(cd "$2" && pwd)
[ -z "$library" ] || [ -e "$library" ] || { echo "pack: there is no $library" >&2; exit 1; }

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
cp -R "$here"/index.* "$here/compat" "$here/lib" "$here/package.json" "$stage/"
cp "$here/../../docs/node.md" "$stage/README.md"
cp "$here/../../LICENSE" "$stage/"
echo "$out/$(cd "$stage" && npm pack --silent --pack-destination "$out")"
[ -z "$library" ] || bash "$here/pack_platform.sh" "$library" "$out"
