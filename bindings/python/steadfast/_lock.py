"""Lock files."""

from __future__ import annotations

import ctypes
import errno
import functools
import inspect
import os
import threading
import time
import warnings
from dataclasses import replace
from types import TracebackType
from typing import Any, Callable, Optional, TypeVar, Union, cast
from weakref import WeakSet

from . import _abi
from ._arguments import UNSET, StrPath, Unset, path_bytes, seconds_to_ms
from ._hooks import Context, hooks_may_raise, pointer_of
from ._report import (
    DeadlockError,
    LockedError,
    LockLostError,
    Report,
    WrongProcessError,
    error_of,
    new_report,
    report_of,
    report_of_status,
)
from ._stale import lock_options
from ._wait import Alarm, Cancel

F = TypeVar("F", bound=Callable[..., Any])


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


class _Mine(threading.local):
    """The locks that this thread has taken and that are still held."""

    def __init__(self) -> None:
        self.locks: WeakSet[Lock] = WeakSet()


_mine = _Mine()


def chosen_wait(timeout: Optional[float], blocking: bool) -> Optional[float]:
    """blocking=False is timeout=0, and no other timeout goes with it."""
    if blocking:
        return timeout
    if timeout:
        raise ValueError(f"blocking=False tries once and has no timeout: {timeout}")
    return 0


class Lock:
    """A lock file: `with steadfast.Lock("app.lock", timeout=5):`, or a decorator of a function.

    Excludes other processes, other Lock objects of this one, and threads that share the object. timeout is in seconds: None
    waits for ever, 0 tries once, and so does blocking=False. A stale lock is taken over. Ctrl-C ends a wait.

    With reentrant=True the thread that holds it may take it again, and it is free after as many releases. Otherwise a thread
    that would wait for itself gets a DeadlockError at once; if other threads run, which may release the lock, only if the
    wait would have no end.

    A forked child does not own the lock. With inherit=True it keeps the lock held while it lives, programs that it starts
    with the lock's descriptor (subprocess: close_fds=False) as well, and it can make the lock its own: adopt().
    """

    def __init__(
        self,
        path: StrPath,
        timeout: Optional[float] = None,
        *,
        blocking: bool = True,
        reentrant: bool = False,
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
        self.timeout = chosen_wait(timeout, blocking)
        self.report: Optional[Report] = None
        self._name = path_bytes(path)
        self._inherit = inherit
        self._reentrant = reentrant
        self._depth = 0
        self._holder: Optional[WeakSet[Lock]] = None  # the locks of the thread that has taken it
        self._file: Optional[tuple[int, int]] = None
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

    def acquire(self, timeout: Union[float, None, Unset] = UNSET, *, blocking: bool = True) -> Report:
        """Takes the lock, or raises LockedError after `timeout` seconds; left out, it is the constructor's. Taken once more by
        the thread that holds it (reentrant=True), it gives the report of the first time."""
        wait = self._wait_of(timeout, blocking)
        if self._reentrant and self.held and self._holder is _mine.locks and self.report is not None:
            self._depth += 1
            return self.report
        if wait != 0 and self._waits_for_itself() and (wait is None or threading.active_count() == 1):
            raise self._deadlock()
        if threading.current_thread() is not threading.main_thread() or wait == 0:
            report = self._acquire(wait)
        else:
            report = self._acquire_in_main_thread(wait)
        self._depth, self._file = 1, self._file_now()
        self._holder = _mine.locks
        _mine.locks.add(self)
        return report

    def _wait_of(self, timeout: Union[float, None, Unset], blocking: bool) -> Optional[float]:
        if isinstance(timeout, Unset):
            return self.timeout if blocking else 0
        return chosen_wait(timeout, blocking)

    def _file_now(self) -> Optional[tuple[int, int]]:
        """Device and inode of what is at the path; None where a context says where that is."""
        if self._context is not None:
            return None
        try:
            about = os.stat(self._name)
        except OSError:
            return None
        return about.st_dev, about.st_ino

    def _waits_for_itself(self) -> bool:
        held = [lock for lock in list(_mine.locks) if lock.held and lock._holder is _mine.locks]
        if not held:
            return False
        there = self._file_now()
        if there is not None:
            return any(lock._file == there for lock in held)
        return self._context is not None and any((lock._context, lock._name) == (self._context, self._name) for lock in held)

    def _deadlock(self) -> DeadlockError:
        report = report_of_status(_abi.E_LOCKED, os.fsdecode(self._name))
        message = (
            f"this thread holds it and would wait for itself (reentrant=True takes it again): {os.fsdecode(self._name)}"
        )
        return DeadlockError(
            errno.EDEADLK, message, os.fsdecode(self._name), replace(report, pid=os.getpid(), message=message)
        )

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
        has adopted it. Any thread may do so, but for a reentrant lock only the one that holds it."""
        with self._guard:
            if self._reentrant and self.held:
                if self._holder is not None and self._holder is not _mine.locks:
                    raise RuntimeError("release of a reentrant lock that another thread holds")
                if self._depth > 1:
                    self._depth -= 1
                    return
            if self._holder is not None:
                self._holder.discard(self)
                self._holder = None
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

    def verify(self) -> bool:
        """Is it held, and still this process's? As check(), which says why not."""
        if not self.held:
            return False
        try:
            self.check()
        except (LockLostError, WrongProcessError):
            return False
        return True

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

    def __call__(self, function: F) -> F:
        """As a decorator: each call of the function takes the lock and gives it back."""
        if inspect.iscoroutinefunction(function):
            raise TypeError("a coroutine needs steadfast.aio.Lock")

        @functools.wraps(function)
        def locked(*arguments: Any, **options: Any) -> Any:
            with self:
                return function(*arguments, **options)

        return cast(F, locked)

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
