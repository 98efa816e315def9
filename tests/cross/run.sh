#!/usr/bin/env bash
# The cross-language test: run.sh --lib BUILD [--out DIR]. README.md says what it does.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[ "${1:-}" = --lib ] && [ -n "${2:-}" ] || { echo "usage: run.sh --lib BUILD [--out DIR]" >&2; exit 2; }
build=$(cd "$2" && pwd)
out=$build/cross
[ "${3:-}" != --out ] || out=$4
mkdir -p "$out"
python=${STEADFAST_PYTHON:-python3}

. "$root/tools/check-lib.sh"

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
. "$root/bindings/go/environment.sh"
go_environment "$build" "$work"
export STEADFAST_LIBRARY=$build/libsteadfast.so.0 PYTHONPATH=$root/bindings/python PYTHONDONTWRITEBYTECODE=1

# C is always there: it is what builds the rest.
"${CC:-cc}" -std=gnu11 -Wall -Wextra -I"$root/include" "$here/workers/worker.c" -L"$build" -lsteadfast -o "$out/worker-c"
note $? "the C worker is built"

all=1
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null || { lacking "Python 3.9 is not installed"; all=0; }
node -e "require('koffi')" 2>/dev/null || { lacking "node, or koffi on NODE_PATH, is not installed (.ci/setup does that)"; all=0; }
if command -v go >/dev/null && command -v pkg-config >/dev/null; then
    (cd "$here/workers/go" && go build -buildvcs=false -o "$out/worker-go" .) || { note 1 "the Go worker is built"; all=0; }
else
    lacking "go or pkg-config is not installed"
    all=0
fi
[ "$all" = 1 ] && [ "$failed" -eq 0 ] || end

others=
while read -r language; do
    others="$others, \"dlopen-$language\": [\"$root/examples/dlopen/launch.sh\", \"--lib\", \"$build\", \"$language\"]"
done < <("$root/examples/dlopen/launch.sh" --lib "$build" --list 2>"$work/missing")
while read -r line; do
    case $line in *": missing: "*) lacking "${line/: missing:/ is missing:}" ;; esac
done <"$work/missing"

export STEADFAST_CROSS_OTHERS="{${others#, }}"
export STEADFAST_CROSS_WORKERS="{\"python\": [\"$python\", \"$here/workers/worker.py\"], \"node\": [\"node\", \"$here/workers/worker.mjs\"],
    \"go\": [\"$out/worker-go\"], \"c\": [\"$out/worker-c\"]}"
echo "# python node go c$(grep -o ' "[a-z-]*":' <<<"$others" | tr -d '":\n')"
"$python" "$here/run.py" >"$work/log" 2>&1
code=$?
cat "$work/log"
read -r good bad < <(sed -n 's/^tests //p' "$work/log") || { good=0; bad=1; }
passed=$((passed + good))
failed=$((failed + bad))
[ "$code" -eq 0 ] || [ "$bad" -gt 0 ] || failed=$((failed + 1))
end
