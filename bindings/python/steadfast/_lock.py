"""Lock files."""

from __future__ import annotations

import ctypes
import enum
import errno
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
from ._hooks import Context, Wakeable, hooks_may_raise, pointer_of
from ._report import LockedError, Report, WrongProcessError, error_of, new_report, report_of


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


class Lock:
    """A lock file: `with steadfast.Lock("app.lock", timeout=5):`.

    Excludes other processes, other Lock objects of this one, and threads that share the object. Not recursive. timeout
    is in seconds: None waits for ever, 0 tries once. A stale lock is taken over. Ctrl-C ends a wait.

    A forked child does not own the lock, but keeps it held while it lives, unless it calls exec or close_in_child().
    """

    def __init__(
        self,
        path: StrPath,
        timeout: Optional[float] = None,
        *,
        mode: int = 0,
        trust_start_time: bool = False,
        empty_grace: Optional[float] = None,
        context: Optional[Context] = None,
    ) -> None:
        self._held: list[tuple[int, Optional[Context], int]] = []
        seconds_to_ms(timeout, "timeout")
        self.path = path
        self.timeout = timeout
        self.report: Optional[Report] = None
        self._name = path_bytes(path)
        self._options = lock_options(
            mode=mode, trust_start_time=trust_start_time, empty_grace=empty_grace, flags=_abi.LOCK_EINTR_RETURNS
        )
        self._context = context

    @property
    def held(self) -> bool:
        """Does this object hold the lock, in this process?"""
        held = self._held[:1]
        return bool(held) and held[0][2] == os.getpid()

    def acquire(self, timeout: Union[float, None, Unset] = UNSET) -> Report:
        """Takes the lock, or raises LockedError after `timeout` seconds; left out, it is the constructor's."""
        wait = self.timeout if isinstance(timeout, Unset) else timeout
        if threading.current_thread() is not threading.main_thread() or wait == 0:
            return self._acquire(wait, self._context, lambda: False)
        return self._acquire_in_main_thread(wait)

    def _acquire_in_main_thread(self, timeout: Optional[float]) -> Report:
        """Signal handlers run in this thread, between two of its steps: a wait inside one step would miss a signal that
        comes just before it. So a short try is made here, and the wait in a thread of its own."""
        end = None if timeout is None else time.monotonic() + timeout
        first = 0.001 if timeout is None else min(timeout, 0.001)
        try:
            return self._acquire(first, self._context, lambda: False)
        except LockedError:
            if timeout is not None and timeout <= first:
                raise
        wakeable = Wakeable(self._context)
        outcome: list[Union[Report, BaseException]] = []
        done = threading.Event()  # not join: interrupted, that takes the thread for ended (bpo-45274)

        def wait() -> None:
            try:
                left = None if end is None else max(0.0, end - time.monotonic())
                outcome.append(self._acquire(left, wakeable.context, wakeable.given_up.is_set))
            except BaseException as error:
                outcome.append(error)
            finally:
                done.set()

        threading.Thread(target=wait, name="steadfast", daemon=True).start()
        try:
            while not done.wait(0.5):
                pass
        except BaseException:
            wakeable.wake()
            while not done.is_set():  # a moment, also for who presses Ctrl-C twice
                try:
                    done.wait()
                except KeyboardInterrupt:
                    pass
            if isinstance(outcome[0], Report):
                self.release()  # it came too late
            raise
        finally:
            if done.is_set():
                wakeable.close()
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        return outcome[0]

    def _acquire(self, timeout: Optional[float], context: Optional[Context], given_up: Callable[[], bool]) -> Report:
        ms = seconds_to_ms(timeout, "timeout")
        deadline = time.monotonic() + ms / 1000
        out = ctypes.c_void_p()
        raw = new_report()
        try:
            while True:
                with hooks_may_raise():
                    status = _abi.lib.steadfast_lock_acquire(pointer_of(context), self._name, ms, self._options, out, raw)
                if status != -errno.EINTR or given_up():
                    break
                # If this is the main thread, the signal's handler ran before this line and did not raise: wait on.
                if ms > 0:
                    ms = max(0, math.ceil((deadline - time.monotonic()) * 1000))
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
        """Gives it back. LockLostError: someone took the file away; WrongProcessError: this is a forked child."""
        try:
            handle, context, _ = self._held.pop()
        except IndexError:
            raise RuntimeError("release of a lock that is not held") from None
        raw = new_report()
        with hooks_may_raise():
            _abi.lib.steadfast_lock_release(handle, raw)
        del context  # lived as long as the lock: it has the hooks
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, self._name)
        self.report = report

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
        if self.held:
            self.release()
        else:
            self.close_in_child()

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
