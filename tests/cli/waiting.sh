# A wait is told; a lock inside itself; --exec and --no-forward. Read by run.sh; `end` is a fifo.
# shellcheck shell=bash disable=SC2016,SC2154

# Elsewhere than on a terminal the wait is one line, after a second.
"$steadfast" lock lock -- sh -c 'cat end >/dev/null' &
background=$!
await test -s lock
"$steadfast" lock --timeout 60 lock -- true 2>waited &
waiter=$!
await test -s waited
says waited "^steadfast: waiting for lock: process $background \(steadfast\) has it since 20.*Z; (59|5[0-9]) s left\$" "lock: who is waited for is told"
"$steadfast" lock -q lock -- true 2>quietly &
silent=$!
gives 124 "lock --timeout: less than a second" "$steadfast" lock --timeout 0.2 lock -- true
[ "$(wc -l <errors)" = 1 ]
result $? "only its end is told"
echo >end
wait $background && wait $waiter && wait $silent
result $? "lock: they get it"
background=
[ "$(wc -l <waited)" = 1 ] && [ ! -s quietly ]
result $? "one line, and none with --quiet"

# An empty file that nobody flocks.
: >empty
"$steadfast" lock empty -- true 2>waited &
waiter=$!
await grep -q empty-grace waited
result $? "lock: an empty file is told, with the way out"
kill -TERM $waiter
wait $waiter
[ $? = 143 ]
result $? "a signal ends it"
rm empty

echo $$ >live
json 124 "lock --json: a wait of more than a second" '"status_name": "STEADFAST_E_LOCKED"' "$steadfast" lock --json -w 1.1 live -- true
rm live

# A lock inside itself.
gives 124 "lock in the same lock" "$steadfast" lock lock -- "$steadfast" lock lock -- true
says errors 'the command that runs this one holds that lock' "told at once"
gives 9 "lock -E in the same lock" "$steadfast" lock lock -- "$steadfast" lock -E 9 ./lock -- true
gives 0 "lock in another lock" "$steadfast" lock lock -- "$steadfast" lock other -- true
gives 124 "lock in the same lock, two deep" "$steadfast" lock lock -- "$steadfast" lock other -- "$steadfast" lock --exec lock -- true
# What was held around us is held no more: then it is not refused.
gives 125 "lock: the variable of a lock that is gone" "$steadfast" lock lock -- sh -c 'rm lock; "$1" lock -n lock -- echo inner' sh "$steadfast"
says output '^inner$' "it is taken"

# --exec: the command is the process that the lock names.
gives 0 "lock --exec" "$steadfast" lock --exec lock -- sh -c 'echo $$; cat lock; "$1" inspect -q lock; echo $?' sh "$steadfast"
[ "$(sed -n 1p output)" = "$(sed -n 2p output)" ] && [ "$(sed -n 3p output)" = 7 ]
result $? "the command has the PID in the file, and the lock is held"
[ -e lock ]
result $? "its file stays"
gives 0 "the next one takes it over" "$steadfast" lock -n lock -- true
says errors 'taken over from a stale lock' "as stale"
gives 127 "lock --exec: no such command" "$steadfast" lock --exec lock -- ./no-such-command
[ ! -e lock ]
result $? "the lock is released"
gives 143 "lock --exec: the command ends by a signal" "$steadfast" lock --exec lock -- sh -c 'kill -TERM $$'
"$steadfast" clean lock

# --no-forward: a signal to the wrapper is not the command's.
"$steadfast" lock --no-forward lock -- sh -c 'trap "echo TERM >>got.forward" TERM; echo >ready.forward; read -r line <end; exit 5' &
background=$!
await test -e ready.forward
kill -TERM $background
echo >end
wait $background
[ $? = 5 ] && [ ! -e got.forward ]
result $? "lock --no-forward: the command does not get it, and is waited for"
background=
[ ! -e lock ]
result $? "no lock file is left"

# What needs a terminal.
if [ -n "$reader" ]; then
    cat >terminal.py <<'PY'
"""The command on a terminal of its own: who holds the lock is told there, and Ctrl-C ends a shell loop."""
import os, pty, re, signal, subprocess, sys

steadfast = sys.argv[1]


def status_of(pid, key):
    with open(f"/proc/{pid}/status") as file:
        return next(line.split()[1] for line in file if line.startswith(key + ":"))


def held_by(process):
    """Is the lock this process's? While a stale one is taken over there is no file for a moment."""
    try:
        with open("t.lock") as file:
            return file.read() == f"{process.pid}\n"
    except FileNotFoundError:
        return False


class Terminal:
    """A command on a terminal, and what it has written there and nobody has looked for yet."""

    def __init__(self, *command):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(command[0], command)
        self.said = b""

    def more(self):
        try:
            part = os.read(self.fd, 4096)
        except OSError:
            part = b""
        self.said += part
        return part

    def until(self, wanted):
        while not (found := re.search(wanted, self.said)):
            if not self.more():
                sys.exit(f"the end instead of {wanted}: {self.said}")
        before, self.said = self.said[:found.end()], self.said[found.end():]
        return before

    def interrupt(self):
        """Ctrl-C, once the shell waits for its command: it catches the signal then and only then."""
        while not int(status_of(self.pid, "SigCgt"), 16) & 1 << signal.SIGINT - 1:
            pass
        os.write(self.fd, b"\x03")

    def end(self):
        """Its status as of wait, and the rest of what it has written."""
        while self.more():
            pass
        return os.waitpid(self.pid, 0)[1], self.said


# Who holds it, from when, and how long there is still to wait: again and again.
holder = subprocess.Popen([steadfast, "lock", "t.lock", "--", "cat"], stdin=subprocess.PIPE)
while not held_by(holder):
    pass
waiter = Terminal(steadfast, "lock", "-w", "60", "t.lock", "--", "echo", "mine")
said, left = b"", []
while len(set(left)) < 2:
    said += waiter.until(rb"\d+ s left")
    left.append(int(said.split()[-3]))
if left != sorted(left, reverse=True) or left[0] >= 60:
    sys.exit(f"the time that is left: {left}")
if b"process %d (steadfast) has it since 20" % holder.pid not in said or b"\r\x1b[K" not in said or b"\n" in said:
    sys.exit(f"on a terminal: {said}")
holder.communicate(b"")
status, said = waiter.end()
if status != 0 or not said.endswith(b"\r\x1b[Kmine\r\n"):
    sys.exit(f"then it is the command's: {status}, {said}")

# Ctrl-C goes to all of the foreground. A command that dies of it ends the loop.
for how in ("", "--no-forward", "--exec"):
    loop = Terminal("/bin/bash", "-c", f"while :; do '{steadfast}' lock -q {how} t.lock -- sh -c 'echo begun; exec sleep 1000'; done")
    loop.until(b"begun")
    loop.interrupt()
    status, _ = loop.end()
    if os.WTERMSIG(status) != signal.SIGINT:
        sys.exit(f"Ctrl-C does not end a shell loop {how}")
# So does one while the lock is waited for.
holder = subprocess.Popen([steadfast, "lock", "-q", "t.lock", "--", "cat"], stdin=subprocess.PIPE)
while not held_by(holder):
    pass
loop = Terminal("/bin/bash", "-c", f"while :; do '{steadfast}' lock t.lock -- true; done")
loop.until(b"waiting for t.lock")
loop.interrupt()
status, _ = loop.end()
if os.WTERMSIG(status) != signal.SIGINT:
    sys.exit("Ctrl-C in the wait does not end a shell loop")
holder.communicate(b"")
# One that handles it does not, and gets it once.
loop = Terminal("/bin/bash", "-c", f"for i in 1 2; do '{steadfast}' lock t.lock -- '{sys.executable}' handles.py; done; echo over")
for _ in range(2):
    loop.until(b"begun")
    loop.interrupt()
    said = loop.until(rb"ended after \d+")
    if not said.endswith(b"after 1"):
        sys.exit(f"Ctrl-C reaches a command that handles it: {said}")
loop.until(b"over")
loop.end()

# A success is told on a terminal.
status, said = Terminal("/bin/sh", "-c", f"echo x | '{steadfast}' save t.state").end()
if said != b"t.state: generation 1, 2 bytes\r\n":
    sys.exit(f"save on a terminal: {said}")
PY
    cat >handles.py <<'PY'
import os, signal

# The wrapper hands on what the command has not got, in the order in which it came: a second signal, if there were one, would come
# before the one that it is sent now.
counts = {signal.SIGINT: 0, signal.SIGUSR1: 0}
reader, writer = os.pipe()
def got(number, frame):
    counts[number] += 1
    os.write(writer, b"x")
for number in counts:
    signal.signal(number, got)
print("begun", flush=True)
os.read(reader, 1)
os.kill(os.getppid(), signal.SIGUSR1)
while not counts[signal.SIGUSR1]:
    os.read(reader, 1)
print("ended after", counts[signal.SIGINT], flush=True)
PY
    "$reader" terminal.py "$steadfast" >output 2>errors
    result $? "lock on a terminal: the wait is told, and Ctrl-C ends a shell loop"
else
    skip "no python3, so no terminal was tried"
fi
