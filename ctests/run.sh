#!/usr/bin/env bash
# Builds every test of this directory against a built library, runs it, and adds the results up.
#
#   run.sh --lib DIR --out DIR [--static | --dlopen | --absent | --valgrind] [--lanes N]
#
# DIR of --lib holds libsteadfast.so, libsteadfast.so.0 and libsteadfast.a; programs and logs go to --out.
#   (default)    linked with the shared library; then the library file itself is looked at
#   --static     linked with the archive
#   --dlopen     not linked at all: every function is found by dlsym
#   --absent     as on platforms that lack something: once for each STEADFAST_ABSENT_* bit
#   --valgrind   under valgrind, with smaller loops
#   --lanes N    N programs at once; by default one more than there are cores, since many wait for the disk
# The last line is `N passed, N failed[, N skipped]`.
set -u
here=$(cd "$(dirname "$0")" && pwd)
include=$here/../include
header=$include/steadfast.h
lib= out= mode=shared lanes=$(($(nproc 2> /dev/null || echo 1) + 1))
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --static|--dlopen|--absent|--valgrind) mode=${1#--}; shift ;;
        --lanes) lanes=$2; shift 2 ;;
        *) echo "run.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
if [ -z "$lib" ] || [ -z "$out" ]; then
    echo "usage: run.sh --lib DIR --out DIR [--static|--dlopen|--absent|--valgrind] [--lanes N]" >&2
    exit 2
fi

. "$here/../tools/check-lib.sh"

functions() { # of the header, one a line
    sed -nE '/^static/d; s/^[a-z].*[ *](steadfast_[a-z0-9_]+)\(.*/\1/p' "$header" | sort -u
}

CC=${CC:-cc} CXX=${CXX:-c++}
cflags="-std=c11 -Wall -Wextra -Werror -O1 -g -I$here -I$include"
shared="-L$lib -Wl,-rpath,$lib -lsteadfast"
others="-lpthread -ldl"
bin=$out/$mode
mkdir -p "$bin"

# For --dlopen: each function's name becomes a pointer that a constructor fills by dlsym.
make_dlopen_header() {
    {
        echo '#include "steadfast.h"'
        for f in $(functions); do
            echo "extern __typeof__($f) *dl_$f;"
            echo "#define $f (*dl_$f)"
        done
    } > "$bin/dl.h"
    {
        echo '#include "steadfast.h"'
        echo '#include <dlfcn.h>'
        echo '#include <stdio.h>'
        echo '#include <stdlib.h>'
        for f in $(functions); do echo "__typeof__($f) *dl_$f;"; done
        echo '__attribute__((constructor)) static void load(void) {'
        echo "    void *library = dlopen(\"$lib/libsteadfast.so.0\", RTLD_NOW | RTLD_LOCAL);"
        printf '%s\n' '    if (library == NULL) { fprintf(stderr, "%s\n", dlerror()); exit(97); }'
        for f in $(functions); do
            echo "    *(void **)&dl_$f = dlsym(library, \"$f\");"
            printf '%s\n' "    if (dl_$f == NULL) { fprintf(stderr, \"%s\\n\", dlerror()); exit(97); }"
        done
        echo '}'
    } > "$bin/dl.c"
}

# Compilers and flags are lists of words.
# shellcheck disable=SC2086
build() { # NAME
    local source=$here/$1.c own
    # What a test wants besides, its first comment says.
    own=$(sed -n 's/^ \* CFLAGS: //p' "$source" 2>/dev/null)
    if [ "$1" = cxx ]; then
        # The header in two translation units of one C++ program.
        local cxx="-std=c++17 -Wall -Wextra -Werror -pedantic -g -I$here -I$include"
        case $mode in
            dlopen) return 0 ;;
            static) $CXX $cxx "$here/cxx.cc" -DSECOND_UNIT -c -o "$bin/cxx2.o" &&
                    $CXX $cxx "$here/cxx.cc" "$bin/cxx2.o" -o "$bin/cxx" "$lib/libsteadfast.a" $others ;;
            *) $CXX $cxx "$here/cxx.cc" -DSECOND_UNIT -c -o "$bin/cxx2.o" &&
               $CXX $cxx "$here/cxx.cc" "$bin/cxx2.o" -o "$bin/cxx" $shared ;;
        esac
        return
    fi
    case $mode in
        static) $CC $cflags $own "$source" -o "$bin/$1" "$lib/libsteadfast.a" $others ;;
        dlopen) $CC $cflags $own -D_GNU_SOURCE -I"$bin" -include dl.h -rdynamic "$source" "$bin/dl.o" -o "$bin/$1" $others ;;
        *) $CC $cflags $own "$source" -o "$bin/$1" $shared $others ;;
    esac
}

running=0 logs=
start() { # LOG NAME [VARIABLE=VALUE...]: in the background; `tell` tells the result
    rm -f "$bin/$1.status"
    logs="$logs $1"
    if [ "$running" = "$lanes" ]; then
        wait -n 2> /dev/null || wait # all of them, before bash 4.3
        running=$((running - 1))
    fi
    running=$((running + 1))
    run "$@" &
}

run() { # LOG NAME [VARIABLE=VALUE...]
    local log=$bin/$1 name=$2
    shift 2
    echo "$name${*:+ $*}" > "$log.what"
    # dlopen.c is told where the library is.
    # shellcheck disable=SC2086
    env STEADFAST_TEST_LIBRARY="$lib/libsteadfast.so.0" "$@" timeout 300 ${wrapper:-} "$bin/$name" > "$log.tap" 2> "$log.err"
    echo $? > "$log.status"
}

tell() { # the results of all that were started, in that order
    local log what status sum p f s
    wait
    for log in $logs; do
        log=$bin/$log
        what=$(cat "$log.what")
        status=$(cat "$log.status")
        echo "# $what"
        cat "$log.tap"
        # valgrind tells of each system call that it does not know; the library then does without, as it should.
        grep -Ev '^--[0-9]+-- ' "$log.err" | sed 's/^/# stderr: /'
        sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log.tap" | tail -n 1)
        if [ -z "$sum" ]; then
            note 1 "$what: ended without a result (exit status $status)"
            continue
        fi
        p=${sum%% *}; f=${sum#*, }; f=${f%% *}; s=0
        case $sum in *skipped*) s=${sum##*, }; s=${s%% *} ;; esac
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
        if [ "$f" = 0 ] && [ "$status" != 0 ]; then
            note 1 "$what: exit status $status"
        fi
    done
}

examine_library() {
    local so=$lib/libsteadfast.so size
    if ! command -v readelf > /dev/null || ! readelf -h "$so" > /dev/null 2>&1; then
        skip "no readelf, or no ELF file: the shared library itself was not examined"
        return
    fi
    strip -o "$bin/stripped.so" "$so"
    size=$(stat -c %s "$bin/stripped.so")
    [ "$size" -le 266240 ]; note $? "the stripped library is at most 260 KiB: $size bytes"
    ! readelf -dW "$so" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | grep -Evq '^(libc\.so|libc\.musl|ld-)'
    note $? "it needs libc and nothing else"
    ! readelf -lW "$so" | grep -qE '^ +TLS '; note $? "it has no TLS segment"
    readelf -dW "$so" | grep -q 'SONAME.*\[libsteadfast\.so\.0\]'; note $? "its SONAME is libsteadfast.so.0"
    nm -D --defined-only "$so" | awk '{ print $3 }' | sed 's/@.*//' | sort -u > "$bin/exports"
    functions > "$bin/functions"
    diff "$bin/functions" "$bin/exports"; note $? "it exports the functions of the header, and only these ($(wc -l < "$bin/functions"))"
}

# From the last to the first: the sweeps take longest, and none of them runs alone at the end.
tests=
for source in "$here"/*.c; do
    tests="$(basename "$source" .c) $tests"
done
if [ "$mode" = valgrind ] && ! command -v valgrind > /dev/null; then
    lacking "no valgrind"
    end
fi
if [ "$mode" = dlopen ]; then
    make_dlopen_header
    $CC -std=c11 -Wall -Wextra -Werror -D_GNU_SOURCE -fPIC -I"$include" -c "$bin/dl.c" -o "$bin/dl.o" || exit 1
fi
if [ "$mode" = absent ]; then
    # What has to do with the platform; the rest does not look at it.
    chosen=
    for name in $tests; do
        case $name in state*|sweep*|lock*) chosen="$chosen $name" ;; esac
    done
    tests=$chosen
else
    tests="$tests cxx"
fi

building=0
for name in $tests; do
    rm -f "$bin/$name"
    build "$name" > "$bin/$name.build" 2>&1 &
    building=$((building + 1))
    if [ $((building % 4)) = 0 ]; then wait; fi
done
wait
usable=
for name in $tests; do
    if [ -s "$bin/$name.build" ] || { [ ! -x "$bin/$name" ] && ! { [ "$mode" = dlopen ] && [ "$name" = cxx ]; }; }; then
        cat "$bin/$name.build"
        note 1 "$name: does not build without a warning"
    elif [ -x "$bin/$name" ]; then
        usable="$usable $name"
    fi
done

wrapper=
case $mode in
    absent)
        for bit in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
            for name in $usable; do start "$name-$bit" "$name" STEADFAST_TEST_ABSENT=$((1 << bit)) STEADFAST_TEST_SMALL=1; done
        done ;;
    valgrind)
        wrapper="valgrind -q --error-exitcode=96 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=$here/valgrind.supp"
        for name in $usable; do
            if [ "$name" = oom ]; then
                skip "oom: valgrind brings a malloc of its own"
            else
                start "$name" "$name" STEADFAST_TEST_SMALL=1 STEADFAST_TEST_VALGRIND=1
            fi
        done ;;
    *)
        for name in $usable; do start "$name" "$name"; done ;;
esac
tell
[ "$mode" = shared ] && examine_library

end
