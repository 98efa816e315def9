#!/usr/bin/env bash
# The storm of killed processes, its mutants, and the sizes.
#   run.sh --lib DIR --out DIR [--seconds N] [--seed N]
# DIR of --lib holds libsteadfast.a. Two thirds of the time on the file system of TMPDIR, a third in /dev/shm, where there are
# no syncs to wait for and so more saves. The last line is "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
lib='' out='' seconds=30 seed=''
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        *) echo "soak/run.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$lib" ] && [ -n "$out" ] || { echo "usage: soak/run.sh --lib DIR --out DIR [--seconds N] [--seed N]" >&2; exit 2; }
[ -n "$seed" ] || seed=$((RANDOM * 32768 + RANDOM + 1))
. "$here/../../tools/check-lib.sh"

for program in storm sizes; do
    # shellcheck disable=SC2086
    ${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O2 -g -I"$here/../../include" "$here/$program.c" "$lib/libsteadfast.a" -lpthread -ldl -o "$out/$program"
    note $? "$program builds"
done
scratch=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-soak.XXXXXX") || exit 2
memory=$scratch
[ ! -w /dev/shm ] || memory=$(mktemp -d /dev/shm/steadfast-soak.XXXXXX) || exit 2
trap 'rm -rf "$scratch" "$memory"' EXIT
trap 'exit 130' INT TERM

# run NAME PARENT SECONDS ARGUMENTS...: in a directory of its own.
run() {
    local program=$1 parent=$2
    shift 2
    local directory
    directory=$(mktemp -d "$parent/d.XXXXXX") || exit 2
    "$out/$program" "$directory" "$@"
    local code=$?
    rm -rf "$directory"
    return $code
}

# Those that must be found, first: they end as soon as they are.
for mutant in plain unlink; do
    told=$(run storm "$memory" 20 "$seed" "$mutant")
    [ $? = 1 ]; note $? "mutant killed: $mutant: $told"
done
third=$((seconds / 3 + 1))
told=$(run storm "$scratch" "$third" "$seed"); note $? "on $(df -T "$scratch" | awk 'NR == 2 { print $2 }'): $told"
told=$(run storm "$memory" "$third" "$seed"); note $? "in memory: $told"
told=$(run sizes "$scratch" "$third" "$seed"); note $? "$told"
end
