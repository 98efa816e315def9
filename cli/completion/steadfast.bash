# bash completion of steadfast(1); works with and without the bash-completion package. What there is, the command's help says.
_steadfast()
{
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} command=${COMP_WORDS[1]-}
    local help options valued i
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        options=$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z]*\) [A-Z].*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$options help --help --version" -- "$current")
        return
    fi
    help=$("$program" help "$command" 2>/dev/null) || return
    options=$(sed -nE 's/^    (-.,|   ) (--[a-z-]+) .*/\2/p' <<<"$help")
    valued=$(sed -nE 's/^    (-.,|   ) (--[a-z-]+) [A-Z].*/\2/p' <<<"$help")
    # Behind -- after the path stands a command line of its own.
    if [[ $help == *' [ARGUMENT]...'* ]]; then
        options+=' --'
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
    if grep -qxe "$previous" <<<"$valued"; then
        return
    fi
    if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    fi
}
complete -o default -o bashdefault -F _steadfast steadfast
