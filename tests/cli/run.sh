#!/usr/bin/env bash
# The command: what it prints, and each of its exit codes.
#   run.sh BUILD
# Ends with "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tools/check-lib.sh"
steadfast=$(cd "$1" && pwd)/steadfast || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-command.XXXXXX") || exit 2
background=
trap '[ -z "$background" ] || kill $background 2>/dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 2
result() {
    note "$1" "$2" || sed 's/^/  # /' output errors | tail -n 10
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
for code in 0 1 2 3 4 5 6 7 8 124 125 126 127; do says output "^  $code +[a-zCt-]" "it names exit code $code"; done
gives 0 "help" "$steadfast" help
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
[ ! -s errors ]
result $? "with nothing on standard error"
gives 0 "save --strict" save three --strict --keep-previous
gives 0 "save, to be removed" "$steadfast" save --keep-previous gone <<<1
gives 0 "save, once more" "$steadfast" save --keep-previous gone <<<2
gives 6 "remove --if-generation: another is there" "$steadfast" remove --if-generation 1 gone
gives 0 "remove --if-generation: the one" "$steadfast" remove --if-generation 2 gone
[ ! -s output ] && [ ! -e gone ] && [ ! -e gone.prev ]
result $? "nothing is left, and nothing is said"
gives 5 "remove: nothing there" "$steadfast" remove gone
says errors ENOENT "the code's name is told"
gives 2 "remove: an unknown option" "$steadfast" remove --schema 1 gone
ln -s state link
gives 1 "remove: a link" "$steadfast" remove link
rm link
echo "by hand" >foreign
gives 0 "save --keep-previous over a file that is no state" "$steadfast" save --keep-previous foreign <<<new
says errors "no whole state, and is kept" "it says what became of it"
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
[ -n "$(find mode -perm 640)" ]
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
    full() { "$@" >/dev/full; }
    gives 1 "load: standard output is full: nothing has changed" full "$steadfast" load large-state
    # What was done stands, and the exit code says so.
    gives 0 "save: standard output is full" full "$steadfast" save -v state <<<"to a full one"
    says errors 'standard output: .*what was done stands' "told on standard error"
    gives 0 "save --json: standard output is full" full "$steadfast" save --json state <<<"to a full one"
    gives 6 "save: a conflict, and standard output is full" full "$steadfast" save --json --if-generation 1 state </dev/null
    echo 4194301 >stale
    gives 0 "clean: standard output is full" full "$steadfast" clean -v stale
    [ ! -e stale ]
    result $? "it is gone"
else
    skip "no /dev/full"
fi
closed() { "$@" >&-; }
gives 0 "save: standard output is closed" closed "$steadfast" save -v state <<<"to a closed one"
gives 0 "and the state is there" "$steadfast" load state
says output '^to a closed one$' "whole, without a word of ours in it"
gives 1 "load: standard output is closed" closed "$steadfast" load state
mkfifo nobody
exec 9<>nobody
exec 8>nobody
exec 9<&-
broken() { "$@" >&8; }
gives 0 "save: nobody reads standard output" broken "$steadfast" save -v state <<<"to a broken pipe"
exec 8>&-
says errors 'standard output: .*what was done stands' "told on standard error"

# A state that says 1 GiB and a page. Its file is sparse, so its digest is wrong: but it is read, and not refused for its length.
"$steadfast" save long <<<x >output
printf %020d $(((1 << 30) + 4096)) | dd of=long bs=1 seek=84 conv=notrunc status=none
truncate -s $(((1 << 30) + 4096 + 256)) long
for command in load verify info; do
    gives 4 "$command: more than 1 GiB" "$steadfast" $command long
    says errors STEADFAST_E_DIGEST "it is read to its end"
done
rm long

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
echo "$dead" >lock
gives 3 "clean: one is removed, for the other there is no such directory" "$steadfast" clean lock nowhere/lock
[ ! -e lock ]
result $? "1 would say that nothing has changed"
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
waits() { [ "$(cut -d ' ' -f 3 "/proc/$waiter/stat" 2>/dev/null)" = S ]; }
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
wait $waiter && [ -e got ]
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

# --json: one line each. A reader of JSON that knows its grammar looks at every one, where there is one.
valid=0
reader=$(command -v python3 || :)
if [ -z "$reader" ]; then skip "no python3, so the JSON is compared as text only"; fi
# json CODE TEXT EXPECTED COMMAND...: EXPECTED is in the output (of errors for lock), which is one line.
json() {
    local expected=$1 text=$2 pattern=$3 file=output
    shift 3
    [ "$2" != lock ] || file=errors
    gives "$expected" "$text" "$@"
    [ "$(wc -l <"$file")" = 1 ] && grep -qE -- "$pattern" "$file"
    result $? "$text: what it says"
    [ "$file" = errors ] || [ ! -s errors ]
    result $? "$text: and nothing in words besides"
    if [ -n "$reader" ]; then
        "$reader" - "$1" "$2" "$expected" "$file" <<'PY' >>errors 2>&1
import json, sys
def plain(pairs):
    assert len({name for name, _ in pairs}) == len(pairs), "a name twice"
    return dict(pairs)
def refuse(word):
    raise ValueError(word)
text = open(sys.argv[4], "rb").read().decode("utf-8")
value = json.loads(text, object_pairs_hook=plain, parse_constant=refuse)
objects = value if sys.argv[2] == "clean" else [value]
assert isinstance(objects, list) and objects
for one in objects:
    assert one["command"] == sys.argv[2], one
    assert {"path", "status", "status_name", "message", "errno", "step"} <= one.keys(), one
assert int(sys.argv[3]) in [one["exit_code"] for one in objects], objects
PY
        result $? "$text: valid JSON"
        valid=$((valid + 1))
    fi
}
printf 'a\0b' >binary
mkdir json
json 0 "save --json" '"path": "json/state".*"exit_code": 0, "status": 0, "status_name": "STEADFAST_OK".*"on_disk": "new", "generation": 1, "length": 3}$' \
    "$steadfast" save --json json/state <binary
json 0 "load --json" '"length": 3, .*"source": "current", "data_base64": "YQBi"}$' "$steadfast" load --json json/state
"$steadfast" save json/gone <binary >output 2>errors
json 0 "remove --json" '"command": "remove".*"exit_code": 0.*"on_disk": "new", "generation": 1}$' "$steadfast" remove --json json/gone
json 0 "verify --json" '"generation": 1, "saved": "[0-9-]*T[0-9:.]*Z", "saved_at_ns": [0-9]+, ' "$steadfast" verify --json json/state
json 0 "info --json, the option last" "\"sha256\": \"$(head -c 64 json/state)\"" "$steadfast" info json/state --json
json 6 "save --json: a conflict" '"status_name": "STEADFAST_E_CONFLICT"' "$steadfast" save --if-generation 7 --json json/state <binary
json 1 "save --json: no such directory" '"status": -2, "status_name": "ENOENT".*"errno": 2, .*"on_disk": "old"' "$steadfast" save --json json/no/state <binary
json 5 "load --json: nothing there" '"errno": 2, "step": [0-9]+}$' "$steadfast" load --json json/none
"$steadfast" save --keep-previous json/state <binary >output 2>errors
truncate -s 100 json/state
json 4 "load --json: damaged" '"status_name": "STEADFAST_E_TRUNCATED"' "$steadfast" load --json json/state
json 3 "info --json: recovered" '"status_name": "STEADFAST_RECOVERED".*"source": "previous"' "$steadfast" info --recover --json json/state
odd=json/$(printf 'q"b\\n\nt\t\x7f')
json 0 "a path with what JSON escapes" '"path": "json/q\\"b\\\\n\\u000at\\u0009\\u007f", "exit' "$steadfast" save --json "$odd" <binary
long=json/$(printf 'x%.0s' {1..240})
json 0 "a path longer than the message" "\"path\": \"$long\"" "$steadfast" save --json "$long" <binary
# Latin-1, a lone surrogate, an over-long slash, a lead byte at the end; in UTF-8 what is. The message is cut somewhere in there.
wrong=json/$(printf 'f\xfcr \xed\xa0\x80 \xc0\xaf \xc3\xa9 \xf0\x9f\x94\x92 \xe2\x82')
json 0 "a path that is not UTF-8" "\"path_base64\": \"$(printf %s "$wrong" | base64 -w 0)\", \"exit_code\": 0" "$steadfast" save --json "$wrong" <binary
says output "$(printf '"path": "json/f\xef\xbf\xbdr (\xef\xbf\xbd){3} (\xef\xbf\xbd){2} \xc3\xa9 \xf0\x9f\x94\x92 (\xef\xbf\xbd){2}"')" "and is shown as far as it is"
json 0 "load --json: that path" '"data_base64": "YQBi"' "$steadfast" load --json "$wrong"
: >empty
"$steadfast" save json/empty <empty >output 2>errors
json 0 "load --json: an empty state" '"length": 0, .*"data_base64": ""}$' "$steadfast" load --json json/empty
json 0 "inspect --json: no lock" '"verdict": "no lock", "pid": 0, "process": "", "since": ""}$' "$steadfast" inspect --json json/lock
echo $$ >json/live
json 7 "inspect --json: held" "\"verdict\": \"held\", \"pid\": $$, \"process\": \"[a-z]+\", \"since\": \"[0-9]{4}-" "$steadfast" inspect --json json/live
echo "$dead" >json/stale
json 8 "clean --json: several" '^\[\{.*"verdict": "removed".*\}, \{.*"verdict": "held".*\}, \{.*"verdict": "undecided".*\}\]$' \
    "$steadfast" clean --json json/stale json/live empty
json 1 "clean --json: a failure" '"verdict": "failed"' "$steadfast" clean --json json/no/lock
json 9 "lock --json" '"command": "lock".*"exit_code": 9, "status": 0.*"ran": true, "pid": [0-9]+}$' "$steadfast" lock --json json/lock -- sh -c 'exit 9'
json 124 "lock --json: held" "\"status_name\": \"STEADFAST_E_LOCKED\".*\"ran\": false, \"pid\": $$}\$" "$steadfast" lock --json --nonblock json/live -- true
json 125 "lock --json: lost" '"status_name": "STEADFAST_E_LOCK_LOST".*"ran": true' "$steadfast" lock --json json/lock -- rm json/lock
gives 0 "lock --json: standard output is the command's" "$steadfast" lock --json json/lock -- echo mine
[ "$(cat output)" = mine ]
result $? "and only the command's"
gives 2 "inspect: an unknown option" "$steadfast" inspect --jason json/lock
gives 2 "clean: an unknown option" "$steadfast" clean --force json/lock
echo "$dead" >./-stale
gives 0 "clean: behind --, a path that looks like an option" "$steadfast" clean -- -stale
if [ -n "$reader" ]; then
    [ "$valid" -ge 20 ]
    result $? "every kind of JSON was read ($valid)"
fi

. "$here/programs.sh"
. "$here/plain.sh"
. "$here/alternating.sh"
. "$here/streams.sh"
. "$here/options.sh"
. "$here/waiting.sh"
. "$here/sweep.sh"
. "$here/signals.sh"

end
