#!/usr/bin/env bash
# Everything on one file system: one.sh FS BIN WORK SSHD UNTIL. The results go to WORK/results: "ok" or "not ok", the program and what was
# looked at, divided by tabs; a program that did not end says so. UNTIL: seconds since 1970; what is not begun by then is not done.
set -u
fs=$1 bin=$2 work=$3 sshd=$4 until=$5
. "$(dirname "$0")/mounts.sh"
trap stop EXIT
trap 'exit 130' INT TERM
: >"$work/results"
result() { printf '%s\t%s\t%s\n' "$1" "$2" "${3//$'\n'/; }" >>"$work/results"; }  # ok|not ok PROGRAM TEXT

# In time?
due() {
    [ "$(date +%s)" -lt "$until" ] && return 1
    result 'not ok' "$1" 'not begun: the time was over'
}

# The lines of TAP, and that it came to an end.
collect() { # PROGRAM CODE
    sed -nE "s/^(not ok|ok) [0-9]+ - (.*)/\1\t$1\t\2/p" "$work/$1.tap" >>"$work/results"
    grep -qE '^(# )?[0-9]+ passed, [0-9]+ failed' "$work/$1.tap" || result 'not ok' "$1" "no end, or a bad one (exit code $2)"
}

start || { result 'not ok' mount 'it can be mounted'; exit; }
result ok mount 'it can be mounted'
for program in "$bin"/c/*; do
    name=$(basename "$program")
    # See run.sh.
    case $fs:$name in sshfs:*lock* | sshfs:hostile | sshfs:state_context | sshfs:state_beneath | sshfs:state_links) continue ;; esac
    due "$name" && continue
    begun=$SECONDS limit=150
    # Those have no end there: expected.txt.
    case $fs:$name in gocryptfs:lock_unseen | gocryptfs:state_context) limit=15 ;; gocryptfs:lock_wait) limit=40 ;; esac
    TMPDIR=$work/mount STEADFAST_TEST_SMALL=1 timeout -k 5 $limit "$program" >"$work/$name.tap" 2>"$work/$name.err" </dev/null
    collect "$name" $?
    echo "$name: $((SECONDS - begun)) s"
    rm -rf "$work/mount"/steadfast-*
done
if ! due locks; then
    mkdir -p "$work/mount/locks"
    timeout -k 5 40 "$bin/locks" "$work/mount/locks" 4 >"$work/locks.tap" 2>&1 </dev/null
    collect locks $?
    rm -rf "$work/mount/locks"
fi
if ! due savers; then
    mkdir -p "$work/mount/savers"
    timeout -k 5 60 "$bin/savers" "$work/mount/savers" 3 >"$work/savers.tap" 2>"$work/savers.err" </dev/null
    collect savers $?
    rm -rf "$work/mount/savers"
fi
if [ "$fs" != sshfs ] && ! due race; then
    mkdir -p "$work/mount/race"
    TMPDIR=$work/mount/race timeout -k 5 40 "$bin/race" 8 - - - - >"$work/race.log" 2>&1 </dev/null
    code=$?
    # Two holders are a result of their own: no line of expected.txt is about them.
    sed -nE 's/^(steadfast[^0-9]*[0-9] +[a-z9,+ -]*[a-z]) +[0-9]+ +([0-9]+) +[0-9]+ +[0-9]+ +(ok|FAILED).*/\1\t\2\t\3/p' "$work/race.log" | tr -s ' ' |
        while IFS=$'\t' read -r row doubles verdict; do
            [ "$doubles" = 0 ] && say=ok || say='not ok'
            result "$say" 'race holders' "$row: never two"
            [ "$verdict" = ok ] && say=ok || say='not ok'
            result "$say" race "$row"
        done
    grep -q 'passed, ' "$work/race.log" || result 'not ok' race "no end, or a bad one (exit code $code)"
    rm -rf "$work/mount/race"
fi
stop

# What reaches the server: its system calls, in the order in which it makes them.
due syncs && exit
log=$work/strace.log
start strace -f -y -e trace=fsync,fdatasync,syncfs,sync_file_range -o "$log" || { result 'not ok' syncs 'it can be mounted under strace'; exit; }
# A save and what the server has done when it returns: each file and, once, the directory.
while read -r way files; do
    mkdir -p "$work/mount/syncs"
    before=$(stat -c %s "$log")
    status=$("$bin/syncs" "$work/mount/syncs" "$way" 2>"$work/syncs.err") || { result 'not ok' syncs "$way: is done"; cat "$work/syncs.err"; continue; }
    [ "$status" = 0 ] || { result ok syncs "$way: says that it is not durable ($status)"; continue; }
    tail -c +$((before + 1)) "$log" >"$work/seen"
    grep -oE '(fsync|fdatasync|syncfs)\([0-9]+<[^>]*>' "$work/seen" | sed -E 's/^[^<]*<([^>]*)>?/\1/' | sort | uniq >"$work/paths"
    synced=0 directories=0
    # Temporary files have got their names since, or are gone: what is a directory now was one.
    while read -r path; do if [ -d "$path" ]; then directories=$((directories + 1)); else synced=$((synced + 1)); fi; done <"$work/paths"
    [ "$synced" -ge "$files" ] && say=ok || say='not ok'
    result "$say" syncs "$way: each file's sync reaches the server"
    [ "$directories" -ge 1 ] && say=ok || say='not ok'
    result "$say" syncs "$way: the directory's sync reaches the server"
done < <("$bin/syncs" --ways)
