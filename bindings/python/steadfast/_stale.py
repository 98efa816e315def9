"""What is known of a lock file, and the removal of a stale one."""

from __future__ import annotations

import ctypes
import enum
import math
from dataclasses import dataclass, field
from typing import Callable, Optional

from . import _abi
from ._arguments import StrPath, path_bytes, unsigned
from ._hooks import Context, hooks_may_raise, pointer_of
from ._report import Report, error_of, new_report, report_of


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
