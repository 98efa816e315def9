# How the shell tests count and tell. Sourced; a script that does so ends with `end`.
# shellcheck shell=bash
passed=0
failed=0
skipped=0

note() { # RESULT TEXT: one check that has been made
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok - $2"
    else
        failed=$((failed + 1))
        echo "not ok - $2"
        return 1
    fi
}
# Makes a check. Quiet when it succeeds; what it printed is in $work/output, a directory that the script has made.
# shellcheck disable=SC2154
check() { # TEXT COMMAND...
    local text=$1
    shift
    "$@" >"$work/output" 2>&1
    note $? "$text" && return
    sed 's/^/  # /' "$work/output" | tail -n 30
    return 1
}
refuses() { if "$@"; then return 1; fi; }
equal() { [ "$1" = "$2" ] || { printf 'got:      %s\nexpected: %s\n' "$1" "$2"; return 1; }; }
skip() { # REASON
    skipped=$((skipped + 1))
    echo "SKIPPED: $1"
}
# Something is not there that .ci/setup installs: skipped here, a failure in CI.
lacking() { # TEXT
    if [ -n "${CI:-}${STEADFAST_CI:-}" ]; then note 1 "$1"; else skip "$1"; fi
}
# The last line, which tools/suite reads.
end() {
    if [ "$skipped" = 0 ]; then echo "$passed passed, $failed failed"; else echo "$passed passed, $failed failed, $skipped skipped"; fi
    [ "$failed" -eq 0 ]
    exit
}
