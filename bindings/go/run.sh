#!/usr/bin/env bash
# Tests the Go package: run.sh --lib BUILD. The tests, and once more under the race detector. `make lint` has gofmt and go vet.
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ "${1:-}" = --lib ] || { echo "usage: run.sh --lib BUILD" >&2; exit 2; }
build=$(cd "$2" && pwd)
. "$here/../../tools/check-lib.sh"

# Needs no tool: every code of the library has its error here.
missing=$(grep -o 'STEADFAST_E_[A-Z_]* = -' "$here/../../include/steadfast.h" | sed 's/ = -//' |
    while read -r code; do grep -q "C\.$code\$" "$here/steadfast.go" || echo "$code"; done)
[ -z "$missing" ]; note $? "every code has its error${missing:+, but for $missing}"

for tool in go pkg-config cc; do
    command -v "$tool" >/dev/null && continue
    lacking "$tool is not installed"
    end
done

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
. "$here/environment.sh"
go_environment "$build" "$work"

cd "$here" || exit 1
tests() {
    local log=$work/log
    go test -count=1 -v "$@" ./... >"$log" 2>&1
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
if [ "$(go env GOARCH)" = amd64 ]; then tests -race -run "Test([^D]|Dir)"; fi
end
