#!/usr/bin/env bash
# Tests the Node package: run.sh --lib BUILD. koffi, typescript and @types/node are looked for on NODE_PATH (.ci/setup).
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ "${1:-}" = --lib ] || { echo "usage: run.sh --lib BUILD" >&2; exit 2; }
build=$(cd "$2" && pwd)

. "$here/../../tools/check-lib.sh"

# Needs no tool.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)
grep -q "^  \"version\": \"$version\",$" "$here/package.json"
note $? "package.json has the version of Cargo.toml, $version"
[ "$(grep -c "^    \"steadfast-linux-[a-z0-9-]*\": \"$version\",\{0,1\}$" "$here/package.json")" = 4 ]
note $? "and so have the packages of the platforms"

lacks() { lacking "$1"; end; }
command -v node >/dev/null && command -v npm >/dev/null || lacks "node or npm is not installed"
node -e 'process.exit(Symbol.asyncDispose ? 0 : 1)' || lacks "node is older than 18.18"
for package in koffi typescript @types/node/package.json; do
    node -e 'require.resolve(process.argv[1])' "$package" 2>/dev/null || lacks "$package is not on NODE_PATH (.ci/setup installs it)"
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
STEADFAST_LIBRARY=$build/libsteadfast.so.0 STEADFAST_BUILD=$build \
    node --test --test-reporter=tap "$here"/test/*.test.js | tee "$log"
count() { sed -n "s/^# $1 //p" "$log"; }
if [ -n "$(count pass)" ]; then
    passed=$((passed + $(count pass))) failed=$((failed + $(count fail) + $(count cancelled)))
else
    note 1 "node --test ends with a result"
fi
end
