"""State files."""

from __future__ import annotations

import ctypes
import errno
import os
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _abi
from ._arguments import StrPath, path_bytes, patience_to_ms, unsigned
from ._hooks import Context, hooks_may_raise, pointer_of
from ._report import (
    ConflictError,
    Error,
    NotDurableWarning,
    NotFoundError,
    OnDisk,
    RecoveredWarning,
    Report,
    TooLargeError,
    UnverifiedWarning,
    error_of,
    new_report,
    report_of,
    report_of_status,
)

if TYPE_CHECKING:
    import array
    import mmap

# collections.abc.Buffer is of Python 3.12.
BytesLike = Union[bytes, bytearray, memoryview, "array.array[Any]", "mmap.mmap"]


@dataclass(frozen=True)
class Saved:
    """A state that was saved."""

    generation: int
    durable: bool  # no power cut can take it back
    report: Report = field(repr=False)
    # False: a plain file without its attribute, so that no load can verify it; told only where it is durable
    verified: bool = True

    @property
    def on_disk(self) -> OnDisk:
        """What a power cut now would leave."""
        return self.report.on_disk


class BatchError(Error):
    """Of save_batch: one at least was not saved. `results` has a Saved or an Error for each, in order."""

    results: list[Union[Saved, Error]]


@dataclass(frozen=True)
class Loaded:
    """A state that load_into put into the caller's buffer: its first `length` bytes."""

    length: int
    generation: int
    recovered: bool  # the newest one is damaged or missing, and this is the one before it
    report: Report = field(repr=False)
    verified: bool = True  # as of a State
    changed: bool = False


@dataclass(frozen=True)
class State:
    """A state that was loaded, and verified unless it is a plain file that nothing verifies."""

    data: bytes
    generation: int  # of a plain file that is not verified: a tag of its content, 2**63 or more
    schema: int
    saved_at_ns: int  # since the Unix epoch, by the clock of then
    sha256: str  # of the record, as its first line gives it
    recovered: bool  # the newest one is damaged or missing, and this is the one before it
    report: Report = field(repr=False)
    verified: bool = True  # what was saved, to the bit
    changed: bool = False  # a plain file that somebody has changed since it was saved

    @property
    def saved_at(self) -> datetime:
        """saved_at_ns as a datetime, in UTC, to the microsecond."""
        return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=self.saved_at_ns // 1000)

    def __bytes__(self) -> bytes:
        return self.data

    def __len__(self) -> int:
        return len(self.data)


def as_bytes(data: BytesLike) -> bytes:
    """Bytes as they are; a copy of all else, for another thread could change it between digest and write."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        raise TypeError("a bytes-like object is required, not 'str': encode it")
    return memoryview(data).tobytes()


def save_options(
    *,
    strict: bool,
    keep_previous: bool,
    if_generation: Optional[int],
    follow_symlink: bool,
    create_parents: bool,
    sync: bool,
    mode: int,
    schema: int,
    timeout: Optional[float],
    set_mode: bool = False,
    syncfs: bool = False,
    plain: bool = False,
    keep_attributes: bool = False,
    in_place: bool = False,
    alternate: bool = False,
) -> _abi.CSaveOptions:
    flags = 0
    for wanted, flag in (
        (strict, _abi.SAVE_STRICT),
        (keep_previous, _abi.SAVE_KEEP_PREVIOUS),
        (if_generation is not None, _abi.SAVE_IF_GENERATION),
        (follow_symlink, _abi.SAVE_FOLLOW_SYMLINK),
        (create_parents, _abi.SAVE_CREATE_PARENTS),
        (not sync, _abi.SAVE_NO_SYNC),
        (syncfs, _abi.SAVE_SYNCFS),
        (set_mode, _abi.SAVE_SET_MODE),
        (plain, _abi.SAVE_PLAIN),
        (keep_attributes, _abi.SAVE_KEEP_ATTRIBUTES),
        (in_place, _abi.SAVE_IN_PLACE),
        (alternate, _abi.SAVE_ALTERNATE),
    ):
        flags |= flag if wanted else 0
    return _abi.CSaveOptions(
        size=ctypes.sizeof(_abi.CSaveOptions),
        flags=flags,
        mode=unsigned(mode, 32, "mode"),
        schema=unsigned(schema, 32, "schema"),
        expected_generation=unsigned(if_generation or 0, 64, "if_generation"),
        timeout_ms=patience_to_ms(timeout),
    )


def save(
    path: StrPath,
    data: BytesLike,
    *,
    strict: bool = False,
    keep_previous: bool = False,
    alternate: bool = False,
    if_generation: Optional[int] = None,
    follow_symlink: bool = False,
    create_parents: bool = False,
    sync: bool = True,
    mode: int = 0,
    set_mode: bool = False,
    schema: int = 0,
    plain: bool = False,
    keep_attributes: bool = False,
    in_place: bool = False,
    timeout: Optional[float] = 10.0,
    context: Optional[Context] = None,
) -> Saved:
    """Saves `data` at `path`: after a crash at any moment a reader finds the old state or the new one, whole.

    What is saved but not durable (a sync failed, or there is none) is a NotDurableWarning and `durable` False.

    strict: that is an error instead. keep_previous: the verified previous generation stays as PATH.prev.
    alternate: one flush of the device instead of two to four, for a state that is saved often. PATH and PATH.prev take turns, and
    the newer one is the state: hand on what load gives, not the file at PATH.
    if_generation: compare and swap; ConflictError unless the state there has this generation (0: none there yet, and no
    previous one). follow_symlink: save to what a link points to; without it, SymlinkError. create_parents: make missing
    directories, durably. sync=False: atomic and verified, never durable, and without a warning; with keep_previous the
    last durable generation stays as PATH.prev. mode: permission bits of a new file, 0 is 0o600; set_mode: of a file that is
    there already, too. schema: your format number. plain: the file holds `data` and nothing else, and an extended attribute
    verifies it; where that cannot be kept it is an UnverifiedWarning and `verified` False. keep_attributes: the file that is
    replaced hands on its attributes user.* and its security labels. in_place: a file that cannot be replaced is written in
    place, after a durable copy of it as PATH.prev.
    timeout: seconds to wait for other savers of the same state, None is for ever; then BusyError.
    """
    name = path_bytes(path)
    payload = as_bytes(data)
    options = save_options(
        strict=strict,
        keep_previous=keep_previous,
        alternate=alternate,
        if_generation=if_generation,
        follow_symlink=follow_symlink,
        create_parents=create_parents,
        sync=sync,
        mode=mode,
        set_mode=set_mode,
        schema=schema,
        plain=plain,
        keep_attributes=keep_attributes,
        in_place=in_place,
        timeout=timeout,
    )
    raw = new_report()
    with hooks_may_raise():
        _abi.lib.steadfast_state_save(pointer_of(context), name, payload, len(payload), options, raw)
    report = report_of(raw)
    if report.status < 0:
        raise error_of(report, name)
    if report.status == _abi.NOT_DURABLE and sync:
        warnings.warn(report.message, NotDurableWarning, stacklevel=2)
    if report.status == _abi.UNVERIFIED:
        warnings.warn(report.message, UnverifiedWarning, stacklevel=2)
    return saved_of(report)


def saved_of(report: Report) -> Saved:
    """What a report says of a save."""
    return Saved(
        generation=report.generation,
        durable=report.status in (_abi.OK, _abi.UNVERIFIED),
        report=report,
        verified=report.status != _abi.UNVERIFIED,
    )


def save_batch(
    states: Iterable[tuple[StrPath, BytesLike]],
    *,
    strict: bool = False,
    keep_previous: bool = False,
    alternate: bool = False,
    if_generation: Optional[int] = None,
    follow_symlink: bool = False,
    create_parents: bool = False,
    sync: bool = True,
    syncfs: bool = False,
    mode: int = 0,
    set_mode: bool = False,
    schema: int = 0,
    plain: bool = False,
    keep_attributes: bool = False,
    timeout: Optional[float] = 10.0,
    context: Optional[Context] = None,
) -> list[Saved]:
    """Saves many states, (path, data) each, faster than one after the other. Each is atomic for itself, not all together.

    syncfs: one syncfs(2) for each file system instead of one fsync for each file; it flushes what others wrote as well.
    Raises BatchError when one was not saved; the others may be. Another Error means that nothing was saved at all.
    """
    options = save_options(
        strict=strict,
        keep_previous=keep_previous,
        alternate=alternate,
        if_generation=if_generation,
        follow_symlink=follow_symlink,
        create_parents=create_parents,
        sync=sync,
        mode=mode,
        set_mode=set_mode,
        schema=schema,
        timeout=timeout,
        syncfs=syncfs,
        plain=plain,
        keep_attributes=keep_attributes,
    )
    given = [(path_bytes(path), as_bytes(data)) for path, data in states]
    size = ctypes.sizeof(_abi.CSaveEntry)
    entries = (_abi.CSaveEntry * len(given))(*[_abi.CSaveEntry(size, path, data, len(data)) for path, data in given])
    raw = new_report()
    with hooks_may_raise():
        _abi.lib.steadfast_state_save_batch(pointer_of(context), entries, len(given), options, raw)
    whole = report_of(raw)
    if whole.status < 0 and all(entry.status == -errno.ECANCELED for entry in entries):
        raise error_of(whole, given[0][0] if given else b"")  # refused whole: nothing was done at all
    results = [_of_batch(entry, path) for entry, (path, _) in zip(entries, given)]
    failed = next((result for result in results if isinstance(result, Error)), None)
    if failed is not None:
        error = BatchError(failed.errno or 0, failed.strerror or "", failed.filename, failed.report)
        error.results = results
        raise error from failed
    saved = [result for result in results if isinstance(result, Saved)]
    weak = next((result for result in saved if not result.durable), None)
    if weak is not None and sync:
        warnings.warn(weak.report.message, NotDurableWarning, stacklevel=2)
    bare = next((result for result in saved if not result.verified), None)
    if bare is not None:
        warnings.warn(bare.report.message, UnverifiedWarning, stacklevel=2)
    return saved


def _of_batch(entry: _abi.CSaveEntry, path: bytes) -> Union[Saved, Error]:
    status: int = entry.status
    report = report_of_status(
        status,
        os.fsdecode(path),
        os_error=entry.os_error,
        step=entry.step,
        on_disk=entry.on_disk,
        generation=entry.generation,
    )
    if status < 0:
        return error_of(report, path)
    return saved_of(report)


def load_options(
    *, recover: bool, schema: Optional[int], max_len: int, plain: bool, verified: bool = False
) -> _abi.CLoadOptions:
    flags = 0
    for wanted, flag in (
        (recover, _abi.LOAD_RECOVER),
        (schema is not None, _abi.LOAD_REQUIRE_SCHEMA),
        (plain, _abi.LOAD_PLAIN),
        (verified, _abi.LOAD_REQUIRE_VERIFIED),
    ):
        flags |= flag if wanted else 0
    return _abi.CLoadOptions(
        size=ctypes.sizeof(_abi.CLoadOptions),
        flags=flags,
        schema=unsigned(schema or 0, 32, "schema"),
        max_len=unsigned(max_len, 64, "max_len"),
    )


def load(
    path: StrPath,
    *,
    recover: bool = False,
    schema: Optional[int] = None,
    max_len: int = 0,
    plain: bool = False,
    verified: bool = False,
    context: Optional[Context] = None,
) -> State:
    """Loads the state at `path` and verifies it: what was saved, to the bit, or an exception.

    recover: fall back to PATH.prev, with a RecoveredWarning and `recovered` True. schema: anything else is a SchemaError.
    max_len: the longest payload accepted, 0 is 1 GiB. plain: a file as save(plain=True) makes it, or anybody's; `verified` and
    `changed` say what is known of it, and there is no warning. verified: what nothing verifies is an UnverifiedError.
    """
    name = path_bytes(path)
    options = load_options(recover=recover, schema=schema, max_len=max_len, plain=plain, verified=verified)
    raw = new_report()
    out = _abi.CState(size=ctypes.sizeof(_abi.CState))
    try:
        with hooks_may_raise():
            _abi.lib.steadfast_state_load(pointer_of(context), name, options, out, raw)
        report = report_of(raw)
        if report.status < 0:
            raise error_of(report, name)
        state = State(
            data=ctypes.string_at(out.data, out.len),
            generation=out.generation,
            schema=out.schema,
            saved_at_ns=out.saved_at_ns,
            sha256=bytes(out.sha256).hex(),
            recovered=report.status == _abi.RECOVERED,
            report=report,
            verified=_is_verified(report),
            changed=report.status == _abi.CHANGED,
        )
    finally:
        _abi.lib.steadfast_state_free(out)
    if state.recovered:
        warnings.warn(report.message, RecoveredWarning, stacklevel=2)
    return state


def _is_verified(report: Report) -> bool:
    return report.status not in (_abi.UNVERIFIED, _abi.CHANGED)


def load_into(
    path: StrPath,
    buffer: Union[bytearray, memoryview, array.array[Any], mmap.mmap],
    *,
    recover: bool = False,
    schema: Optional[int] = None,
    plain: bool = False,
    verified: bool = False,
    context: Optional[Context] = None,
) -> Loaded:
    """Loads the state at `path` into a writable buffer, without another copy; otherwise as load, but of any length.

    TooLargeError when it does not fit; its `needed` says how long it is. After any other error no byte of a damaged
    payload is left in the buffer.
    """
    name = path_bytes(path)
    options = load_options(recover=recover, schema=schema, max_len=0, plain=plain, verified=verified)
    view = memoryview(buffer).cast("B")
    # Refuses a buffer that is read-only, and keeps one that can grow from doing so meanwhile.
    target = (ctypes.c_char * len(view)).from_buffer(view)
    length = ctypes.c_size_t()
    raw = new_report()
    try:
        with hooks_may_raise():
            _abi.lib.steadfast_state_load_into(pointer_of(context), name, options, target, len(view), length, raw)
    finally:
        # Now, and not when the traceback of an error is forgotten.
        del target
        view.release()
    report = report_of(raw)
    if report.status < 0:
        error = error_of(report, name)
        if isinstance(error, TooLargeError):
            error.needed = length.value
        raise error
    if report.status == _abi.RECOVERED:
        warnings.warn(report.message, RecoveredWarning, stacklevel=2)
    return Loaded(
        length=length.value,
        generation=report.generation,
        recovered=report.status == _abi.RECOVERED,
        report=report,
        verified=_is_verified(report),
        changed=report.status == _abi.CHANGED,
    )


def update(
    path: StrPath,
    change: Callable[[Optional[State]], Optional[BytesLike]],
    *,
    recover: bool = False,
    strict: bool = False,
    keep_previous: bool = False,
    alternate: bool = False,
    follow_symlink: bool = False,
    create_parents: bool = False,
    sync: bool = True,
    mode: int = 0,
    set_mode: bool = False,
    schema: int = 0,
    plain: bool = False,
    verified: bool = False,
    keep_attributes: bool = False,
    in_place: bool = False,
    timeout: Optional[float] = 10.0,
    context: Optional[Context] = None,
) -> Optional[Saved]:
    """Loads the state, calls `change` with it (None: there is none), and saves what that returns; None leaves it as it is.

    If somebody else saved meanwhile, it is done again with what is there by then: no change is lost. Past `timeout` seconds
    of that it is a ConflictError. What `change` raises ends the update. recover: the old state may be PATH.prev. verified: with
    plain, an old state that nothing verifies is an UnverifiedError. The others are as for save.
    """
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            old: Optional[State] = load(path, recover=recover, plain=plain, verified=verified, context=context)
        except NotFoundError:
            old = None
        data = change(old)
        if data is None:
            return None
        try:
            return save(
                path,
                data,
                strict=strict,
                keep_previous=keep_previous,
                alternate=alternate,
                if_generation=old.generation if old is not None else 0,
                follow_symlink=follow_symlink,
                create_parents=create_parents,
                sync=sync,
                mode=mode,
                set_mode=set_mode,
                schema=schema,
                plain=plain,
                keep_attributes=keep_attributes,
                in_place=in_place,
                timeout=timeout,
                context=context,
            )
        except ConflictError:
            if end is not None and time.monotonic() >= end:
                raise


@dataclass(frozen=True)
class Removed:
    """A state that was removed."""

    generation: int  # 0: not known
    durable: bool  # no power cut brings it back
    report: Report = field(repr=False)


def remove(
    path: StrPath,
    *,
    strict: bool = False,
    if_generation: Optional[int] = None,
    follow_symlink: bool = False,
    sync: bool = True,
    plain: bool = False,
    timeout: Optional[float] = 10.0,
    context: Optional[Context] = None,
) -> Removed:
    """Removes the state at `path` and PATH.prev: after a crash at any moment no older state comes back.

    NotFoundError when neither is there. The options are as for save.
    """
    name = path_bytes(path)
    options = save_options(
        strict=strict,
        keep_previous=False,
        if_generation=if_generation,
        follow_symlink=follow_symlink,
        create_parents=False,
        sync=sync,
        mode=0,
        schema=0,
        plain=plain,
        timeout=timeout,
    )
    raw = new_report()
    with hooks_may_raise():
        _abi.lib.steadfast_state_remove(pointer_of(context), name, options, raw)
    report = report_of(raw)
    if report.status < 0:
        raise error_of(report, name)
    if report.status == _abi.NOT_DURABLE and sync:
        warnings.warn(report.message, NotDurableWarning, stacklevel=2)
    return Removed(generation=report.generation, durable=report.status == _abi.OK, report=report)
