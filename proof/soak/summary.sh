#!/usr/bin/env bash
# What a soak did, in one table, from the logs of its suites: summary.sh BUILD
set -u
logs=$1/logs
line() { printf '%-18s %s\n' "$1" "$2"; }
told() { # SUITE PATTERN: the lines of its log that say what was explored
    [ -s "$logs/$1.log" ] && grep -aE "$2" "$logs/$1.log" | sed -E 's/^ok - //; s/^(not ok - )/FAILED: /'
}
sum() { awk -v word="$1" '{ for (i = 2; i <= NF; i++) if ($i ~ "^" word) total += $(i - 1) } END { printf "%d", total }'; }

echo
echo "layer              what was explored, and found"
for suite in explorer property model race crash-disk storm fuzz blocks calls looks schedules kernel; do
    [ -s "$logs/$suite.log" ] || { line "$suite" "not run"; continue; }
    if grep -qa SKIPPED "$logs/$suite.log" && [ "$suite" != explorer ]; then line "$suite" "$(grep -am 1 -oE 'SKIPPED.*' "$logs/$suite.log")"; fi
    case $suite in
        explorer) line explorer "$(told explorer ' schedules ' | wc -l) scenarios, $(told explorer ' schedules ' | sum schedules) schedules, $(told explorer 'mutants killed' | tail -n 1 | sed 's/explorer: //')" ;;
        property) line property "$(told property '^property: corpus' | sum inputs) kept inputs replayed, ${PROPTEST_CASES:-256} cases for each property" ;;
        race) line race "$(told race '^(kill -9|storm)|double' | head -n 1)" ;;
        crash-disk) line crash-disk "$(tail -n 1 "$logs/crash-disk.log")" ;;
        storm) told storm 'storm: |sizes: ' | while read -r text; do line storm "$text"; done ;;
        fuzz) told fuzz 'fuzz (record|lock|calls)' | while read -r text; do line fuzz "$text"; done ;;
        *) told "$suite" '^summary: |[0-9]+ (states|cases|schedules|mutants|histories)' | sed 's/^summary: //' | tail -n 12 | while read -r text; do line "$suite" "$text"; done ;;
    esac
    line "" "$(tail -n 1 "$logs/$suite.log")"
done
