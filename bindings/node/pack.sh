#!/usr/bin/env bash
# Makes the npm packages: pack.sh BUILD OUT
#
# OUT/steadfast-VERSION.tgz is the same for every platform. The other one carries the library of BUILD, for this platform. Prints the
# path of each. Needs npm; no network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$(cd "$1" && pwd)/libsteadfast.so.0
[ -e "$library" ] || { echo "pack: there is no $library" >&2; exit 1; }
bash "$here/pack_main.sh" "$2"
bash "$here/pack_platform.sh" "$library" "$2"
