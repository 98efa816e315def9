#!/usr/bin/env bash
# Becomes one of the example programs:  launch.sh --lib DIR [--out DIR] LANGUAGE ARGUMENT...
# Compiles all and lists what is there: launch.sh --lib DIR [--out DIR] --list
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lib= out=
while [ $# -gt 0 ]; do
    case $1 in
    --lib) lib=$(cd "$2" && pwd); shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) break ;;
    esac
done
[ -n "$lib" ] && [ $# -gt 0 ] || { echo "usage: launch.sh --lib DIR [--out DIR] LANGUAGE ARGUMENT... | --list" >&2; exit 2; }
out=${out:-$lib/dlopen}
export LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

jna=/usr/share/java/jna.jar
python=${STEADFAST_PYTHON:-}
if [ -z "$python" ]; then
    for python in "$here/../../build/venv/bin/python" python3; do
        ! "$python" -c 'import cffi' 2>/dev/null || break
    done
fi

# What a language lacks on this machine; nothing when it can be run.
lacks() {
    case $1 in
    luajit) command -v luajit >/dev/null || echo luajit ;;
    php) php -r 'exit(extension_loaded("ffi") ? 0 : 1);' 2>/dev/null || echo "php with FFI" ;;
    cffi) "$python" -c 'import cffi' 2>/dev/null || echo "the Python package cffi" ;;
    perl) perl -MFFI::Platypus -e1 2>/dev/null || echo FFI::Platypus ;;
    ruby) ruby -rfiddle -e1 2>/dev/null || echo "ruby with fiddle" ;;
    java) { command -v javac >/dev/null && [ -e "$jna" ]; } || echo "a JDK and $jna" ;;
    csharp) { command -v mcs && command -v mono; } >/dev/null || echo "mono and mcs" ;;
    c) command -v "${CC:-cc}" >/dev/null || echo "a C compiler" ;;
    *) echo "an example of that name" ;;
    esac
}

# Under a name of its own and then renamed: several may come at once.
compile() {
    mkdir -p "$out"
    local new=$out/.$1.$$
    trap 'rm -rf "$out"/.*.$$ "$out"/.*.$$.jar' EXIT
    case $1 in
    c)
        [ "$out/demo" -nt "$here/demo.c" ] && [ "$out/demo" -nt "$here/../../include/steadfast.h" ] && return
        "${CC:-cc}" -std=c11 -Wall -Wextra -I"$here/../../include" "$here/demo.c" -ldl -o "$new"
        mv "$new" "$out/demo"
        ;;
    csharp)
        [ "$out/Demo.exe" -nt "$here/Demo.cs" ] && return
        mcs -warnaserror "-out:$new" "$here/Demo.cs"
        mv "$new" "$out/Demo.exe"
        ;;
    java)
        [ "$out/Demo.jar" -nt "$here/Demo.java" ] && return
        mkdir "$new"
        javac -Xlint:all,-try -Werror -cp "$jna" -d "$new" "$here/Demo.java"
        jar cf "$new.jar" -C "$new" .
        mv "$new.jar" "$out/Demo.jar"
        ;;
    esac
    rm -rf "$new"
}

if [ "$1" = --list ]; then
    for language in luajit php cffi perl ruby java csharp c; do
        lack=$(lacks "$language")
        if [ -n "$lack" ]; then
            echo "$language: missing: $lack" >&2
        else
            compile "$language"
            echo "$language"
        fi
    done
    exit
fi

language=$1
shift
lack=$(lacks "$language")
[ -z "$lack" ] || { echo "launch.sh: $language: missing: $lack" >&2; exit 2; }
compile "$language"
case $language in
luajit) exec luajit "$here/demo.lua" "$@" ;;
php) exec php "$here/demo.php" "$@" ;;
cffi) exec "$python" "$here/demo.py" "$@" ;;
perl) exec perl "$here/demo.pl" "$@" ;;
ruby) exec ruby "$here/demo.rb" "$@" ;;
# The small collector and the first compiler: it starts in half the time.
java) exec java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$out/Demo.jar:$jna" Demo "$@" ;;
csharp) exec mono "$out/Demo.exe" "$@" ;;
c) exec "$out/demo" "$@" ;;
esac
