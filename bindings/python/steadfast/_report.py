"""What a call came to, and the exceptions and warnings that carry it."""

from __future__ import annotations

import ctypes
import enum
import errno
import os
from dataclasses import dataclass
from typing import Any, Optional, Union

from . import _abi


class Step(enum.IntEnum):
    """The call that failed (STEADFAST_STEP_*)."""

    NONE = 0
    OPEN_DIRECTORY = 1
    INSPECT_TARGET = 2
    READ_CURRENT = 3
    CREATE_TEMP = 4
    WRITE = 5
    SET_MODE = 6
    SYNC_FILE = 7
    KEEP_PREVIOUS = 8
    RENAME = 9
    SYNC_DIRECTORY = 10
    MAKE_PARENT = 11
    READ_LINK = 12
    OPEN_FILE = 13
    READ_FILE = 14
    ALLOCATE = 15
    CLOCK = 16
    CHECK_OWNER = 17
    LOCK_FILE = 18
    COMPARE = 19
    UNLINK = 20
    CREATE_LOCK = 21
    LINK = 22
    WAIT = 23
    ARGUMENTS = 24


class OnDisk(enum.IntEnum):
    """What a power cut now would leave (STEADFAST_ON_DISK_*)."""

    OLD = 0
    NEW = 1
    EITHER = 2  # the old one perhaps as PATH.prev
    UNKNOWN = 3  # perhaps nothing whole: only a load can tell

    @classmethod
    def _missing_(cls, value: object) -> OnDisk:
        """Of a later version: what this one does not know it does not promise."""
        return cls.UNKNOWN


@dataclass(frozen=True)
class Report:
    """What a call came to. `step` is a Step where this version of the package knows it."""

    status: int
    os_error: int
    step: int
    on_disk: OnDisk
    generation: int
    pid: int
    message: str

    @property
    def name(self) -> str:
        """The status by name: "STEADFAST_E_DIGEST", "ENOSPC"."""
        name: bytes = _abi.lib.steadfast_status_name(self.status)
        return name.decode("ascii")


def new_report() -> _abi.CReport:
    return _abi.CReport(size=ctypes.sizeof(_abi.CReport))


def report_of(raw: _abi.CReport) -> Report:
    step: int = raw.step
    return Report(
        status=raw.status,
        os_error=raw.os_error,
        step=Step(step) if step in Step.__members__.values() else step,
        on_disk=OnDisk(raw.on_disk),
        generation=raw.generation,
        pid=raw.pid,
        message=os.fsdecode(raw.message),
    )


def report_of_status(
    status: int, path: str, *, os_error: int = 0, step: int = 0, on_disk: int = OnDisk.OLD, generation: int = 0
) -> Report:
    """Of what the library gives no sentence for."""
    words: bytes = _abi.lib.steadfast_status_message(status)
    return Report(
        status=status,
        os_error=os_error,
        step=Step(step) if step in Step.__members__.values() else step,
        on_disk=OnDisk(on_disk),
        generation=generation,
        pid=0,
        message=f"{words.decode()}: {path}",
    )


Filename = Union[str, bytes]


class Error(OSError):
    """What every failed call raises. errno, strerror and filename are set; `report` says the rest.

    A missing file is also a FileNotFoundError, and so on for the built-in exceptions that name an errno.
    """

    report: Report

    def __init__(self, number: int, text: str, filename: Filename, report: Report) -> None:
        super().__init__(number, text, filename)
        self.report = report

    # The sentence names the path already.
    def __str__(self) -> str:
        return f"[{self.report.name}] {self.report.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.errno, self.strerror, self.filename, self.report)


class NotFoundError(Error, FileNotFoundError):
    """There is no such file or directory."""


class AccessError(Error, PermissionError):
    """The process may not."""


class ExistsError(Error, FileExistsError):
    """It exists."""


class IsDirectoryError(Error, IsADirectoryError):
    """The path is, or can only be, a directory."""


class NotDirectoryError(Error, NotADirectoryError):
    """A part of the path is no directory."""


class DamagedError(Error):
    """The state file is not what was saved. The subclasses say how."""


class EmptyError(DamagedError):
    """The state file is empty."""


class TruncatedError(DamagedError):
    """The state file is shorter than it says it is."""


class TrailingError(DamagedError):
    """The state file is longer than it says it is."""


class DigestError(DamagedError):
    """The SHA-256 does not match."""


class FormatError(DamagedError):
    """Not a steadfast state file."""


class NewerError(Error):
    """Intact, but written in a later format."""


class SchemaError(Error):
    """Intact, but of another schema than was asked for."""


class LostError(Error):
    """No current state, but a previous one: load it with recover=True. Not a FileNotFoundError, so that nobody starts anew."""


class TooLargeError(Error):
    """Larger than the caller allows. Of load_into: `needed` is the length of the payload."""

    needed: Optional[int] = None


class ConflictError(Error):
    """if_generation: the state there has another generation, `report.generation`."""


class SymlinkError(Error):
    """The path is a symbolic link."""


class NotRegularError(Error):
    """The path is a directory, a device, a FIFO or a socket."""


class NotSavedDurablyError(Error):
    """strict: it could not be made durable, and nothing was replaced."""


class SavedNotDurableError(Error):
    """strict: it was replaced, but the directory could not be synced."""


class IndeterminateError(Error):
    """Whether it was done cannot be found out."""


class LockedError(Error, TimeoutError):
    """The lock is held, by process `report.pid`."""


class DeadlockError(LockedError):
    """The thread that holds the lock would wait for itself."""


class LockLostError(Error):
    """The lock file was no longer ours at release."""


class WrongProcessError(Error):
    """A forked child released the lock of its parent: only its descriptors were closed."""


class HookError(Error):
    """A hook returned an invalid value."""


class UnsupportedError(Error):
    """The platform or the file system lacks what this needs."""


class UnverifiedError(Error):
    """verified: nothing verifies the plain file, or somebody has changed it since it was saved. Not a DamagedError."""


class BusyError(Error, TimeoutError):
    """Other processes kept a save, or a lease kept a load, waiting for longer than its timeout; nothing was replaced."""


class InternalError(Error):
    """A case that cannot occur has occurred: a defect of the library. Nothing was done; please report it."""


class NotDurableWarning(UserWarning):
    """It was saved, but a sync failed or was not possible: a power cut may bring the old state back."""


class UnverifiedWarning(UserWarning):
    """A plain file was saved durably, but its attribute could not be stored: no load can verify it."""


class RecoveredWarning(UserWarning):
    """The current state is damaged or missing; this is the previous one."""


_BY_ERRNO: dict[int, type[Error]] = {
    errno.ENOENT: NotFoundError,
    errno.EACCES: AccessError,
    errno.EPERM: AccessError,
    errno.EEXIST: ExistsError,
    errno.EISDIR: IsDirectoryError,
    errno.ENOTDIR: NotDirectoryError,
}

# Of the library's own codes: the class, and the errno that says it best. (That of the call which failed, ENOENT for instance
# when a previous state is left, could be taken for "there is none"; the report has it.)
_OWN: dict[int, tuple[type[Error], int]] = {
    _abi.E_EMPTY: (EmptyError, errno.EBADMSG),
    _abi.E_TRUNCATED: (TruncatedError, errno.EBADMSG),
    _abi.E_TRAILING: (TrailingError, errno.EBADMSG),
    _abi.E_DIGEST: (DigestError, errno.EBADMSG),
    _abi.E_FORMAT: (FormatError, errno.EBADMSG),
    _abi.E_NEWER: (NewerError, errno.ENOTSUP),
    _abi.E_SCHEMA: (SchemaError, errno.ENOTSUP),
    _abi.E_LOST: (LostError, errno.ENODATA),
    _abi.E_TOO_LARGE: (TooLargeError, errno.EFBIG),
    _abi.E_CONFLICT: (ConflictError, errno.EAGAIN),
    _abi.E_SYMLINK: (SymlinkError, errno.ELOOP),
    _abi.E_NOT_REGULAR: (NotRegularError, errno.EINVAL),
    _abi.E_NOT_SAVED_DURABLY: (NotSavedDurablyError, errno.EIO),
    _abi.E_SAVED_NOT_DURABLE: (SavedNotDurableError, errno.EIO),
    _abi.E_INDETERMINATE: (IndeterminateError, errno.EIO),
    _abi.E_LOCKED: (LockedError, errno.ETIMEDOUT),
    _abi.E_LOCK_LOST: (LockLostError, errno.ESTALE),
    _abi.E_WRONG_PROCESS: (WrongProcessError, errno.EPERM),
    _abi.E_HOOK: (HookError, errno.EPROTO),
    _abi.E_UNSUPPORTED: (UnsupportedError, errno.ENOTSUP),
    _abi.E_UNVERIFIED: (UnverifiedError, errno.ENODATA),
    _abi.E_BUSY: (BusyError, errno.ETIMEDOUT),
    _abi.E_INTERNAL: (InternalError, errno.ENOTRECOVERABLE),
}


def error_of(report: Report, path: bytes) -> Error:
    """The exception for a status below 0."""
    if report.status >= -4095:
        number = -report.status
        kind = _BY_ERRNO.get(number, Error)
    else:
        kind, number = _OWN.get(report.status, (Error, errno.EIO))
        if number == errno.EIO:
            number = report.os_error or number  # a sync failed: why
    return kind(number, report.message, os.fsdecode(path), report)
