# States of any length: save and load hold little of them in memory, and say how far they are. Read by run.sh.
# shellcheck shell=bash disable=SC2016,SC2154

mkdir streams
# What is left beside a state.
beside() { find streams -name ".$1.*"; }
head -c 60000000 /dev/urandom >streams/long
# Less address space than the state is long.
little() { (ulimit -v 40000 && "$@"); }
if little "$steadfast" --version >output 2>errors; then
    for kind in "" --plain; do
        # shellcheck disable=SC2086
        gives "$([ -n "$kind" ] && [ -z "$attributes" ] && echo 3 || echo 0)" "save $kind: in little memory" little "$steadfast" save $kind streams/s <streams/long
        # shellcheck disable=SC2086
        gives "$([ -n "$kind" ] && [ -z "$attributes" ] && echo 3 || echo 0)" "load $kind: in little memory" little "$steadfast" load $kind streams/s
        cmp -s output streams/long
        result $? "load $kind: the same"
    done
    gives 0 "save -- COMMAND: in little memory" little "$steadfast" save -v streams/s -- cat streams/long
    says output ' 60000000 bytes$' "all of it"
    for command in verify info; do gives 0 "$command: in little memory" little "$steadfast" $command streams/s; done
else
    skip "the command does not start in 40 MB of address space"
fi

# What cannot be saved is told before anything is read or begun.
gives 1 "save: no such directory" "$steadfast" save streams/no/such -- touch streams/begun
[ ! -e streams/begun ]
result $? "COMMAND was not begun"
gives 0 "save" "$steadfast" save streams/s <<<old
gives 6 "save --if-generation -- COMMAND: another is there by then" \
    "$steadfast" save --if-generation "$(generation streams/s)" streams/s -- sh -c "echo between | '$steadfast' save streams/s >&2; echo late"
gives 0 "load" "$steadfast" load streams/s
says output '^between$' "it stays"

# The file becomes too long. Even a COMMAND without end ends then.
short() { (ulimit -f 100 && "$@"); }
gives 1 "save: the file cannot be that long" short "$steadfast" save streams/s <streams/long
says errors 'EFBIG' "told as such"
gives 1 "save -- COMMAND: the file cannot be that long" short "$steadfast" save streams/s -- yes
says errors 'EFBIG' "told as such"
[ "$(wc -l <errors)" = 1 ]
result $? "and nothing else: it is not the command's fault"
gives 0 "load" "$steadfast" load streams/s
says output '^between$' "the old state stands"
[ -z "$(beside s)" ]
result $? "and nothing is left beside it"

# A signal while the input comes.
mkfifo streams/in
for program in "" "-- cat streams/in"; do
    if [ -z "$program" ]; then
        "$steadfast" save streams/s <streams/in 2>errors &
    else
        # shellcheck disable=SC2086
        "$steadfast" save streams/s $program 2>errors &
    fi
    background=$!
    exec 7>streams/in
    echo half >&7
    written() { [ -n "$(find streams -name '.s.*' -size -2 -size +0)" ]; }
    await written
    result $? "save $program: what came is written"
    kill -TERM $background
    exec 7>&-
    wait $background
    [ $? = 143 ]
    result $? "a signal ends it"
    background=
    [ -z "$(beside s)" ] && [ "$("$steadfast" load streams/s)" = between ]
    result $? "the old state stands, and nothing is left beside it"
done

# A COMMAND that writes nothing more and goes on.
"$steadfast" save streams/s -- sh -c 'echo $$ >streams/pid; echo half; exec sleep 1000 >&-' 2>errors &
background=$!
await test -s streams/pid
await written
if [ -r /proc/self/comm ]; then await grep -q sleep "/proc/$(cat streams/pid)/comm"; fi
kill -TERM $background
wait $background
[ $? = 143 ] && [ -z "$(beside s)" ] && [ "$("$steadfast" load streams/s)" = between ]
result $? "save -- COMMAND that goes on: a signal ends it, and nothing is left"
background=
kill "$(cat streams/pid)"

# Somebody changes the file while it is written out.
"$steadfast" save streams/s <streams/long >output
mkfifo streams/out
"$steadfast" load streams/s >streams/out 2>errors &
background=$!
{
    head -c 100000 >streams/first
    printf '!' | dd of=streams/s bs=1 seek=59000000 conv=notrunc status=none
    cat >streams/rest
} <streams/out
wait $background
[ $? = 4 ]
result $? "load: changed meanwhile"
background=
says errors STEADFAST_E_DIGEST "told as such"
says errors '^steadfast: only the first [0-9]+ bytes were written$' "and how much was written"
cat streams/first streams/rest | cmp -s -n "$(cat streams/first streams/rest | wc -c)" - streams/long
result $? "which is as it was saved"
[ "$(cat streams/first streams/rest | wc -c)" -lt 59000000 ]
result $? "and ends before the change"

# How far it is: only a terminal is told, and only after a second.
if [ -n "$reader" ]; then
    cat >streams/terminal.py <<'PY'
import os, subprocess, sys, time
# terminal.py SECONDS COMMAND...: gives it 3 MiB in two halves, and shows what it wrote to its terminal.
terminal, its = os.openpty()
program = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=its)
os.close(its)
pause = float(sys.argv[1])
if sys.argv[3] == "save":
    for half in range(2):
        program.stdin.write(bytes(3 << 19))
        program.stdin.flush()
        time.sleep(pause)
    program.stdin.close()
else:
    program.stdout.read(100000)
    time.sleep(pause)
program.stdout.read()
code = program.wait()
said = b""
try:
    while True:
        part = os.read(terminal, 4096)
        if not part:
            break
        said += part
except OSError:
    pass
sys.stdout.buffer.write(said.replace(b"\r", b"<").replace(b"\x1b[K", b">"))
sys.exit(code)
PY
    gives 0 "save: a second and more, at a terminal" "$reader" streams/terminal.py 1.1 "$steadfast" save streams/s
    says output '<>steadfast: [1-3] MiB(, saving)?<>$' "how far it is, and nothing in the end"
    gives 0 "save: less than a second" "$reader" streams/terminal.py 0 "$steadfast" save streams/s
    [ ! -s output ]
    result $? "nothing is told"
    gives 0 "load: a second and more" "$reader" streams/terminal.py 1.1 "$steadfast" load streams/s
    says output '<>steadfast: [0-3] of 3 MiB<>$' "how far it is, and of how much"
    gives 0 "save -- COMMAND: a second and more" "$reader" streams/terminal.py 0 "$steadfast" save streams/s -- sh -c 'sleep 1.1; cat'
    says output '<>steadfast: 0 MiB' "how far it is"

    # A pipe that does not block, as programs with an event loop hand it on, and that has nothing yet.
    cat >streams/nonblocking.py <<'PY'
import os, subprocess, sys, time
reader, writer = os.pipe()
os.set_blocking(reader, False)
program = subprocess.Popen(sys.argv[1:], stdin=reader)
os.close(reader)
def sleeps():
    with open(f"/proc/{program.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"
end = time.monotonic() + 10
while program.poll() is None and not sleeps():
    if time.monotonic() > end:
        program.kill()
        sys.exit("it does not sleep while it waits")
os.write(writer, sys.stdin.buffer.read())
os.close(writer)
sys.exit(program.wait())
PY
    if [ -r /proc/self/stat ]; then
        late() { "$reader" streams/nonblocking.py "$@" <streams/small; }
        echo late >streams/small
        for how in "" --alternate; do
            # shellcheck disable=SC2086
            gives 0 "save $how: nothing is there yet" late "$steadfast" save $how streams/late
            says streams/late '^late$' "it is waited for"
        done
        cp streams/late streams/small
        gives 0 "verify -: nothing is there yet" late "$steadfast" verify -
    fi
else
    skip "no python3, so no terminal was tried"
fi
slowly() { { sleep 1.1; echo x; } | "$steadfast" save streams/s; }
gives 0 "save: a second and more, and no terminal" slowly
[ ! -s errors ]
result $? "nothing is told"
