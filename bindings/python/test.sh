#!/usr/bin/env bash
# Wheel, clean venv and tests of the Python package: test.sh --lib DIR --out DIR. `make lint` checks its types.
#
# DIR of --lib holds libsteadfast.so; STEADFAST_PYTHON is a Python with the tools that .ci/setup installs. A library for
# old systems, named by STEADFAST_OLD_LIBRARY, makes a second wheel. The last line is `N passed, N failed`.
set -u
here=$(cd "$(dirname "$0")" && pwd)
lib= out=
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        *) echo "test.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$lib" ] && [ -n "$out" ] || { echo "usage: test.sh --lib DIR --out DIR" >&2; exit 2; }
python=${STEADFAST_PYTHON:-python3}
unset PYTHONPATH STEADFAST_LIBRARY
export PYTHONDONTWRITEBYTECODE=1

. "$here/../../tools/check-lib.sh"

if ! "$python" -c 'import hatchling, pytest' 2>/dev/null; then
    lacking "hatchling or pytest is not installed (.ci/setup does that)"
    end
fi

# LIBRARY: its wheel, in a clean venv: `pip install`, and a program in a directory of its own.
try_wheel() {
    local wheel tag dir
    rm -rf "$out/wheel" "$out/clean"
    if ! wheel=$(bash "$here/build_wheel.sh" "$1" "$out/wheel" "$python" 2>"$out/wheel.log"); then
        sed 's/^/# /' "$out/wheel.log" | tail -n 20
        note 1 "the wheel is built"
        return 1
    fi
    tag=${wheel##*-}
    case $(basename "$wheel") in
        steadfast-*-py3-none-manylinux_2_*_*.whl) note 0 "the wheel is built: $(basename "$wheel")" ;;
        *) note 1 "a wheel for manylinux: $(basename "$wheel")" ;;
    esac
    "$python" -m venv "$out/clean" && "$out/clean/bin/python" -m pip -q --disable-pip-version-check install --no-index "$wheel" >"$out/install.log" 2>&1
    note $? "and installed into a clean venv"
    dir=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-python-XXXXXX")
    (cd "$dir" && "$out/clean/bin/python" -I -W error - "$out/clean") <<'PROGRAM'
import importlib.metadata
import sys
import steadfast
about = importlib.metadata.distribution("steadfast")
assert about.metadata["License-Expression"] == "MIT OR Apache-2.0"
assert any(file.name == "LICENSE" for file in about.files)
assert steadfast.library_path.startswith(sys.argv[1]), steadfast.library_path
with steadfast.Lock("lock", timeout=5):
    assert steadfast.save("state", b"x").durable
assert steadfast.load("state").data == b"x"
PROGRAM
    note $? "where it locks, saves and loads with its own library (${tag%.whl})"
    rm -rf "$dir"
}

if [ -n "${STEADFAST_OLD_LIBRARY:-}" ]; then
    try_wheel "$STEADFAST_OLD_LIBRARY"
fi
if try_wheel "$lib/libsteadfast.so"; then
    # The tests, on what was installed and not on the source.
    rm -rf "$out/installed"
    "$python" -m pip -q --disable-pip-version-check install --no-index --no-deps --target "$out/installed" "$out"/wheel/*.whl >"$out/install.log" 2>&1
    note $? "installed for the tests"
    (cd "$out" && PYTHONPATH=$out/installed "$python" -m pytest -p no:cacheprovider -c "$here/pyproject.toml" "$here/tests") >"$out/pytest.log" 2>&1
    code=$?
    cat "$out/pytest.log"
    count() { tail -n 1 "$out/pytest.log" | grep -oE "[0-9]+ $1" | cut -d' ' -f1; }
    ran=$(count passed) broke=$(count failed)
    passed=$((passed + ${ran:-0})) failed=$((failed + ${broke:-0}))
    # Errors of fixtures, a crash, nothing collected: counted too.
    if [ "$code" -ne 0 ] && [ "${broke:-0}" -eq 0 ]; then note 1 "pytest ends well"; fi
fi
end
