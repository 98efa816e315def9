#!/usr/bin/env bash
# Installs into an empty directory, and uses what is there as a stranger would: flags from pkg-config and nothing else.
# MAKE, CC: as in the Makefile. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
MAKE=${MAKE:-make}
CC=${CC:-cc}
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR PREFIX LIBDIR INCLUDEDIR BINDIR MANDIR COMPLETIONDIR
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-install.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
. tools/check-lib.sh
matches() { grep -qE "$2" <<<"$1" || { printf 'got:      %s\nexpected: %s\n' "$1" "$2"; return 1; }; }

if ! command -v pkg-config >/dev/null; then
    lacking "pkg-config is not installed, so nothing of the installation was tested"
    end
fi

check "the version is the same everywhere" bash packaging/versions.sh

cat >"$work/program.c" <<'C'
#include <steadfast.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    steadfast_report report = { .size = sizeof report };
    steadfast_state state = { .size = sizeof state };
    steadfast_lock *lock = NULL;
    char path[4096];
    snprintf(path, sizeof path, "%s.lock", argc > 1 ? argv[1] : "");
    if (argc != 2 || steadfast_lock_acquire(NULL, path, 0, NULL, &lock, &report) != STEADFAST_OK
        || steadfast_state_save(NULL, argv[1], "hello", 5, NULL, &report) != STEADFAST_OK
        || steadfast_state_load(NULL, argv[1], NULL, &state, &report) != STEADFAST_OK
        || state.len != 5 || memcmp(state.data, "hello", 5) != 0
        || steadfast_lock_release(lock, &report) != STEADFAST_OK) {
        fprintf(stderr, "%s\n", report.message);
        return 1;
    }
    steadfast_state_free(&state);
    printf("%s %u\n", steadfast_version(), (unsigned)steadfast_abi_version());
    return 0;
}
C

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
root=$work/root
lib=$root/opt/steadfast/lib64
install=(DESTDIR="$root" PREFIX=/opt/steadfast LIBDIR=/opt/steadfast/lib64)

check "make install" "$MAKE" -s install "${install[@]}"
# Links are told as such, a file is checked to be one.
check "the library is there under its full name" test -f "$lib/libsteadfast.so.$version" -a ! -L "$lib/libsteadfast.so.$version"
check "the SONAME leads to it" equal "$(readlink "$lib/libsteadfast.so.0")" "libsteadfast.so.$version"
check "so does the linker's name" equal "$(readlink -f "$lib/libsteadfast.so")" "$(readlink -f "$lib/libsteadfast.so.$version")"
check "the header is the committed one" cmp include/steadfast.h "$root/opt/steadfast/include/steadfast.h"
check "every header is there" equal "$(ls "$root/opt/steadfast/include")" "$(ls include)"
check "the command is there and runs, with no library to load" equal "$("$root/opt/steadfast/bin/steadfast" --version)" "steadfast $version"
check "the command names no directory" refuses matches "$(readelf -d "$root/opt/steadfast/bin/steadfast")" 'R(UN)?PATH|libsteadfast'
check "the CMake files are of this version" matches "$(cat "$lib/cmake/steadfast/steadfast-config-version.cmake")" "PACKAGE_VERSION \"$version\""
check "and find the header from where they lie" matches "$(cat "$lib/cmake/steadfast/steadfast-config.cmake")" '"(\.\./\.\./\.\./include|/opt/steadfast/include)"'
check "every manual page is there" equal "$(cd "$root/opt/steadfast/share/man" 2>/dev/null && find . -name '*.[1-8]' | sed 's,.*/,,' | sort)" \
    "$(find docs -path 'docs/man/*.[1-8]' | sed 's,.*/,,' | sort)"
share=$root/opt/steadfast/share
check "bash, zsh and fish complete" bash tests/cli/completion.sh "$share/bash-completion/completions/steadfast" "$share/zsh/site-functions/_steadfast" \
    "$share/fish/vendor_completions.d/steadfast.fish" "$root/opt/steadfast/bin/steadfast"
check "nothing lies outside the prefix" equal "$(find "$root" -type f -o -type l | grep -v "^$root/opt/steadfast/")" ""
check "nothing is writable for others" equal "$(find "$root" -type f -perm /022)" ""

export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
check "pkg-config finds it" pkg-config --exists steadfast
check "the version is Cargo.toml's" equal "$(pkg-config --modversion steadfast)" "$version"
check "a link by it names no private library" equal "$(pkg-config --libs-only-l steadfast | xargs)" "-lsteadfast"
check "no path of the build is left in the .pc" refuses grep -E "$root|$PWD|@[A-Z]" "$lib/pkgconfig/steadfast.pc"
check "nor in the CMake files" refuses grep -rE "$root|$PWD|@[A-Z]" "$lib/cmake"

# What rustc says today, against what was installed.
native=$(CARGO_TARGET_DIR=target ${CARGO:-cargo} rustc --lib --release --no-default-features --features capi --crate-type staticlib -- --print native-static-libs 2>&1 |
    sed -n 's/^note: native-static-libs: //p' | tail -n 1 | xargs)
check "rustc names the libraries of a static link" test -n "$native"
check "Libs.private is what rustc says" equal "$(sed -n 's/^Libs.private: //p' "$lib/pkgconfig/steadfast.pc" | xargs)" "$native"

# shellcheck disable=SC2046
compile() { "$CC" "${@:2}" "$work/program.c" $(pkg-config ${1:+"$1"} --cflags --libs steadfast) -o "$work/program"; }
run() { equal "$("$work/program" "$work/state")" "$version 0"; }
check "a program compiles and links, shared" compile "" -std=c11 -Wall -Werror
check "it needs the library by its SONAME" matches "$(readelf -d "$work/program")" 'NEEDED.*\[libsteadfast\.so\.0\]'
export LD_LIBRARY_PATH=$lib
check "it runs, and library, header and .pc are of one version" run
unset LD_LIBRARY_PATH
if echo 'int main(void) { return 0; }' | "$CC" -x c - -static -o "$work/probe" 2>/dev/null; then
    check "a program compiles and links, wholly static" compile --static -std=c11 -Wall -Werror -static
    check "it runs, with nothing to load" run
    check "it is static" refuses matches "$(readelf -d "$work/program")" 'NEEDED'
else
    skip "no static C library"
fi
mkdir "$work/hidden"
mv "$lib"/libsteadfast.so* "$work/hidden"
check "a program links with the archive where there is no shared library" compile --static -std=c11
check "it runs" run
check "it does not need the shared library" refuses matches "$(readelf -d "$work/program")" 'libsteadfast'
mv "$work/hidden"/libsteadfast.so* "$lib"
if command -v c++ >/dev/null; then
    echo '#include <steadfast.h>
int main() { return steadfast_hooks_init().size == sizeof(steadfast_hooks) ? 0 : 1; }' >"$work/program.cc"
    # shellcheck disable=SC2046
    check "a C++ program compiles" c++ -std=c++17 -Wall -Werror "$work/program.cc" $(pkg-config --cflags --libs steadfast) -o "$work/program"
else
    skip "no C++ compiler"
fi
unset PKG_CONFIG_SYSROOT_DIR

check "make install-strip" "$MAKE" -s install-strip "${install[@]}"
check "stripped, the library has at most 260 KiB" test "$(wc -c <"$lib/libsteadfast.so.$version")" -le 266240
check "a second install over the first" "$MAKE" -s install "${install[@]}"
check "make uninstall" "$MAKE" -s uninstall "${install[@]}"
check "no file and no link is left" equal "$(find "$root" -type f -o -type l)" ""

# Another place, with a space in it, then the .pc must tell that place.
spaced="$work/a root"
check "make install with the defaults, below a directory with a space" "$MAKE" -s install DESTDIR="$spaced"
check "the .pc was written anew" equal "$(sed -n 's/^libdir=//p' "$spaced/usr/local/lib/pkgconfig/steadfast.pc")" /usr/local/lib
check "make uninstall there" "$MAKE" -s uninstall DESTDIR="$spaced"
check "no file and no link is left there" equal "$(find "$spaced" -type f -o -type l)" ""

# Guards.
again() { rm -rf "$work/again" && "$MAKE" -s BUILD="$work/again" "$work/again/libsteadfast.a" && test -s "$work/again/native-static-libs"; }
check "the archive, into a directory of its own" again
check "a build directory that was removed is filled again" again
check "an ABI number that is not the SONAME's ends the build" refuses "$MAKE" -s BUILD="$work/guard" ABI=9 "$work/guard/libsteadfast.so.$version"
check "and leaves no library" test ! -e "$work/guard/libsteadfast.so.$version"
names() {
    local output
    output=$("$MAKE" "$1" BUILD="$work/missing" 2>&1) && return 1
    equal "$(wc -l <<<"$output")" 1 && matches "$output" "$2 is missing; install .* with: "
}
check "without Rust: one line, and what installs it" names CARGO=no-such-cargo Rust
check "without a C compiler: one line, and what installs it" names CC=no-such-cc "a C compiler"
check "nothing was built for that" test ! -e "$work/missing"
end
