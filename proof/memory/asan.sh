#!/usr/bin/env bash
# AddressSanitizer and LeakSanitizer: the library built with them, under the whole C suite and the Rust tests; first the mutants that
# they must see, so that a silent run means something.
#
#   asan.sh --build DIR --target DIR
#
# DIR of --build holds libsteadfast.so.0, which one test opens by name. On stable Rust the flag needs RUSTC_BOOTSTRAP; rustc's and gcc's
# instrumentation call one runtime (ASan ABI 8), so an archive of the one links with programs of the other.
# The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
build='' target=''
while [ $# -gt 0 ]; do
    case $1 in
        --build) build=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --target) mkdir -p "$2" && target=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        *) echo "asan.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$build" ] && [ -n "$target" ] || { echo "usage: asan.sh --build DIR --target DIR" >&2; exit 2; }
out=$build/asan
mkdir -p "$out"
begun=$(date +%s)
. tools/check-lib.sh

CC=${CC:-cc} CXX=${CXX:-c++}
# gcc warns of truncation where its own instrumentation has lost the range of a number.
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=undefined -Wno-format-truncation"
host=$(rustc -vV | sed -n 's/^host: //p')
# shellcheck disable=SC2086
if ! echo 'int main(void) { return 0; }' | $CC $sanitize -x c - -o "$out/probe" 2>/dev/null; then
    lacking "$CC has no AddressSanitizer"
    end
fi

export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address --cfg=sha2_backend_soft=\"compact\"" CARGO_TARGET_DIR=$target/asan
cargo rustc --quiet --lib --no-default-features --features capi --target "$host" --crate-type staticlib
note $? "the library builds with AddressSanitizer"
cp "$CARGO_TARGET_DIR/$host/debug/libsteadfast.a" "$out/" || end
ln -sf "$build/libsteadfast.so.0" "$out/"
nm "$out/libsteadfast.a" 2>/dev/null | grep -q '__asan_report_load'
note $? "and is instrumented"
export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:print_summary=1

# What each mutant must be called in the report.
# shellcheck disable=SC2086
$CC -std=c11 -g $sanitize -Iinclude proof/memory/mutants.c "$out/libsteadfast.a" -lpthread -ldl -o "$out/mutants" || { note 1 "the mutants build"; end; }
scratch=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-asan.XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
killed=0
mutant() { # NAME WORDS
    if ! "$out/mutants" "$1" "$scratch" >"$out/$1.log" 2>&1 && grep -q "$2" "$out/$1.log" && grep -q steadfast "$out/$1.log"; then
        killed=$((killed + 1)); note 0 "mutant killed: $1: $(grep -m 1 -o "$2" "$out/$1.log")"
    else
        note 1 "mutant lives: $1"; tail -n 20 "$out/$1.log" | sed 's/^/# /'
    fi
}
"$out/mutants" none "$scratch"; note $? "no error where there is none"
mutant overread heap-buffer-overflow
mutant overwrite heap-buffer-overflow
mutant leak 'detected memory leaks'
mutant leak_context 'detected memory leaks'
mutant double_free 'double-free\|heap-use-after-free'
mutant use_after_free heap-use-after-free

# The C suite, with its smaller loops. The other core is for the fuzzers, whose time is bounded.
log=$out/c.log
STEADFAST_TEST_SMALL=1 CC="$CC $sanitize" CXX="$CXX $sanitize" bash ctests/run.sh --lib "$out" --out "$out/ctests" --static --lanes 1 >"$log" 2>&1
code=$?
grep -aE '^not ok|ERROR: |SKIPPED' "$log"
sum=$(tail -n 1 "$log")
[[ $sum =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]] && passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
note $code "C suite under ASan, LSan and UBSan: $sum"

# The Rust tests but for the explorer, whose coroutines change stacks under the sanitizer's feet, and for the property tests'
# own mutants, whose panics leave the locks that they held.
# Nothing is optimised here: it is building that takes the time.
export CARGO_PROFILE_TEST_OPT_LEVEL=0 CARGO_PROFILE_TEST_DEBUG=1
for test in model property; do
    [ -e "tests/$test/main.rs" ] || continue
    log=$out/rust-$test.log
    STEADFAST_TEST_SMALL=1 cargo test --target "$host" --test "$test" -- --skip mutants_are_killed >"$log" 2>&1
    code=$?
    grep -aE '^error|ERROR: |panicked' "$log"
    n=$(awk '/^test result:/ { n += $4 } END { print n + 0 }' "$log")
    [ $code = 0 ] && passed=$((passed + n))
    note $code "Rust tests ($test) under ASan and LSan: $n"
done
echo "asan: $killed of 6 mutants killed; $(($(date +%s) - begun)) s"
end
