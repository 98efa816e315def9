#!/usr/bin/env bash
# Builds the wheel that carries the library: build_wheel.sh LIBRARY OUT [PYTHON]
#
# LIBRARY is a libsteadfast.so of any machine; one built for an old glibc makes a wheel for old systems, and one for musl a
# musllinux wheel: the tag is measured. PYTHON has hatchling. Prints the wheel's path.
set -eu
library=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
python=${3:-python3}
source=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-wheel-XXXXXX")
trap 'rm -rf "$work"' EXIT
# shellcheck source=packaging/library.sh
. "$source/../../packaging/library.sh"
strip_into "$library" "$work/libsteadfast.so.0"
# Times of now would make another wheel of the same source each time.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1577836800}
STEADFAST_WHEEL_LIBRARY=$work/libsteadfast.so.0 "$python" -m pip --disable-pip-version-check -q wheel \
    --no-deps --no-build-isolation --no-index --wheel-dir "$work/wheel" "$source" >&2
for wheel in "$work"/wheel/*.whl; do
    cp "$wheel" "$out/"
    echo "$out/$(basename "$wheel")"
done
