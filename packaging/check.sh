# What the tests of packaging share. Sourced; sets work and removes it at the end.
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-packaging.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

check() { # TEXT COMMAND...: quiet when it succeeds
    local text=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
        echo "ok - $text"
    else
        failed=$((failed + 1))
        echo "not ok - $text"
        sed 's/^/  # /' "$work/output" | tail -n 30
        return 1
    fi
}
refuses() { if "$@"; then return 1; fi; }
equal() { [ "$1" = "$2" ] || { printf 'got:      %s\nexpected: %s\n' "$1" "$2"; return 1; }; }
# A tool that .ci/setup installs and that is missing: skipped here, a failure in CI.
lacks() { # TOOL PACKAGE
    command -v "$1" >/dev/null && return 1
    echo "SKIPPED: no $1 (Debian: $2)"
    [ -z "${CI:-}${STEADFAST_CI:-}" ] || check "$1 is there" false
    return 0
}
end() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}
# The newest version of glibc that a file asks for.
glibc() { readelf -VW "$1" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -uV | tail -n 1; }
no_newer() { # VERSION FILE
    local has
    has=$(glibc "$2")
    [ -n "$has" ] && [ "$(printf '%s\n' "$has" "$1" | sort -V | tail -n 1)" = "$1" ] || { echo "$2 needs GLIBC_$has"; return 1; }
}
