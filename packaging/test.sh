#!/usr/bin/env bash
# CMake, Debian packages (also in a clean chroot) and cargo cinstall, each used as a stranger would.
#   test.sh BUILD TARGET [cmake | cinstall | deb]
# Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 2
build=$(cd "$1" && pwd) || exit 2
export TARGET=$2
. packaging/check.sh
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR PREFIX LIBDIR INCLUDEDIR BINDIR MANDIR COMPLETIONDIR
minor=${version%.*}
root=$work/root

cat >"$work/program.c" <<'C'
#include <steadfast.h>
#include <stdio.h>
int main(void)
{
    steadfast_report report = { .size = sizeof report };
    if (steadfast_state_save(NULL, "saved", "hello", 5, NULL, &report) != STEADFAST_OK)
        return fprintf(stderr, "%s\n", report.message), 1;
    return puts(steadfast_version()) < 0;
}
C

cmake_tests() {
    check "make install" "${MAKE:-make}" -s install BUILD="$build" TARGET="$TARGET" DESTDIR="$root" PREFIX=/opt/s || return
    # find_package from a tree that is not where it was installed for: moved once more.
    mv "$root/opt/s" "$work/moved"
    project() { # ARGUMENTS-OF-FIND_PACKAGE TARGET
        rm -rf "$work/project" && mkdir "$work/project" && cp "$work/program.c" "$work/project"
        cat >"$work/project/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.19)
project(program C)
find_package(steadfast $1 CONFIG REQUIRED)
find_package(steadfast CONFIG REQUIRED) # twice does no harm
add_executable(program program.c)
target_link_libraries(program PRIVATE ${2:-steadfast::steadfast})
CMAKE
        cmake -S "$work/project" -B "$work/project/build" -DCMAKE_PREFIX_PATH="$work/moved" "${@:3}"
    }
    built() { project "$@" && cmake --build "$work/project/build" && (cd "$work/project" && equal "$(build/program)" "$version"); }
    needs() { readelf -d "$work/project/build/program" | grep -q 'NEEDED.*libsteadfast\.so\.0'; }
    check "cmake: a program is linked with the shared library, and runs" built "$minor"
    check "cmake: it needs it by its SONAME" needs
    check "cmake: a program is linked with the archive, and runs" built "$minor" steadfast::steadfast_static
    check "cmake: it needs no library of ours" refuses needs
    check "cmake: the exact version" project "$version EXACT"
    check "cmake: a range" project "0.0.1...<1"
    check "cmake: a newer version is not there" refuses project "${minor%.*}.99"
    check "cmake: nor another major version" refuses project "$((${version%%.*} + 1)).0"
    check "cmake: nor a range that ends before it" refuses project "0.0.1...<$version"
    check "cmake: nor for other pointers" refuses project "" "" -DCMAKE_C_FLAGS=-m32 -DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY -DCMAKE_SIZEOF_VOID_P=4
    mv "$work/moved/lib/libsteadfast.a" "$work"
    told() { ! project "$minor" >"$work/told" 2>&1 && tr -s ' \n' ' ' <"$work/told" | grep -q "installation is not whole"; }
    check "cmake: an installation that is not whole is told" told
    rm -rf "$work/project"
    source_tests
}

# The source in a project of somebody else, with what cargo has built already.
source_tests() {
    cat >"$work/program.cc" <<'CC'
#include <steadfast.hpp>
#include <iostream>
int main()
{
    steadfast::save("saved", "hello");
    std::cout << steadfast_version() << '\n';
}
CC
    consumer() { # NAME, and what makes the targets
        mkdir "$work/$1" && cp "$work"/program.c* "$work/$1"
        cat >"$work/$1/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.16)
project(programs C CXX)
set(CMAKE_CXX_STANDARD 17)
$2
foreach(name c cc)
  add_executable(\${name}_shared program.\${name})
  target_link_libraries(\${name}_shared PRIVATE steadfast::steadfast)
  add_executable(\${name}_static program.\${name})
  target_link_libraries(\${name}_static PRIVATE steadfast::steadfast_static)
endforeach()
CMAKE
        configure "$work/$1" "$work/$1/build" && cmake --build "$work/$1/build" -j2
    }
    configure() { cmake -S "$1" -B "$2" -DSTEADFAST_CARGO_TARGET_DIR="$(realpath "$TARGET")" "${@:3}"; }
    needs_shared() { readelf -d "$1" | grep -q 'NEEDED.*\[libsteadfast\.so\.0\]'; }
    runs() ( # PROJECT: all of its programs
        cd "$work/$1/build" || exit
        for name in c cc; do
            equal "$("./${name}_shared")" "$version" && needs_shared "${name}_shared" || exit
            equal "$("./${name}_static")" "$version" && refuses needs_shared "${name}_static" || exit
        done
    )
    alone() { configure . "$work/alone" && cmake --build "$work/alone" && ls "$work"/alone/lib/libsteadfast.{a,"so.$version",so.0}; }
    told_no_rust() { ! configure . "$work/rustless" -DSTEADFAST_CARGO=/no/cargo >"$work/told" 2>&1 && grep -q "Rust is missing" "$work/told"; }
    check "add_subdirectory: C and C++, shared and static" consumer subdirectory "add_subdirectory($PWD steadfast EXCLUDE_FROM_ALL)"
    check "add_subdirectory: the programs run" runs subdirectory
    check "FetchContent: C and C++, shared and static" consumer fetched "include(FetchContent)
FetchContent_Declare(steadfast SOURCE_DIR $PWD)
FetchContent_MakeAvailable(steadfast)"
    check "FetchContent: the programs run" runs fetched
    check "cmake: by itself it builds both libraries" alone
    check "cmake: the archive needs what rustc says" grep -qF "INTERFACE_LINK_LIBRARIES \"$(tr ' ' ';' <"$build/native-static-libs")\"" CMakeLists.txt
    check "cmake: without Rust: it says so" told_no_rust
}

cinstall_tests() {
    PATH=$PWD/build/cargo/bin:$PATH
    if ! command -v cargo-cinstall >/dev/null; then
        lacking "no cargo-c (cargo install --locked cargo-c@0.10.24, which .ci/setup does)"
        return
    fi
    check "cargo cinstall" cargo cinstall --release --destdir "$work/c" --prefix /usr --libdir /usr/lib --target-dir "$TARGET/capi" || return
    files() { (cd "$1" && find . \( -type f -o -type l \) | sort | grep -E '\./usr/(lib|include)/' | grep -v /cmake/); }
    check "make install" "${MAKE:-make}" -s install BUILD="$build" TARGET="$TARGET" DESTDIR="$work/m" PREFIX=/usr || return
    check "cinstall: the files of make install" equal "$(files "$work/c")" "$(files "$work/m")"
    soname() { readelf -d "$1/usr/lib/libsteadfast.so" | grep -oE '(NEEDED|SONAME).*'; }
    check "cinstall: the same SONAME, and needs" equal "$(soname "$work/c")" "$(soname "$work/m")"
    fields() { grep -E '^(Name|Version|Libs|Libs.private|Description):' "$1/usr/lib/pkgconfig/steadfast.pc" | sed 's/ *$//' | sort; }
    check "cinstall: the .pc says the same" equal "$(fields "$work/c")" "$(fields "$work/m")"
    for header in include/*; do check "cinstall: $header" cmp "$header" "$work/c/usr/$header"; done
}

deb_tests() {
    local deb=$work/deb package
    mkdir "$deb"
    check "the Debian packages" bash packaging/debian/build.sh "$build" "$deb" || return
    check "they are three" equal "$(cd "$deb" && echo *.deb | sed -E 's/_[^ ]*//g')" "libsteadfast-dev libsteadfast0 steadfast"
    lacks lintian lintian || check "lintian finds no error" lintian --allow-root --fail-on error "$deb"/*.deb
    check "the library asks for no more than glibc 2.17" equal "$(dpkg-deb -f "$deb"/libsteadfast0_*.deb Depends)" "libc6 (>= 2.17)"
    files() { for package in "$deb"/*.deb; do dpkg-deb -c "$package" | awk '$1 !~ /^d/ { print $6 }'; done; }
    check "no file is in two of them" equal "$(files | sort | uniq -d)" ""
    for name in $(ls include) $(find docs -path 'docs/man/*.[1-8]' -printf '%f.gz\n') libsteadfast.a steadfast.pc steadfast-config.cmake; do
        files | grep -q "/$name\$" || echo "$name"
    done >"$work/forgotten"
    check "nothing is forgotten" equal "$(cat "$work/forgotten")" ""
    for package in "$deb"/*.deb; do
        name=$(basename "${package%%_*}")
        dpkg-deb --fsys-tarfile "$package" | tar -xO "./usr/share/doc/$name/copyright" >"$work/copyright"
        check "$name: the licence, with its text" grep -qzP '(?s)License: MIT OR Apache-2\.0\n Permission is hereby granted.* THE SOFTWARE IS PROVIDED' "$work/copyright"
    done
    chroot_tests "$deb"
}

chroot_tests() { # DIRECTORY-OF-PACKAGES
    if [ "$(id -u)" -ne 0 ]; then skip "needs root (a chroot)"; return; fi
    lacks mmdebstrap mmdebstrap && return
    # The mirrors and settings are those of this machine's apt.
    local suite chroot=$work/chroot
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | grep -E "^deb .*$suite" >"$work/sources" || :
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v RS= -v suite="$suite" 'index($0, suite) { print $0 "\n" }' >"$work/sources2"
    [ -s "$work/sources" ] || mv "$work/sources2" "$work/sources"
    apt-config dump Acquire | grep -E 'Check-|[Pp]roxy' >"$work/apt.conf"
    trap 'rm -rf --one-file-system "$work"' EXIT
    # In namespaces of its own: what it mounts goes with it.
    check "a clean chroot ($suite), with a C compiler" unshare -m --propagation private \
        mmdebstrap --quiet --mode=root --variant=apt --include=gcc,libc6-dev,pkg-config --aptopt="$work/apt.conf" \
        "$suite" "$chroot" - <"$work/sources" || return
    mkdir "$chroot/new"
    cp "$1"/*.deb "$work/program.c" "$chroot/new"
    inside() { unshare -m --propagation private chroot "$chroot" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive sh -euc "cd /new; $1"; }
    check "chroot: dpkg installs them, and finds every dependency there" inside 'dpkg -i *.deb'
    check "chroot: dpkg finds each file as it was packed" inside 'test -z "$(dpkg --verify libsteadfast0 libsteadfast-dev steadfast)"'
    check "chroot: the loader's cache knows the library" inside 'ldconfig -p | grep -q "libsteadfast.so.0 "'
    check "chroot: a program is linked by pkg-config, and runs" inside 'gcc -Wall -Werror program.c $(pkg-config --cflags --libs steadfast) -o program && ./program && readelf -d program | grep -q "NEEDED.*libsteadfast.so.0"'
    check "chroot: also statically" inside 'gcc -static -Wall -Werror program.c $(pkg-config --static --cflags --libs steadfast) -o static && ./static'
    check "chroot: the command works" inside 'echo hi | steadfast save --json state && steadfast load state | grep -qx hi && steadfast lock l -- true'
    check "chroot: without the development package a program goes on" inside 'dpkg -P libsteadfast-dev >/dev/null && ./program'
    check "chroot: the library is not taken from under the command" refuses inside 'dpkg -r libsteadfast0'
    check "chroot: all of it can be removed" inside 'dpkg -P steadfast libsteadfast0'
    check "chroot: and nothing is left" inside 'test -z "$(find /usr /etc /var/lib/dpkg/info -name "*steadfast*")"'
    check "chroot: then the program does not run" refuses inside './program'
}

only=${3:-}
[ "${only:-cmake}" != cmake ] || lacks cmake cmake || cmake_tests
[ "${only:-cinstall}" != cinstall ] || cinstall_tests
[ "${only:-deb}" != deb ] || if ! command -v dpkg-deb >/dev/null; then skip "no dpkg-deb: not Debian"; else deb_tests; fi
end
