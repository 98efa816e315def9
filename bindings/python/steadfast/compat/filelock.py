"""filelock's locks on steadfast: `from steadfast.compat.filelock import FileLock, Timeout`.

Everything around the lock is filelock's own code: reentrance, singletons, thread-local state, timeouts, asyncio, the logger.
Only taking the lock file and giving it back is steadfast's. So each class here is also the class of filelock that it has the
name of, and `except filelock.Timeout` goes on working. This needs filelock 4.3: pip install "libsteadfast[filelock]".

What differs on purpose is in docs/filelock.md. The main points: the file holds the PID and goes with the lock; a lock is never
taken from a live owner, so `lifetime` is ignored with a warning; a dead owner's is taken over at once.
"""

from __future__ import annotations

import logging
import os
import stat
from typing import Optional

try:
    import filelock as _filelock
    from filelock import AcquireReturnProxy, BaseAsyncFileLock, BaseFileLock, Timeout
    from filelock.asyncio import AsyncAcquireReturnProxy
except ImportError as error:
    raise ImportError('steadfast.compat.filelock needs filelock 4.3: pip install "libsteadfast[filelock]"') from error

from .._lock import Lock
from .._report import LockedError, LockLostError
from .._stale import Verdict, inspect

__all__ = [
    "AcquireReturnProxy",
    "AsyncAcquireReturnProxy",
    "AsyncFileLock",
    "AsyncSoftFileLock",
    "AsyncUnixFileLock",
    "BaseAsyncFileLock",
    "BaseFileLock",
    "FileLock",
    "SoftFileLock",
    "Timeout",
    "UnixFileLock",
]

_LOGGER = logging.getLogger("filelock")

# The lock of each descriptor that filelock keeps. A descriptor is one process's, so a forked child begins without any.
_held: dict[int, Lock] = {}


def _forget_in_child() -> None:
    for lock in _held.values():
        lock.close_in_child()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


class _SteadfastLock(BaseFileLock):
    """What filelock asks of a backend: one try, and a release."""

    # An empty lock file is what filelock's FileLock leaves behind. It is stale when nobody has a flock on it for so many
    # seconds since it was made; None is never.
    empty_grace: Optional[float] = 2.0

    _close_errors_are_told = True

    _lifetime_supported = False
    _lifetime_replacements: Optional[tuple[str, str]] = None
    _lifetime_unsupported_reason = "steadfast takes no lock from a live owner"
    _preserve_lock_file_supported = False

    def _acquire(self) -> None:
        mode = self._open_mode()
        lock = Lock(self._lock_path, timeout=0, mode=mode, empty_grace=self.empty_grace)
        try:
            lock.acquire()
        except LockedError:
            return
        descriptor: Optional[int] = None
        try:
            # What filelock follows across a fork, and hands to on_acquired. It can only be read: the content is the lock.
            descriptor = os.open(self._lock_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            about = os.fstat(descriptor)
            if self.has_explicit_mode:
                os.fchmod(descriptor, mode | about.st_mode & stat.S_ISVTX)  # the library's mark stays
            _held[descriptor] = lock
            self._mark_descriptor_owned(descriptor, (about.st_dev, about.st_ino))
        except BaseException:
            if self._context.lock_file_fd is None or self._context.lock_file_fd != descriptor:
                if descriptor is not None:
                    _held.pop(descriptor, None)
                    os.close(descriptor)
                lock.release()
            raise

    def _release(self) -> None:
        descriptor = self._context.lock_file_fd
        assert descriptor is not None
        lock = _held.get(descriptor)
        if lock is not None and lock.held:  # else an interrupted release has come so far
            try:
                lock.release()
            except LockLostError as error:
                _LOGGER.warning("%s", error)
        self._mark_descriptor_released()
        _held.pop(descriptor, None)
        self._close_released_fd(descriptor, default_suppresses=not self._close_errors_are_told)

    def _try_break_expired_lock(self) -> None:
        """Age says nothing about a live owner."""

    @property
    def pid(self) -> Optional[int]:
        """The process that the lock file names; None if it names none."""
        try:
            return inspect(self._lock_path).pid or None
        except OSError:
            return None

    @property
    def is_lock_held_by_us(self) -> bool:
        """Does the lock file name this process, and is it alive?"""
        try:
            status = inspect(self._lock_path)
        except OSError:
            return False
        return status.verdict is Verdict.HELD and status.pid == os.getpid()

    def break_lock(self) -> None:
        """Removes the lock file, whoever holds it: nothing then excludes its holder and the next one."""
        try:
            os.unlink(self._lock_path)
        except OSError:
            pass


class UnixFileLock(_SteadfastLock, _filelock.UnixFileLock):
    """filelock.UnixFileLock, whose file is there only while the lock is held."""

    _close_errors_are_told = False


class SoftFileLock(_SteadfastLock, _filelock.SoftFileLock):
    """filelock.SoftFileLock, which the kernel frees when its owner dies."""

    # Old versions of filelock keep the file empty for as long as they hold the lock.
    empty_grace = None


class AsyncUnixFileLock(UnixFileLock, _filelock.AsyncUnixFileLock):
    """filelock.AsyncUnixFileLock, likewise."""


class AsyncSoftFileLock(SoftFileLock, _filelock.AsyncSoftFileLock):
    """filelock.AsyncSoftFileLock, likewise."""


FileLock = UnixFileLock
AsyncFileLock = AsyncUnixFileLock
