# What all commands take: help, version, silence, several paths, standard input; and an option for each of the library's. Read by run.sh.
# shellcheck shell=bash disable=SC2016,SC2154

mkdir options
cd options || exit 2
commands=$("$steadfast" --help | sed -n 's/^  \([a-z]*\) \(PATH\|DIRECTORY\).*/\1/p')
is_int() { [ "$1" = "$2" ]; result $? "$3 ($1)"; }
is_int "$(wc -w <<<"$commands")" 11 "all commands are in the help"
for command in $commands; do
    gives 0 "$command --help" "$steadfast" "$command" --help
    says output "^usage: steadfast $command " "its own usage"
    cp output long
    "$steadfast" "$command" -h >output && cmp -s output long && "$steadfast" help "$command" >output && cmp -s output long
    result $? "$command -h, help $command: the same"
    gives 0 "$command -V" "$steadfast" "$command" -V
    says output '^steadfast [0-9.]+$' "the version"
    gives 2 "$command, and an unknown option" "$steadfast" "$command" --frob x
    says errors "^steadfast $command: no such option: --frob; see steadfast $command --help\$" "what is wrong"
done
gives 0 "-h" "$steadfast" -h
gives 0 "-V" "$steadfast" -V
gives 2 "help of no command" "$steadfast" help frobnicate
gives 2 "an unknown letter" "$steadfast" lock -z l true
says errors 'no such option: -z;' "named"
gives 2 "a letter without its value" "$steadfast" lock -w
says errors 'needs a value: -w' "named"

# A success is silent where nobody looks.
quiet() { [ ! -s output ] && [ ! -s errors ]; result $? "$1: nothing is said"; }
gives 0 "save" "$steadfast" save s <<<one
quiet save
gives 0 "update" "$steadfast" update s -- cat
quiet update
gives 0 "verify" "$steadfast" verify s
quiet verify
echo "$dead" >stale
gives 0 "clean" "$steadfast" clean stale
quiet clean
gives 0 "save --verbose" "$steadfast" save --verbose s <<<one
says output '^s: generation 3, 4 bytes$' "it is told"
gives 0 "verify -v" "$steadfast" verify -v s
says output '^s: OK, generation 3, 4 bytes$' "it is told"
echo $$ >live
gives 7 "inspect -q" "$steadfast" inspect -q live
quiet "inspect -q"
gives 7 "clean --quiet" "$steadfast" clean --quiet live
quiet "clean --quiet"
gives 5 "load -q: an error" "$steadfast" load -q none
says errors ENOENT "is told all the same"
gives 0 "info -q" "$steadfast" info -q s
quiet "info -q"

# A takeover is one line on standard error.
echo "$dead" >stale
gives 0 "lock: a stale lock" "$steadfast" lock stale true
says errors "^steadfast: taken over from a stale lock \(PID $dead\): stale\$" "told"
is_int "$(wc -l <errors)" 1 "in one line"
echo "$dead" >stale
gives 0 "lock -q: a stale lock" "$steadfast" lock -q stale true
quiet "lock -q"

# Several paths.
"$steadfast" save t <<<two
truncate -s 100 t
gives 4 "verify: several" "$steadfast" verify -v s t none
says output '^s: OK' "the whole one"
says errors 'TRUNCATED' "the damaged one"
says errors 'ENOENT' "and what is not there"
gives 0 "info: several" "$steadfast" info s s
is_int "$(grep -c '^generation' output)" 2 "each"
gives 7 "inspect: several" "$steadfast" inspect none live
is_int "$(grep -c '^verdict' output)" 2 "each"
gives 0 "inspect --json: several" "$steadfast" inspect --json none stale
says output '^\[\{.*\}, \{.*\}\]$' "an array"
gives 0 "verify --json: one" "$steadfast" verify --json s
says output '^\{.*\}$' "an object"
"$steadfast" save u <<<three
gives 5 "remove: several" "$steadfast" remove u none t
[ ! -e u ] && [ ! -e t ]
result $? "each is gone"
gives 2 "load: several" "$steadfast" load s s

# Standard input.
gives 0 "load -" "$steadfast" load - <s
says output '^one$' "a file"
piped() { "$steadfast" "$@" < <(cat s); }
gives 0 "load - from a pipe" piped load -
says output '^one$' "its content"
gives 0 "verify -v - from a pipe" piped verify -v -
says output '^-: OK' "it is whole"
head -c 100 s >cut.s
gives 4 "verify -: damaged" "$steadfast" verify - <cut.s
gives 2 "clean -" "$steadfast" clean -
says errors '\./-' "the other way is named"
gives 2 "save -" "$steadfast" save - </dev/null

# The messages name the option that would help.
ln -s s link
gives 1 "save: a link" "$steadfast" save link </dev/null
says errors '^steadfast: --follow ' "--follow"
gives 1 "save: no directory" "$steadfast" save no/s </dev/null
says errors '^steadfast: --parents ' "--parents"
: >empty
gives 124 "lock: an empty file" "$steadfast" lock -n empty true
says errors '^steadfast: --empty-grace ' "--empty-grace"
gives 8 "clean: an empty file" "$steadfast" clean empty
"$steadfast" save --keep-previous k <<<1
"$steadfast" save --keep-previous k <<<2
truncate -s 100 k
gives 4 "load: damaged" "$steadfast" load k
says errors '^steadfast: --recover ' "--recover"
echo plain >p
gives 4 "update: no record" "$steadfast" update p -- cat
says errors '^steadfast: --plain ' "--plain"

# Every option of the library.
gives 3 "save --no-sync" "$steadfast" save --no-sync n <<<x
says errors NOT_DURABLE "told as such"
gives 1 "load --max-len" "$steadfast" load --max-len 3 s
says errors TOO_LARGE "told as such"
gives 0 "load --max-len: long enough" "$steadfast" load --max-len 4 s
gives 1 "update --max-len" "$steadfast" update --max-len 3 s -- cat
gives 2 "load --max-len: none" "$steadfast" load --max-len 0 s
gives 0 "save --set-mode" "$steadfast" save --set-mode --mode 640 s <<<one
[ -n "$(find s -perm 640)" ]
result $? "the mode of a file that was there"
inode=$(stat -c %i s)
gives 0 "save --in-place" "$steadfast" save --in-place s -- echo here
[ "$(stat -c %i s)" != "$inode" ] || [ "$("$steadfast" load s)" = here ]
result $? "it is saved"
gives 1 "save --in-place: the command fails" "$steadfast" save --in-place s -- sh -c 'echo half; exit 1'
says errors 'nothing was saved' "told"
gives 0 "save --in-place: standard input" "$steadfast" save --in-place s <<<there
is_int "$("$steadfast" load s)" there "it is saved"
if command -v flock >/dev/null; then
    flock s "$steadfast" save --timeout 0.05 --if-generation 9 s <<<x 2>errors
    is_int $? 1 "save --timeout: somebody has the flock"
    says errors 'STEADFAST_E_BUSY' "told as such"
    says errors '^steadfast: --timeout ' "--timeout"
else
    skip "no flock(1)"
fi
gives 2 "save --timeout: no number" "$steadfast" save --timeout soon s
if [ -n "$attributes" ]; then
    "$steadfast" save --plain a <<<x
    setfattr -n user.mine -v 1 a 2>/dev/null || python3 -c 'import os; os.setxattr("a", "user.mine", b"1")'
    gives 0 "save --keep-attributes" "$steadfast" save --plain --keep-attributes a <<<y
    python3 -c 'import os; os.getxattr("a", "user.mine")' 2>/dev/null || getfattr -n user.mine a >/dev/null 2>&1
    result $? "the attribute is kept"
fi
gives 0 "lock --lock-mode" "$steadfast" lock --lock-mode 600 l -- sh -c 'find l -perm /077 >modes'
is_int "$(wc -c <modes)" 0 "the lock's mode"
touch -d '1 hour ago' empty
gives 0 "lock --empty-grace" "$steadfast" lock -q --empty-grace 60 empty true
: >empty
touch -d '1 hour ago' empty
gives 0 "inspect --empty-grace" "$steadfast" inspect --empty-grace 60 empty
says output '^verdict +stale' "stale"
gives 0 "clean --empty-grace" "$steadfast" clean --empty-grace 60 empty
[ ! -e empty ]
result $? "it is gone"
echo $$ >old
touch -d '2001-01-01' old
gives 7 "inspect: a PID that came later" "$steadfast" inspect old
gives 0 "inspect --trust-start-time" "$steadfast" inspect --trust-start-time old
gives 0 "lock --trust-start-time" "$steadfast" lock -q -n --trust-start-time old true

# flock(1)'s habits.
gives 0 "lock without --" "$steadfast" lock l echo -n -v
is_int "$(cat output)" "-v" "the options behind it are the command's"
gives 0 "lock -c" env SHELL=/bin/sh "$steadfast" lock l -c 'echo "$0" $((1 + 1))'
is_int "$(cat output)" "/bin/sh 2" "the shell runs it"
gives 0 "lock -c, no SHELL" env -u SHELL "$steadfast" lock -c 'echo "$0"' l
is_int "$(cat output)" "/bin/sh" "the shell is /bin/sh"
gives 2 "lock -c and a command" "$steadfast" lock -c true l -- false
gives 124 "lock -n" "$steadfast" lock -n live true
gives 124 "lock -w" "$steadfast" lock -w 0.05 live true
gives 9 "lock -E" "$steadfast" lock -nE 9 live true
gives 9 "lock --conflict-exit-code" "$steadfast" lock -w0.05 --conflict-exit-code=9 live -- true
gives 2 "lock -E: no exit code" "$steadfast" lock -E 256 l true
on_descriptor() { "$steadfast" lock -n 9 9>descriptor; }
gives 2 "lock 9, with descriptor 9 open" on_descriptor
says errors 'a path and a command, not the descriptor' "what it takes"
gives 2 "lock 9, with no such descriptor" "$steadfast" lock 9
says errors 'no command' "no command"
cd .. || exit 2
