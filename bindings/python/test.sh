#!/usr/bin/env bash
# Wheels, source distribution, clean venv and tests of the Python package: test.sh --lib DIR --out DIR [--target DIR]. `make lint`
# checks its types.
#
# DIR of --lib holds libsteadfast.so, that of --target is cargo's; STEADFAST_PYTHON is a Python with the tools that .ci/setup
# installs. A library for old systems, named by STEADFAST_OLD_LIBRARY, makes a second wheel. The last line is `N passed, N failed`.
set -u
here=$(cd "$(dirname "$0")" && pwd)
lib= out= target=$here/../../target
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --target) target=$2; shift 2 ;;
        *) echo "test.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$lib" ] && [ -n "$out" ] || { echo "usage: test.sh --lib DIR --out DIR [--target DIR]" >&2; exit 2; }
python=$(command -v "${STEADFAST_PYTHON:-python3}") || exit 2
unset PYTHONPATH STEADFAST_LIBRARY STEADFAST_WHEEL_LIBRARY
export PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1

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
        libsteadfast-*-py3-none-manylinux_2_*_*.whl) note 0 "the wheel is built: $(basename "$wheel")" ;;
        *) note 1 "a wheel for manylinux: $(basename "$wheel")" ;;
    esac
    "$python" -m venv "$out/clean" && "$out/clean/bin/python" -m pip -q install --no-index "$wheel" >"$out/install.log" 2>&1
    note $? "and installed into a clean venv"
    dir=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-python-XXXXXX")
    (cd "$dir" && "$out/clean/bin/python" -I -W error - "$out/clean") <<'PROGRAM'
import importlib.metadata
import sys
import steadfast
about = importlib.metadata.distribution("libsteadfast")
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

# NAME SOURCE PATH: what pip makes of a source where there is no wheel, with PATH as the PATH.
from_source() {
    rm -rf "${out:?}/$1"
    env PATH="$3" CARGO_TARGET_DIR="$target" "$python" -m pip -q wheel --no-deps --no-build-isolation --no-index --wheel-dir "$out/$1" "$2" >"$out/$1.log" 2>&1
}
without_cargo() { grep -qE '^ *libsteadfast: cargo is missing, and the library has to be built here \(Rust 1\.[0-9]+ or later' "$out/$1.log"; }

try_sources() {
    local sdist tools=$out/tools
    rm -rf "$tools" "$out/sdist" && mkdir -p "$tools" "$out/sdist"
    for tool in readelf strip cc sh env; do ln -s "$(command -v "$tool")" "$tools/$tool"; done
    sdist=$out/sdist/$(cd "$here" && "$python" -c 'import hatchling.build, sys; print(hatchling.build.build_sdist(sys.argv[1]))' "$out/sdist" 2>"$out/sdist.log" | tail -n 1)
    note $? "the source distribution is made: $(basename "$sdist")"
    from_source clone "$here" "$PATH"
    note $? "pip builds the library in a clone" || sed 's/^/# /' "$out/clone.log"
    from_source unpacked "$sdist" "$PATH"
    note $? "and from the source distribution" || sed 's/^/# /' "$out/unpacked.log"
    cmp -s "$out"/clone/libsteadfast-*-manylinux_*.whl "$out"/unpacked/libsteadfast-*-manylinux_*.whl
    note $? "both make the same wheel"
    for source in "$here" "$sdist"; do
        if from_source lacking "$source" "$tools"; then note 1 "no wheel without cargo"; continue; fi
        without_cargo lacking
        note $? "what is missing is told in a line: $(grep -o 'libsteadfast: cargo.*' "$out/lacking.log" | head -n 1)"
    done
    STEADFAST_WHEEL_LIBRARY=none from_source pure "$here" "$tools" && [ -f "$(echo "$out"/pure/libsteadfast-*-py3-none-any.whl)" ]
    note $? "a pure wheel needs none of it"
}
if command -v cargo >/dev/null; then try_sources; else lacking "cargo is not installed"; fi

if [ -n "${STEADFAST_OLD_LIBRARY:-}" ]; then
    try_wheel "$STEADFAST_OLD_LIBRARY"
fi
if try_wheel "$lib/libsteadfast.so"; then
    # The tests, on what was installed and not on the source.
    rm -rf "$out/installed"
    "$python" -m pip -q install --no-index --no-deps --target "$out/installed" "$out"/wheel/*.whl >"$out/install.log" 2>&1
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
