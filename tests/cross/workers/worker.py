"""The Python one of the workers; README.md has the protocol."""

import errno
import os
import sys
import warnings

import steadfast

warnings.simplefilter("ignore", steadfast.NotDurableWarning)


def increment(lock: str, state: str, times: str) -> None:
    for _ in range(int(times)):
        with steadfast.Lock(lock, timeout=60):
            try:
                number = int(steadfast.load(state).data)
            except FileNotFoundError:
                number = 0
            steadfast.save(state, str(number + 1).encode(), sync=False)


def swap(state: str, times: str) -> None:
    for _ in range(int(times)):
        while True:
            try:
                found = steadfast.load(state)
                number, generation = int(found.data), found.generation
            except FileNotFoundError:
                number, generation = 0, 0
            try:
                steadfast.save(state, str(number + 1).encode(), if_generation=generation, sync=False)
                break
            except steadfast.ConflictError:
                pass


def hold(path: str) -> None:
    with steadfast.Lock(path, timeout=60):
        print("held", os.getpid(), flush=True)
        sys.stdin.read()


def wait(path: str) -> None:
    try:
        steadfast.Lock(path, timeout=0).acquire()
    except steadfast.LockedError as error:
        print("locked by", error.report.pid, flush=True)
    with steadfast.Lock(path, timeout=60):
        print("got", os.getpid(), flush=True)


def failing(path: str, text: str, *strict: str) -> None:
    """Saves while a hook, a Python function that C calls through ctypes, lets every fsync of a file fail."""
    calls = []

    def fsync(descriptor: int) -> int:
        calls.append(descriptor)
        return -errno.EIO

    try:
        saved = steadfast.save(path, text.encode(), strict=bool(strict), context=steadfast.Context(fsync=fsync))
        print("saved", saved.durable, saved.on_disk.name, len(calls) > 0)
    except steadfast.NotSavedDurablyError as error:
        print("refused", error.errno == errno.EIO, len(calls) > 0)


def save(path: str, text: str) -> None:
    steadfast.save(path, text.encode(errors="surrogateescape"))


def load(path: str) -> None:
    sys.stdout.buffer.write(steadfast.load(path).data)


{f.__name__: f for f in (save, load, increment, swap, hold, wait, failing)}[sys.argv[1]](*sys.argv[2:])
