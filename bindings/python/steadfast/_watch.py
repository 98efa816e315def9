"""Watching a state."""

from __future__ import annotations

import ctypes
import errno
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Optional

from . import _abi
from ._arguments import StrPath, path_bytes
from ._hooks import Context, hooks_may_raise, pointer_of
from ._report import error_of, new_report, report_of
from ._state import load_options


class Watch:
    """Waits until the state at `path` has another generation; 0 stands for none.

    The directories on the way are watched, and every link, so that a state that is saved, a link that is pointed elsewhere
    (Kubernetes' ConfigMaps) and a directory that is made later are all seen. recover: PATH.prev stands for a state that is
    damaged or missing. plain: it is a plain file; one that nothing verifies has a tag of its content for a generation, 2**63 or
    more. Iterating gives each generation that is seen, and never ends.
    """

    def __init__(
        self, path: StrPath, *, recover: bool = False, plain: bool = False, context: Optional[Context] = None
    ) -> None:
        self._pointer: Optional[int] = None
        self._path = path_bytes(path)
        self._context = context  # has to live as long as the watch
        out = ctypes.c_void_p()
        raw = new_report()
        options = load_options(recover=recover, schema=None, max_len=0, plain=plain)
        with hooks_may_raise():
            _abi.lib.steadfast_watch_open(pointer_of(context), self._path, options, out, raw)
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, self._path)
        self._pointer = out.value

    def wait(self, known: int, timeout: Optional[float] = None) -> Optional[int]:
        """Another generation than `known`, or None after `timeout` seconds (None: no limit; 0: one look).

        Damage is a DamagedError, once for each change.
        """
        if self._pointer is None:
            raise ValueError("the watch is closed")
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = -1 if end is None else max(0, round((end - time.monotonic()) * 1000))
            raw = new_report()
            with hooks_may_raise():
                status = _abi.lib.steadfast_watch_wait(self._pointer, known, left, raw)
            if status == -errno.ETIMEDOUT:
                return None
            if status != -errno.EINTR:  # of a signal, whose handler runs now
                break
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, self._path)
        return report.generation

    def fileno(self) -> int:
        """A descriptor for event loops. When it is readable call wait with a timeout of 0; -1: do so once a second."""
        descriptor: int = _abi.lib.steadfast_watch_fd(self._pointer)
        return descriptor

    def close(self) -> None:
        """Ends the watch. No other thread may be in wait."""
        pointer, self._pointer = self._pointer, None
        _abi.lib.steadfast_watch_close(pointer)

    def __iter__(self) -> Iterator[int]:
        known = 0
        while True:
            generation = self.wait(known)
            assert generation is not None
            known = generation
            yield known

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close()
