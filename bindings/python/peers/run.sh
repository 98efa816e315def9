#!/usr/bin/env bash
# filelock's and atomicwrites' own tests, on steadfast.compat: run.sh --lib DIR --out DIR [--sources DIR]
#
# DIR of --sources is what fetch.sh filled (build/peers). inside/ puts our classes in the place of theirs; a test that makes one
# of them has a counterpart. filelock-differences.txt names those that fail, and why. Ends with `N passed, N failed`.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
lib= out= sources=$root/build/peers
while [ $# -gt 1 ]; do
    case $1 in
    --lib) lib=$(cd "$2" && pwd) || exit 2 ;;
    --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2 ;;
    --sources) sources=$2 ;;
    esac
    shift 2
done
[ -n "$lib" ] && [ -n "$out" ] || { echo "usage: run.sh --lib DIR --out DIR [--sources DIR]" >&2; exit 2; }
. "$root/tools/check-lib.sh"
python=$sources/venv/bin/python
if [ ! -x "$python" ] || [ ! -d "$sources/sources" ]; then
    lacking "filelock's and atomicwrites' tests are not there (bindings/python/peers/fetch.sh $sources)"
    end
fi
unset PYTHONPATH
export STEADFAST_LIBRARY=$lib/libsteadfast.so.0 PYTHONDONTWRITEBYTECODE=1

# peer PACKAGE LEAST DIFFERENCES PYTEST-ARGUMENTS...: runs its tests, and adds up what the plugin says at the end.
peer() {
    local log=$out/$1.log tests own
    tests=$(echo "$sources/sources/$1"-*/)
    (
        cd "$tests" || exit
        export STEADFAST_PEER_LEAST=$2 STEADFAST_PEER_KNOWN=$3 STEADFAST_PEER_USED=$out/$1.used
        PYTHONPATH=$root/bindings/python:$here/inside \
            "$python" -m pytest -p peer -p no:cacheprovider -q --tb=short --basetemp="$out/$1.tmp" "${@:4}"
    ) >"$log" 2>&1
    local code=$?
    rm -rf "$out/$1.tmp"
    grep -E '^(not ok|# )' "$log"
    own=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
    if [ "$code" = 0 ] && [[ $own =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
    else
        tail -n 20 "$log" | sed 's/^/  # /'
        note 1 "$1: its tests come to their end (exit code $code)"
    fi
}

# How filelock calls flock, keeps markers, finds hosts and speaks to SQLite are its own matters.
peer filelock 720 "$here/filelock-differences.txt" tests/core tests/async_lock tests/test_asyncio.py
peer atomicwrites 6 /dev/null tests
end
