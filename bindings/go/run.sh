#!/usr/bin/env bash
# Tests the Go package: run.sh --lib BUILD. Formatting, vet, the tests, and once more under the race detector.
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ "${1:-}" = --lib ] || { echo "usage: run.sh --lib BUILD" >&2; exit 2; }
build=$(cd "$2" && pwd)
passed=0
failed=0
ok() { passed=$((passed + 1)); echo "ok - $1"; }
not_ok() { failed=$((failed + 1)); echo "not ok - $1"; }
finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}

# Needs no tool: every code of the library has its error here.
missing=$(grep -o 'STEADFAST_E_[A-Z_]* = -' "$here/../../include/steadfast.h" | sed 's/ = -//' |
    while read -r code; do grep -q "C\.$code\$" "$here/steadfast.go" || echo "$code"; done)
if [ -z "$missing" ]; then ok "every code has its error"; else not_ok "codes without an error: $missing"; fi

for tool in go pkg-config cc; do
    command -v "$tool" >/dev/null && continue
    if [ -n "${CI:-}${STEADFAST_CI:-}" ]; then
        not_ok "$tool is not installed"
    else
        echo "SKIPPED: $tool is not installed"
    fi
    finish
done

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
. "$here/environment.sh"
go_environment "$build" "$work"

cd "$here" || exit 1
if [ -z "$(gofmt -l .)" ]; then ok "gofmt"; else not_ok "gofmt: $(gofmt -l . | tr '\n' ' ')"; fi
if go vet .; then ok "go vet"; else not_ok "go vet"; fi

tests() {
    local log=$work/log
    go test -count=1 -v "$@" . >"$log" 2>&1
    local code=$?
    # go test ends badly without a failed test when it does not compile, panics, or finds a race.
    local bad
    bad=$(grep -c '^--- FAIL' "$log")
    passed=$((passed + $(grep -c '^--- PASS' "$log")))
    if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
    failed=$((failed + bad))
    if [ "$code" -ne 0 ]; then echo "not ok - go test $*"; fi
    sed 's/^/  /' "$log"
}
tests
if [ "$(go env GOARCH)" = amd64 ]; then tests -race -run "Test[^D]"; fi
finish
