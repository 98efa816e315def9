#!/usr/bin/env bash
# Builds and runs the tests of steadfast.hpp, the examples in examples/cpp and the snippets of docs/cpp.md.
#
#   run.sh --lib DIR --out DIR [--quick]
#
# --quick: g++ and C++17 alone, without the examples. Else g++ and clang++, C++17 and C++20, with and without exceptions, AddressSanitizer.
# The last line is `N passed, N failed`.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
lib= out= quick=
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --quick) quick=1; shift ;;
        *) echo "run.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$lib" ] && [ -n "$out" ] || { echo "usage: run.sh --lib DIR --out DIR [--quick]" >&2; exit 2; }

. "$root/tools/check-lib.sh"

flags="-O0 -Wall -Wextra -Wpedantic -Wshadow -Werror -I$here -I$root/ctests -I$root/include"
link="-L$lib -Wl,-rpath,$lib -lsteadfast -pthread"
bare="-fno-exceptions -fno-rtti"

# NAME CXX STD MODE: one test program, whose second unit is of the other kind. Flags are lists of words.
# shellcheck disable=SC2086
program() {
    local name=$1 cxx=$2 std=$3 mode=$4 ours= theirs=$bare sanitize= bin
    case $mode in
        bare) ours=$bare theirs= ;;
        asan) sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all" ;;
        tsan) sanitize=-fsanitize=thread ;;
    esac
    bin=$out/$name-$cxx-$std-$mode
    if ! { $cxx -std=$std $flags $sanitize $ours -c "$here/$name.cc" -o "$bin.o" &&
           $cxx -std=$std $flags $sanitize $theirs -c "$here/other_unit.cc" -o "$bin-other.o" &&
           $cxx $sanitize "$bin.o" "$bin-other.o" $link -o "$bin"; } >"$bin.log" 2>&1; then
        sed 's/^/# /' "$bin.log" | head -n 20
        note 1 "$name, $cxx $std $mode: builds"
        return
    fi
    "$bin" >"$bin.log" 2>&1
    local code=$? sum
    sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$bin.log" | tail -n 1)
    if [ "$code" -ne 0 ] || [ -z "$sum" ]; then grep -vE '^ok|passed,' "$bin.log" | head -n 20; fi
    note "$code" "$name, $cxx $std $mode: ${sum:-no result}"
    [ -z "$sum" ] || passed=$((passed + ${sum%% *}))
}

# SOURCE: a whole program, run in an empty directory.
# shellcheck disable=SC2086
example() {
    local name bin dir
    name=$(basename "$1" .cc)
    bin=$out/$name
    dir=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-cpp-XXXXXX")
    if g++ -std=c++17 $flags "$1" $link -o "$bin" >"$bin.log" 2>&1 && (cd "$dir" && "$bin") >"$bin.log" 2>&1; then
        note 0 "$name builds and runs"
    else
        sed 's/^/# /' "$bin.log" | head -n 20
        note 1 "$name builds and runs"
    fi
    rm -rf "$dir"
}

have() { # CXX: is it there? CI must have it.
    command -v "$1" >/dev/null && return 0
    lacking "$1 is not installed"
    return 1
}

if have g++; then
    program results g++ c++17 throw
    program locks g++ c++17 throw
    program throwing g++ c++17 throw
    if [ -z "$quick" ]; then
        program results g++ c++17 bare
        program locks g++ c++17 bare
        program mutexes g++ c++17 bare
        program results g++ c++20 bare
        for name in results locks mutexes throwing; do program "$name" g++ c++20 asan; done
        # All of its synchronisation is in the header, so the library itself need not be instrumented.
        program mutexes g++ c++17 tsan
        for source in "$root"/examples/cpp/*.cc; do example "$source"; done
        # Each ```cpp block of the page is a whole program.
        rm -f "$out"/snippet-*.cc
        awk -v out="$out" '/^```cpp$/ { inside = 1; n++; next } /^```$/ { inside = 0 } inside { print > out "/snippet-" n ".cc" }' "$root/docs/cpp.md"
        for source in "$out"/snippet-*.cc; do example "$source"; done
    fi
fi
if [ -z "$quick" ] && have clang++; then
    program results clang++ c++17 bare
    program mutexes clang++ c++20 bare
    program results clang++ c++20 throw
    program locks clang++ c++20 throw
    program throwing clang++ c++17 throw
fi
end
