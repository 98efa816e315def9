"""Contexts: where relative paths begin, and Python functions in place of the system calls that the library makes."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable, Optional, Union

from . import _abi
from ._arguments import StrPath, path_bytes
from ._report import error_of, report_of_status

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
    """What the other calls take as `context=`: where relative paths begin, and hooks. Threads may share it.

    at: a directory, by its path or as an open descriptor, where relative paths begin; the context keeps a descriptor of
    its own. beneath: no path leaves it, by no link, no "..", no absolute path (OSError with EXDEV). io_uring=False: for a
    process whose seccomp filter kills instead of answering.

    Other keywords name the calls of steadfast_hooks; a hook gets their arguments without `user`, paths as bytes and
    pointers as addresses, and returns a value >= 0 (None is 0) or a negated errno, or raises OSError:

        Context(fsync=lambda fd: -errno.EIO)

    Any other exception that a hook raises comes out of the call that it was made in. `absent` is a sum of ABSENT_*.
    """

    def __init__(
        self,
        *,
        at: Union[StrPath, int, None] = None,
        beneath: bool = False,
        io_uring: bool = True,
        absent: int = 0,
        **hooks: Hook,
    ) -> None:
        flags = 0 if io_uring else _abi.CONTEXT_NO_IO_URING
        if beneath:
            if at is None:
                raise ValueError("beneath needs a directory: at=")
            flags |= _abi.CONTEXT_BENEATH
        table = self._table(absent, hooks)
        options = _abi.CContextOptions(size=ctypes.sizeof(_abi.CContextOptions), flags=flags, hooks=ctypes.pointer(table))
        if at is None:
            self._made(_abi.lib.steadfast_context_new_with(options, self._pointer), "")
            return
        options.flags |= _abi.CONTEXT_AT
        if isinstance(at, int):
            options.dirfd = at
            self._made(_abi.lib.steadfast_context_new_with(options, self._pointer), str(at))
            return
        options.dirfd = os.open(path_bytes(at), os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._made(_abi.lib.steadfast_context_new_with(options, self._pointer), os.fsdecode(at))
        finally:
            os.close(options.dirfd)

    @classmethod
    def failing(
        cls, call: str, nth: int = 1, error: int = errno.EIO, *, for_ever: bool = False, absent: int = 0, **hooks: Hook
    ) -> Context:
        """Lets the nth call of hook `call` ("any": of all) fail with `error`, and with for_ever every later one."""
        if call not in _abi.CALLS:
            raise ValueError(f"no such call: {call!r}")
        context = cls.__new__(cls)
        table = context._table(absent, hooks)
        status = _abi.lib.steadfast_context_new_failing(table, _abi.CALLS[call], nth, error, int(for_ever), context._pointer)
        context._made(status, "")
        return context

    def _table(self, absent: int, hooks: dict[str, Hook]) -> _abi.CHooks:
        self._pointer = ctypes.c_void_p()
        for name in hooks:
            if name not in _abi.HOOKS:
                raise TypeError(f"no such hook: {name!r}")
        # They must live as long as the context and the locks taken with it; those keep a reference to it.
        self._callbacks = {name: _callback(name, hook) for name, hook in hooks.items()}
        return _abi.CHooks(size=ctypes.sizeof(_abi.CHooks), absent=absent, **self._callbacks)

    def _made(self, status: int, directory: str) -> None:
        if status == -errno.EINVAL:
            raise ValueError(f"no such context: {os.strerror(errno.EINVAL)}")
        if status == -errno.ENOMEM:
            raise MemoryError
        if status < 0:
            raise error_of(report_of_status(status, directory), os.fsencode(directory))

    def __del__(self) -> None:
        pointer = getattr(self, "_pointer", None)
        if pointer:
            _abi.lib.steadfast_context_free(pointer)


def pointer_of(context: Optional[Context]) -> Optional[ctypes.c_void_p]:
    return None if context is None else context._pointer
