#!/usr/bin/env bash
# Tests the Node package: run.sh --lib BUILD. koffi, typescript and @types/node are looked for on NODE_PATH (.ci/setup).
set -u
here=$(cd "$(dirname "$0")" && pwd)
[ "${1:-}" = --lib ] || { echo "usage: run.sh --lib BUILD" >&2; exit 2; }
build=$(cd "$2" && pwd)

# Needs no tool.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)
if grep -q "^  \"version\": \"$version\",$" "$here/package.json"; then
    own="1 0"
    echo "ok - package.json has the version of Cargo.toml"
else
    own="0 1"
    echo "not ok - package.json has not the version of Cargo.toml, $version"
fi
finish() {
    echo "$((${own% *} + $1)) passed, $((${own#* } + $2)) failed"
    [ $((${own#* } + $2)) -eq 0 ]
    exit
}

lacks() {
    if [ -n "${CI:-}${STEADFAST_CI:-}" ]; then
        echo "not ok - $1"
        finish 0 1
    fi
    echo "SKIPPED: $1"
    finish 0 0
}
command -v node >/dev/null && command -v npm >/dev/null || lacks "node or npm is not installed"
node -e 'process.exit(Symbol.asyncDispose ? 0 : 1)' || lacks "node is older than 18.18"
for package in koffi typescript @types/node/package.json; do
    node -e 'require.resolve(process.argv[1])' "$package" 2>/dev/null || lacks "$package is not on NODE_PATH (.ci/setup installs it)"
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT
STEADFAST_LIBRARY=$build/libsteadfast.so.0 STEADFAST_BUILD=$build \
    node --test --test-reporter=tap "$here"/test/*.test.js | tee "$log"
passed=$(sed -n 's/^# pass //p' "$log")
failed=$(($(sed -n 's/^# fail //p' "$log") + $(sed -n 's/^# cancelled //p' "$log")))
finish "${passed:-0}" "${failed:-1}"
