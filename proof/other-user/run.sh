#!/usr/bin/env bash
# Another user beside those who save and lock, in every scene of attacks.c; and the mutants that must be found. As root.
#   run.sh --lib DIR --out DIR [--budget SECONDS] [--seed N] [-- ARGUMENTS OF other-user]
# DIR of --lib holds libsteadfast.a. The last line is "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
lib='' out='' budget=90 seed=''
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --budget) budget=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --) shift; break ;;
        *) echo "other-user/run.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$lib" ] && [ -n "$out" ] || { sed -n 3,4p "$0" >&2; exit 2; }
[ -n "$seed" ] || seed=$((RANDOM * 32768 + RANDOM + 1))
. "$here/../../tests/check-lib.sh"

if [ "$(id -u)" != 0 ]; then lacking "another user needs root"; end; fi
command -v setfacl >/dev/null || { lacking "another user needs setfacl"; end; }

later=()
grep -qE '^ +int64_t timeout_ms;' "$here/../../include/steadfast.h" && later+=(-DOPTIONS_HAVE_TIMEOUT)
${CC:-cc} -std=gnu11 -Wall -Wextra -Werror -O2 -g "${later[@]}" -I"$here/../../include" "$here"/*.c "$lib/libsteadfast.a" -lpthread -ldl -o "$out/other-user"
note $? "other-user builds" || end

memory=${TMPDIR:-/tmp}
[ ! -w /dev/shm ] || memory=/dev/shm
scratch=$(mktemp -d "$memory/steadfast-other-user.XXXXXX") || exit 2
trap 'rm -rf --one-file-system "$scratch"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$scratch"

# Adds up the lines that begin with "ok" and "not ok".
play() {
    "$out/other-user" --scratch "$scratch" --seed "$seed" "$@" | tee "$out/played"
    local code=${PIPESTATUS[0]}
    passed=$((passed + $(grep -c '^ok ' "$out/played"))) failed=$((failed + $(grep -c '^not ok ' "$out/played")))
    [ "$code" -le 1 ] || note 1 "other-user ended with $code"
    rm -rf --one-file-system "$scratch/scene"
}
for mutant in mode_comes_late follows_temporary removes_orphans waits_for_ever writes_over_previous reads_links widens; do
    play --seconds 4 --mutant "$mutant"
done
# Half of the time for the scenes themselves; what comes before and after them takes as long.
play --seconds "$(awk -v b="$budget" -v n="$(grep -c '^    { .name = ' "$here/attacks.c")" 'BEGIN { print b / n / 2 }')" "$@"
end
