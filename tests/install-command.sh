#!/usr/bin/env bash
# The example command: what it prints, and each of its exit codes.
#   install-command.sh BUILD
# Ends with "N passed, N failed".
set -u
steadfast=$(cd "$1" && pwd)/steadfast || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-command.XXXXXX") || exit 2
background=
trap '[ -z "$background" ] || kill $background 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 2
passed=0
failed=0

result() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok - $2"
    else
        failed=$((failed + 1))
        echo "not ok - $2"
        sed 's/^/  # /' output errors | tail -n 10
    fi
}
# gives CODE TEXT COMMAND...: standard output and error are in the files output and errors.
gives() {
    local expected=$1 text=$2 got
    shift 2
    "$@" >output 2>errors
    got=$?
    [ "$got" = "$expected" ]
    result $? "$text (exit code $got)"
}
says() {
    grep -qE -- "$2" "$1"
    result $? "$3"
}
# Waits for a condition, at most ten seconds.
await() {
    local end=$((SECONDS + 10))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        read -r -t 0.01 <><(:) || :
    done
}

gives 0 "--help" "$steadfast" --help
says output "--if-generation" "it names the options"
gives 2 "no command" "$steadfast"
gives 2 "an unknown command" "$steadfast" frobnicate
gives 2 "an unknown option" "$steadfast" save --fast state
gives 2 "an option without its value" "$steadfast" save state --schema
gives 2 "a number that is none" "$steadfast" save --schema 12x state
gives 2 "a number that is too large" "$steadfast" save --schema 4294967296 state
gives 2 "two paths" "$steadfast" load a b
gives 2 "lock without a command" "$steadfast" lock l --

# States.
gives 5 "load: nothing there" "$steadfast" load state
says errors ENOENT "the code's name is told"
save() { "$steadfast" save "${@:2}" state <<<"$1"; }
gives 0 "save" save one
gives 0 "verify" "$steadfast" verify state
gives 0 "load" "$steadfast" load state
says output '^one$' "it is what was saved"
gives 0 "save --keep-previous --schema" save two --keep-previous --schema=7
gives 0 "info" "$steadfast" info state
says output '^generation +2$' "the generation"
says output '^schema +7$' "the schema"
says output '^length +4$' "the length"
says output '^source +current' "the source"
says output "^sha256 +$(head -c 64 state)$" "the digest is the one in the first line"
says output "^saved +$(date -u +%Y)-..-..T..:..:..\.[0-9]{9}Z$" "the time"
gives 1 "load: another schema" "$steadfast" load --schema 8 state
says errors STEADFAST_E_SCHEMA "told as such"
gives 6 "save --if-generation: another is there" save three --if-generation 1
gives 0 "save --if-generation: the one" save three --if-generation 2 --keep-previous
gives 0 "save --strict" save three --strict --keep-previous
truncate -s 100 state
gives 4 "load: truncated" "$steadfast" load state
says errors STEADFAST_E_TRUNCATED "told as such"
[ ! -s output ]
result $? "nothing was written"
gives 3 "load --recover: from the previous generation" "$steadfast" load --recover state
says output '^three$' "it is the one before"
rm state
gives 5 "load: lost" "$steadfast" load state
says errors STEADFAST_E_LOST "told as such"
gives 1 "save: no such directory" "$steadfast" save no/such/state </dev/null
gives 0 "save --parents" "$steadfast" save --parents no/such/state </dev/null
gives 0 "save --mode" "$steadfast" save --mode 640 mode </dev/null
[ "$(ls -l mode | cut -c1-10)" = -rw-r----- ]
result $? "the mode is that"
ln -s mode link
gives 1 "save: a symbolic link" "$steadfast" save link </dev/null
says errors STEADFAST_E_SYMLINK "told as such"
gives 0 "save --follow" "$steadfast" save --follow link </dev/null
[ -L link ]
result $? "the link is still one"
head -c 3000000 /dev/urandom >large
gives 0 "save: three megabytes" "$steadfast" save large-state <large
"$steadfast" load large-state 2>errors | cmp - large >output
result $? "load: the same"
if [ -w /dev/full ]; then
    "$steadfast" load large-state >/dev/full 2>errors
    [ $? = 1 ]
    result $? "load: standard output is full"
else
    echo "SKIPPED: no /dev/full"
fi

# Locks.
gives 0 "inspect: no lock" "$steadfast" inspect lock
says output '^verdict +no lock$' "told as such"
(exit 0) &
dead=$!
wait "$dead"
echo "$dead" >lock
gives 0 "inspect: stale" "$steadfast" inspect lock
says output "^pid +$dead$" "whose it was"
gives 0 "clean: stale" "$steadfast" clean lock
[ ! -e lock ]
result $? "it is gone"
echo "$$" >live
: >empty
gives 7 "inspect: held" "$steadfast" inspect live
says output "^since +[0-9]{4}-" "since when"
gives 7 "clean: held" "$steadfast" clean lock live
gives 8 "clean: undecided" "$steadfast" clean lock live empty
[ -e live ] && [ -e empty ]
result $? "both are still there"
gives 1 "clean: no such directory" "$steadfast" clean nowhere/lock
rm live empty
gives 9 "lock: the exit code of the command" "$steadfast" lock lock -- sh -c 'exit 9'
gives 143 "lock: a command ended by a signal" "$steadfast" lock lock -- sh -c 'kill -TERM $$'
gives 127 "lock: no such command" "$steadfast" lock lock -- ./no-such-command
gives 126 "lock: not to be run" "$steadfast" lock lock -- ./large
gives 0 "lock: held meanwhile" "$steadfast" lock lock -- sh -c "$steadfast inspect lock >/dev/null; [ \$? = 7 ]"
gives 125 "lock: taken away meanwhile" "$steadfast" lock lock -- rm lock
says errors STEADFAST_E_LOCK_LOST "told as such"
[ ! -e lock ]
result $? "no lock file is left"

mkfifo end
"$steadfast" lock lock -- sh -c 'cat end >/dev/null' &
background=$!
await test -e lock
gives 124 "lock --nonblock: held" "$steadfast" lock --nonblock lock -- true
says errors STEADFAST_E_LOCKED "told as such"
gives 124 "lock --timeout: held" "$steadfast" lock --timeout 0.05 lock -- true
# Asynchronous commands of a shell ignore SIGINT, and what was ignored stays so: SIGTERM instead, and SIGINT from setsid.
"$steadfast" lock lock -- true &
waiter=$!
waits() { [ "$(cut -d ' ' -f 3 /proc/$waiter/stat 2>/dev/null)" = S ]; }
if [ -r /proc/self/stat ]; then await waits; fi
kill -TERM $waiter
wait $waiter
[ $? = 143 ]
result $? "lock: a signal ends the wait"
"$steadfast" lock lock -- sh -c 'echo got >got' &
waiter=$!
if [ -r /proc/self/stat ]; then await waits; fi
echo >end
wait $background
result $? "lock: the holder is done"
background=
wait $waiter
[ $? = 0 ] && [ -e got ]
result $? "lock: the waiter got it"

# Killed, it leaves the lock held as long as its command runs.
"$steadfast" lock lock -- sh -c 'echo $$ >command; cat end >/dev/null' &
background=$!
await test -s command
kill -KILL $background
wait $background 2>/dev/null
background=$(cat command)
gives 7 "lock: killed, but its command runs on: held" "$steadfast" inspect lock
echo >end
gone() { ! kill -0 "$background" 2>/dev/null; }
await gone
background=
gives 0 "lock: and its command has ended: taken over at once" "$steadfast" lock --nonblock lock -- true

# A signal to it goes on to the command.
"$steadfast" lock lock -- sh -c 'trap "echo told >told; exit 5" USR1; echo >ready; while :; do read -r line <end; done' &
background=$!
await test -e ready
kill -USR1 $background

await test -s told
wait $background
[ $? = 5 ]
result $? "lock: a signal reaches the command"
background=
[ ! -e lock ]
result $? "no lock file is left in the end"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
