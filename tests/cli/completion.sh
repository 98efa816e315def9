#!/usr/bin/env bash
# The bash completion: what it offers is what the command takes.
#   completion.sh COMPLETION STEADFAST
set -eu
completion=$1 steadfast=$2
# shellcheck disable=SC1090
. "$completion"

offers() { # WORD...: completes the last one
    COMP_WORDS=(steadfast "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _steadfast
    printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"} | sort
}
same() { # WHAT GOT EXPECTED
    [ "$2" = "$3" ] || { printf '%s\ngot:\n%s\nexpected:\n%s\n' "$1" "$2" "$3"; exit 1; }
}

help=$("$steadfast" --help)
commands=$(sed -n 's/^  \([a-z]*\) PATH.*/\1/p' <<<"$help" | sort)
[ "$(wc -w <<<"$commands")" -ge 7 ] || { echo "the help names too few commands"; exit 1; }
same commands "$(offers '' | grep -v -e '^-' -e '^help$')" "$commands"
# Options that stand in the help below their command; load's --recover is info's too ("as above"), --schema verify's and info's.
for command in $commands; do
    expected=$(awk -v command="$command" '/^  [a-z]/ { on = $1 == command } on && /^    --/ { for (i = 1; i <= NF; i++) if (sub(/^--/, "&", $i)) { sub(/,$/, "", $i); print $i } }' <<<"$help"; echo --json)
    case $command in
    verify | info) expected+=$'\n--schema' ;;
    save | update | watch | lock) expected+=$'\n--' ;;
    esac
    same "$command" "$(offers "$command" -)" "$(sort <<<"$expected")"
done
same "a value" "$(offers save --schema 1)" ""
same "a file" "$(offers load stat)" ""
same "an unambiguous beginning" "$(offers cl)" clean
offers lock path -- tru | grep -qx true || { echo "no command behind --"; exit 1; }
