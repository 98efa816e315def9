#!/usr/bin/env bash
# The demo's crashes, faults and races, over and over with a new seed each time: `make soak SECONDS=3600`.
#   crash_disk.sh BUILD SECONDS
# Ends with "N passed, N failed"; the output of a run that failed, with its seed, is shown.
set -u
build=$(cd "$1" && pwd) || exit 2
end=$(($(date +%s) + $2))
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-soak.XXXXXX") || exit 2
# Injected failures need no disk, and are many more without one.
faults=$work/faults
if [ -w /dev/shm ]; then faults=$(mktemp -d /dev/shm/steadfast-soak.XXXXXX) || exit 2; fi
trap 'rm -rf "$work" "$faults"' EXIT
trap 'exit 130' INT TERM
passed=0
failed=0

run() {
    rm -rf "$work/dir" "$faults/dir"
    mkdir -p "$work/dir" "$faults/dir"
    [ "$(date +%s)" -lt "$end" ] || return
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "not ok - $*"
        cat "$work/output"
    fi
}

while [ "$(date +%s)" -lt "$end" ]; do
    seed=$((RANDOM * 32768 * 32768 + RANDOM * 32768 + RANDOM))
    run "$build/demo-crash" "$work/dir" 500 $seed
    run "$build/demo-race" "$work/dir" 2000 $seed
    run "$build/demo-disk" "$faults/dir"
    echo "$passed passed, $failed failed, $((end - $(date +%s))) seconds to go"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
