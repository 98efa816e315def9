# fish completion of steadfast(1). What there is, the command's help says.
function __steadfast_command
    set -l words (commandline -opc)
    test (count $words) -ge 2; and echo $words[2]
end
# The options of the command that has been typed, each with what it does.
function __steadfast_options
    set -l words (commandline -opc)
    $words[1] help (__steadfast_command) 2>/dev/null | sed -nE 's/^    (-.,|   ) (--[a-z-]+) [A-Z ]* +(.*)/\2\t\3/p'
end
function __steadfast_commands
    set -l words (commandline -opc)
    $words[1] --help 2>/dev/null | sed -n 's/^  \([a-z]*\) [A-Z].*/\1/p'
end
# Behind -- stands a command line of its own.
function __steadfast_behind
    contains -- -- (commandline -opc)
end
complete -c steadfast -f -n 'test (count (commandline -opc)) -eq 1' -a '(__steadfast_commands) help --help --version'
complete -c steadfast -n 'test (count (commandline -opc)) -ge 2; and not __steadfast_behind; and string match -q -- "-*" (commandline -ct)' -a '(__steadfast_options)'
complete -c steadfast -n __steadfast_behind -a '(__fish_complete_subcommand --fcs-skip=3)'
