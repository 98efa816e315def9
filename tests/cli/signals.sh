# shellcheck shell=bash
# shellcheck disable=SC2154 # Sourced by run.sh: $steadfast, gives, result, await, and a fifo `end` in an empty directory.
# Signals of `lock`: each reaches the command once, and the wrapper ends as the command or the wait did.

# A signal to it goes on to the command.
"$steadfast" lock lock -- sh -c 'trap "echo told >told; exit 5" USR1; echo >ready; while :; do read -r line <end; done' &
background=$!
await test -e ready
kill -USR1 $background
await test -s told
wait $background
[ $? = 5 ]
result $? "lock: a signal reaches the command"
background=
[ ! -e lock ]
result $? "no lock file is left in the end"

# The command writes down each signal that it gets; USR1 ends it. Of two that come at once a shell sees one, so the command is left
# out where the others are told as well: then it must get nothing. USR1 to the wrapper comes after that, and is handed on after it.
cat >counts <<'SH'
trap 'echo TERM >>got' TERM
trap 'echo USR1 >>got; exit 7' USR1
echo $$ >counting
while :; do read -r line <end; done
SH
# counted NAME EXPECTED TELL [PROGRAM]: the wrapper in a process group of its own, $wrapper; its command is $told, $witness the other.
counted() {
    rm -f got counting
    set -m
    # shellcheck disable=SC2086
    "$steadfast" lock lock -- ${4-} sh counts 2>errors &
    wrapper=$!
    set +m
    await test -s counting
    told=$(cat counting)
    witness=$(awk -v parent=$wrapper -v command="$told" '/^Pid:/ { pid = $2 } /^PPid:/ && $2 == parent && pid != command { print pid }' \
        /proc/[0-9]*/status 2>/dev/null)
    $3
    [ "$2" = "USR1 " ] || await grep -qs TERM got
    kill -USR1 $wrapper
    wait $wrapper
    [ $? = 7 ] && [ "$(tr '\n' ' ' <got)" = "$2" ]
    result $? "lock: $1"
}
to_group() { kill -TERM -- "-$wrapper"; }
to_wrapper() { kill -TERM "$wrapper"; }
to_command() { kill -TERM "$told"; }
to_both() { kill -TERM "$wrapper" "$witness"; }
# Once the wrapper has heard of it from the witness.
to_both_last() { turns=$(turns_of); kill -TERM "$witness"; await another_turn; kill -TERM "$wrapper"; }
# It gets the signal when the others have had it for long: when the wrapper asks it.
to_group_but_a_stopped_witness() {
    kill -STOP "$witness"
    await is_stopped
    to_group
    await is_asked_or_told_twice
}
is_stopped() { grep -q '^State:.T' "/proc/$witness/status"; }
is_asked_or_told_twice() { ! is_stopped || [ "$(grep -cs TERM got)" = 2 ]; }
to_wrapper_without_witness() { kill -KILL "$witness"; to_wrapper; }
turns_of() { grep '^voluntary_ctxt_switches' "/proc/$wrapper/status"; }
another_turn() { [ "$(turns_of)" != "$turns" ]; }
if [ -r /proc/self/status ]; then
    counted "the process group gets SIGTERM, and so the command" "TERM USR1 " to_group
    counted "the wrapper gets it, and hands it on" "TERM USR1 " to_wrapper
    counted "the command gets it" "TERM USR1 " to_command
    counted "all beside the command get it, and it is not handed on" "USR1 " to_both
    counted "nor if the wrapper is the last one" "USR1 " to_both_last
    counted "nor if the witness runs late" "TERM USR1 " to_group_but_a_stopped_witness
    counted "somebody has killed the witness" "TERM USR1 " to_wrapper_without_witness
    if command -v setsid >/dev/null; then
        counted "the command has left the process group, which gets it" "TERM USR1 " to_group setsid
    fi
else
    skip "no /proc to find the processes"
fi

# It ends by the signal itself, after the lock is released: seen by those who wait for it, not by a shell.
ender=$(command -v python3 || :)
if [ -n "$ender" ] && [ -e /proc/self/exe ]; then
    cat >ends.py <<'PY'
import os, signal, subprocess, sys, time
steadfast = sys.argv[1]
def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: {got}, not {wanted}")
    if os.path.exists("lock.py"):
        sys.exit(f"{what}: the lock file is left")
for name in "TERM", "INT", "HUP", "KILL", "SEGV", "ALRM":
    number = getattr(signal, "SIG" + name)
    done = subprocess.run([steadfast, "lock", "lock.py", "--", "sh", "-c", f"kill -{name} $$"], stderr=subprocess.DEVNULL)
    check("the command ends by " + name, done.returncode, -number)
    if number in (signal.SIGKILL, signal.SIGSEGV):
        continue
    holder = subprocess.Popen([steadfast, "lock", "lock.py", "--", "sh", "-c", "echo; read line"], stdin=-1, stdout=-1)
    holder.stdout.readline()
    for trial in range(25):
        # Whenever it comes: before the wait, at its beginning, or in it.
        waiter = subprocess.Popen([steadfast, "lock", "lock.py", "--", "true"])
        while not os.path.samefile(f"/proc/{waiter.pid}/exe", steadfast):
            pass
        until = time.monotonic() + trial * 0.0004
        while time.monotonic() < until:
            pass
        waiter.send_signal(number)
        if waiter.wait() != -number:
            sys.exit(f"{name} ends the wait: {waiter.returncode}")
    holder.communicate(b"\n")
    check("the holder", holder.returncode, 0)
# Nobody dumps core for a command that did.
if os.path.exists("core"):
    sys.exit("a core of ours")
PY
    "$ender" ends.py "$steadfast" >errors 2>&1
    result $? "lock: ends by the signal that ended the command or the wait"
else
    skip "no python3 or no /proc to see by which signal it ends"
fi

# A timer that was set before it was started: it ends the wait, and the command.
if command -v perl >/dev/null; then
    gives 142 "lock: a timer ends the command" perl -e 'alarm 1; exec @ARGV' "$steadfast" lock lock -- sleep 60
    [ ! -e lock ]
    result $? "and the lock is released"
    "$steadfast" lock lock -- sh -c 'cat end >/dev/null' &
    background=$!
    await test -e lock
    gives 142 "lock: a timer ends the wait" perl -e 'alarm 1; exec @ARGV' "$steadfast" lock lock -- true
    echo >end
    wait $background
    background=
else
    skip "no perl to set a timer"
fi

# What was ignored does not end a wait. A wait that began with standard input closed ends as any other.
"$steadfast" lock lock -- sh -c 'cat end >/dev/null' &
background=$!
await test -e lock
if [ -r /proc/self/stat ]; then
    (trap '' TERM; exec "$steadfast" lock lock -- true) &
    deaf=$!
    "$steadfast" lock lock -- true <&- &
    waiter=$!
    await waits
    kill -TERM $waiter
    ended() { ! grep -qs '^State:.[^Z]' "/proc/$waiter/status"; }
    await ended
    result $? "lock: a signal ends the wait, with standard input closed"
    waiter=$deaf
    await waits
    kill -TERM $deaf
fi
echo >end
wait $background
background=
if [ -r /proc/self/stat ]; then
    wait "$deaf"
    result $? "lock: a signal that was ignored does not end the wait"
fi

# Standard streams that are closed are so for the command, and no file of ours comes in their place.
if [ -d /proc/self/fd ]; then
    "$steadfast" lock lock -- sh -c 'for fd in 0 1 2; do [ ! -e /proc/$$/fd/$fd ] || echo $fd >>open; done; cp lock seen' <&- >&- 2>&- &&
        [ ! -e open ]
    result $? "lock: closed standard streams stay closed"
    [ "$(cat seen)" -gt 0 ]
    result $? "and nothing is written into the lock file"
fi
