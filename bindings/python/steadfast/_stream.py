"""States as file objects: written piece by piece and saved at the end, or read in parts."""

from __future__ import annotations

import ctypes
import io
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Optional, Union, overload

from . import _abi
from ._arguments import StrPath, path_bytes
from ._hooks import Context, hooks_may_raise, pointer_of
from ._report import NotDurableWarning, RecoveredWarning, UnverifiedWarning, error_of, new_report, report_of
from ._state import Saved, load_options, save_options, saved_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

# What a file object holds back, or reads ahead.
_BUFFER = 1 << 16
# What is given to the library at once: it is copied.
_PIECE = 1 << 20


class _RawWriter(io.RawIOBase):
    """A steadfast_writer without a buffer. Closed, it is committed."""

    def __init__(self, name: bytes, options: _abi.CSaveOptions, sync: bool, context: Optional[Context]) -> None:
        super().__init__()
        self._pointer: Optional[int] = None
        self._name, self._sync = name, sync
        self._context = context  # has to live as long as the writer
        self.saved: Optional[Saved] = None
        out = ctypes.c_void_p()
        raw = new_report()
        with hooks_may_raise():
            _abi.lib.steadfast_writer_open(pointer_of(context), name, options, out, raw)
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, name)
        self._pointer = out.value

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        if self.closed:
            raise ValueError("the state is closed")
        with memoryview(data) as view, view.cast("B") as octets:
            piece = bytes(octets[:_PIECE])
        if self._pointer is None:
            return len(piece)  # given up: nobody will ever see it
        raw = new_report()
        with hooks_may_raise():
            _abi.lib.steadfast_writer_write(self._pointer, piece, len(piece), raw)
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, self._name)
        return len(piece)

    def fileno(self) -> int:
        out = ctypes.c_int32(-1)
        raw = new_report()
        with hooks_may_raise():
            _abi.lib.steadfast_writer_fd(self._pointer, out, raw)
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, self._name)
        return out.value

    def give_up(self) -> None:
        pointer, self._pointer = self._pointer, None
        _abi.lib.steadfast_writer_abort(pointer)

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        pointer, self._pointer = self._pointer, None
        if pointer is None:
            return
        raw = new_report()
        with hooks_may_raise():
            _abi.lib.steadfast_writer_commit(pointer, raw)
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, self._name)
        self.saved = saved_of(report)
        if report.status == _abi.NOT_DURABLE and self._sync:
            warnings.warn(report.message, NotDurableWarning, stacklevel=3)
        if report.status == _abi.UNVERIFIED:
            warnings.warn(report.message, UnverifiedWarning, stacklevel=3)

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.give_up()


class StateWriter(io.BufferedWriter):
    """A state of any length that is being written: close() saves it, and nothing is seen of it before.

    In a `with` statement an exception gives it up, and so does abort(). One that is neither closed nor aborted is given up
    with a ResourceWarning. An io.TextIOWrapper around it closes it, and so saves it, after an exception as well: call abort() then.
    """

    def __init__(self, raw: _RawWriter) -> None:
        super().__init__(raw, _BUFFER)
        self._raw_writer = raw

    @property
    def saved(self) -> Optional[Saved]:
        """What close() came to; None before it, and if it failed."""
        return self._raw_writer.saved

    def fileno(self) -> int:
        """A descriptor to write to with other means, for sendfile or a child process. Close nothing but this object."""
        self.flush()
        return self._raw_writer.fileno()

    def close(self) -> None:
        """Saves what was written; an Error if that fails, and the old state stands. A save that is not durable is a
        NotDurableWarning, and a plain file without its attribute an UnverifiedWarning."""
        super().close()

    def abort(self) -> None:
        """Gives it up: the state is as it was."""
        self._raw_writer.give_up()
        super().close()

    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def __del__(self) -> None:
        raw = getattr(self, "_raw_writer", None)
        if raw is not None and not raw.closed:
            warnings.warn(f"given up, not closed: {self!r}", ResourceWarning, stacklevel=2, source=self)
            self.abort()


class _RawReader(io.RawIOBase):
    """A steadfast_reader without a buffer."""

    def __init__(self, name: bytes, options: _abi.CLoadOptions, context: Optional[Context]) -> None:
        super().__init__()
        self._pointer: Optional[int] = None
        self._name, self._at = name, 0
        self._context = context  # has to live as long as the reader
        out = ctypes.c_void_p()
        self.about = _abi.CState(size=ctypes.sizeof(_abi.CState))
        raw = new_report()
        with hooks_may_raise():
            _abi.lib.steadfast_reader_open(pointer_of(context), name, options, out, self.about, raw)
        self.report = report_of(raw)
        if self.report.status < 0:
            raise error_of(self.report, name)
        self._pointer = out.value

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._pointer is None:
            raise ValueError("the state is closed")
        length = ctypes.c_size_t()
        raw = new_report()
        with memoryview(buffer) as view, view.cast("B") as octets:
            target = (ctypes.c_char * len(octets)).from_buffer(octets)
            try:
                with hooks_may_raise():
                    _abi.lib.steadfast_reader_read(self._pointer, self._at, target, len(octets), length, raw)
            finally:
                del target
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, self._name)
        self._at += length.value
        return length.value

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence not in (io.SEEK_SET, io.SEEK_CUR, io.SEEK_END):
            raise ValueError(f"whence {whence} is none")
        at = offset + (0, self._at, self.about.len)[whence]
        if at < 0:
            raise ValueError(f"a position before the beginning: {at}")
        self._at = at
        return at

    def close(self) -> None:
        super().close()
        pointer, self._pointer = self._pointer, None
        _abi.lib.steadfast_reader_close(pointer)

    def __del__(self) -> None:
        if getattr(self, "_pointer", None) is not None:
            self.close()


class StateReader(io.BufferedReader):
    """A verified state of any length that is read in parts. Each byte is one that was hashed when it was opened: if
    somebody changes the file in place meanwhile, reading is a DigestError."""

    def __init__(self, raw: _RawReader) -> None:
        super().__init__(raw, _BUFFER)
        about = raw.about
        self.size: int = about.len
        self.generation: int = about.generation
        self.schema: int = about.schema
        self.saved_at_ns: int = about.saved_at_ns
        self.sha256 = bytes(about.sha256).hex()
        self.report = raw.report
        self.recovered: bool = self.report.status == _abi.RECOVERED
        # As of a State: False and True only for a plain file.
        self.verified: bool = self.report.status not in (_abi.UNVERIFIED, _abi.CHANGED)
        self.changed: bool = self.report.status == _abi.CHANGED


@overload
def open(
    path: StrPath,
    mode: Literal["rb", "r"] = "rb",
    *,
    recover: bool = False,
    schema: Optional[int] = None,
    max_len: int = 0,
    plain: bool = False,
    verified: bool = False,
    context: Optional[Context] = None,
) -> StateReader: ...


@overload
def open(
    path: StrPath,
    mode: Literal["wb", "w"],
    *,
    strict: bool = False,
    keep_previous: bool = False,
    alternate: bool = False,
    if_generation: Optional[int] = None,
    follow_symlink: bool = False,
    create_parents: bool = False,
    sync: bool = True,
    file_mode: int = 0,
    set_mode: bool = False,
    schema: int = 0,
    plain: bool = False,
    keep_attributes: bool = False,
    timeout: Optional[float] = 10.0,
    context: Optional[Context] = None,
) -> StateWriter: ...


def open(path: StrPath, mode: str = "rb", **options: Any) -> Union[StateReader, StateWriter]:
    """Opens a state of any length as a file object of bytes.

    "rb": it is verified first, as load does, and then read in parts; the options are those of load, but without a default for
    max_len. "wb": it is saved when it is closed, and given up if an exception leaves the `with` statement; the options are those of
    save but in_place, and the permission bits are called file_mode. With alternate it is saved the ordinary way.
    """
    if mode in ("rb", "r"):
        return _open_reader(path, **options)
    if mode in ("wb", "w"):
        return _open_writer(path, **options)
    raise ValueError(f"mode {mode!r} is neither 'rb' nor 'wb'")


def _open_reader(
    path: StrPath,
    *,
    recover: bool = False,
    schema: Optional[int] = None,
    max_len: int = 0,
    plain: bool = False,
    verified: bool = False,
    context: Optional[Context] = None,
) -> StateReader:
    chosen = load_options(recover=recover, schema=schema, max_len=max_len, plain=plain, verified=verified)
    raw = _RawReader(path_bytes(path), chosen, context)
    reader = StateReader(raw)
    if reader.recovered:
        warnings.warn(reader.report.message, RecoveredWarning, stacklevel=3)
    return reader


def _open_writer(
    path: StrPath,
    *,
    strict: bool = False,
    keep_previous: bool = False,
    alternate: bool = False,
    if_generation: Optional[int] = None,
    follow_symlink: bool = False,
    create_parents: bool = False,
    sync: bool = True,
    file_mode: int = 0,
    set_mode: bool = False,
    schema: int = 0,
    plain: bool = False,
    keep_attributes: bool = False,
    timeout: Optional[float] = 10.0,
    context: Optional[Context] = None,
) -> StateWriter:
    chosen = save_options(
        strict=strict,
        keep_previous=keep_previous,
        alternate=alternate,
        if_generation=if_generation,
        follow_symlink=follow_symlink,
        create_parents=create_parents,
        sync=sync,
        mode=file_mode,
        set_mode=set_mode,
        schema=schema,
        plain=plain,
        keep_attributes=keep_attributes,
        timeout=timeout,
    )
    return StateWriter(_RawWriter(path_bytes(path), chosen, sync, context))
