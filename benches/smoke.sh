#!/usr/bin/env bash
# Does the harness measure what it says? A few rounds of most parts, in memory; no timing is asserted.
#   benches/smoke.sh BUILD
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$1/bench-smoke
mkdir -p "$out"
work=$out
. "$here/../tools/check-lib.sh"
results=$out/results.tsv
ends_well() {
    QUICK=1 MS=4 timeout 120 bash "$here/run.sh" --lib "$1" --out "$out" --on memory \
        --only cost,saves,alternate,loads,files,lock,syncs,peers,size,writers >"$out/log" 2>&1 || { tail -n 20 "$out/log"; return 1; }
}
check 'the run ends well' ends_well "$1"
grep 'SKIPPED' "$out/log"
has() { awk -F'\t' -v part="$1" -v what="$2" '$1 == part && $2 == what && $12 != "skipped" { found = 1 } END { exit !found }' "$results"; }
for row in 'saves:save' 'saves:save, KEEP_PREVIOUS' 'saves:save, PLAIN' 'alternate:ALTERNATE / bare C' \
    'alternate:load, alternating / a plain one' 'lock:verdict: stale / opening and reading the file' 'cost:dlopen + dlclose' \
    'size:bare C' 'writers:steadfast' 'files:writer / cat + fsync' 'files:watch: from the rename to the waiter' 'cost:save: peak memory beyond the payload'; do
    check "a row: $row" has "${row%%:*}" "${row#*:}"
done
# Thirteen columns everywhere, and numbers where numbers belong.
well_formed() { awk -F'\t' '!/^#/ && (NF != 13 || $4 !~ /^[0-9]+$/ || $7 !~ /^-?[0-9.e+-]+$/) { print; bad = 1 } END { exit bad }' "$results"; }
check 'the table is well formed' well_formed
positive() { awk -F'\t' '($1 == "saves" || $1 == "alternate" || $1 == "peers") && $12 != "skipped" && !($5 > 0 && $6 > 0 && $7 > 0 && $8 <= $7 && $7 <= $9) { print; bad = 1 } END { exit bad }' "$results"; }
check 'times are positive, medians lie between quartiles' positive
if has syncs 'steadfast, as a worker'; then
    as_bare() { [ "$(awk -F'\t' -v w="$1" '$1 == "syncs" && $2 == w { print $5 + $6, $7, $8 }' "$results")" = '1 1 0' ]; }
    check 'one sync of the file and one of the directory: bare' as_bare 'bare C, as a worker'
    check 'one sync of the file and one of the directory: steadfast' as_bare 'steadfast, as a worker'
else
    lacking 'no strace'
fi
end
