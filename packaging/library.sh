# shellcheck shell=bash
# What the scripts that pack share. Sourced.

# Of the tree that is the working directory.
version_of_tree() { sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1; }

# installed TREE VARIABLE=VALUE...: what `make install` puts below it. Set: build; work, for its log. The environment has no say in where.
installed() {
    (
        unset MAKEFLAGS MFLAGS MAKELEVEL VERSION PREFIX LIBDIR INCLUDEDIR BINDIR MANDIR COMPLETIONDIR ZSHDIR FISHDIR
        # shellcheck disable=SC2154
        "${MAKE:-make}" -s install BUILD="$build" TARGET="${TARGET:-target}" DESTDIR="$1" "${@:2}" >"$work/log" 2>&1
    ) || { cat "$work/log" >&2; return 1; }
}

elf() { LC_ALL=C readelf --wide "$@"; }

# machine_of FILE: x86_64 or aarch64, as `uname -m` says it.
machine_of() {
    case $(elf -h "$1") in
    *AArch64*) echo aarch64 ;;
    *X86-64*) echo x86_64 ;;
    *)
        echo "$1 is for no machine that packages are made for" >&2
        return 1
        ;;
    esac
}

# libc_of LIBRARY: gnu or musl.
libc_of() {
    if elf --dynamic "$1" | grep -qE '\(NEEDED\).*\[libc\.(so|musl-.*)\]'; then echo musl; else echo gnu; fi
}

# strip_file FILE: takes out what neither loader nor linker needs, of a library, a program or an archive.
strip_file() {
    local machine tool=strip options=(--strip-unneeded)
    machine=$(machine_of "$1") || return
    [ "$machine" = "$(uname -m)" ] || tool=$machine-linux-gnu-strip
    case $1 in *.a) options=(--strip-debug --enable-deterministic-archives) ;; esac
    "$tool" "${options[@]}" --remove-section=.comment --remove-section=.note "$1"
}

# strip_into FILE COPY
strip_into() { cp "$1" "$2" && strip_file "$2"; }
