"""Lock files."""

from __future__ import annotations

import ctypes
import enum
import math
import os
import threading
import time
import warnings
from dataclasses import dataclass, field
from types import TracebackType
from typing import Callable, Optional, Union

from . import _abi
from ._arguments import UNSET, StrPath, Unset, path_bytes, seconds_to_ms, unsigned
from ._hooks import Context, hooks_may_raise, pointer_of
from ._report import LockedError, Report, WrongProcessError, error_of, new_report, report_of
from ._wait import Alarm, Cancel


class Verdict(enum.IntEnum):
    """What clean_stale and inspect find (STEADFAST_LOCK_*)."""

    ABSENT = 0  # there is no lock file
    REMOVED = 1  # it was stale, and this call removed it: told to exactly one caller
    HELD = 2  # its owner is alive
    UNDECIDED = 3  # it cannot be known: kept
    IGNORED = 4  # a symbolic link or no regular file: not followed, not touched
    CHANGED = 5  # someone else replaced it meanwhile: nothing done
    STALE = 6  # inspect only: clean_stale would remove it


@dataclass(frozen=True)
class LockStatus:
    """A verdict, whom the lock names (0: nobody), and why."""

    verdict: Verdict
    pid: int
    message: str
    report: Report = field(repr=False)


def lock_options(
    *, mode: int = 0, trust_start_time: bool = False, empty_grace: Optional[float] = None, flags: int = 0
) -> _abi.CLockOptions:
    # Less than a millisecond would be 0, which the library takes for "never".
    grace = 0 if empty_grace is None else max(1, math.ceil(empty_grace * 1000))
    if empty_grace is not None and empty_grace < 0:
        raise ValueError(f"empty_grace must be at least 0, or None for never: {empty_grace}")
    return _abi.CLockOptions(
        size=ctypes.sizeof(_abi.CLockOptions),
        flags=flags | (_abi.LOCK_TRUST_START_TIME if trust_start_time else 0),
        mode=unsigned(mode, 32, "mode"),
        empty_grace_ms=unsigned(grace, 63, "empty_grace in milliseconds"),
    )


def _look(function: Callable[..., int], path: StrPath, options: _abi.CLockOptions, context: Optional[Context]) -> LockStatus:
    name = path_bytes(path)
    raw = new_report()
    with hooks_may_raise():
        function(pointer_of(context), name, options, raw)
    report = report_of(raw)
    if report.status < 0:
        raise error_of(report, name)
    return LockStatus(verdict=Verdict(report.status), pid=report.pid, message=report.message, report=report)


def clean_stale(
    path: StrPath,
    *,
    trust_start_time: bool = False,
    empty_grace: Optional[float] = None,
    context: Optional[Context] = None,
) -> LockStatus:
    """Removes the lock file at `path` if its owner is provably dead; never takes it from a live one.

    trust_start_time: a foreign PID whose process is younger than the file is a reused one (clocks step: off by default).
    empty_grace: an empty lock file of another program is stale after so many seconds; None is never.
    """
    options = lock_options(trust_start_time=trust_start_time, empty_grace=empty_grace)
    return _look(_abi.lib.steadfast_lock_clean_stale, path, options, context)


def inspect(
    path: StrPath,
    *,
    trust_start_time: bool = False,
    empty_grace: Optional[float] = None,
    context: Optional[Context] = None,
) -> LockStatus:
    """Says what clean_stale would do (Verdict.STALE instead of REMOVED). Changes nothing."""
    options = lock_options(trust_start_time=trust_start_time, empty_grace=empty_grace)
    return _look(_abi.lib.steadfast_lock_inspect, path, options, context)


class _Guard:
    """A mutex that a forked child finds free."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._mutex = threading.Lock()

    def __enter__(self) -> None:
        if self._pid != os.getpid():
            self.__init__()  # type: ignore[misc]
        self._mutex.acquire()

    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._mutex.release()


class Lock:
    """A lock file: `with steadfast.Lock("app.lock", timeout=5):`.

    Excludes other processes, other Lock objects of this one, and threads that share the object. Not recursive. timeout
    is in seconds: None waits for ever, 0 tries once. A stale lock is taken over. Ctrl-C ends a wait.

    A forked child does not own the lock. With inherit=True it keeps the lock held while it lives, programs that it starts
    with the lock's descriptor (subprocess: close_fds=False) as well, and it can make the lock its own: adopt().
    """

    def __init__(
        self,
        path: StrPath,
        timeout: Optional[float] = None,
        *,
        inherit: bool = False,
        mode: int = 0,
        trust_start_time: bool = False,
        empty_grace: Optional[float] = None,
        context: Optional[Context] = None,
    ) -> None:
        self._held: list[tuple[int, Optional[Context], int]] = []
        self._guard = _Guard()
        seconds_to_ms(timeout, "timeout")
        self.path = path
        self.timeout = timeout
        self.report: Optional[Report] = None
        self._name = path_bytes(path)
        self._inherit = inherit
        self._options = lock_options(
            mode=mode,
            trust_start_time=trust_start_time,
            empty_grace=empty_grace,
            flags=_abi.LOCK_INHERIT if inherit else 0,
        )
        self._context = context

    @property
    def held(self) -> bool:
        """Does this object hold the lock, in this process? Whether somebody took the file away, check() finds out."""
        held = self._held[:1]
        return bool(held) and held[0][2] == os.getpid()

    def acquire(self, timeout: Union[float, None, Unset] = UNSET) -> Report:
        """Takes the lock, or raises LockedError after `timeout` seconds; left out, it is the constructor's."""
        wait = self.timeout if isinstance(timeout, Unset) else timeout
        if threading.current_thread() is not threading.main_thread() or wait == 0:
            return self._acquire(wait)
        return self._acquire_in_main_thread(wait)

    def _acquire_in_main_thread(self, timeout: Optional[float]) -> Report:
        """Signal handlers run in this thread, and not inside a call of the library. So a short try is made here, and the
        wait in a thread of its own, which keeps its place in the queue whatever signals come."""
        end = None if timeout is None else time.monotonic() + timeout
        first = 0.001 if timeout is None else min(timeout, 0.001)
        try:
            return self._acquire(first)
        except LockedError:
            if timeout is not None and timeout <= first:
                raise
        try:
            alarm = Alarm()
        except ValueError:
            return self._acquire(None if end is None else max(0.0, end - time.monotonic()))
        outcome: list[Union[Report, BaseException]] = []
        over = threading.Event()  # the waiter has rung: the alarm may be closed

        def wait() -> None:
            try:
                left = None if end is None else max(0.0, end - time.monotonic())
                outcome.append(self._acquire(left, cancel.fd))
            except BaseException as error:
                outcome.append(error)
            finally:
                alarm.ring()
                over.set()

        def sleep() -> None:
            while not outcome:
                alarm.wait()
            over.wait()

        with alarm, Cancel() as cancel:
            waiter = threading.Thread(target=wait, name="steadfast", daemon=True)
            try:
                waiter.start()
                sleep()
            except BaseException:
                cancel.cancel()
                while waiter.is_alive() and not over.is_set():  # a moment, also for who presses Ctrl-C twice
                    try:
                        sleep()
                    except KeyboardInterrupt:
                        pass
                if outcome and isinstance(outcome[0], Report):
                    self.release()  # it came too late
                raise
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _acquire(self, timeout: Optional[float], cancel_fd: int = 0) -> Report:
        options = _abi.CLockOptions.from_buffer_copy(self._options)
        options.cancel_fd = cancel_fd
        context = self._context
        out = ctypes.c_void_p()
        raw = new_report()
        try:
            with hooks_may_raise():
                _abi.lib.steadfast_lock_acquire(
                    pointer_of(context), self._name, seconds_to_ms(timeout, "timeout"), options, out, raw
                )
            report = report_of(raw)
            if report.status < 0:
                raise error_of(report, self._name)
            self.report = report
            if out.value is not None:
                self._held.append((out.value, context, os.getpid()))
                out.value = None
            return report
        finally:
            # An exception that came between (Ctrl-C, a hook's) leaves no lock that nobody knows of.
            if out.value is not None:
                _abi.lib.steadfast_lock_release(out, None)

    def release(self) -> None:
        """Gives it back. LockLostError: someone took the file away; WrongProcessError: this is a forked child, or a child
        has adopted it."""
        with self._guard:
            try:
                handle, context, _ = self._held.pop()
            except IndexError:
                raise RuntimeError("release of a lock that is not held") from None
            self.report = self._ask(_abi.lib.steadfast_lock_release, handle)
            del context  # lived as long as the lock: it has the hooks

    def check(self) -> Report:
        """Is it still this process's? LockLostError: someone took the file away; WrongProcessError: this is a forked child
        that has not adopted it, or a child has."""
        with self._guard:
            return self._ask(_abi.lib.steadfast_lock_check, self._handle())

    def adopt(self) -> Report:
        """In a forked child, with inherit=True: makes the lock this process's own, for a daemon whose parent ends.

        The file then names this process, and only this process releases it. LockLostError: someone took the file away;
        WrongProcessError: another child has adopted it.
        """
        with self._guard:
            report = self._ask(_abi.lib.steadfast_lock_adopt, self._handle())
            handle, context, _ = self._held[0]
            self._held[0] = (handle, context, os.getpid())
            return report

    def _handle(self) -> int:
        if not self._held:
            raise RuntimeError("the lock is not held")
        return self._held[0][0]

    def _ask(self, function: Callable[..., int], handle: int) -> Report:
        raw = new_report()
        with hooks_may_raise():
            function(handle, raw)
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, self._name)
        return report

    def close_in_child(self) -> None:
        """In a forked child: stops keeping the parent's lock held. In the parent itself: nothing."""
        if self._held and not self.held:
            try:
                self.release()
            except WrongProcessError:
                pass

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        # The end of the block in a forked child is no error: it closes its descriptors, and the parent goes on holding.
        # Nor is it in the parent of a child that has adopted the lock.
        if not self.held:
            self.close_in_child()
            return
        try:
            self.release()
        except WrongProcessError:
            if not self._inherit:
                raise

    def __del__(self) -> None:
        held: list[tuple[int, Optional[Context], int]] = getattr(self, "_held", [])
        while held:
            handle, context, owner = held.pop()
            _abi.lib.steadfast_lock_release(handle, None)
            del context
            if owner == os.getpid():
                warnings.warn(f"unreleased lock {self.path!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<steadfast.Lock {os.fspath(self.path)!r} {'held' if self.held else 'not held'}>"
