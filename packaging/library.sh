# shellcheck shell=bash
# What a libsteadfast.so is for, and its stripped copy: for the scripts that pack it. Sourced.

elf() { LC_ALL=C readelf --wide "$@"; }

# machine_of LIBRARY: x86_64 or aarch64, as `uname -m` says it.
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

# strip_into LIBRARY COPY
strip_into() {
    local machine tool=strip
    machine=$(machine_of "$1") || return
    [ "$machine" = "$(uname -m)" ] || tool=$machine-linux-gnu-strip
    "$tool" --strip-unneeded -o "$2" "$1"
}
