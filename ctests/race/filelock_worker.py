"""A worker of race.c: python filelock's SoftFileLock, the one of its locks that is a PID file.

filelock_worker.py PATH          commands on stdin: 'g' try, 'd' try with delays at its calls, 'r' release
filelock_worker.py --rate PATH   acquisitions per second, printed
"""

import os
import random
import sys
import time

import filelock._soft as soft
from filelock import SoftFileLock, Timeout

if sys.argv[1] == "--rate":
    lock, count, end = SoftFileLock(sys.argv[2]), 0, time.monotonic() + 1
    while time.monotonic() < end:
        lock.acquire(timeout=0)
        lock.release()
        count += 1
    print(count)
    sys.exit()

inject = False


def delayed(call):
    def wrapper(*args, **kwargs):
        if inject and random.random() < 0.5:
            time.sleep(random.random() * 3e-4)
        return call(*args, **kwargs)

    return wrapper


for module, names in (
    (os, ("open", "unlink", "rename", "link", "kill", "replace")),
    (soft, ("exchange_names", "exchange_back", "owner_is_stale", "read_lock_file")),
):
    for name in names:
        if hasattr(module, name):
            setattr(module, name, delayed(getattr(module, name)))

lock = SoftFileLock(sys.argv[1])
os.write(1, b"U")
while command := os.read(0, 1):
    if command == b"r":
        lock.release()
        os.write(1, b"R")
        continue
    inject = command == b"d"
    answer = b"N"
    for _ in range(4):  # one try removes the stale lock, the next one takes it
        try:
            lock.acquire(timeout=0)
            answer = b"Y"
            break
        except (Timeout, OSError):
            pass
    os.write(1, answer)
