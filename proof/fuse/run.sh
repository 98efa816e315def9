#!/usr/bin/env bash
# The C suite, races for a lock, savers of one state beside each other, and the way of each sync to the server, on file systems in user space. As root.
#   run.sh --lib DIR --out DIR [--budget SECONDS] [--only FS]
# DIR of --lib holds libsteadfast.a. What is expected to fail where stands in expected.txt. The last line is "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
lib='' out='' budget=400 only=''
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --budget) budget=$2; shift 2 ;;
        --only) only=$2; shift 2 ;;
        *) echo "fuse/run.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$lib" ] && [ -n "$out" ] || { sed -n 3,4p "$0" >&2; exit 2; }
. "$here/../../tools/check-lib.sh"
until=$(($(date +%s) + budget))

if [ "$(id -u)" != 0 ]; then lacking "file systems in user space need root"; end; fi
[ -c /dev/fuse ] || { lacking "there is no /dev/fuse"; end; }
sshd=$lib/openssh/usr/sbin/sshd
[ -x "$sshd" ] || sshd=$(command -v sshd)
declare -A needs=([bindfs]=bindfs [mergerfs]=mergerfs [fuse-overlayfs]=fuse-overlayfs [gocryptfs]=gocryptfs [sshfs]="sshfs ssh-keygen ${sshd:-sshd}")
there=()
for fs in gocryptfs sshfs fuse-overlayfs mergerfs bindfs; do
    [ -z "$only" ] || [ "$only" = "$fs" ] || continue
    missing=''
    for program in ${needs[$fs]} strace unshare python3; do command -v "$program" >/dev/null || missing+=" $program"; done
    if [ -n "$missing" ]; then lacking "$fs: not here:$missing"; else there+=("$fs"); fi
done

case " ${there[*]} " in
    *' sshfs '*) skip "sshfs: tests of locks that may be another machine's, and of links, which its client does not read" ;;
esac

# Linked with the archive. What has nothing to do with the file system is left out.
bin=$out/bin
rm -rf "$bin"
mkdir -p "$bin/c"
build() { # PROGRAM SOURCES...
    local program=$1
    shift
    ${CC:-cc} -std=gnu11 -O1 -g -I"$here/../../ctests" -I"$here/../../include" "$@" -o "$bin/$program" "$lib/libsteadfast.a" -lpthread -ldl ||
        note 1 "$program builds"
}
for source in "$here"/../../ctests/{hostile,lock,mutants,state,sweep}*.c; do
    name=$(basename "$source" .c)
    case $name in *_test) continue ;; esac
    build "c/$name" "$source" &
    [ "$(jobs -r | wc -l)" -lt 2 ] || wait -n
done
wait
build locks -Wall -Wextra -Werror "$here/locks.c"
build savers -Wall -Wextra -Werror "$here/savers.c"
build syncs -Wall -Wextra -Werror "$here/syncs.c"
build race "$here/../../ctests/race/"{race,protocols,storm}.c
note "$([ "$failed" = 0 ]; echo $?)" "the programs build" || end

# Short, since what a report's message says has to fit beside the path.
scratch=$(mktemp -d "${TMPDIR:-/tmp}/fuse.XXXX") || exit 2
chmod 755 "$scratch"
trap 'rm -rf --one-file-system "$scratch"' EXIT
trap 'exit 130' INT TERM
run() { # FS
    local fs=$1
    mkdir -p "$scratch/$fs"
    unshare -m --propagation private bash "$here/one.sh" "$fs" "$bin" "$scratch/$fs" "$sshd" "$until" >"$out/$fs.log" 2>&1
    cp "$scratch/$fs/results" "$out/$fs.results"
    mkdir -p "$out/$fs"
    cp "$scratch/$fs"/*.tap "$scratch/$fs"/*.err "$scratch/$fs"/*.log "$out/$fs/" 2>/dev/null
}
# Four at a time on two cores: each waits for its server half of the time. The slow ones are the first.
for fs in "${there[@]}"; do
    run "$fs" &
    [ "$(jobs -r | wc -l)" -lt 4 ] || wait -n
done
wait
for fs in "${there[@]}"; do
    python3 "$here/compare.py" "$here/expected.txt" "$fs" "$out/$fs.results" | tee "$out/$fs.compared"
    counted='0 1'
    ! grep -qE "^$fs: [0-9]+ passed" "$out/$fs.compared" || counted=$(sed -nE "s/^$fs: ([0-9]+) passed, ([0-9]+) failed/\1 \2/p" "$out/$fs.compared")
    passed=$((passed + ${counted% *})) failed=$((failed + ${counted#* }))
done
end
