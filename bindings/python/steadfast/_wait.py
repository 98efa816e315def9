"""How a wait for a lock is ended from outside, and how the main thread waits without missing a signal."""

from __future__ import annotations

import fcntl
import os
import select
import signal
from types import TracebackType
from typing import Optional


class Cancel:
    """A pipe. Once something is in it, the wait that watches `fd` ends, and so does one that begins later."""

    def __init__(self) -> None:
        self.fd, self._writable = os.pipe()
        if self.fd == 0:
            # The library takes 0 for "none"; standard input was closed.
            self.fd = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
            os.close(0)

    def cancel(self) -> None:
        os.write(self._writable, b"x")

    def __enter__(self) -> Cancel:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        os.close(self.fd)
        os.close(self._writable)


class Alarm:
    """What the main thread sleeps on: a thread rings it, and so does every signal that Python has a handler for.

    Signal handlers run between two steps of the main thread. A signal that comes just before it sleeps would not be seen
    until it wakes up; here it has left a byte by then (signal.set_wakeup_fd). ValueError: this is not the main thread of
    the main interpreter, and no handler runs in it.
    """

    _RUNG = b"\0"  # no signal's number

    def __init__(self) -> None:
        self._readable, self._writable = os.pipe()
        try:
            os.set_blocking(self._readable, False)
            os.set_blocking(self._writable, False)
            self._before = signal.set_wakeup_fd(self._writable, warn_on_full_buffer=False)
        except BaseException:
            os.close(self._readable)
            os.close(self._writable)
            raise

    def ring(self) -> None:
        try:
            os.write(self._writable, self._RUNG)
        except BlockingIOError:
            pass  # full of signals: it is ringing

    def wait(self) -> None:
        """Sleeps until it rings. What a signal's handler raises comes out of here."""
        poll = select.poll()
        poll.register(self._readable, select.POLLIN)
        poll.poll()
        self._take()

    def _take(self) -> None:
        """What it took from somebody else, asyncio for instance, goes there."""
        try:
            signals = os.read(self._readable, 65536).replace(self._RUNG, b"")
            if signals and self._before >= 0:
                os.write(self._before, signals)
        except OSError:
            pass  # nothing in it; or the other one is full or closed, as it may be for the interpreter

    def __enter__(self) -> Alarm:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        signal.set_wakeup_fd(self._before, warn_on_full_buffer=False)
        self._take()
        os.close(self._readable)
        os.close(self._writable)
