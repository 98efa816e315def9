#!/usr/bin/env bash
# Makes the npm package that carries the library for one platform: pack_platform.sh LIBRARY OUT
#
# LIBRARY is a libsteadfast.so of any machine; what it is for is measured. Prints the archive's path. Needs npm; no network.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
library=$(realpath "$1")
mkdir -p "$2"
out=$(cd "$2" && pwd)
# shellcheck source=packaging/library.sh
. "$here/../../packaging/library.sh"

machine=$(machine_of "$library")
case $machine in x86_64) cpu=x64 ;; aarch64) cpu=arm64 ;; esac
kind=$(libc_of "$library")
# npm's word for it.
case $kind in gnu) libc=glibc ;; *) libc=$kind ;; esac

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
strip_into "$library" "$stage/libsteadfast.so.0"
cp "$here/../../LICENSE" "$stage/"
node - "$here/package.json" "steadfast-linux-$cpu-$kind" "$cpu" "$libc" >"$stage/package.json" <<'JS'
const [file, name, cpu, libc] = process.argv.slice(2);
const { version, license } = require(file);
const description = `The library of steadfast for Linux, ${cpu}, ${libc}`;
console.log(JSON.stringify({ name, version, description, license, os: ['linux'], cpu: [cpu], libc: [libc], files: ['libsteadfast.so.0'] }, null, 2));
JS
cd "$stage"
echo "$out/$(npm pack --silent --pack-destination "$out")"
