"""Hooks: Python functions in place of the system calls that the library makes, for tests."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional

from . import _abi

# Returns a value >= 0, a negated errno, or None for 0; an OSError raised is its errno.
Hook = Callable[..., Optional[int]]


def real(name: str, *arguments: Any) -> int:
    """Makes the real call, for hooks that chain to it: `real("fsync", fd)`. Returns >= 0 or a negated errno."""
    table = _abi.lib.steadfast_hooks_default().contents
    result: int = getattr(table, name)(None, *arguments)
    return result


class _Raised(threading.local):
    """What hooks raised in this thread: ctypes would print it and go on, as if the hook had returned 0."""

    error: Optional[BaseException] = None


_raised = _Raised()


@contextmanager
def hooks_may_raise() -> Iterator[None]:
    """Around a call of the library. Yields, and then raises what a hook raised that was no OSError."""
    _raised.error = None
    yield
    error, _raised.error = _raised.error, None
    if error is not None:
        raise error


def _callback(name: str, hook: Hook) -> Any:
    def call(_user: Optional[int], *arguments: Any) -> int:
        try:
            result = hook(*arguments)
            return 0 if result is None else int(result)
        except OSError as error:
            return -(error.errno or errno.EIO)
        except BaseException as error:  # raised again after the call
            if _raised.error is None:
                _raised.error = error
            return -errno.EIO

    return _abi.HOOK_TYPES[name](call)


class Context:
    """Hooks for `context=` of the other calls. Threads may share it.

    Keywords name the calls of steadfast_hooks; a hook gets their arguments without `user`, paths as bytes and pointers
    as addresses, and returns a value >= 0 (None is 0) or a negated errno, or raises OSError:

        Context(fsync=lambda fd: -errno.EIO)

    Any other exception that a hook raises comes out of the call that it was made in. `absent` is a sum of ABSENT_*.
    """

    def __init__(self, *, absent: int = 0, **hooks: Hook) -> None:
        self._make(absent, hooks, None)

    @classmethod
    def failing(
        cls, call: str, nth: int = 1, error: int = errno.EIO, *, for_ever: bool = False, absent: int = 0, **hooks: Hook
    ) -> Context:
        """Lets the nth call of hook `call` ("any": of all) fail with `error`, and with for_ever every later one."""
        if call not in _abi.CALLS:
            raise ValueError(f"no such call: {call!r}")
        context = cls.__new__(cls)
        context._make(absent, hooks, (_abi.CALLS[call], nth, error, for_ever))
        return context

    def _make(self, absent: int, hooks: dict[str, Hook], fault: Optional[tuple[int, int, int, bool]]) -> None:
        self._pointer = ctypes.c_void_p()
        for name in hooks:
            if name not in _abi.HOOKS:
                raise TypeError(f"no such hook: {name!r}")
        self._settings = (absent, hooks, fault)
        # They must live as long as the context and the locks taken with it; those keep a reference to it.
        self._callbacks = {name: _callback(name, hook) for name, hook in hooks.items()}
        table = _abi.CHooks(size=ctypes.sizeof(_abi.CHooks), absent=absent, **self._callbacks)
        if fault is None:
            status = _abi.lib.steadfast_context_new(table, self._pointer)
        else:
            call, nth, error, for_ever = fault
            status = _abi.lib.steadfast_context_new_failing(table, call, nth, error, int(for_ever), self._pointer)
        if status < 0:
            raise ValueError(f"no such context: {os.strerror(-status)}") if status == -errno.EINVAL else MemoryError()

    def _with_poll(self, poll: Hook) -> Context:
        """The same with another poll hook (and faults counted anew)."""
        absent, hooks, fault = self._settings
        context = Context.__new__(Context)
        context._make(absent, {**hooks, "poll": poll}, fault)
        return context

    def __del__(self) -> None:
        pointer = getattr(self, "_pointer", None)
        if pointer:
            _abi.lib.steadfast_context_free(pointer)


def pointer_of(context: Optional[Context]) -> Optional[ctypes.c_void_p]:
    return None if context is None else context._pointer


class Wakeable:
    """A context, otherwise as the given one, whose wait for a lock can be ended from another thread, without a signal.

    Its poll hook watches one descriptor more, and answers EINTR when that was written to. A real signal does not end the
    wait: it may come to any thread, and the place in the queue would be lost.
    """

    def __init__(self, given: Optional[Context]) -> None:
        given = given or Context()
        self.given_up = threading.Event()
        self._chained = given._settings[1].get("poll")
        self._readable, self._writable = os.pipe()
        self.context = given._with_poll(self._poll)

    def _poll(self, fds: Optional[int], count: int, timeout_ns: int) -> Optional[int]:
        end = time.monotonic_ns() + timeout_ns
        more = (_abi.PollFd * (count + 1))()
        size = count * ctypes.sizeof(_abi.PollFd)
        address = ctypes.addressof(more)
        while not self.given_up.is_set():
            if fds is not None:
                ctypes.memmove(more, fds, size)
            more[count] = _abi.PollFd(fd=self._readable, events=1)
            left = timeout_ns if timeout_ns < 0 else max(0, end - time.monotonic_ns())
            if self._chained is None:
                ready: Optional[int] = real("poll", address, count + 1, left)
            else:
                ready = self._chained(address, count + 1, left)
            if ready != -errno.EINTR and not self.given_up.is_set():
                if fds is not None:
                    ctypes.memmove(fds, more, size)
                return ready
        return -errno.EINTR

    def wake(self) -> None:
        self.given_up.set()
        os.write(self._writable, b"x")

    def close(self) -> None:
        os.close(self._readable)
        os.close(self._writable)
