#!/usr/bin/env bash
# What the library promises, shown on real files and counted in this very run: `make demo`.
#   demo.sh BUILD [SEED]
# Ends with exit code 1 when a promise was not kept.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$(cd "$1" && pwd) || exit 2
seed=${2:-}
json=$PWD/examples/state.json
steadfast=$build/steadfast
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-demo.XXXXXX") || exit 2
mounted=
faults=
cleanup() {
    [ -z "$mounted" ] || umount "$mounted"
    rm -rf "$work" ${faults:+"$faults"}
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$work" || exit 2
begun=$(date +%s)
bad=0
kept=0

title() { printf '\n\033[1m%s\033[0m\n' "$1"; }
[ -t 1 ] || title() { printf '\n%s\n' "$1"; }
# Shows a command and what it says; its exit code is in $code.
show() {
    printf '   $ %s\n' "$*" | sed "s|$steadfast|steadfast|g; s|$json|examples/state.json|g"
    eval "$*" 2>&1 | sed 's/^/     /'
    code=${PIPESTATUS[0]}
}
# promise TEXT CONDITION...
promise() {
    local text=$1
    shift
    if "$@"; then
        kept=$((kept + 1))
        printf '   ok   %s\n' "$text"
    else
        bad=$((bad + 1))
        printf '   BAD  %s\n' "$text"
    fi
}
part() {
    "$@" && kept=$((kept + 1)) || bad=$((bad + 1))
}

title "1. What one types first"
show "echo '{\"debug\": false}' | $steadfast save -v --plain config.json"
show "$steadfast update -v --plain config.json -- sed s/false/true/"
show "cat config.json"
promise "the file holds the bytes and nothing else" [ "$(cat config.json)" = '{"debug": true}' ]
show "$steadfast update --plain config.json -- false"
promise "what a program writes is saved only if it succeeds" [ "$code" = 1 ]
show "$steadfast lock job.lock echo under the lock"
promise "a command runs under a lock" [ "$code" = 0 ]
show "$steadfast lock job.lock $steadfast lock job.lock true"
promise "a lock inside itself is refused, and does not hang" [ "$code" = 124 ]
: >.config.json.0.tmp
show "$steadfast sweep -v ."
promise "what a killed writer has left goes" [ ! -e .config.json.0.tmp ]
show "$steadfast lock --help | head -n 4"

title "2. A state file that coreutils can check"
show "$steadfast save -v state <$json"
promise "saved, and durable" [ "$code" = 0 ]
show "head -c 256 state | sed 's/  *\$//'"
show "tail -n +2 state | sha256sum -c <(head -n 1 state)"
promise "sha256sum agrees" [ "$code" = 0 ]
show "tail -c +257 state | cmp - $json"
promise "the payload is the file, byte for byte" [ "$code" = 0 ]

title "3. A bit flips"
sed 's/"sequence": 918273/"sequence": 918274/' "$json" >next.json
show "$steadfast save -v --keep-previous state <next.json"
size=$(wc -c <state)
at=$((256 + RANDOM % (size - 256)))
was=$(od -An -tu1 -j "$at" -N 1 state)
# shellcheck disable=SC2059
printf "\\x$(printf %02x $((was ^ 1 << RANDOM % 8)))" | dd of=state bs=1 seek="$at" conv=notrunc status=none
echo "   one bit of byte $at of $size is the other way round now"
show "$steadfast load state"
promise "damage is told by its own code, and nothing is handed out" [ "$code" = 4 ]
show "$steadfast info --recover state"
$steadfast load --recover state 2>/dev/null | cmp -s - "$json"
promise "the previous generation is there, whole" [ $? = 0 ]
truncate -s $((size / 2)) state
show "$steadfast verify state"
promise "so is a file that was cut off" [ "$code" = 4 ]

title "4. A writer is killed (kill -9), at random moments"
mkdir crash
part "$build/demo-crash" crash 300 ${seed:+"$seed"}

title "5. A disk that fails"
# Its failures are made, so it need not wait for a disk that works.
faults=$work/faults
if [ -w /dev/shm ]; then faults=$(mktemp -d /dev/shm/steadfast-demo.XXXXXX); fi
mkdir -p "$faults"
part "$build/demo-disk" "$faults"
mkdir small
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=64k tmpfs small 2>/dev/null; then
    mounted=$work/small
    echo "   and one that is full: a file system of 64 KB"
    $steadfast save small/state <"$json" >/dev/null
    dd if=/dev/zero of=small/filler bs=4k status=none 2>/dev/null
    show "$steadfast save small/state <next.json"
    promise "a full disk is an error of its own" [ "$code" = 1 ]
    $steadfast load small/state | cmp -s - "$json"
    promise "the old state is there, whole" [ $? = 0 ]
    promise "no temporary file is left" [ -z "$(find small -name '*.tmp')" ]
    rm small/filler
    $steadfast save small/state <next.json >/dev/null && $steadfast load small/state | cmp -s - next.json
    promise "with room again, it saves again" [ $? = 0 ]
else
    echo "   SKIPPED: a full disk needs root, to mount a small tmpfs"
fi

title "6. A lock whose owner is dead, and eight that want it"
(exit 0) &
dead=$!
wait "$dead"
echo "$dead" >lock
show "$steadfast inspect lock"
promise "the lock of a dead process is stale" [ "$code" = 0 ]
show "$steadfast lock lock -- sh -c '$steadfast inspect lock; $steadfast clean lock'"
promise "taken over at once; a live owner's is left alone" [ "$code" = 7 ]
promise "and it is gone afterwards" [ ! -e lock ]
mkdir race
part "$build/demo-race" race 2500 ${seed:+"$seed"}

title "$((kept + bad)) parts, $bad of them bad, in $(($(date +%s) - begun)) seconds"
[ "$bad" = 0 ]
