#!/usr/bin/env bash
# Tests the programs of examples/dlopen against the command line tool:  run.sh --lib DIR [--out DIR]
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
examples=$root/examples/dlopen
[ "${1:-}" = --lib ] && [ -n "${2:-}" ] || { echo "usage: run.sh --lib DIR [--out DIR]" >&2; exit 2; }
lib=$(cd "$2" && pwd)
out=$lib/dlopen
[ "${3:-}" != --out ] || out=$4
steadfast=$lib/steadfast
launch=("$examples/launch.sh" --lib "$lib" --out "$out")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$root/tools/check-lib.sh"

# tells NAME CONDITION...: a check of what stands in $work/out and $work/err.
tells() { check "$@" || sed 's/^/    # /' "$work/out" "$work/err" 2>/dev/null; }
holds() { grep -qF -- "$2" "$1"; }

mapfile -t languages < <("${launch[@]}" --list 2>"$work/missing")
while read -r line; do
    case $line in
    *": missing: "*)
        lacking "$line" ;;
    *) echo "    # $line" ;;
    esac
done <"$work/missing"

for language in "${languages[@]}"; do
    directory=$work/$language
    mkdir "$directory"

    "${launch[@]}" "$language" demo "$directory" >"$work/out" 2>"$work/err" &
    pid=$!
    wait "$pid"
    tells "$language: demo ends well" equal $? 0
    tells "$language: loads what it saved" equal "$(sed -n 1p "$work/out")" 'generation 1: {"jobs": 3}'
    tells "$language: the lock names it" equal "$(sed -n 2p "$work/out")" "locked by $pid"
    tells "$language: an error has its name, code and message" equal "$(sed -n 3p "$work/out")" \
        "STEADFAST_E_CONFLICT (-10009): the state there has another generation: $directory/app.state"
    tells "$language: the command verifies its state" equal "$("$steadfast" verify -v "$directory/app.state")" \
        "$directory/app.state: OK, generation 1, 11 bytes"
    tells "$language: nothing is left but the state" equal "$(ls -A "$directory")" app.state

    "$steadfast" lock "$directory/app.lock" -- "${launch[@]}" "$language" demo "$directory" >"$work/out" 2>"$work/err"
    tells "$language: a held lock ends it" equal $? 1
    tells "$language: ... and it says so" holds "$work/err" "STEADFAST_E_LOCKED (-10015): "

    # One bit of the payload.
    printf 7 | "$steadfast" save "$directory/number" >/dev/null
    printf 6 | dd of="$directory/number" bs=1 seek=256 conv=notrunc status=none
    "${launch[@]}" "$language" increment "$directory/app.lock" "$directory/number" 1 >"$work/out" 2>"$work/err"
    tells "$language: a damaged state is not loaded" equal $? 1
    tells "$language: ... and it says so" holds "$work/err" "STEADFAST_E_DIGEST (-10003): "
    tells "$language: ... and the lock is released" test ! -e "$directory/app.lock"
    tells "$language: ... and the state left as it was" equal "$(tail -c +257 "$directory/number")" 6
done

# The flags that were copied by hand.
header=$root/include/steadfast.h
while read -r name number; do
    tells "the examples' STEADFAST_$name" grep -qxE " *STEADFAST_$name = $number,?" "$header"
done < <(grep -ohE 'SAVE_[A-Z_]+ =>? [0-9]+' "$examples"/demo.* "$examples"/Demo.* | sed -E 's/ =>? / /' | sort -u)

# All at once on one lock and one counter.
each=20
pids=()
for language in "${languages[@]}"; do
    "${launch[@]}" "$language" increment "$work/lock" "$work/counter" "$each" >"$work/out.$language" 2>&1 &
    pids+=($!)
done
bad=0
for pid in "${pids[@]}"; do
    wait "$pid" || bad=$((bad + 1))
done
cat "$work"/out.* >"$work/out"
: >"$work/err"
tells "together: all end well" equal "$bad" 0
tells "together: ${#languages[@]} languages add up" equal "$("$steadfast" load "$work/counter")" $((each * ${#languages[@]}))
tells "together: one generation for each" holds <("$steadfast" info "$work/counter") "generation  $((each * ${#languages[@]}))"
tells "together: the lock is gone" test ! -e "$work/lock"

[ "$passed" -gt 0 ] || note 1 "something was run"
end
