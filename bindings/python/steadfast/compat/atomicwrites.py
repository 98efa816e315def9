"""atomicwrites on steadfast: `from steadfast.compat.atomicwrites import atomic_write`.

The file is a plain one: it holds what was written and nothing else. What differs is in docs/moving.md.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator
from typing import IO, Any, Optional

from .._arguments import StrPath
from .._report import ConflictError
from .._stream import open as open_state

__all__ = ["AtomicWriter", "atomic_write"]


class AtomicWriter:
    """What is written in `with AtomicWriter(path).open() as file:` is at `path`, durably, when the block has ended."""

    def __init__(
        self,
        path: StrPath,
        mode: str = "w",
        overwrite: bool = False,
        *,
        encoding: Optional[str] = None,
        errors: Optional[str] = None,
        newline: Optional[str] = None,
    ) -> None:
        if mode not in ("w", "wt", "tw", "wb", "bw"):
            raise ValueError(f"the mode is 'w' or 'wb', not {mode!r}; whether a file may be replaced, `overwrite` says")
        self._path = path
        self._binary = "b" in mode
        self._overwrite = overwrite
        self._encoding, self._errors, self._newline = encoding, errors, newline
        if self._binary and (encoding, errors, newline) != (None, None, None):
            raise ValueError("bytes have no encoding, errors or newline")

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[Any]]:
        """The file to write to. An exception in the block gives it up. FileExistsError: overwrite is False, and there is one."""
        state = open_state(self._path, "wb", plain=True, if_generation=None if self._overwrite else 0)
        file: IO[Any] = state
        if not self._binary:
            file = io.TextIOWrapper(state, encoding=self._encoding, errors=self._errors, newline=self._newline)
        try:
            yield file
            if not file.closed:
                file.flush()
                state.close()
        except BaseException as error:
            if not state.closed:
                state.abort()
            # It may have been closed in the block.
            if isinstance(error, ConflictError) and error.filename == os.fsdecode(self._path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), error.filename) from error
            raise


def atomic_write(
    path: StrPath, writer_cls: type[AtomicWriter] = AtomicWriter, **options: Any
) -> contextlib.AbstractContextManager[IO[Any]]:
    """`with atomic_write(path, overwrite=True) as file:`; the options are AtomicWriter's."""
    return writer_cls(path, **options).open()
