#!/usr/bin/env bash
# Real processes that race for a lock, beside the protocols of others; then how fast and fairly a lock changes hands.
#
#   race/run.sh --lib DIR --out DIR [--seconds N]        the table takes N seconds, 40 without it
#
# DIR of --lib holds libsteadfast.a. Peers are looked for, never installed: liblockfile where the compiler finds it;
# python filelock in $STEADFAST_PYTHON or python3; npm proper-lockfile in $NODE_PATH or where node finds it. A missing one is
# told and skipped. The last line is `N passed, N failed`: our own rows, and that the seed's algorithm is seen to fail.
set -u
here=$(cd "$(dirname "$0")" && pwd)
include=$here/../../include
lib='' out='' seconds=40
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        *) echo "race/run.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
if [ -z "$lib" ] || [ -z "$out" ]; then
    echo "usage: race/run.sh --lib DIR --out DIR [--seconds N]" >&2
    exit 2
fi

CC=${CC:-cc}
others="-lpthread -ldl"
lockfile=''
if echo '#include <lockfile.h>
int main(void) { return lockfile_check("", 0); }' | $CC -x c - -llockfile -o "$out/probe" 2>/dev/null; then
    lockfile=yes
fi
# Linked with the archive: a copy of the library that lies elsewhere cannot be taken by mistake.
build() { # PROGRAM SOURCES...
    local program=$1; shift
    # shellcheck disable=SC2086
    $CC -std=gnu11 -Wall -Wextra -Werror -O2 -g ${lockfile:+-DHAVE_LIBLOCKFILE} -I"$include" "$@" -o "$out/$program" \
        "$lib/libsteadfast.a" $others ${lockfile:+-llockfile} || { echo "race/run.sh: $program does not build" >&2; echo "0 passed, 1 failed"; exit 1; }
}
build race "$here/race.c" "$here/protocols.c" "$here/storm.c"
build handoff "$here/handoff.c"

python=${STEADFAST_PYTHON:-python3}
"$python" -c 'from filelock import SoftFileLock' 2>/dev/null || python=-
node=node
node -e "require('proper-lockfile')" 2>/dev/null || node=-

# Below one directory, so that nothing is left of a run that is ended.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-race.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch
echo "== hand to hand ($(df -T "$scratch" 2>/dev/null | awk 'NR == 2 { print $2 }'), $(nproc) cores)"
"$out/handoff" 300 1.5 | tee "$out/handoff.txt" || { echo "0 passed, 1 failed"; exit 1; }
# In whole times, of this run.
ours=$(sed -nE 's/^acquire \+ release: ([0-9]+).*/\1/p' "$out/handoff.txt")
beside() { # NAME OPTION COMMAND...: the same loop in another protocol
    local name=$1 option=$2 rate; shift 2
    rate=$("$@" "$option" "$scratch/lock" 2>/dev/null) || return
    echo "acquire + release: $rate /s by $name: steadfast is $((ours / (rate > 0 ? rate : 1))) times as fast"
}
[ "$python" = - ] || beside "filelock" --rate "$python" "$here/filelock_worker.py"
[ "$node" = - ] || beside "proper-lockfile" --rate "$node" "$here/proper_lockfile_worker.js"
[ "$node" = - ] || beside "proper-lockfile, synchronous" --rate-sync "$node" "$here/proper_lockfile_worker.js"

echo "== races for a stale lock, storms ($seconds s)"
"$out/race" "$seconds" "$python" "$here/filelock_worker.py" "$node" "$here/proper_lockfile_worker.js"
