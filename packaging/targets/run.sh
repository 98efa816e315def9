#!/usr/bin/env bash
# The library for other platforms, and the C tests there: glibc 2.17 (linked by zig), musl (static), aarch64 (under qemu-user);
# and the Python wheels and npm packages for glibc and musl on both machines.
#   run.sh --lib BUILD --target TARGET --out DIR [--rustc DIR]
# DIR of --rustc is what fetch.sh filled: rustc and the source of core. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
build=build target=target out=build/targets rustc=build/rustc
while [ $# -gt 1 ]; do
    case $1 in
    --lib) build=$2 ;;
    --target) target=$2 ;;
    --out) out=$2 ;;
    --rustc) rustc=$2 ;;
    esac
    shift 2
done
. packaging/check.sh
mkdir -p "$out"
out=$(cd "$out" && pwd)
build=$(cd "$build" && pwd)
python=build/venv/bin/python linked=$out
. packaging/targets/libraries.sh

bit() { # STEADFAST_ABSENT_*
    sed -nE "s/.*STEADFAST_ABSENT_$1 = ([0-9]+).*/\1/p" include/steadfast.h
}

# run_tests NAME COMPILE RUN: each C test, its own count added up. `dlopen` and `oom` look at the loader and at malloc of glibc.
run_tests() {
    local name=$1 compile=$2 run=$3 test log sum own
    for test in ctests/*.c; do
        test=$(basename "$test" .c)
        case $name:$test in
        *:dlopen | musl:oom) continue ;;
        glibc217:unwind)
            skip "glibc217: unwind: zig has no personality routine for C"
            continue
            ;;
        esac
        rm -f "$out/$name/$test"
        own=$(sed -n 's/^ \* CFLAGS: //p' "ctests/$test.c")
        # shellcheck disable=SC2086
        check "$name: $test compiles" $compile -std=c11 -O1 -g $own -Ictests -Iinclude "ctests/$test.c" -o "$out/$name/$test" ${4:-} -lpthread -ldl || continue
        log=$out/$name/$test.tap
        # qemu-user has neither io_uring nor io_setup, and keeps no mapping from a child: there it is as on a platform without.
        local absent=0
        case $name:$test in aarch64:state_large) absent=$(bit AIO) ;; aarch64:state_batch) absent=$(bit FSYNC_MANY) ;; aarch64:lock_holder) absent=$(bit MAP) ;; esac
        # shellcheck disable=SC2086
        STEADFAST_TEST_ABSENT=$absent STEADFAST_TEST_SMALL=1 timeout 120 $run "$out/$name/$test" >"$log" 2>&1 ||
            grep -A3 '^not ok' "$log" | sed 's/^/  # /'
        sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
        if [[ $sum =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]] && [ "${BASH_REMATCH[1]}" != 0 ]; then
            passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2]))
            echo "# $name: $test: $sum"
        else
            check "$name: $test ends with a result" false
        fi
    done
}

# The ordinary build asks for nothing newer either; a program that is linked on a new system does.
check "the shared library asks for no more than glibc 2.17" no_newer 2.17 "$build/libsteadfast.so"

exports() { equal "$(nm -D --defined-only "$1" | awk '{ print $3 }' | sort)" "$(sort abi/exports.txt)"; }

zig_tests() {
    local zig="$python -m ziglang cc -target x86_64-linux-gnu.2.17"
    mkdir -p "$out/glibc217"
    check "glibc 2.17: the library is linked against it" zig_links x86_64-linux-gnu.2.17 "$build/libsteadfast.a" || return
    cp "$out/x86_64-linux-gnu.2.17/libsteadfast.so.0" "$out/glibc217"
    check "glibc 2.17: the library asks for no more" no_newer 2.17 "$out/glibc217/libsteadfast.so.0"
    check "glibc 2.17: it exports what it should" exports "$out/glibc217/libsteadfast.so.0"
    # shellcheck disable=SC2086
    check "glibc 2.17: the command" $zig -std=c11 -O2 -pthread -Iinclude cli/*.c "$out/glibc217/libsteadfast.so.0" '-Wl,-rpath,$ORIGIN' -o "$out/glibc217/steadfast" &&
        check "glibc 2.17: the command asks for no more" no_newer 2.17 "$out/glibc217/steadfast" &&
        check "glibc 2.17: the command runs" equal "$("$out/glibc217/steadfast" --version)" "$("$build/steadfast" --version)"
    run_tests glibc217 "$zig" "" "$out/glibc217/libsteadfast.so.0 -Wl,-rpath,$out/glibc217"
}

musl_tests() {
    mkdir -p "$out/musl"
    check "musl: the archive is built" cross x86_64-unknown-linux-musl staticlib || return
    # The kernel's headers, and none of glibc's beside them.
    mkdir -p "$out/musl/kernel"
    ln -sfn /usr/include/linux /usr/include/asm-generic "/usr/include/$(gcc -print-multiarch)/asm" "$out/musl/kernel"
    # musl 1.2.3 does not name it yet.
    run_tests musl "musl-gcc -static -DRENAME_EXCHANGE=2 -idirafter $out/musl/kernel" "" "$target/targets/x86_64-unknown-linux-musl/release/libsteadfast.a"
    check "musl: the programs are static" refuses grep -q NEEDED <(readelf -d "$out/musl/state")
}

arm_tests() {
    mkdir -p "$out/aarch64"
    check "aarch64: the shared library is built" cross aarch64-unknown-linux-gnu cdylib || return
    cp "$target/targets/aarch64-unknown-linux-gnu/release/libsteadfast.so" "$out/aarch64/libsteadfast.so.0"
    check "aarch64: that is what it is for" grep -q AArch64 <(readelf -h "$out/aarch64/libsteadfast.so.0")
    check "aarch64: it asks for no more than glibc 2.17" no_newer 2.17 "$out/aarch64/libsteadfast.so.0"
    # Loader and libraries by their own path, and not by qemu's -L: that moves the root directory too, and a test that makes
    # directories from there would make them in the sysroot.
    local lib=/usr/aarch64-linux-gnu/lib
    run_tests aarch64 aarch64-linux-gnu-gcc "qemu-aarch64 -E LD_LIBRARY_PATH=$lib" \
        "$out/aarch64/libsteadfast.so.0 -Wl,-rpath,$out/aarch64:$lib -Wl,--dynamic-linker=$lib/ld-linux-aarch64.so.1"
    check "aarch64: nothing was made in the sysroot" test ! -e "${lib%/lib}/dev" -a ! -e "${lib%/lib}/tmp"
}

# wheel TAG LIBRARY: the wheel of the library has this tag, and the library in it.
wheel() {
    local made
    made=$(bash bindings/python/build_wheel.sh "$2" "$out/wheels" "$PWD/$python") || return
    equal "$(basename "$made")" "$(basename "$made" | sed -E 's/-py3-.*//')-py3-none-$1.whl" &&
        grep -q " *steadfast/libsteadfast.so.0 " <("$python" -m zipfile -l "$made" | sed "s/^/ /")
}

# npm_package PLATFORM LIBRARY: the package of the library is for this platform, is a dependency, and has the library, stripped.
npm_package() {
    local made name=steadfast-linux-$1 version
    version=$(sed -n 's/^  "version": "\(.*\)",/\1/p' bindings/node/package.json)
    made=$(bash bindings/node/pack_platform.sh "$2" "$out/npm") || return
    equal "$(basename "$made")" "$name-$version.tgz" && grep -q "^    \"$name\": \"$version\"" bindings/node/package.json &&
        tar -xzf "$made" -C "$work" package/libsteadfast.so.0 && exports "$work/package/libsteadfast.so.0" &&
        refuses grep -q '\.symtab' <(readelf -SW "$work/package/libsteadfast.so.0")
}

# packed NPM-PLATFORM WHEEL-TAG LIBRARY
packed() {
    check "wheel: $2" wheel "$2" "$3"
    lacks npm npm || check "npm package: $1" npm_package "$1" "$3"
}

package_tests() {
    local machine cpu lib
    rm -rf "$out/wheels" "$out/npm"
    packed x64-gnu manylinux_2_17_x86_64 "$out/glibc217/libsteadfast.so.0"
    [ ! -f "$out/aarch64/libsteadfast.so.0" ] || packed arm64-gnu manylinux_2_17_aarch64 "$out/aarch64/libsteadfast.so.0"
    for machine in x86_64 aarch64; do
        lib=$out/$machine-linux-musl/libsteadfast.so.0
        # The one for x86-64 is there already.
        check "musl $machine: the archive is built" cross "$machine-unknown-linux-musl" staticlib || continue
        check "musl $machine: the shared library is linked" zig_links "$machine-linux-musl" "$target/targets/$machine-unknown-linux-musl/release/libsteadfast.a" || continue
        check "musl $machine: it exports what it should" exports "$lib"
        case $machine in x86_64) cpu=x64 ;; *) cpu=arm64 ;; esac
        packed "$cpu-musl" "musllinux_1_2_$machine" "$lib"
    done
    # As Python does: by dlopen, in a program that musl's loader has started.
    lib=$out/x86_64-linux-musl/libsteadfast.so.0
    cat >"$work/load.c" <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include "steadfast.h"
int main(int count, char **arguments)
{
    void *library = dlopen(arguments[1], RTLD_NOW);
    if (count != 3 || !library)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    __typeof__(steadfast_lock_acquire) *acquire = (__typeof__(acquire))dlsym(library, "steadfast_lock_acquire");
    __typeof__(steadfast_lock_release) *release = (__typeof__(release))dlsym(library, "steadfast_lock_release");
    steadfast_lock *lock;
    return acquire(0, arguments[2], 0, 0, &lock, 0) != 0 || release(lock, 0) != 0;
}
C
    check "musl x86_64: a program is built" musl-gcc -Iinclude "$work/load.c" -o "$work/load" -ldl &&
        check "musl x86_64: it is musl's" grep -q ld-musl <(readelf -lW "$work/load") &&
        check "musl x86_64: it loads the library, and takes a lock" "$work/load" "$lib" "$work/lock"
}

platform() { # TESTS: with a directory and counts of its own
    local work=$work/$1 passed=0 failed=0 skipped=0
    mkdir "$work"
    "$1"
    echo "$passed $failed $skipped" >"$work/counted"
}
platforms=()
begin() { # TESTS: in the background
    platforms+=("$1")
    platform "$1" >"$out/$1.log" 2>&1 &
}

if "$python" -c 'import ziglang' 2>/dev/null; then
    begin zig_tests
else
    lacking "no ziglang (PyPI) in build/venv"
fi
if [ ! -x "$cross_rustc/rustc" ]; then
    lacking "no rustc with the source of core (packaging/targets/fetch.sh $rustc)"
else
    lacks musl-gcc musl-tools || begin musl_tests
    lacks aarch64-linux-gnu-gcc "gcc-aarch64-linux-gnu, libc6-dev-arm64-cross" || lacks qemu-aarch64 qemu-user || begin arm_tests
fi
wait
for name in "${platforms[@]}"; do
    cat "$out/$name.log"
    read -r good bad left < <(cat "$work/$name/counted" || echo 0 1 0)
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left))
done
# These take the libraries of the others.
if [ -x "$cross_rustc/rustc" ] && "$python" -c 'import ziglang' 2>/dev/null; then
    lacks musl-gcc musl-tools || package_tests
fi
end
