# bash completion of steadfast(1); works with and without the bash-completion package.
_steadfast()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-} options= i
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'save load verify info update watch remove lock inspect clean help --help --version' -- "$current")
        return
    fi
    case $command in
    save) options='--plain --strict --keep-previous --if-generation --follow --parents --mode --schema --json --' ;;
    update) options='--plain --verified --strict --keep-previous --follow --parents --mode --recover --schema --json --' ;;
    watch) options='--since --once --plain --verified --json --' ;;
    load | info) options='--recover --schema --plain --verified --json' ;;
    verify) options='--schema --plain --json' ;;
    remove) options='--plain --strict --if-generation --follow --json' ;;
    lock) options='--timeout --nonblock --json --' ;;
    inspect | clean) options='--json' ;;
    *) return ;;
    esac
    # Behind -- after the path stands a command line of its own.
    if [[ $options == *' --' ]]; then
        for ((i = 3; i < COMP_CWORD; i++)); do
            if [ "${COMP_WORDS[i]}" = -- ]; then
                if declare -F _command_offset >/dev/null; then
                    _command_offset $((i + 1))
                elif [ "$COMP_CWORD" -eq $((i + 1)) ]; then
                    mapfile -t COMPREPLY < <(compgen -c -- "$current")
                fi
                return
            fi
        done
    fi
    case $previous in
    --if-generation | --mode | --schema | --since | --timeout) return ;;
    esac
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    fi
}
complete -o default -o bashdefault -F _steadfast steadfast
