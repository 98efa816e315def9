"""Python's ways to save a state; the protocol is in worker.h. Arguments: plain|atomicwrites DIRECTORY."""

import os
import sys
import tempfile
import time

way, directory = sys.argv[1:]
path = os.path.join(directory, way)

if way == "plain":

    def save(data):
        """The careful recipe: a temporary file beside it, fsync, replace, fsync of the directory."""
        fd, temp = tempfile.mkstemp(dir=directory)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temp, path)
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

else:
    from atomicwrites import atomic_write

    def save(data):
        with atomic_write(path, mode="wb", overwrite=True) as file:
            file.write(data)


number, data = 0, bytearray()
for line in sys.stdin:
    if line == "check\n":
        with open(path, "rb") as file:
            answer = "ok" if file.read() == data else "what it reads back is not what it saved"
    else:
        size, count = map(int, line.split())
        if size != len(data):
            data = bytearray(os.urandom(size))
        ns = 0
        for _ in range(count):
            number += 1
            data[:8] = number.to_bytes(8, "little")
            start = time.perf_counter_ns()
            save(data)
            ns += time.perf_counter_ns() - start
        answer = str(ns)
    print(answer, flush=True)
