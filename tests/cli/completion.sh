#!/usr/bin/env bash
# The completions of bash, zsh and fish: what they offer is what the command takes.
#   completion.sh BASH ZSH FISH STEADFAST
set -eu
completion=$1 zsh=$2 fish=$3 steadfast=$4
# shellcheck disable=SC1090
. "$completion"

offers() { # WORD...: completes the last one
    COMP_WORDS=("$steadfast" "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _steadfast
    printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"} | sort
}
same() { # WHAT GOT EXPECTED
    [ "$2" = "$3" ] || { printf '%s\ngot:\n%s\nexpected:\n%s\n' "$1" "$2" "$3"; exit 1; }
}
# The long options of a command, from its help; what they take has another form there than where the completion looks.
options_of() { "$steadfast" "$1" --help | sed -n '/^usage/,/^$/d; s/^ \{4\}\(-[a-zA-Z],\|   \) \(--[a-z-]*\).*/\2/p' | sort; }
lines() { tr ' ' '\n' | sed '/^$/d' | sort; }

commands=$("$steadfast" --help | sed -n 's/^  \([a-z]*\) \(PATH\|DIRECTORY\).*/\1/p' | sort)
[ "$(wc -w <<<"$commands")" -ge 11 ] || { echo "the help names too few commands"; exit 1; }
same "bash: commands" "$(offers '')" "$(printf '%s\n' "$commands" help --help --version | sort)"
for command in $commands; do
    expected=$(options_of "$command")
    [ "$(wc -w <<<"$expected")" -ge 5 ] || { echo "$command has too few options"; exit 1; }
    case $command in save | update | watch | lock) more=-- ;; *) more= ;; esac
    same "bash: $command" "$(offers "$command" -)" "$(printf '%s\n' "$expected" $more | sort)"
done
same "bash: a value" "$(offers save --schema 1)" ""
same "bash: a value of an option with a letter" "$(offers lock --timeout 1)" ""
same "bash: a file" "$(offers load stat)" ""
same "bash: an unambiguous beginning" "$(offers cl)" clean
offers lock path -- tru | grep -qx true || { echo "bash: no command behind --"; exit 1; }

if command -v zsh >/dev/null; then
    # What it hands to zsh's own functions.
    in_zsh() { # WORD...
        zsh -f -c 'compadd() { print -l -- "$@" }; _arguments() { print -l -- "$@" }; _normal() { print -- normal $CURRENT $words }
            words=("${@[2,-1]}") CURRENT=$#words; source $1' zsh "$zsh" "$steadfast" "$@"
    }
    same "zsh: commands" "$(in_zsh '' | grep -v -e '^-a$' -e '^--$' -e '^commands$' | sort)" "$(printf '%s\n' --help --version)"
    for command in $commands; do
        same "zsh: $command" "$(in_zsh "$command" - | sed -n 's/^\(--[a-z-]*\).*/\1/p' | sort)" "$(options_of "$command")"
    done
    in_zsh lock --t | grep -qx -e '--timeout=\[wait no longer\]:SECONDS: ' || { echo "zsh: no value"; exit 1; }
    in_zsh save - | grep -qx -e '--strict\[not durable is an error\]' || { echo "zsh: no text"; exit 1; }
    same "zsh: a command line" "$(in_zsh lock path -- tru e)" "normal 2 tru e"
else
    echo "SKIPPED: zsh is not installed"
fi
if command -v fish >/dev/null; then
    in_fish() { # LINE: completes its end
        env PATH="$(dirname "$steadfast"):$PATH" fish --no-config -c 'source $argv[1]; complete -C $argv[2]' "$fish" "$1"
    }
    same "fish: commands" "$(in_fish "steadfast " | sort)" "$(printf '%s\n' "$commands" help --help --version | sort)"
    for command in $commands; do
        same "fish: $command" "$(in_fish "steadfast $command -" | cut -f 1 | sort)" "$(options_of "$command")"
    done
    in_fish "steadfast lock path -- tru" | grep -q "^true" || { echo "fish: no command behind --"; exit 1; }
else
    echo "SKIPPED: fish is not installed"
fi
