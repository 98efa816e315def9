#!/usr/bin/env bash
# Measures the library beside the bare system calls and its peers, and prints tables.
#   benches/run.sh [--lib DIR] [--against FILE.so] [--only PART,PART] [--on PLACE,PLACE]
#     --lib      a directory with libsteadfast.so; without it the release library is built first
#     --against  another build of it, which then takes turns in the same rounds
#     --only     cost saves batch loads files lock peers syncs flushes size count writers calls inprocess
#     --out      where results.tsv goes, and where the peers are built; lib/bench by default
#     --on       tmp (TMPDIR, /tmp), memory (SHM, /dev/shm), ext4 xfs btrfs (loop devices, as root); all by default
#   QUICK=1  about a minute      FULL=1  up to 1 GiB      MS  milliseconds for each contestant of a contest
# The peers are what benches/setup installs. It reports: a target that is missed is shown, not a failure.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
lib='' against='' out=''
only='cost,saves,batch,alternate,loads,files,lock,syncs,peers,flushes,size,count,writers,calls,inprocess'
[ -z "${QUICK-}" ] || only='cost,saves,batch,alternate,loads,files,lock,syncs,peers,flushes,writers'
on='tmp,memory,ext4,xfs,btrfs'
while [ $# -gt 0 ]; do
    case $1 in
    --lib) lib=$(cd "$2" && pwd) ;;
    --against) against=$(realpath "$2") ;;
    --only) only=$2 ;;
    --out) mkdir -p "$2"; out=$(cd "$2" && pwd) ;;
    --on) on=$2 ;;
    *) sed -n '2,12p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
CC=${CC:-cc}

if [ -z "$lib" ]; then
    target=${CARGO_TARGET_DIR:-$root/target}
    CARGO_TARGET_DIR=$target cargo rustc --quiet --manifest-path "$root/Cargo.toml" --lib --release --no-default-features --features capi --crate-type cdylib
    lib=$target/release
fi

out=${out:-$lib/bench}
mkdir -p "$out"

# File systems of our own are mounted where nobody else sees them.
loops=$(tr , '\n' <<<"$on" | grep -E '^(ext4|xfs|btrfs)$' || true)
if [ -n "$loops" ] && [ -z "${STEADFAST_BENCH_UNSHARED-}" ] && [ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null; then
    export STEADFAST_BENCH_UNSHARED=1
    exec unshare -m --propagation private "$BASH" "$0" --lib "$lib" ${against:+--against "$against"} --only "$only" --on "$on" --out "$out"
fi

work=$(mktemp -d)
memory=''
devices=()
clean() {
    for device in ${devices[@]+"${devices[@]}"}; do
        umount "$work/mnt-${device##*/}" 2>/dev/null || true
        losetup -d "$device" || true
    done
    rm -rf "$work" ${memory:+"$memory"}
}
trap clean EXIT
trap 'exit 1' INT TERM

# A copy, under the name that it is loaded by: a rebuild meanwhile does not change what is measured.
cp "$lib/libsteadfast.so" "$work/libsteadfast.so.0"
ln -s libsteadfast.so.0 "$work/libsteadfast.so"
[ -z "$against" ] || { cp "$against" "$work/against.so"; against=$work/against.so; }

flags=(-DSYNCFS="$(sed -n 's/^ *STEADFAST_SAVE_SYNCFS = \([0-9]*\),*$/\1/p' "$root/include/steadfast.h" | grep . || echo 0)")
if printf '#include <openssl/evp.h>\nint main(void){return EVP_MD_CTX_new() == 0;}\n' | $CC -x c - -o "$work/probe" -lcrypto 2>/dev/null; then
    flags+=(-DHAVE_OPENSSL -lcrypto)
fi
$CC -std=c11 -O2 -Wall -Wextra -I "$root/include" "$root"/benches/*.c -o "$work/bench" \
    -L "$work" -lsteadfast -Wl,-rpath,"$work" "${flags[@]}" -lpthread -ldl

# Journaled file systems on devices of our own. Every block of the image is written, also those that mkfs has only zeroed, and
# none is discarded: in a hole, or in an extent that the host has not written yet, the journal is slow, and what is written
# in place looks better than it is.
loop() {
    local kind=$1 mkfs=(mkfs."$1" -q) device options=defaults
    command -v "mkfs.$kind" >/dev/null || { echo "SKIPPED: $kind: no mkfs.$kind (apt-get install $2)"; return; }
    case $kind in
    ext4) mkfs+=(-E 'lazy_itable_init=0,nodiscard') ;;
    btrfs) mkfs+=(-K) options=nodiscard ;;
    *) mkfs+=(-K) ;;
    esac
    dd if=/dev/zero of="$work/$kind.img" bs=1M count="$image_mib" status=none
    "${mkfs[@]}" "$work/$kind.img" >/dev/null
    dd if="$work/$kind.img" of="$work/$kind.img" bs=1M conv=notrunc,fsync status=none
    device=$(losetup --find --show "$work/$kind.img") || { echo "SKIPPED: $kind: no loop device"; return; }
    devices+=("$device")
    mkdir "$work/mnt-${device##*/}"
    mount -t "$kind" -o "$options" "$device" "$work/mnt-${device##*/}" || { echo "SKIPPED: $kind: cannot be mounted"; return; }
    places+=("$kind=$work/mnt-${device##*/}@/sys/block/${device##*/}/stat")
}

image_mib=1536
[ -z "${QUICK-}" ] || image_mib=512
places=()
for place in ${on//,/ }; do
    case $place in
    tmp) mkdir "$work/disk"; places+=("${TMPDIR:-/tmp}=$work/disk") ;;
    memory) ;;
    *)
        if [ "$(id -u)" != 0 ]; then echo "SKIPPED: $place on a loop device: needs root"; continue; fi
        case $place in
        ext4) loop ext4 e2fsprogs ;;
        xfs) loop xfs xfsprogs ;;
        btrfs) loop btrfs btrfs-progs ;;
        *) echo "no such place: $place" >&2; exit 2 ;;
        esac ;;
    esac
done
if [[ ,$on, == *,memory,* ]]; then # the last one
    if memory=$(mktemp -d "${SHM:-/dev/shm}/steadfast-bench-XXXXXX" 2>/dev/null); then
        places+=("memory=$memory")
    else
        echo "SKIPPED: tmpfs: cannot write to ${SHM:-/dev/shm}"
    fi
fi

has() { [[ ,$only, == *,$1,* ]]; }
results=$out/results.tsv
printf '# part\twhat\ton\tsize\tours us\tother us\tvalue\tlow\thigh\tunit\ttarget\tmet\trounds\n' >"$results"
printf '# %s, %s cores, Linux %s, %s\n' "$(date -u +%F)" "$(nproc)" "$(uname -r)" "$(uname -m)" >>"$results"

peers=()
if has peers || has alternate || has syncs || has flushes; then
    bash "$root/benches/peers/build.sh" "$out" "$work" >"$out/peers.txt"
    while IFS= read -r line; do peers+=(-w "$line"); done <"$out/peers.txt"
fi

ms=${MS:-1000} size=''
[ -z "${QUICK-}" ] || { ms=${MS:-150} size=-q; }
[ -z "${FULL-}" ] || { ms=${MS:-4000} size=-f; }
"$work/bench" -m "$ms" -t "$results" -p "$only" -s "$lib/libsteadfast.so" ${against:+-a "$against"} ${peers[@]+"${peers[@]}"} $size "${places[@]}"
if has syncs; then
    if command -v python3 >/dev/null; then python3 "$root/benches/peers/syncs.py" "$results" <"$out/peers.txt"
    else echo "SKIPPED: who syncs what: no python3"; fi
fi
if has inprocess; then
    if CARGO_TARGET_DIR=$out/rust cargo bench --quiet --offline --locked --manifest-path "$root/benches/rust/Cargo.toml" --bench inprocess -- --noplot \
        2>"$out/rust.log" | tee "$out/inprocess.txt"; then :
    else echo "SKIPPED: in-process parts: the crates are not there (benches/setup), or: $(tail -n 1 "$out/rust.log")"; fi
fi
echo "results: $results"
