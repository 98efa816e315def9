# save and watch with a COMMAND, update with a FILTER. Read by run.sh.
# shellcheck shell=bash disable=SC2016,SC2154

mkdir programs
gives 0 "save -- COMMAND" "$steadfast" save programs/s --schema 3 -- echo one
gives 0 "load" "$steadfast" load programs/s
says output '^one$' "what it wrote is the state"
gives 1 "save -- COMMAND that fails" "$steadfast" save programs/s -- sh -c 'echo half; exit 3'
says errors '^steadfast: sh: exit code 3$' "its exit code is told"
says errors '^steadfast: nothing was saved$' "and that nothing was saved"
gives 1 "save -- COMMAND that is killed" "$steadfast" save programs/s -- sh -c 'echo half; kill -9 $$'
says errors '^steadfast: sh: ended by signal 9$' "its signal is told"
gives 1 "save -- COMMAND that does not exist" "$steadfast" save programs/s -- ./no-such-command
says errors 'no-such-command: No such file' "told as such"
gives 0 "verify" "$steadfast" verify -v programs/s
says output 'generation 1, 4 bytes' "the state is as it was"
gives 0 "save -- COMMAND with our standard input" "$steadfast" save programs/in -- tr a-z A-Z <<<"from outside"
gives 0 "load" "$steadfast" load programs/in
says output '^FROM OUTSIDE$' "it read it"
gives 0 "save -- COMMAND with options like ours" "$steadfast" save programs/in -- echo --strict --json
gives 0 "load" "$steadfast" load programs/in
says output '^--strict --json$' "they are the command's"
gives 2 "save: no command behind --" "$steadfast" save programs/in --
# Whoever writes to a pipe that nobody reads dies of it, as everywhere.
gives 0 "save -- COMMAND: SIGPIPE is not ignored in it" "$steadfast" save programs/pipe -- bash -c 'trap -p PIPE; yes | head -n 1; echo "${PIPESTATUS[0]}"'
gives 0 "load" "$steadfast" load programs/pipe
says output '^141$' "its yes ended by SIGPIPE"

gives 0 "update" "$steadfast" update -v programs/s -- sed s/one/two/
says output 'generation 2, 4 bytes' "told as a save is"
gives 0 "info" "$steadfast" info programs/s
says output '^schema +3$' "the schema stays"
gives 0 "load" "$steadfast" load programs/s
says output '^two$' "what the filter made of it is the state"
gives 0 "update --schema --keep-previous" "$steadfast" update --schema 4 --keep-previous programs/s -- cat
gives 0 "info" "$steadfast" info programs/s
says output '^schema +4$' "the schema is the new one"
gives 1 "update with a filter that fails" "$steadfast" update programs/s -- sh -c 'cat; exit 1'
says errors '^steadfast: nothing was saved$' "it says so"
gives 0 "verify" "$steadfast" verify -v programs/s
says output 'generation 3, 4 bytes' "the state is as it was"
gives 0 "update where nothing is" "$steadfast" update programs/new -- wc -c
gives 0 "load" "$steadfast" load programs/new
says output '^0$' "the filter got nothing"
gives 0 "update of three megabytes" "$steadfast" update large-state -- cat
"$steadfast" load large-state 2>errors | cmp - large >output
result $? "nothing is lost on the way through a filter"
gives 0 "update with a filter that does not read all" "$steadfast" update -v large-state -- head -c 5
says output '5 bytes$' "what it wrote is the state"
truncate -s 100 programs/s
gives 4 "update: damaged" "$steadfast" update programs/s -- cat
gives 0 "update --recover" "$steadfast" update --recover programs/s -- cat
gives 2 "update without a filter" "$steadfast" update programs/s
gives 2 "update --if-generation" "$steadfast" update --if-generation 1 programs/s -- cat
# Others update meanwhile: each change is made to what was there.
for _ in 1 2 3 4; do
    for _ in 1 2 3 4 5; do "$steadfast" update programs/n -- sh -c 'read n || n=0; echo $((n + 1))' || break; done >>counted 2>&1 &
    counters="${counters-} $!"
done
# shellcheck disable=SC2086
wait $counters
[ "$("$steadfast" load programs/n)" = 20 ]
result $? "four that update five times each lose no change"

"$steadfast" save programs/w <<<0 >output
"$steadfast" watch programs/w >seen 2>errors &
background=$!
# It says nothing of the generation that is there, so that nothing tells that it has begun.
begun() { "$steadfast" save programs/w <<<x >output && [ -s seen ]; }
await begun
result $? "watch: a new generation"
"$steadfast" remove programs/w
await grep -q 'programs/w: removed$' seen
result $? "a removal"
"$steadfast" save programs/w <<<again >output
await grep -q 'generation 1$' seen
result $? "a new one"
head -c 100 /dev/zero >programs/w
await grep -q STEADFAST_E_ errors
result $? "damage, on standard error"
kill -TERM $background
wait $background
[ $? = 143 ]
result $? "it ends by a signal"
background=
gives 0 "watch --once --since: another one is there" "$steadfast" watch --once --since 7 programs/new
gives 0 "watch --once --since, JSON" "$steadfast" watch --json --once --since 0 programs/new
says output '"command": "watch", .*"exit_code": 0, .*"generation": 1}$' "one line"
gives 0 "watch --once -- COMMAND" "$steadfast" watch --once --since 0 programs/new -- sh -c 'echo "it is $STEADFAST_GENERATION"'
says output '^it is 1$' "it knows the generation"
gives 1 "watch --once -- COMMAND that fails" "$steadfast" watch --once --since 0 programs/new -- false
gives 4 "watch --once: damaged" "$steadfast" watch --once programs/w
gives 2 "watch: no number" "$steadfast" watch --since x programs/w
gives 2 "watch: two paths" "$steadfast" watch programs/w programs/new
gives 2 "watch: no command behind --" "$steadfast" watch programs/w --
