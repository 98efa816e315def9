#!/bin/sh
# Prints the library's costs beside those of the bare system calls, as ratios in one run.
#   benches/run.sh [--lib DIR]    DIR holds libsteadfast.so; without it the release library is built first
#   QUICK=1   about 20 seconds    TMPDIR, SHM   directories on a disk and on tmpfs (/tmp, /dev/shm)
# It reports: a target that is missed is shown, not a failure.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
lib=
case "${1-}" in
--lib) lib=$(cd "$2" && pwd) ;;
'') ;;
*) echo "usage: run.sh [--lib DIR]" >&2; exit 2 ;;
esac

work=$(mktemp -d)
memory=$(mktemp -d "${SHM:-/dev/shm}/steadfast-bench-XXXXXX" 2>/dev/null) || memory=
trap 'rm -rf "$work" ${memory:+"$memory"}' EXIT
trap 'exit 1' INT TERM

if [ -z "$lib" ]; then
    target=${CARGO_TARGET_DIR:-$root/target}
    CARGO_TARGET_DIR=$target cargo rustc --quiet --manifest-path "$root/Cargo.toml" --lib --release --features capi --crate-type cdylib
    lib=$target/release
fi
# A copy, under the name that it is loaded by: a rebuild meanwhile does not change what is measured.
cp "$lib/libsteadfast.so" "$work/libsteadfast.so.0"
ln -s libsteadfast.so.0 "$work/libsteadfast.so"

crypto=
if printf '#include <openssl/evp.h>\nint main(void){return EVP_MD_CTX_new() == 0;}\n' | ${CC:-cc} -x c - -o "$work/probe" -lcrypto 2>/dev/null; then
    crypto='-DHAVE_OPENSSL -lcrypto'
fi
cd "$root/benches"
# shellcheck disable=SC2086
${CC:-cc} -std=c11 -O2 -Wall -Wextra -I "$root/include" ratios.c measure.c state.c lock.c -o "$work/ratios" \
    -L "$work" -lsteadfast -Wl,-rpath,"$work" $crypto

ms=4000
[ -z "${QUICK-}" ] || ms=800
mkdir "$work/disk"
"$work/ratios" "$ms" "$work/disk" "${memory:-/nonexistent}"
