# shellcheck shell=bash
# What the tests of packaging share. Sourced; sets version, and work, which it removes at the end.
. tools/check-lib.sh
. packaging/library.sh
# shellcheck disable=SC2034
version=$(version_of_tree)
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-packaging.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
lacks() { # TOOL PACKAGE
    command -v "$1" >/dev/null && return 1
    lacking "no $1 (Debian: $2)"
    return 0
}
# The newest version of glibc that a file asks for.
glibc() { readelf -VW "$1" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -uV | tail -n 1; }
no_newer() { # VERSION FILE
    local has
    has=$(glibc "$2")
    [ -n "$has" ] && [ "$(printf '%s\n' "$has" "$1" | sort -V | tail -n 1)" = "$1" ] || { echo "$2 needs GLIBC_$has"; return 1; }
}
