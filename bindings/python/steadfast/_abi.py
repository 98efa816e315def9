"""The C ABI: where the library is, its structs, functions and constants. As steadfast.h has them; a test compares."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import sys
from ctypes import POINTER, c_char, c_char_p, c_int16, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any, Optional

ABI_VERSION = 0


ABSENT_O_DIRECTORY = 1
ABSENT_DIR_FSYNC = 2
ABSENT_O_TMPFILE = 4
ABSENT_RENAMEAT2 = 8
ABSENT_FLOCK = 16
ABSENT_XATTR = 32
ABSENT_PIDFD = 64
ABSENT_PROC = 128
ABSENT_INOTIFY = 256
ABSENT_OFDLOCK = 512
ABSENT_LINK = 1024
ABSENT_FDATASYNC = 2048
ABSENT_SYNCFS = 4096
ABSENT_AIO = 8192
ABSENT_FSYNC_MANY = 16384
ABSENT_OPENAT2 = 32768
ABSENT_MAP = 65536

CONTEXT_AT = 1
CONTEXT_BENEATH = 2
CONTEXT_NO_IO_URING = 4

LOCK_TRUST_START_TIME = 1
LOCK_EINTR_RETURNS = 2
LOCK_INHERIT = 4

LOAD_RECOVER = 1
LOAD_REQUIRE_SCHEMA = 2
LOAD_PLAIN = 4
LOAD_REQUIRE_VERIFIED = 8

SAVE_STRICT = 1
SAVE_KEEP_PREVIOUS = 2
SAVE_IF_GENERATION = 4
SAVE_FOLLOW_SYMLINK = 8
SAVE_CREATE_PARENTS = 16
SAVE_ALTERNATE = 32
SAVE_NO_SYNC = 64
SAVE_SYNCFS = 128
SAVE_PLAIN = 256
SAVE_KEEP_ATTRIBUTES = 512
SAVE_SET_MODE = 1024
SAVE_IN_PLACE = 2048

OK = 0
NOT_DURABLE = 16
RECOVERED = 17
UNVERIFIED = 18
CHANGED = 19

E_EMPTY = -10000
E_TRUNCATED = -10001
E_TRAILING = -10002
E_DIGEST = -10003
E_FORMAT = -10004
E_NEWER = -10005
E_SCHEMA = -10006
E_LOST = -10007
E_TOO_LARGE = -10008
E_CONFLICT = -10009
E_SYMLINK = -10010
E_NOT_REGULAR = -10011
E_NOT_SAVED_DURABLY = -10012
E_SAVED_NOT_DURABLE = -10013
E_INDETERMINATE = -10014
E_LOCKED = -10015
E_LOCK_LOST = -10016
E_WRONG_PROCESS = -10017
E_HOOK = -10018
E_UNSUPPORTED = -10019
E_UNVERIFIED = -10020
E_BUSY = -10021
E_INTERNAL = -10022


class Stat(ctypes.Structure):
    """What the fstat and fstatat hooks fill."""

    _fields_ = [
        ("dev", c_uint64),
        ("ino", c_uint64),
        ("mode", c_uint32),
        ("nlink", c_uint32),
        ("uid", c_uint32),
        ("gid", c_uint32),
        ("size", c_uint64),
        ("mtime_ns", c_int64),
        ("attributes", c_uint32),
        ("reserved", c_uint32),
        ("btime_ns", c_int64),
    ]


class PollFd(ctypes.Structure):
    """struct pollfd."""

    _fields_ = [("fd", c_int32), ("events", c_int16), ("revents", c_int16)]


class CReport(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("status", c_int32),
        ("os_error", c_int32),
        ("step", c_int32),
        ("on_disk", c_int32),
        ("generation", c_uint64),
        ("pid", c_int64),
        ("message", c_char * 216),
    ]


class CSaveOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("flags", c_uint32),
        ("mode", c_uint32),
        ("schema", c_uint32),
        ("reserved", c_uint32),
        ("expected_generation", c_uint64),
        ("timeout_ms", c_int64),
    ]


class CSaveEntry(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("path", c_char_p),
        ("data", c_char_p),
        ("len", c_size_t),
        ("status", c_int32),
        ("os_error", c_int32),
        ("generation", c_uint64),
        ("step", c_int32),
        ("on_disk", c_int32),
    ]


class CLoadOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("flags", c_uint32), ("schema", c_uint32), ("max_len", c_uint64)]


class CState(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("data", c_void_p),
        ("len", c_size_t),
        ("generation", c_uint64),
        ("saved_at_ns", c_int64),
        ("schema", c_uint32),
        ("source", c_uint32),
        ("sha256", c_uint8 * 32),
    ]


class CLockOptions(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("flags", c_uint32),
        ("mode", c_uint32),
        ("empty_grace_ms", c_int64),
        ("cancel_fd", c_int32),
        ("reserved", c_int32),
    ]


# The hooks in the order of the table: result, and arguments after `user`. Pointers that are written to, and buffers, are
# addresses; paths are bytes.
_FD_PATH_FLAGS = (c_int32, c_char_p, c_int32)
HOOKS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "openat": (c_int32, (*_FD_PATH_FLAGS, c_uint32)),
    "close": (c_int32, (c_int32,)),
    "write": (c_int64, (c_int32, c_void_p, c_size_t)),
    "fsync": (c_int32, (c_int32,)),
    "renameat": (c_int32, (c_int32, c_char_p, c_int32, c_char_p, c_uint32)),
    "unlinkat": (c_int32, _FD_PATH_FLAGS),
    "linkat": (c_int32, (c_int32, c_char_p, c_int32, c_char_p, c_int32)),
    "mkdirat": (c_int32, (c_int32, c_char_p, c_uint32)),
    "readlinkat": (c_int64, (c_int32, c_char_p, c_void_p, c_size_t)),
    "read": (c_int64, (c_int32, c_void_p, c_size_t)),
    "pread": (c_int64, (c_int32, c_void_p, c_size_t, c_uint64)),
    "fstat": (c_int32, (c_int32, c_void_p)),
    "fstatat": (c_int32, (c_int32, c_char_p, c_void_p)),
    "fstatfs": (c_int64, (c_int32,)),
    "fchmod": (c_int32, (c_int32, c_uint32)),
    "fchown": (c_int32, (c_int32, c_uint32, c_uint32)),
    "flock": (c_int32, (c_int32, c_int32)),
    "ofdlock": (c_int32, (c_int32, c_int32, c_int64, c_int64, c_void_p)),
    "fgetxattr": (c_int64, (c_int32, c_char_p, c_void_p, c_size_t)),
    "fsetxattr": (c_int32, (c_int32, c_char_p, c_void_p, c_size_t)),
    "getpid": (c_int32, ()),
    "geteuid": (c_int64, ()),
    "kill": (c_int32, (c_int32, c_int32)),
    "pidfd_open": (c_int32, (c_int32, c_uint32)),
    "poll": (c_int32, (c_void_p, c_uint32, c_int64)),
    "inotify_init": (c_int32, (c_int32,)),
    "inotify_add_watch": (c_int32, (c_int32, c_char_p, c_uint32)),
    "clock": (c_int32, (c_int32, c_void_p)),
    "sigxfsz": (c_int32, (c_int32, c_int32)),
    "fdatasync": (c_int32, (c_int32,)),
    "syncfs": (c_int32, (c_int32,)),
    "ftruncate": (c_int32, (c_int32, c_uint64)),
    "writeback": (c_int32, (c_int32, c_int32, c_uint64, c_uint64)),
    "aio": (c_int64, (c_int32, c_void_p, c_int32, c_void_p, c_size_t, c_uint64)),
    "fsync_many": (c_int32, (c_void_p, c_void_p, c_uint32)),
    "openat2": (c_int32, (*_FD_PATH_FLAGS, c_uint32, c_uint64)),
    "map": (c_int64, (c_int32,)),
    "unmap": (c_int32, (c_uint64,)),
    "pwrite": (c_int64, (c_int32, c_void_p, c_size_t, c_uint64)),
    "flistxattr": (c_int64, (c_int32, c_void_p, c_size_t)),
    "getdents": (c_int64, (c_int32, c_void_p, c_size_t)),
}
HOOK_TYPES = {name: ctypes.CFUNCTYPE(result, c_void_p, *arguments) for name, (result, arguments) in HOOKS.items()}


class CHooks(ctypes.Structure):
    _fields_ = [
        ("size", c_size_t),
        ("user", c_void_p),
        ("absent", c_uint32),
        ("reserved", c_uint32),
        *HOOK_TYPES.items(),
    ]


class CContextOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("flags", c_uint32), ("dirfd", c_int32), ("hooks", POINTER(CHooks))]


# STEADFAST_CALL_*: numbered as the table goes.
CALLS = {name: number for number, name in enumerate(["any", *HOOKS])}

_PROTOTYPES: dict[str, tuple[Any, list[Any]]] = {
    "steadfast_version": (c_char_p, []),
    "steadfast_abi_version": (c_uint32, []),
    "steadfast_status_name": (c_char_p, [c_int32]),
    "steadfast_status_message": (c_char_p, [c_int32]),
    "steadfast_hooks_default": (POINTER(CHooks), []),
    "steadfast_context_new": (c_int32, [POINTER(CHooks), POINTER(c_void_p)]),
    "steadfast_context_new_with": (c_int32, [POINTER(CContextOptions), POINTER(c_void_p)]),
    "steadfast_context_new_failing": (
        c_int32,
        [POINTER(CHooks), c_uint32, c_uint64, c_int32, c_uint32, POINTER(c_void_p)],
    ),
    "steadfast_context_free": (None, [c_void_p]),
    "steadfast_state_save": (
        c_int32,
        [c_void_p, c_char_p, c_char_p, c_size_t, POINTER(CSaveOptions), POINTER(CReport)],
    ),
    "steadfast_state_save_batch": (
        c_int32,
        [c_void_p, POINTER(CSaveEntry), c_size_t, POINTER(CSaveOptions), POINTER(CReport)],
    ),
    "steadfast_state_load_into": (
        c_int32,
        [c_void_p, c_char_p, POINTER(CLoadOptions), c_void_p, c_size_t, POINTER(c_size_t), POINTER(CReport)],
    ),
    "steadfast_state_load": (
        c_int32,
        [c_void_p, c_char_p, POINTER(CLoadOptions), POINTER(CState), POINTER(CReport)],
    ),
    "steadfast_state_free": (None, [POINTER(CState)]),
    "steadfast_state_update": (
        c_int32,
        [c_void_p, c_char_p, POINTER(CLoadOptions), POINTER(CSaveOptions), c_void_p, c_void_p, POINTER(CReport)],
    ),
    "steadfast_state_remove": (c_int32, [c_void_p, c_char_p, POINTER(CSaveOptions), POINTER(CReport)]),
    "steadfast_writer_open": (
        c_int32,
        [c_void_p, c_char_p, POINTER(CSaveOptions), POINTER(c_void_p), POINTER(CReport)],
    ),
    "steadfast_writer_write": (c_int32, [c_void_p, c_char_p, c_size_t, POINTER(CReport)]),
    "steadfast_writer_fd": (c_int32, [c_void_p, POINTER(c_int32), POINTER(CReport)]),
    "steadfast_writer_commit": (c_int32, [c_void_p, POINTER(CReport)]),
    "steadfast_writer_abort": (None, [c_void_p]),
    "steadfast_reader_open": (
        c_int32,
        [c_void_p, c_char_p, POINTER(CLoadOptions), POINTER(c_void_p), POINTER(CState), POINTER(CReport)],
    ),
    "steadfast_reader_read": (
        c_int32,
        [c_void_p, c_uint64, c_void_p, c_size_t, POINTER(c_size_t), POINTER(CReport)],
    ),
    "steadfast_reader_close": (None, [c_void_p]),
    "steadfast_watch_open": (
        c_int32,
        [c_void_p, c_char_p, POINTER(CLoadOptions), POINTER(c_void_p), POINTER(CReport)],
    ),
    "steadfast_watch_wait": (c_int32, [c_void_p, c_uint64, c_int64, POINTER(CReport)]),
    "steadfast_watch_fd": (c_int32, [c_void_p]),
    "steadfast_watch_close": (None, [c_void_p]),
    "steadfast_lock_clean_stale": (c_int32, [c_void_p, c_char_p, POINTER(CLockOptions), POINTER(CReport)]),
    "steadfast_lock_inspect": (c_int32, [c_void_p, c_char_p, POINTER(CLockOptions), POINTER(CReport)]),
    "steadfast_directory_sweep": (c_int32, [c_void_p, c_char_p, c_uint32, c_void_p, c_void_p, POINTER(CReport)]),
    "steadfast_lock_acquire": (
        c_int32,
        [c_void_p, c_char_p, c_int64, POINTER(CLockOptions), POINTER(c_void_p), POINTER(CReport)],
    ),
    "steadfast_lock_check": (c_int32, [c_void_p, POINTER(CReport)]),
    "steadfast_lock_adopt": (c_int32, [c_void_p, POINTER(CReport)]),
    "steadfast_lock_release": (c_int32, [c_void_p, POINTER(CReport)]),
}


def _candidates() -> list[str]:
    soname = f"libsteadfast.{ABI_VERSION}.dylib" if sys.platform == "darwin" else f"libsteadfast.so.{ABI_VERSION}"
    chosen = os.environ.get("STEADFAST_LIBRARY")
    if chosen:
        return [chosen]  # this one or none
    bundled = Path(__file__).with_name(soname)
    if bundled.exists():
        return [str(bundled)]
    found: Optional[str] = ctypes.util.find_library("steadfast")
    return [soname] if found is None else [soname, found]


def _load() -> tuple[ctypes.CDLL, str]:
    failures = []
    for name in _candidates():
        try:
            # CDLL, not PyDLL: other Python threads run while a call waits.
            library = ctypes.CDLL(name)
        except OSError as error:
            failures.append(str(error))
            continue
        try:
            for function, (result, arguments) in _PROTOTYPES.items():
                prototype = getattr(library, function)
                prototype.restype = result
                prototype.argtypes = arguments
        except AttributeError as error:
            raise ImportError(f"{name} is too old for this package: {error}") from None
        version = library.steadfast_abi_version()
        if version != ABI_VERSION:
            raise ImportError(f"{name} has ABI {version}; this package needs {ABI_VERSION}")
        return library, name
    raise ImportError("the steadfast library was not found (set STEADFAST_LIBRARY to its path): " + "; ".join(failures))


lib, library_path = _load()
