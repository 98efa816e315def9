"""Puts steadfast's classes in the place of filelock's and atomicwrites', in every Python that their tests start.

A test that makes one of them has a counterpart. The plugin peer.py counts those; a child process tells it by a file.
"""

import os
import sys
from typing import Any

import filelock
import filelock.asyncio

from steadfast.compat import atomicwrites, filelock as ours

REPLACED = ("FileLock", "UnixFileLock", "SoftFileLock", "AsyncFileLock", "AsyncUnixFileLock", "AsyncSoftFileLock")
PID, USED = os.getpid(), os.environ.get("STEADFAST_PEER_USED", "")
made = False


def note_new(kind: Any, *_arguments: Any, **_options: Any) -> Any:
    global made
    if not made:
        made = True
        if USED and os.environ.get("STEADFAST_PEER_PID") != str(PID):
            os.close(os.open(USED, os.O_CREAT | os.O_WRONLY))
    return object.__new__(kind)


for kind in (ours._SteadfastLock, atomicwrites.AtomicWriter):
    kind.__new__ = note_new  # type: ignore[method-assign, assignment]
sys.modules["atomicwrites"] = atomicwrites
for name in REPLACED:
    for module in (filelock, filelock.asyncio):
        if hasattr(module, name):
            setattr(module, name, getattr(ours, name))
