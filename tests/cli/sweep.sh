# sweep. Read by run.sh.
# shellcheck shell=bash disable=SC2154

mkdir sweep
: >sweep/.state.0.tmp
: >sweep/.state.x.tmp
echo "$dead" >sweep/x.lock
echo "$dead" >sweep/data
echo $$ >sweep/live.pid
gives 0 "sweep --dry-run" "$steadfast" sweep --dry-run --locks sweep
says output '^sweep/\.state\.0\.tmp: stale \(a killed writer left it' "what would be removed"
says output "^sweep/x\.lock: stale .*PID $dead" "a lock as well"
[ "$(wc -l <output)" = 2 ] && [ "$(find sweep -type f | wc -l)" = 5 ]
result $? "nothing else is told, and nothing is removed"
gives 0 "sweep" "$steadfast" sweep sweep
[ ! -s output ] && [ ! -e sweep/.state.0.tmp ] && [ "$(find sweep -type f | wc -l)" = 4 ]
result $? "the temporary file is gone, without a word, and nothing else"
gives 0 "sweep --locks -v" "$steadfast" sweep --locks -v sweep
says output '^sweep/live\.pid: held' "what is kept is told"
[ ! -e sweep/x.lock ] && [ -e sweep/data ] && [ -e sweep/live.pid ] && [ -e sweep/.state.x.tmp ]
result $? "the stale lock is gone"
: >sweep/.state.0.tmp
json 0 "sweep --json" '"names": \[\{"name": ".state.0.tmp", "verdict": "removed", .*\}\], "removed": 1, "kept": 0, "exit_code": 0' "$steadfast" sweep --json sweep
: >sweep/.state.0.tmp
gives 3 "sweep: several, and one is not there" "$steadfast" sweep nowhere sweep
[ ! -e sweep/.state.0.tmp ]
result $? "the other one is done"
gives 1 "sweep: no directory" "$steadfast" sweep sweep/data
says errors ENOTDIR "told as such"
# A lock that cannot be opened: there is no descriptor left. Those that CI has open would leave none for the loader either.
mkdir failing
: >failing/.state.1.prev.tmp
echo "$dead" >failing/x.lock
few() {
    (
        for fd in "/proc/$BASHPID/fd"/*; do
            [ "${fd##*/}" -le 2 ] || eval "exec ${fd##*/}>&-"
        done
        ulimit -n 4 && exec "$@"
    )
}
gives 1 "sweep --dry-run --json: one cannot be judged" few "$steadfast" sweep --dry-run --json --locks failing
says output '"removed": 1, "kept": 1, "exit_code": 1, ' "nothing has changed, as its exit code says"
gives 2 "sweep: no path" "$steadfast" sweep
