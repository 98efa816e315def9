#!/usr/bin/env bash
# Random histories of saves, with real power cuts, on ext4, xfs and btrfs; and the mutants that they must find. As root.
#   run.sh --lib DIR --out DIR [--budget SECONDS] [--cuts N] [--seed N] [--minimise SECONDS] [-- ARGUMENTS OF power]
# DIR of --lib holds libsteadfast.a. --cuts: at least so many on each file system, in at most three times the budget.
# The last line is "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
lib='' out='' budget=150 cuts=170 seed='' minimise=20
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --budget) budget=$2; shift 2 ;;
        --cuts) cuts=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --minimise) minimise=$2; shift 2 ;;
        --) shift; break ;;
        *) echo "power/run.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$lib" ] && [ -n "$out" ] || { sed -n 3,5p "$0" >&2; exit 2; }
. "$here/../../tools/check-lib.sh"
begun=$SECONDS

if [ "$(id -u)" != 0 ]; then lacking "power cuts need root"; end; fi
for program in mkfs.ext4 mkfs.xfs mkfs.btrfs unshare; do
    command -v "$program" >/dev/null || { lacking "power cuts need $program"; end; }
done
[ -c /dev/loop-control ] || { lacking "power cuts need loop devices"; end; }
# The mounts are seen by nobody else, and go with this process.
if [ -z "${STEADFAST_OWN_MOUNTS:-}" ]; then
    STEADFAST_OWN_MOUNTS=1 exec unshare -m --propagation private bash "$0" --lib "$lib" --out "$out" --budget "$budget" --cuts "$cuts" \
        --minimise "$minimise" ${seed:+--seed "$seed"} -- "$@"
fi
[ -n "$seed" ] || seed=$((RANDOM * 32768 + RANDOM + 1))

later=()
grep -qE '^  int32_t on_disk;' <(sed -n '/One state of steadfast_state_save_batch/,/} steadfast_save_entry;/p' "$here/../../include/steadfast.h") &&
    later+=(-DENTRY_HAS_ON_DISK)
${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O2 -g "${later[@]}" -I"$here/../../include" "$here"/*.c "$lib/libsteadfast.a" -lcrypto -lpthread -ldl -o "$out/power"
note $? "power builds" || end

# In memory, where a flush costs nothing: a cut by the shutdown call or by a clone does not see flushes anyway.
memory=${TMPDIR:-/tmp}
[ ! -w /dev/shm ] || memory=/dev/shm
scratch=$(mktemp -d "$memory/steadfast-power.XXXXXX") || exit 2
leave() {
    awk -v below="$scratch/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mount; do umount "$mount" || umount -l "$mount"; done
    rm -rf --one-file-system "$scratch"
}
trap leave EXIT
trap 'exit 130' INT TERM

# power FS LOG ARGUMENTS...: in a directory of its own.
power() {
    local fs=$1 log=$2 directory
    shift 2
    directory=$(mktemp -d "$scratch/$fs.XXXXXX") || return 2
    "$out/power" --fs "$fs" --scratch "$directory" "$@" >"$log" 2>&1
}

# What each file system shows: only a saver that writes in place tears on ext4 and xfs, and btrfs commits all names at once.
declare -A mutants=(
    [ext4]='slot_write_then_sync no_sync_at_all no_directory_sync old_recycle rename_previous attribute_first no_copy'
    [xfs]='slot_unsynced no_sync_at_all no_directory_sync old_recycle old_no_sync old_generation rename_previous attribute_first unmarked_plain'
    [btrfs]='slot_unsynced no_sync_at_all no_directory_sync old_no_sync old_generation syncfs_then_fsync attribute_first unmarked_plain'
)
kill_mutants() { # FS
    local mutant
    for mutant in ${mutants[$1]}; do
        power "$1" "$out/$1-$mutant.log" --mutant "$mutant" --budget 40 --seed "$seed"
        echo $? >"$out/$1-$mutant.code"
    done
}
kill_mutants xfs &
kill_mutants ext4
kill_mutants btrfs
wait
for fs in ext4 xfs btrfs; do
    for mutant in ${mutants[$fs]}; do
        [ "$(cat "$out/$fs-$mutant.code")" = 0 ]
        note $? "mutant killed: $mutant on $fs: $(tail -n 1 "$out/$fs-$mutant.log")" || tail -n 5 "$out/$fs-$mutant.log" | sed 's/^/  # /'
    done
done

# The same by the library. By chance alone it takes a thousand histories to see that.
power btrfs "$out/btrfs-syncfs.log" --repeat 100 --seed "$seed" --plan 'ways=batch+syncfs,batch+syncfs+keep faults=none processes=2 states=1 lives=3 saves=3 neighbour=0'
grep -q ' 0 violations, ' "$out/btrfs-syncfs.log"
note $? "two processes and syncfs on btrfs: $(tail -n 1 "$out/btrfs-syncfs.log")"

left=$((budget - (SECONDS - begun)))
[ "$left" -ge 30 ] || left=30
declare -A jobs=()
for fs in ext4 xfs btrfs; do
    power "$fs" "$out/$fs.log" --budget "$left" --cuts "$cuts" --seed "$seed" --minimise "$minimise" "$@" &
    jobs[$fs]=$!
done
made=0
for fs in ext4 xfs btrfs; do
    wait "${jobs[$fs]}"
    note $? "$(tail -n 1 "$out/$fs.log")" || sed '$d; s/^/  # /' "$out/$fs.log"
    made=$((made + $(sed -nE "s/^$fs: ([0-9]+) cuts in .*/\1/p" "$out/$fs.log" | tail -n 1)))
done
[ "$made" -ge $((3 * cuts)) ]
note $? "at least $((3 * cuts)) power cuts: $made"
end
